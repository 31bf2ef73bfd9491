"""What the application stores beside the sales: desks with reports and mail."""

import datetime
import secrets
from collections.abc import Callable, Iterable
from typing import NamedTuple

from BTrees.OOBTree import OOBTree
from persistent import Persistent
from zope.container.btree import BTreeContainer
from zope.container.contained import Contained
from zope.interface import implementer
from zope.site.folder import Folder

import zc.async_.clock
from reports.interfaces import IDesk, IReport, IReportsSite
from reports.sales import Sale

#: By what reports may be grouped, and how the name of a group is found.
GROUPINGS: dict[str, Callable[[Sale], str]] = {
    "region": lambda sale: sale.region,
    "product": lambda sale: sale.product,
    "month": lambda sale: f"{sale.day:%Y-%m}",
}


def new_id() -> str:
    """An id that nobody guesses, and that sorts by time.

    It is made without a look at the others, so two processes that add at once do not conflict.
    """
    return f"{zc.async_.clock.microseconds():015}-{secrets.token_hex(6)}"


class Row(NamedTuple):
    """A line of a report."""

    name: str
    sales: int
    euro_cents: int


@implementer(IReport)
class Report(Persistent, Contained):
    """See `IReport`."""

    job_id = ""
    rows: tuple[Row, ...] | None = None
    traceback: str | None = None
    cancelled = False

    def __init__(self, year: int, group_by: str) -> None:
        self.year = year
        self.group_by = group_by
        self.asked = zc.async_.clock.now()

    @property
    def title(self) -> str:
        """See `IReport`."""
        return f"Sales of {self.year} by {self.group_by}"

    @property
    def count(self) -> int:
        """See `IReport`."""
        return sum(row.sales for row in self.rows or ())

    @property
    def euro_cents(self) -> int:
        """See `IReport`."""
        return sum(row.euro_cents for row in self.rows or ())


class Mail(NamedTuple):
    """A mail. Never changed, so it needs no record of its own."""

    to: str
    subject: str
    text: str
    written: datetime.datetime


class Outbox(Persistent):
    """The mail that is to be sent to a user, and that was.

    Jobs put their mail here instead of sending it. So it is part of their transaction: a job that
    is interrupted and runs again has still written once. Sending is the business of another job,
    one with `NeverRetry`, since what has left the house cannot be rolled back.
    """

    def __init__(self) -> None:
        self._mail = OOBTree()

    def add(self, to: str, subject: str, text: str) -> None:
        """Write a mail."""
        self._mail[new_id()] = Mail(to, subject, text, zc.async_.clock.now())

    def __len__(self) -> int:
        return len(self._mail)

    def newest_first(self) -> Iterable[Mail]:
        """All mail."""
        return reversed(list(self._mail.values()))


@implementer(IDesk)
class Desk(BTreeContainer):
    """See `IDesk`. Each user has one: jobs of different users never write the same record."""

    def __init__(self, owner: str) -> None:
        super().__init__()
        self.owner = owner
        self.outbox = Outbox()

    def newest_first(self, start: int = 0, size: int | None = None) -> list[Report]:
        """The reports, without the `start` newest ones, `size` of them at most."""
        ids = list(self.keys())[::-1]
        return [self[one] for one in ids[start : None if size is None else start + size]]


@implementer(IReportsSite)
class ReportsSite(Folder):
    """See `IReportsSite`."""
