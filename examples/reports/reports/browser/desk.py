"""The page of a user: asks for reports, shows what becomes of them."""

import datetime
from typing import Any

from zope.browserpage import ViewPageTemplateFile
from zope.component import getUtility
from zope.publisher.interfaces import BadRequest

import zc.async_.z3
from reports.browser.page import Action, Page, shown_euros, shown_time
from reports.interfaces import ISales
from reports.jobs import QUOTA, make_report, note_failure
from reports.model import GROUPINGS, Report, new_id
from reports.states import State, state_of
from zc.async_.interfaces import IQueue

#: How many reports a page has.
BATCH = 20

#: What a page may be told to say by its address. No other text gets into a page that way.
MESSAGES = {"begun": "That report has been begun already, and cannot be cancelled."}


class DeskPage(Page):
    """A form to ask for a report, and the list of reports."""

    #: The list, for the page. By itself it is the page `jobs`, which the script asks for.
    jobs = ViewPageTemplateFile("templates/jobs.pt")
    groupings = tuple(GROUPINGS)

    @property
    def title(self) -> str:
        """See `Page`."""
        is_own = self.url(self.object) == self.own_desk
        return "Your reports" if is_own else f"Reports of {self.object.owner}"

    def update(self) -> None:
        """See `Page`."""
        self.address = self.url(self.object)
        self.years = getUtility(ISales).years()
        self.message = MESSAGES.get(self.text("message"))
        start = self.text("start")
        self.start = int(start) if start.isdecimal() and len(start) < 9 else 0
        self.total = len(self.object)
        reports = self.object.newest_first(self.start, BATCH)
        states = [(report, state_of(report)) for report in reports]
        self.reports = [_shown(self, report, state) for report, state in states]
        self.goes_on = any(state.goes_on for report, state in states)

    @property
    def newer(self) -> str | None:
        """The address of the page with newer reports."""
        return f"{self.address}?start={max(self.start - BATCH, 0)}" if self.start else None

    @property
    def older(self) -> str | None:
        """The address of the page with older reports."""
        start = self.start + BATCH
        return f"{self.address}?start={start}" if start < self.total else None


def _shown(page: Page, report: Report, state: State) -> dict[str, Any]:
    """What the list tells of a report."""
    if state.name == "running":
        # Announced to those who hear the page, so not each percent.
        news = f"{report.title}: running, {state.percent // 25 * 25} percent"
    else:
        news = f"{report.title}: {state.name}"
    return {
        "id": f"report-{report.__name__}",
        "title": report.title,
        "url": page.url(report),
        "asked": shown_time(report.asked),
        "state": state.name,
        "percent": state.percent,
        "step": state.step,
        "news": news,
        "result": f"{report.count:,} sales, {shown_euros(report.euro_cents)}",
        "can_cancel": state.name == "waiting" and page.may("Ask"),
    }


class Ask(Action):
    """Puts the job that makes a report."""

    def act(self) -> str:
        """See `Action`."""
        desk = self.object
        year, group_by = self.text("year"), self.text("group_by")
        if year not in map(str, getUtility(ISales).years()) or group_by not in GROUPINGS:
            raise BadRequest("There is no such report. Choose one in the form.")
        report = Report(int(year), group_by)
        # Jobs are in another database. This is the one in which the report is to be stored.
        desk._p_jar.add(report)
        desk[new_id()] = report
        # The job gets the report itself, not its id: the two databases end this commit one after
        # the other, and a worker may be so quick that the report is not there yet. A job waits for
        # an object that is missing then, but cannot know what an id that is not found means.
        job = IQueue(desk).put(
            zc.async_.z3.Job(make_report, report),
            quota_names=[QUOTA],
            begin_by=datetime.timedelta(days=1),
        )
        job.addCallbacks(failure=zc.async_.z3.Job(note_failure, report))
        report.job_id = job.id
        # Report and job exist if this request is committed, and else neither.
        return self.url(desk)


class Outbox(Page):
    """The mail to a user."""

    title = "Outbox"

    def mail(self) -> list[dict[str, str]]:
        """The newest mail."""
        return [
            {"to": m.to, "subject": m.subject, "text": m.text, "written": shown_time(m.written)}
            for m in self.object.outbox.newest_first()
        ]
