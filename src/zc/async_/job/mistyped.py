"""Attributes of jobs that somebody sets by a name that is almost that of one that exists.

Jobs may have attributes of their application's own. But one that nothing reads, and that looks like
a quota or a retry policy, is a mistake that shows much later, or never.
"""

import difflib

#: What can be set on a job.
SETTABLE = (
    "annotations",
    "args",
    "begin_after",
    "begin_by",
    "callable",
    "failure_log_level",
    "kwargs",
    "needs",
    "priority",
    "quota_names",
    "retry_policy_factory",
)

#: How alike a name has to be to be refused (0 to 1): `log_level` and `retry_policy` are, and
#: `queue_name` and `label` are not.
LIKENESS = 0.68

#: The same for attributes of at most `SHORT` letters, which resemble many words: `need` is refused,
#: and `feeds` is not.
LIKENESS_OF_SHORT = 0.85
SHORT = 5


def refuse_if_mistyped(name: str) -> None:
    """Raise AttributeError for a name that resembles that of an attribute of jobs."""
    alike = _resembled(name)
    if alike is not None:
        raise AttributeError(
            f"a job has no attribute {name!r}: did you mean {alike!r}? What you want to note of "
            "your own belongs into job.annotations, or into attributes of a subclass of Job",
            name=name,
        )


def _resembled(name: str) -> str | None:
    for alike in difflib.get_close_matches(name, SETTABLE, len(SETTABLE), LIKENESS):
        ratio = difflib.SequenceMatcher(None, alike, name).ratio()
        if len(alike) > SHORT or ratio >= LIKENESS_OF_SHORT:
            return alike
    return None
