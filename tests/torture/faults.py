"""What can have gone wrong."""

from typing import Any, NamedTuple

#: The problems, and so the columns of the table.
PROBLEMS = (
    "lost",
    "doubled",
    "stuck",
    "over quota",
    "wrong place",
    "failed",
    "wrong reference",
    "unexplained",
    "broken",
)


class Fault(NamedTuple):
    """Something that was promised and is not so."""

    #: One of `PROBLEMS`; "broken" is what is about no single job,
    #: or cannot be judged.
    problem: str
    text: str
    job: Any = None
