"""What may be wrong with a question. The texts are for whoever asked, and say what else to ask."""

from zc.async_.interfaces import AsyncError


class BadQuestionError(AsyncError, ValueError):
    """A word that a tool does not understand, or words that contradict each other."""


class NotThereError(AsyncError, LookupError):
    """What was asked about does not exist here: a dispatcher, a queue, a job."""


class UnreadableError(AsyncError):
    """A part of the database that was asked about cannot be read."""
