"""Notes of transactions, which tell in the undo log of an application what these did.

Notes of the application itself stay.
"""

import types
from typing import Any

from transaction._transaction import Status

from zc.async_.running.contract import RunnableJob
from zc.async_.threadlocal import local

#: Each note of ours begins with this.
PREFIX = "zc.async: "

#: At most so many characters of a dotted name are noted.
MAX_NAME = 200

_NAMED = (
    type,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.WrapperDescriptorType,
)

#: A longer note of an application gets nothing added: storages take no more than 65,535 bytes.
_MOST_BEFORE = 15_000


def add(transaction: Any, words: str) -> None:
    """Add words to the note of a transaction, unless they are there."""
    text = PREFIX + words
    before = transaction.description
    if len(before) < _MOST_BEFORE and text not in before:
        transaction.note(text)


def name_of(job: RunnableJob) -> str:
    """The dotted name of a job's callable. Loads nothing but the job."""
    stored = getattr(job, "stored_callable", None)
    if isinstance(stored, str):
        name = stored.replace(":", ".")
    else:
        root, method = stored if isinstance(stored, tuple) else (job, None)
        # Other objects are not asked for a name: they may load something, or make one up.
        named = root if isinstance(root, _NAMED) else type(root)
        module = getattr(named, "__module__", None) or type(named).__module__
        name = f"{module}.{named.__qualname__}"
        if method is not None:
            name = f"{name}.{method}"
    return name[:MAX_NAME].encode("ascii", "backslashreplace").decode()


def add_job(transaction: Any, job: RunnableJob) -> None:
    """Note the callable of a job, or of the callback of it that runs in this thread."""
    add(transaction, name_of(job if local.job is None else local.job))


class Noting:
    """Notes the job that runs in this thread in each transaction that is about to be committed.

    A synchronizer of a transaction manager, and a context manager that makes it one for a while.
    """

    def __init__(self, manager: Any, job: RunnableJob) -> None:
        self._manager = manager
        self._job = job

    def __enter__(self) -> None:
        self._manager.registerSynch(self)

    def __exit__(self, *error: object) -> None:
        self._manager.unregisterSynch(self)

    def newTransaction(self, transaction: Any) -> None:
        """A transaction begins."""

    def beforeCompletion(self, transaction: Any) -> None:
        """A transaction is about to be committed or aborted."""
        if transaction.status is Status.ACTIVE and transaction._resources:
            add_job(transaction, self._job)

    def afterCompletion(self, transaction: Any) -> None:
        """A transaction has ended."""
