"""The partial application of old databases. New code uses `zc.async_.job.Job`."""

from typing import Any

import persistent

from zc.async_.storing import record_as


class Partial(persistent.Persistent):
    """A stored call, as records of old name it (`zc.async.partial.Partial`).

    Its attributes are what such a record holds: the callable and its arguments.
    """

    args: Any = ()
    kwargs: Any = None

    def __init__(self, callable: Any, /, *args: Any, **kwargs: Any) -> None:
        self.callable = callable
        self.args = list(args)
        self.kwargs = kwargs

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call, with the given arguments after the stored ones. Raises what the callable raises."""
        return self.callable(*self.args, *args, **{**(self.kwargs or {}), **kwargs})


record_as("zc.async_.partial", Partial)
