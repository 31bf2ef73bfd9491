"""`zc-async demo`: jobs make a full-text index of a folder, whatever happens to their process."""

from zc.async_.interfaces import AsyncError

#: The default query.
DEFAULT_QUERY = "thread pool"


class DemoError(AsyncError):
    """The demo cannot go on; the message is one line and names the remedy.

    Attributes:
        status: the exit status of the process: 1 if something failed, 2 if the request cannot be
            carried out, 128 + N if signal N stopped it.
    """

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status
