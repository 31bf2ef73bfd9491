"""A poll: what a dispatcher does in the database.

A `Poller` has a connection of its own and is used by one thread at a time. For every queue there is
one transaction, in which the dispatcher pings, keeps the books of its agents and claims jobs for
idle workers. It decides nothing about threads: it is told how many jobs each agent's workers have,
and answers with the jobs claimed.
"""

import random
import time
from typing import Any

import transaction

import zc.async_.clock
import zc.async_.interfaces
import zc.async_.liveness
import zc.async_.observing
from zc.async_ import utils
from zc.async_.dispatcher import thorough
from zc.async_.dispatcher.membership import Membership
from zc.async_.dispatcher.plans import Conditions, Outcome, Plan
from zc.async_.dispatcher.pool import JobId
from zc.async_.dispatcher.visit import AgentFailed, Visit
from zc.async_.dispatcher.wakeup import Listener

#: Seconds to wait after a conflict, at random up to this for the first, and at most.
CONFLICT_BACKOFF = 0.003
LONGEST_CONFLICT_BACKOFF = 0.1
#: Conflicts in a row after which fewer jobs are claimed.
PATIENCE = 3
#: Seconds from a conflict for which dispatchers keep out of each other's way.
CONTENTION = 1.0
#: Objects that the poller keeps in memory: the jobs that it swept should be there when claimed.
CACHE_SIZE = 5000
#: Seconds by which a clock that was set back is not worth looking what that has done.
CLOCK_TOLERANCE = 5
#: Seconds to wait for a database that is out of reach: the first, step and longest wait.
DISCONNECTED_BACKOFF = (1.0, 1.0, 60.0)


class Poller:
    """See the module. `poll` is called by one thread at a time."""

    def __init__(self, database: Any, uuid: Any, listener: Listener) -> None:
        self._uuid = uuid
        self._database = database
        self._listener = listener
        self._manager = transaction.TransactionManager()
        self._connection = database.open(self._manager)
        listener.ignore(self._connection)
        cache = self._connection._cache
        cache.cache_size = max(cache.cache_size, CACHE_SIZE)
        self._membership = Membership(self._connection, self._manager, uuid)
        self._conflicts = 0
        #: When dispatchers need not keep out of each other's way any more (monotonic time).
        self._contended_until = 0.0
        self._disconnects = 0
        #: Claims of which it is not known whether they were committed.
        #: By the names of their queues.
        self._unanswered: dict[str, set[tuple[JobId, int]]] = {}
        #: The queues in which something was committed since.
        self._settled: set[str] = set()
        #: Whether this poll looks thoroughly; when the last one did that did, and how far the wall
        #: clock was then ahead of the monotonic one (microseconds).
        self._is_thorough = False
        self._last_thorough: int | None = None
        self._offset = 0
        #: See `Conditions.forlorn`. By the names of the queues.
        self._forlorn: dict[str, set[tuple[JobId, int]]] = {}
        #: Seconds that the last poll took that claimed something.
        self.last_duration = 0.0

    def poll(self, plan: Plan) -> Outcome:
        """Do one poll. Raises only what ends a thread."""
        outcome = Outcome()
        began = time.monotonic()
        if utils.is_closed(self._database):
            return Outcome(failed=True, closed=True)
        self._plan_look(plan)
        try:
            self._manager.begin()
            for name in self._queue_names():
                self._poll_queue_or_log(name, plan, outcome)
            self._disconnects = 0
        except utils.DISCONNECTED_ERRORS as error:
            # Who could not see anything did not see that siblings were silent.
            zc.async_.observing.begin_anew(self._database)
            first, step, longest = DISCONNECTED_BACKOFF
            outcome.again = min(longest, first + step * self._disconnects)
            outcome.failed = True
            self._disconnects += 1
            utils.log.warning(
                "poll: database out of reach, next try in %d s: %s", outcome.again, error
            )
        except utils.TRANSIENT_ERRORS:
            outcome.again, outcome.failed = self._conflict_backoff(), True
        except Exception:
            outcome.failed = True
            if not utils.is_closed(self._database):
                utils.log.critical("poll failed; the next one is tried as usual", exc_info=True)
        finally:
            if not utils.is_closed(self._database):
                self._manager.abort()
        if utils.is_closed(self._database):
            return Outcome(failed=True, closed=True)
        if outcome.jobs:
            self.last_duration = time.monotonic() - began
        return outcome

    def _plan_look(self, plan: Plan) -> None:
        """See whether it is time for a thorough look, or whether the clock was set back."""
        self._membership.poll_interval = plan.poll_interval
        now = zc.async_.clock.monotonic()
        offset = zc.async_.clock.microseconds() - now
        last = self._last_thorough
        passed = None if last is None else now - last
        set_back = offset < self._offset - CLOCK_TOLERANCE * 1_000_000
        self._offset = offset
        self._is_thorough = passed is None or set_back or passed >= thorough.INTERVAL * 1_000_000
        if self._is_thorough:
            self._last_thorough = now

    def _commit(self, visit: Visit) -> None:
        # What is committed here is known: it must not cause another poll.
        self._listener.ignore(self._connection)
        try:
            self._manager.commit()
        except BaseException as error:
            conflict = isinstance(error, utils.TRANSIENT_ERRORS)
            if not conflict or isinstance(error, utils.DISCONNECTED_ERRORS):
                # The storage may have done it all the same, and its answer was lost.
                self._unanswered.setdefault(visit.name, set()).update(visit.claimed())
                self._settled.discard(visit.name)
            raise

    def _settle(self, visit: Visit) -> None:
        """A visit ended well, which dealt with the unanswered claims that it could see.

        The storage may still have been at one of them when the visit began. It is not any more if
        it has finished another commit before.
        """
        unanswered = self._unanswered.get(visit.name)
        if unanswered is None:
            return
        # Claimed once more, and with the same token, since the first claim came to nothing.
        unanswered -= visit.claimed()
        if visit.name in self._settled:
            self._settled.discard(visit.name)
            del self._unanswered[visit.name]
        elif visit.changed:
            self._settled.add(visit.name)

    def _queue_names(self) -> list[str]:
        queues = self._connection.root().get(zc.async_.interfaces.KEY)
        return [] if queues is None else list(queues.keys())

    def _queue(self, name: str) -> Any:
        return self._connection.root()[zc.async_.interfaces.KEY][name]

    def _poll_queue_or_log(self, name: str, plan: Plan, outcome: Outcome) -> None:
        """Poll a queue; an error in one does not keep the others from their turn."""
        try:
            self._poll_queue(name, plan, outcome)
        except utils.EXPLOSIVE_ERRORS + utils.DISCONNECTED_ERRORS + utils.TRANSIENT_ERRORS:
            raise
        except Exception:
            outcome.failed = True
            if utils.is_closed(self._database):
                raise
            utils.log.critical("poll of queue %r failed; it is tried again", name, exc_info=True)
            self._manager.begin()
            # Should an object be spoilt here, as by an oid that was given twice, it is loaded anew.
            self._connection.cacheMinimize()

    def _poll_queue(self, name: str, plan: Plan, outcome: Outcome) -> None:
        if not self._membership.ensure(name):
            outcome.info[name] = None
            return
        excluded: dict[str, Any] = {}
        while True:
            visit = Visit(self._queue(name), self._conditions(name), plan, excluded)
            try:
                visit.work()
                if visit.changed:
                    self._commit(visit)
                self._conflicts = 0
                self._settle(visit)
                if self._is_thorough:
                    self._forlorn[name] = visit.forlorn
                outcome.done.add(name)
            except AgentFailed as failed:
                self._manager.begin()
                excluded[failed.name] = failed.failure
                continue
            except utils.DISCONNECTED_ERRORS:
                self._manager.abort()
                visit.take_back(None)
                visit.report(outcome)
                raise
            except utils.TRANSIENT_ERRORS:
                self._manager.abort()
                visit.take_back(self._conflict_backoff())
            visit.report(outcome)
            # Drops what was done and is not worth a commit.
            self._manager.begin()
            return

    def _conflict_backoff(self) -> float:
        self._conflicts += 1
        self._contended_until = time.monotonic() + CONTENTION
        # Short: the other dispatcher has just got its jobs, and is busy with them for a while.
        longest = min(
            LONGEST_CONFLICT_BACKOFF, CONFLICT_BACKOFF * 2 ** min(self._conflicts - 1, 10)
        )
        return random.uniform(0, longest)

    def _conditions(self, name: str) -> Conditions:
        unanswered = self._unanswered.get(name, set())
        holder = self._membership.holder
        forlorn = self._forlorn.get(name, set()) if self._is_thorough else None
        return Conditions(self._uuid, holder, unanswered, self.most_jobs, self.share, forlorn)

    def most_jobs(self, wanted: int) -> int:
        """How many jobs to claim: fewer after several conflicts in a row, at last one.

        Not sooner: dispatchers conflict over the first jobs, and smaller claims are more claims.
        """
        return max(1, wanted >> max(0, self._conflicts - PATIENCE)) if wanted else 0

    def share(self, dispatchers: Any) -> int | None:
        """A number that no other active dispatcher has, if there were conflicts lately."""
        if time.monotonic() >= self._contended_until:
            return None
        active = sorted(uuid for uuid, agents in dispatchers.items() if agents.activated)
        return active.index(self._uuid) if self._uuid in active else None

    def deactivate(self, unstarted: list[tuple[JobId, int]]) -> None:
        """Hand back the jobs no thread has begun, and leave the queues."""
        if utils.is_closed(self._database):
            utils.log.error(
                "dispatcher %s cannot leave its queues, since its database was closed: stop it "
                "before. A sibling, or the next start, will clean up after it",
                self._uuid,
            )
            zc.async_.liveness.release(self._uuid)
            return
        self._membership.leave(unstarted)

    def close(self) -> None:
        """Give the connection back."""
        if utils.is_closed(self._database):
            return
        self._manager.abort()
        self._connection.close()
