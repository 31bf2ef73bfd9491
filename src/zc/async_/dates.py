"""Dates without a time zone, which are taken as UTC."""

import datetime

import zc.async_.warners


class NaiveDateWarning(UserWarning):
    """A date without a time zone was taken as UTC, though the local time is another."""


def warn_if_ambiguous(what: str, moment: datetime.datetime) -> None:
    """Warn of a date without a time zone where that may be meant as another one.

    A warning, and no log record: Python tells it once for each line of code that calls, with the
    line, and those who run it decide whether it is shown, logged (`logging.captureWarnings`) or an
    error.
    """
    if moment.tzinfo is None and _differs_here(moment):
        zc.async_.warners.warn(
            f"{what} has no time zone, and is taken as UTC: {moment!r}. Give it one: "
            "datetime.datetime.now(datetime.UTC), for example, or moment.astimezone() for local "
            "time",
            NaiveDateWarning,
        )


def _differs_here(moment: datetime.datetime) -> bool:
    try:
        return bool(moment.astimezone().utcoffset())
    except (OverflowError, ValueError, OSError):
        # At the ends of what a datetime can tell.
        return False
