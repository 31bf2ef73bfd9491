"""Labels: words for what a worker has, such as 'gpu' or 'eu', and for what a job needs.

A job names those that it needs (`IJob.needs`); agents and dispatchers have some. The UUID of a
dispatcher, as a string, is a label that this one has alone.
"""

import uuid
from collections.abc import Iterable
from typing import Any

from zc.twist.showing import show

#: Among what a job needs, for claims: a place for coroutines. No label of anybody's is like this.
COROUTINE = "\0coroutine"

#: The most letters of a label, and the most labels of one job, agent or dispatcher: they are parts
#: of keys that every claim may read.
LONGEST = 200
MOST = 100


def as_labels(what: str, value: Any) -> tuple[str, ...]:
    """Labels in their stored form: sorted, each once.

    Args:
        what: whose they are, for errors.
        value: an iterable of strings. A uuid.UUID stands for its string.

    Raises TypeError for what is no such iterable, a single string above all, and ValueError for
    strings that cannot be labels, and for too many.
    """
    if isinstance(value, (str, bytes, uuid.UUID)) or not isinstance(value, Iterable):
        raise TypeError(
            f"{what} is a collection of labels, such as ('gpu', 'eu'), not {show(value)}: put a "
            "single one into a list, and give () for none"
        )
    labels = {_as_label(what, label) for label in value}
    if len(labels) > MOST:
        raise ValueError(
            f"{what} has {len(labels)} labels, and may have {MOST}: have one label stand for "
            "several that always come together"
        )
    return tuple(sorted(labels))


def _as_label(what: str, value: Any) -> str:
    if isinstance(value, uuid.UUID):
        return str(value)
    if not isinstance(value, str):
        raise TypeError(f"a label in {what} is a string or a uuid.UUID, not {show(value)}")
    # An instance of a subclass would be stored as such.
    label = str.__str__(value)
    if not 0 < len(label) <= LONGEST or not label.isprintable() or {" ", ","} & set(label):
        raise ValueError(
            f"{show(value)} in {what} cannot be a label: give 1 to {LONGEST} printable characters "
            "without spaces and commas, which stand between labels in configurations"
        )
    return label
