"""A poll: the work of a dispatcher in the database.

A `Poller` has its own connection and is used by one thread at a time. Each queue gets one
transaction, in which the dispatcher pings, updates the records of its agents and claims jobs for
idle workers. A poller decides nothing about threads: its caller says how many jobs each agent's
workers have, and gets the claimed jobs.
"""

import functools
import time
from typing import Any

import transaction

import zc.async_.clock
import zc.async_.interfaces
import zc.async_.relstorage
import zc.async_.storing
from zc.async_ import utils
from zc.async_.dispatcher.concerns import Concerns
from zc.async_.dispatcher.contention import LONGEST_ACTIVATION_BACKOFF, Contention
from zc.async_.dispatcher.looks import Looks
from zc.async_.dispatcher.membership import Membership
from zc.async_.dispatcher.plans import Outcome, Plan, PollerState
from zc.async_.dispatcher.pool import JobId
from zc.async_.dispatcher.quiet import QuietQueues
from zc.async_.dispatcher.unanswered import Unanswered
from zc.async_.dispatcher.visit import AgentFailed, Visit
from zc.async_.dispatcher.wakeup import Listener
from zc.async_.process import liveness, observing
from zc.async_.running import notes

#: Objects that the poller keeps in memory: jobs read from lanes should be there when claimed.
CACHE_SIZE = 5000
#: Seconds: if a clock was set back by less than this, it needs no thorough look.
CLOCK_TOLERANCE = 5
#: Seconds to wait for a database that is out of reach: the first, step and longest wait.
DISCONNECTED_BACKOFF = (1.0, 1.0, 60.0)


def _offset() -> int:
    return zc.async_.clock.microseconds() - zc.async_.clock.monotonic()


def wait_for_database(outcome: Outcome, error: BaseException, tries: int) -> None:
    """Have the next poll wait for a database that is out of reach, after so many such polls."""
    first, step, longest = DISCONNECTED_BACKOFF
    outcome.again = min(longest, first + step * tries)
    outcome.failed = True
    utils.log.warning(
        "poll: database out of reach, next try in %d s: %s; see whether its server runs, and "
        "whether it can be reached from here",
        outcome.again,
        utils.told(error),
    )


class Poller:
    """See the module. Only one thread at a time may call `poll`."""

    def __init__(
        self, database: Any, uuid: Any, listener: Listener, labels: tuple[str, ...] = ()
    ) -> None:
        self._uuid = uuid
        self._database = database
        self._listener = listener
        self._manager = transaction.TransactionManager()
        zc.async_.storing.oids.watch_database(database)
        zc.async_.relstorage.watch(database)
        self._connection = database.open(self._manager)
        zc.async_.storing.oids.guard(self._connection)
        zc.async_.relstorage.take_turns(self._connection)
        # All that is read here is read after a `begin`.
        zc.async_.relstorage.look_once(self._connection)
        listener.ignore(self._connection)
        cache = self._connection._cache
        cache.cache_size = max(cache.cache_size, CACHE_SIZE)
        self._membership = Membership(self._connection, self._manager, uuid, labels=labels)
        self._quiet = QuietQueues()
        self._concerns = Concerns()
        #: What is done about conflicts.
        self.contention = Contention(uuid)
        self._disconnects = 0
        self._unanswered = Unanswered()
        self._looks = Looks()
        #: How far the wall clock is ahead of the monotonic one (microseconds).
        self._offset = _offset()
        #: The duration (seconds) of the last poll that claimed something.
        self.last_duration = 0.0

    def poll(self, plan: Plan) -> Outcome:
        """Do one poll. Raises only exceptions that end a thread."""
        outcome = Outcome()
        began = time.monotonic()
        if utils.is_closed(self._database):
            return Outcome(failed=True, closed=True)
        self._membership.poll_interval = plan.poll_interval
        self._look_at_clock()
        try:
            self._catch_up()
            self._manager.begin()
            self._poll_queues(plan, outcome)
            self._disconnects = 0
        except utils.DISCONNECTED_ERRORS as error:
            # While nothing could be seen, siblings may have pinged.
            observing.begin_anew(self._database)
            wait_for_database(outcome, error, self._disconnects)
            self._disconnects += 1
        except utils.TRANSIENT_ERRORS:
            outcome.again, outcome.failed = self.contention.note(), True
        except Exception:
            outcome.failed = True
            if not utils.is_closed(self._database):
                utils.log.critical("poll failed; the next one is tried as usual", exc_info=True)
        finally:
            if not utils.is_closed(self._database):
                self._manager.abort()
                zc.async_.relstorage.rest(self._connection)
        if utils.is_closed(self._database):
            return Outcome(failed=True, closed=True)
        if outcome.jobs:
            self.last_duration = time.monotonic() - began
        return outcome

    def _catch_up(self) -> None:
        """Wait for the end of claims whose answers were lost, if the server may be at work on them.

        Else they could be committed after they were given up.
        """
        for name, oids in self._unanswered.oids().items():
            if name in self._database.databases:
                zc.async_.relstorage.catch_up(self._database.databases[name], oids)

    def _look_at_clock(self) -> None:
        """Make the poll visit all queues, with a thorough look, if the clock was set back."""
        offset = _offset()
        if offset < self._offset - CLOCK_TOLERANCE * 1_000_000:
            self._looks.make_due()
            self._quiet.forget_all()
        self._offset = offset

    def _poll_queues(self, plan: Plan, outcome: Outcome) -> None:
        names = self._queue_names()
        self.contention.keep(names)
        self._concerns.keep(names)
        self._looks.keep(names)
        self._quiet.begin(names, plan, self._unanswered.by_queue)
        quiet = []
        for name in names:
            if self._quiet.need_visit(name, self._queue(name), plan):
                self._quiet.forget(name)
                self._poll_queue_or_log(name, plan, outcome)
            else:
                self._quiet.report(name, outcome)
                quiet.append(name)
        self._glance(self._quiet.to_glance_at(quiet), quiet, plan, outcome)
        self._tell_concerns(outcome)

    def _glance(self, names: list[str], quiet: list[str], plan: Plan, outcome: Outcome) -> None:
        """Ping and look after siblings in quiet queues, in one transaction for all of them."""
        if not names:
            return
        try:
            visits = [Visit(self._queue(name), self._state_for(name), plan, {}) for name in names]
            for visit in visits:
                visit.glance()
            changed = [visit for visit in visits if visit.changed]
            if changed:
                self._commit(changed[0])
        except utils.EXPLOSIVE_ERRORS + utils.DISCONNECTED_ERRORS:
            raise
        except Exception as error:
            # The next poll visits each of them separately, and logs what is wrong.
            self._manager.abort()
            for name in names:
                self._quiet.forget(name)
            conflict = isinstance(error, utils.TRANSIENT_ERRORS)
            outcome.wait_at_most(self.contention.note(names) if conflict else 0)
            self._manager.begin()
            return
        self._manager.begin()
        for visit in visits:
            self._quiet.glanced_at(visit.name)
        self._look_for_dead([visit.name for visit in changed], quiet, outcome)

    def _look_for_dead(self, names: list[str], quiet: list[str], outcome: Outcome) -> None:
        """After glances that changed something: bury dead siblings in the other queues too."""
        dead: set[Any] = set()
        for name in names:
            dispatchers = self._queue(name).dispatchers.items()
            living = {uuid for uuid, agents in dispatchers if agents.activated}
            dead |= self._quiet.siblings(name) - living
        for other in self._quiet.with_siblings(quiet, frozenset(dead)) if dead else ():
            self._quiet.forget(other)
            outcome.wait_at_most(0)

    def _tell_concerns(self, outcome: Outcome) -> None:
        outcome.watched = self._concerns.all()
        root = self._connection.root()
        for record in (root, root.get(zc.async_.interfaces.KEY)):
            if getattr(record, "_p_oid", None) is not None:
                outcome.roots.setdefault(record._p_jar.db(), set()).add(record._p_oid)

    def _commit(self, visit: Visit) -> None:
        # This process knows its own commit: it must not cause another poll.
        self._listener.ignore(self._connection)
        notes.add(self._manager.get(), visit.word)
        try:
            self._manager.commit()
        except BaseException as error:
            conflict = isinstance(error, utils.TRANSIENT_ERRORS)
            if not conflict or isinstance(error, utils.DISCONNECTED_ERRORS):
                # The storage may have committed, and only its answer was lost.
                self._unanswered.note(visit)
            raise

    def _queue_names(self) -> list[str]:
        queues = self._connection.root().get(zc.async_.interfaces.KEY)
        return [] if queues is None else list(queues.keys())

    def _queue(self, name: str) -> Any:
        return self._connection.root()[zc.async_.interfaces.KEY][name]

    def _poll_queue_or_log(self, name: str, plan: Plan, outcome: Outcome) -> None:
        """Poll a queue; an error in one queue does not stop the poll of the others."""
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
            # Load all objects again: the cache may have a broken one, as after an oid given twice.
            self._connection.cacheMinimize()

    def _poll_queue(self, name: str, plan: Plan, outcome: Outcome) -> None:
        if not self._is_member(name, outcome):
            outcome.info[name] = None
            self._concerns.forget(name)
            return
        excluded: dict[str, Any] = {}
        while True:
            visit = Visit(self._queue(name), self._state_for(name), plan, excluded)
            try:
                if self.contention.owes_ping(name) and self._ping(visit):
                    visit.again = 0
                    visit.report(outcome)
                    return
                visit.work()
                if visit.changed:
                    self._commit(visit)
                self.contention.note_success(name)
                self._unanswered.settle(visit)
                self._looks.note(visit)
                outcome.done.add(name)
                self._quiet.note(self._queue(name), visit)
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
                visit.take_back(self.contention.note([name]))
            visit.report(outcome)
            self._concerns.note(name, *visit.watched())
            # Drops changes that were not worth a commit.
            self._manager.begin()
            self._membership.tidy_if_crowded(name)
            return

    def _ping(self, visit: Visit) -> bool:
        """Ping in a transaction of its own, if it is time; return whether it was."""
        visit.ping()
        if visit.changed:
            self._commit(visit)
            self._manager.begin()
        self.contention.has_pinged(visit.name)
        return visit.changed

    def _is_member(self, name: str, outcome: Outcome) -> bool:
        """Whether this dispatcher is active in a queue. Activates it if necessary."""
        try:
            return self._membership.ensure(name)
        except utils.DISCONNECTED_ERRORS:
            raise
        except utils.TRANSIENT_ERRORS as error:
            # A handler may raise this error each time: the other queues must get their turn.
            utils.log.info("dispatcher %s is not active in %r yet: %s", self._uuid, name, error)
            outcome.failed = True
            outcome.wait_at_most(self.contention.note([name], LONGEST_ACTIVATION_BACKOFF))
            return False

    def _state_for(self, name: str) -> PollerState:
        return PollerState(
            self._uuid,
            self._membership.holder,
            self._unanswered.of(name),
            functools.partial(self.contention.most_jobs, name),
            self.contention.share,
            self._looks.forlorn(name),
            functools.partial(self._looks.is_news, name),
        )

    def deactivate(self, unstarted: list[tuple[JobId, int]]) -> None:
        """Hand back the jobs that no thread has begun, and leave the queues."""
        if utils.is_closed(self._database):
            utils.log.error(
                "dispatcher %s cannot leave its queues, since its database was closed: stop it "
                "before. A sibling, or the next start, will clean up after it",
                self._uuid,
            )
            liveness.release(self._uuid)
            return
        self._membership.leave(unstarted)

    def close(self) -> None:
        """Close the connection."""
        if utils.is_closed(self._database):
            return
        self._manager.abort()
        zc.async_.relstorage.leave_turns(self._connection)
        zc.async_.relstorage.look_once(self._connection, False)
        self._connection.close()
