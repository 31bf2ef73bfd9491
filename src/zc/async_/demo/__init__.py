"""`zc-async demo`: jobs make a full-text index of a folder, whatever befalls their process."""

from zc.async_.interfaces import AsyncError

#: What is searched for if nothing else is asked.
DEFAULT_QUERY = "thread pool"


class DemoError(AsyncError):
    """The demo cannot go on; the message is one line and names the remedy.

    Attributes:
        status: of the process: 1 something failed, 2 what was asked for cannot be done, 128 + N
            stopped by the signal N.
    """

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status
