"""How a job is shown to people."""

from typing import Any

from zc.async_.storing import callables
from zc.twist import showing
from zc.twist.showing import Showing

#: At least so many characters of an argument are shown, even if there are many arguments.
SHORTEST_VALUE = 20


def shown_call(job: Any, used: int, shown: Showing) -> str:
    """The callable and its arguments, which share the space that is left.

    `used`: how many characters of the space something else takes. `shown`: what all of the job is
    shown with.
    """
    call = callables.stored_repr(job.stored_callable, shown)
    values: list[tuple[str, Any, Any]] = [("", None, value) for value in job.stored_args]
    # An argument named just "key" is seldom a secret: it sorts, or looks up.
    values += [
        (f"{name}=", None if name == "key" else name, value)
        for name, value in sorted(job.stored_kwargs.items())
    ]
    left = showing.MAX_LENGTH - used - len(call) - len("<  ````>()")
    words = []
    for number, (prefix, name, value) in enumerate(values):
        if left <= 0:
            words.append(showing.CUT)
            break
        room = left // (len(values) - number) - len(prefix) - len(", ")
        words.append(prefix + shown.named(name, value, max(room, SHORTEST_VALUE)))
        left -= len(words[-1]) + len(", ")
    return f"{call}({', '.join(words)})"
