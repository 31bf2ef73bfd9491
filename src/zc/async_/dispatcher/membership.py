"""A dispatcher's membership in the queues: it becomes active in each, and leaves at the end."""

import dataclasses
import logging
from typing import Any

import ZODB.utils

import zc.async_.clock
import zc.async_.interfaces
from zc.async_ import utils
from zc.async_.dispatcher.pool import JobId, job_id
from zc.async_.process import instanceuuid, liveness
from zc.async_.queue import disused
from zc.async_.running import notes

#: How many times to try to leave the queues when there are conflicts.
TRIES_TO_LEAVE = 5

#: The least time (seconds) between two tidyings of a queue.
TIDYING_INTERVAL = 10.0

#: Seconds until handlers that raised when a dispatcher was activated are called again: at first,
#: and at most. The time doubles with each call.
PATIENCE_WITH_HANDLERS = (5.0, 300.0)


@dataclasses.dataclass
class _Unheard:
    """Handlers that raised when this dispatcher was activated in a queue."""

    handlers: list[Any]
    #: Seconds between the last call and the next one.
    pause: float = PATIENCE_WITH_HANDLERS[0]
    #: When the last call was (monotonic microseconds).
    last: int = dataclasses.field(default_factory=zc.async_.clock.monotonic)

    def is_due(self) -> bool:
        return zc.async_.clock.monotonic() - self.last >= self.pause * 1_000_000

    def called(self, handlers: list[Any]) -> None:
        """Note that they were called again, and that `handlers` raised again."""
        self.handlers = handlers
        self.pause = min(2 * self.pause, PATIENCE_WITH_HANDLERS[1])
        self.last = zc.async_.clock.monotonic()


class Membership:
    """Records in the database that a dispatcher is active. For the thread that uses its poller."""

    def __init__(
        self,
        connection: Any,
        manager: Any,
        uuid: Any,
        poll_interval: float = 0,
        labels: tuple[str, ...] = (),
    ) -> None:
        self._connection = connection
        self._manager = manager
        self._uuid = uuid
        self._labels = labels
        #: Names of the queues in which this dispatcher has activated itself.
        self._active: set[str] = set()
        #: When this dispatcher activated itself in a queue, even if the commit was not confirmed.
        self._activated: dict[str, Any] = {}
        #: The lock that this process holds as long as it lives.
        self.holder: liveness.Holder | None = None
        #: When each queue was tidied (monotonic microseconds).
        self._tidied: dict[str, int] = {}
        #: Seconds between two polls.
        self.poll_interval = poll_interval
        #: Locks of processes that were found to have ended. They are remembered for the other
        #: queues: once this process has such a lock, nobody can see that any more.
        self._gone: set[liveness.Holder] = set()
        #: Handlers to call again, by the names of the queues.
        self._unheard: dict[str, _Unheard] = {}

    def _queue(self, name: str) -> Any:
        return self._connection.root()[zc.async_.interfaces.KEY][name]

    def ensure(self, name: str) -> bool:
        """Register and activate this dispatcher in a queue; return whether it is active."""
        if name in self._active and self._uuid in self._queue(name).dispatchers:
            if name in self._unheard and self._unheard[name].is_due():
                self._notify_again(name)
            return True
        try:
            active = self._activate(name)
            if active:
                self.tidy(name)
            return active
        finally:
            self._manager.begin()

    def _activate(self, name: str) -> bool:
        with self._manager as transaction:
            notes.add(transaction, "activation")
            dispatchers = self._queue(name).dispatchers
            if self._uuid not in dispatchers:
                dispatchers.register(self._uuid)
            agents = dispatchers[self._uuid]
            # Before the lock is taken: a held lock is a sign of life.
            dead = self._is_dead(agents)
            try:
                self.holder = liveness.hold(self._uuid)
            except liveness.HeldElsewhereError as error:
                self._say_that_there_is_another(name, " (process {1} has locked {0})", *error.args)
                return False
            if agents.activated and agents.activated == self._activated.get(name):
                # The answer to an earlier try was lost.
                self._active.add(name)
                return True
            if agents.activated:
                if not dead:
                    self._say_that_there_is_another(name)
                    return False
                utils.log_once_committed(
                    agents,
                    logging.WARNING,
                    "UUID %s: an earlier process crashed; cleaning up",
                    self._uuid,
                )
                agents.deactivate()
            agents.holder = self.holder
            if agents.labels != self._labels:
                agents.labels = self._labels
            unheard = agents.activate_and_tell()
            self._activated[name] = agents.activated
            self._unheard.pop(name, None)
            if unheard:
                self._unheard[name] = _Unheard(unheard)
        self._active.add(name)
        utils.log.info("dispatcher %s is active in queue %r", self._uuid, name)
        return True

    def _notify_again(self, name: str) -> None:
        """Call once more the handlers that raised when this dispatcher was activated in a queue.

        A resource that was out of reach may be back. Without a handler, agents may be missing.
        """
        unheard = self._unheard[name]
        try:
            with self._manager as transaction:
                notes.add(transaction, "activation")
                agents = self._queue(name).dispatchers[self._uuid]
                left = agents.notify_again(unheard.handlers)
        finally:
            self._manager.begin()
        unheard.called(left)
        if not left:
            del self._unheard[name]

    def _is_dead(self, agents: Any) -> bool:
        """Whether an earlier process with this UUID no longer works for a queue."""
        holder = agents.holder
        if holder is not None and liveness.is_gone(holder):
            self._gone.add(holder)
        return bool(agents.is_dead(self.poll_interval) or holder in self._gone)

    def tidy(self, name: str) -> None:
        """Remove what instances that are gone have left behind. A conflict defers that."""
        self._tidied[name] = zc.async_.clock.monotonic()
        try:
            with self._manager as transaction:
                notes.add(transaction, "tidying")
                queue = self._queue(name)
                members = queue.dispatchers.items()
                living = [uuid for uuid, agents in members if agents.activated and not agents.dead]
                disused.remove_disused(queue.lanes, living)
                if queue.lanes.is_of_older_version:
                    queue.lanes = queue.lanes.with_buckets()
        except utils.TRANSIENT_ERRORS as error:
            utils.log.info("queue %r is not tidied now: %s", name, error)

    def tidy_if_crowded(self, name: str) -> None:
        """Tidy again, some time after the last time, if each look reads many lanes."""
        now = zc.async_.clock.monotonic()
        last = self._tidied.get(name, now)
        if now - last >= TIDYING_INTERVAL * 1_000_000 and disused.are_many(self._queue(name).lanes):
            try:
                self.tidy(name)
            finally:
                self._manager.begin()

    def _say_that_there_is_another(self, name: str, details: str = "", *values: str) -> None:
        # The second part is the historic text; some tools may look for it.
        utils.log.error(
            "UUID %s %s  (If its process has ended, this one takes over by itself: see "
            "``ping_death_interval``.)  It is already activated in queue %s (oid %d): another "
            "process?%s  (To stop poll attempts in this process, set "
            "``zc.async_.dispatcher.get().activated = False``.  To stop polls permanently, "
            "don't start a zc.async.dispatcher!)",
            self._uuid,
            self._what_to_do_about_uuid(),
            name,
            ZODB.utils.u64(self._queue(name)._p_oid),
            details.format(*values),
        )

    def _what_to_do_about_uuid(self) -> str:
        if self._uuid == instanceuuid.UUID:
            return (
                f"of {instanceuuid.UUID_PATH} is in use: each process with a dispatcher "
                "needs a file of its own, so set the environment variable "
                f"{instanceuuid.ENVIRONMENT_VARIABLE} to the path of another."
            )
        return "is in use: give each dispatcher another one."

    def leave(self, unstarted: list[tuple[JobId, int]]) -> None:
        """Hand back the jobs that no thread has begun, and leave the queues."""

        def try_to_leave() -> None:
            self._manager.abort()
            self._manager.begin()
            queues = self._connection.root()[zc.async_.interfaces.KEY]
            for name in self._active & set(queues.keys()):
                dispatchers = queues[name].dispatchers
                agents = dispatchers.get(self._uuid)
                if agents is None or not agents.activated:
                    continue
                for agent in agents.all_books():
                    for job in list(agent):
                        if (job_id(job), job.claim_token) in started_not:
                            agents.queue.putBack(job)
                agents.deactivate()
            notes.add(self._manager.get(), "deactivation")
            self._manager.commit()
            liveness.release(self._uuid)

        started_not = set(unstarted)
        for attempt in range(TRIES_TO_LEAVE):
            try:
                try_to_leave()
                break
            except utils.EXPLOSIVE_ERRORS:
                raise
            except Exception as error:
                self._manager.abort()
                # This does not wait for a database that is out of reach: the process has to end.
                again = isinstance(error, utils.TRANSIENT_ERRORS) and not isinstance(
                    error, utils.DISCONNECTED_ERRORS
                )
                if not again or attempt == TRIES_TO_LEAVE - 1:
                    utils.log.critical(
                        "could not deactivate; a sibling, or the next start, will clean up",
                        exc_info=True,
                    )
                    break
        self._active.clear()
