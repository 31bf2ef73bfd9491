"""Coroutines that have the context of their job wherever they run.

A coroutine goes on in the thread of the reactor, between others and long after the worker has given
its connection to the next job. So each step, from one `await` to the next, gets the site from a
connection of its own, and the thread is put back as it was when the step is over.
"""

import contextlib
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import transaction
from ZODB.POSException import POSKeyError

from zc.async_ import utils
from zc.async_.interfaces import AsyncError
from zc.async_.running import participants
from zc.async_.z3 import sites
from zc.async_.z3.surroundings import Surroundings, establish


class UncommittedError(AsyncError):
    """A coroutine has changed something by the connection of its site, and not committed it."""


class Elsewhere:
    """The context of a job, for threads that have nothing to do with the job's connection."""

    def __init__(self, site: Any, was_in_tree: bool, principal_ids: tuple[str, ...]) -> None:
        """As for `establish`. For the thread of the job."""
        self._was_in_tree = was_in_tree
        self._principal_ids = principal_ids
        # A site that is in no database yet is the same in each thread.
        self._site = site if site is None or site._p_jar is None else None
        self._database = None
        if site is not None and self._site is None:
            self._database = utils.first_database(site._p_jar)
            self._name_of_database = site._p_jar.db().database_name
            self._oid = site._p_oid
            self._name = utils.custom_repr(site)

    @contextlib.contextmanager
    def established(self) -> Iterator[None]:
        """Be in the context. Raises what `establish` does, and `UncommittedError` in the end."""
        before = Surroundings()
        try:
            with self._loaded() as site:
                establish(site, self._was_in_tree, self._principal_ids)
                yield
        finally:
            before.restore()

    @contextlib.contextmanager
    def _loaded(self) -> Iterator[Any]:
        if self._database is None:
            yield self._site
            return
        connection = self._database.open(manager := transaction.TransactionManager())
        try:
            try:
                site = connection.get_connection(self._name_of_database).get(self._oid)
            except POSKeyError as error:
                raise sites.unloadable(self._name, error) from error
            yield site
            if participants.are_there(manager.get()):
                raise UncommittedError(
                    "a coroutine has changed something by the connection that its site, "
                    f"{self._name}, was loaded by, and not committed it before the next await or "
                    "its end: commit by site._p_jar.transaction_manager, or put a job that makes "
                    "the change"
                )
        finally:
            try:
                manager.abort()
            finally:
                connection.close()


_NOWHERE = Elsewhere(None, False, ())


class _Steps:
    """What waits for a coroutine, and makes each step of it in a context."""

    def __init__(
        self, coroutine: Any, surroundings: Elsewhere, is_there: Callable[[], bool]
    ) -> None:
        self._coroutine = coroutine
        self._surroundings = surroundings
        self._is_there = is_there

    def __await__(self) -> "_Steps":
        return self

    __iter__ = __await__

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        return self._make(self._coroutine.send, value)

    def throw(self, *error: Any) -> Any:
        return self._make(self._coroutine.throw, *error)

    def close(self) -> None:
        begun = []

        def close() -> None:
            begun.append(True)
            self._coroutine.close()

        try:
            self._make(close)
        except Exception:
            # It is closed in any case. Python does that with what nobody waits for any more, and
            # perhaps when the database has been closed: there is nobody who could be told.
            if begun:
                raise

    def __del__(self) -> None:
        # Also of one that never began: its outer one says so.
        self._abandon()

    def _abandon(self) -> None:
        """Close the coroutine nowhere, and not as whoever this thread happens to be."""
        with _NOWHERE.established():
            self._coroutine.close()

    def _make(self, step: Callable[..., Any], *args: Any) -> Any:
        if self._is_there():
            return step(*args)
        outcome = None
        try:
            with self._surroundings.established():
                try:
                    return step(*args)
                except StopIteration as end:
                    # The coroutine has returned. That must not look like the end of a generator,
                    # which is what a context manager is.
                    outcome = end
        except BaseException:
            # Of its own, and then it has ended, or of the context, and then it cannot go on.
            self._abandon()
            raise
        raise outcome


def with_context(
    coroutine: Coroutine[Any, Any, Any], surroundings: Elsewhere, is_there: Callable[[], bool]
) -> Coroutine[Any, Any, Any]:
    """A coroutine that does what the given one does, each step of it in a context.

    `is_there`: tells whether the thread in which it is called is in the context anyway.
    """
    # Made now: it sees to the given coroutine even if nobody begins this one.
    return _await(_Steps(coroutine, surroundings, is_there))


async def _await(steps: _Steps) -> Any:
    return await steps
