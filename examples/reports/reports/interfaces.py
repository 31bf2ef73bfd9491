"""What the parts of the application are to each other."""

from typing import Any

from zope.interface import Attribute, Interface


class IReportsSite(Interface):
    """The site: the desks of its users, by their ids. `ISales` and the users are its utilities."""


class ISales(Interface):
    """The records over which reports are made."""

    def years() -> list[int]:
        """The years of which there are sales, the newest first."""

    def of_month(year: int, month: int) -> Any:
        """The sales of a month, in the order of their numbers."""


class IDesk(Interface):
    """What belongs to a user: reports by their ids, which sort by time, and an outbox."""

    owner = Attribute("The id of the user.")
    outbox = Attribute("The mail that the user's jobs have sent.")


class IReport(Interface):
    """A report that a user has asked for."""

    year = Attribute("The year that it is about.")
    group_by = Attribute("What its rows are: a key of `reports.model.GROUPINGS`.")
    title = Attribute("What it is called.")
    asked = Attribute("When it was asked for (datetime, UTC).")
    job_id = Attribute("The id of the job that makes it.")
    rows = Attribute("The rows, of the class `Row`, once it is made; None before.")
    count = Attribute("How many sales are in its rows.")
    euro_cents = Attribute("What they are worth.")
    traceback = Attribute("Why it could not be made; None if nothing of the kind is known.")
    cancelled = Attribute("Whether it was taken back before it was begun.")
