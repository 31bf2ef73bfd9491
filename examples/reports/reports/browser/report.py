"""The page of a report, whatever has become of it."""

import zc.async_
from reports.browser.page import Action, Page, shown_euros, shown_time
from reports.states import state_of
from zc.async_.interfaces import IQueue


class ReportPage(Page):
    """The report, or why there is none."""

    @property
    def title(self) -> str:
        """See `Page`."""
        return self.object.title

    def update(self) -> None:
        """See `Page`."""
        self.state = state_of(self.object)
        self.list = self.url(self.object.__parent__)
        self.asked = shown_time(self.object.asked)
        self.euros = shown_euros(self.object.euro_cents)
        # Each row beside the largest one.
        rows = self.object.rows or ()
        self.largest = max((row.euro_cents for row in rows), default=1)
        self.rows = [(row, shown_euros(row.euro_cents)) for row in rows]

    @property
    def traceback(self) -> str | None:
        """For managers: others are not told what the code is like."""
        return self.object.traceback if self.may("SeeTraceback") else None


class Cancel(Action):
    """Takes a report back that waits."""

    def act(self) -> str:
        """See `Action`."""
        report = self.object
        desk = self.url(report.__parent__)
        try:
            # If a worker claims the job at this moment, one of the two commits conflicts: either
            # it is cancelled, or this is done again and finds that it has begun.
            IQueue(report).remove(zc.async_.find(report, report.job_id))
        except LookupError:
            return f"{desk}?message=begun"
        report.cancelled = True
        return desk
