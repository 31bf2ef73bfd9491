"""Warns of dates without a time zone, which are taken as UTC."""

import datetime

import zc.async_.warners


class NaiveDateWarning(UserWarning):
    """A date without a time zone was taken as UTC, but local time differs from UTC."""


def warn_if_ambiguous(what: str, moment: datetime.datetime) -> None:
    """Warn of a date without a time zone if the caller may have meant local time.

    This is a warning, not a log record: Python shows it once for each calling line, with the line.
    The user decides whether it is shown, logged (`logging.captureWarnings`) or an error.
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
        # Close to the first or last possible datetime.
        return False
