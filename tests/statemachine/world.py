"""The database, its parties and the clock."""

import datetime
import itertools
import logging
import uuid
from typing import Any, NamedTuple

import ZODB
import zope.component
from ZODB.DemoStorage import DemoStorage
from ZODB.POSException import ConflictError

import zc.async_.clock
import zc.async_.queue
from tests.races import parties
from tests.statemachine import claims, ends, promises, work
from tests.statemachine.model import Model
from tests.statemachine.process import Crash, Process
from tests.statemachine.view import View
from zc.async_.dispatcher.plans import Claimed
from zc.async_.interfaces import IDispatcherDeactivated
from zc.async_.process import liveness

#: Seconds after which a dispatcher that does not poll is dead.
DEATH = 61

#: Looks at a dispatcher that is silent, until it is taken for dead.
LOOKS = 8

#: The dispatchers that there are, and the one that drains the queue in the end.
DISPATCHERS = 3
CLIENTS = 2

#: The quotas that there are at first.
QUOTAS = ("red", "blue")

#: The labels that dispatchers have; the last one, which drains the queue, has all that jobs need.
LABELS: tuple[tuple[str, ...], ...] = (("gpu",), ("eu",), ())
NEEDS = ("eu", "gpu", "nowhere", str(uuid.UUID(int=1)))

#: Rounds in which a healthy dispatcher must have drained the queue.
ROUNDS = 60


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.time = zc.async_.clock.to_microseconds(datetime.datetime(2030, 1, 1, 12))

    def __call__(self) -> int:
        return self.time

    def advance(self, seconds: float) -> None:
        """Move on."""
        self.time += round(seconds * 1_000_000)


class Step(NamedTuple):
    """What others do in the middle of something: the name of a method of `World`, and arguments."""

    what: str
    args: tuple[Any, ...]


class Client(parties.Client):
    """A client, whose transaction may stay open while others act."""

    def __init__(self, database: Any) -> None:
        super().__init__(database)
        self.open = False
        self.changes: list[Any] = []


class _Troubles(logging.Handler):
    """Collects what was caught and logged though nothing of the kind should have happened."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.texts.append(logging.Formatter().format(record))


class World:
    """A queue, its parties, and the model of it."""

    def __init__(self) -> None:
        self._troubles = _Troubles()
        logging.getLogger("zc.async.events").addHandler(self._troubles)
        zope.component.provideHandler(work.let_act_while_handed_back, (IDispatcherDeactivated,))
        # Else the keys of entries would depend on what was before.
        zc.async_.queue.queue._last_key = 0
        self.clock = Clock()
        zc.async_.clock.replace_source(self.clock)
        self.stage = work.set_new_stage()
        self.model = Model()
        self._numbers = itertools.count(1)
        self.uuids = [uuid.UUID(int=number + 1) for number in range(DISPATCHERS + 1)]
        self.database = ZODB.DB(DemoStorage(), pool_size=100)
        self._set_up_database()
        self.clients = [Client(self.database) for _client in range(CLIENTS)]
        self._other = Client(self.database)
        self._observer = Client(self.database)
        #: All that ever were, and of each dispatcher the present one.
        self.processes: list[Process] = []
        self.present: dict[int, Process] = {}
        #: In the middle of whose step others act, and of which job if it is one.
        self._actor: Process | None = None
        self._claimed: Claimed | None = None
        #: In what statuses there were jobs after the last step.
        self.statuses: set[str] = set()
        for number in range(DISPATCHERS - 1):
            self.start(number)
            self._poll(self.present[number])

    def _set_up_database(self) -> None:
        parties.make_queue(self.database)
        with self.database.transaction() as connection:
            root = connection.root()
            root["hot"] = work.Hot()
            queue = root[zc.async_.interfaces.KEY][""]
            for identity in self.uuids:
                queue.dispatchers.register(identity)
                queue.dispatchers[identity]["main"] = work.StagedAgent()
            for name in QUOTAS:
                queue.quotas.create(name)

    def close(self) -> None:
        """Give everything back."""
        for process in self.processes:
            process.close()
        for client in (*self.clients, self._other, self._observer):
            client.close()
        self.database.close()
        for identity in self.uuids:
            liveness.release(identity)
        zc.async_.clock.replace_source(None)
        zope.component.getGlobalSiteManager().unregisterHandler(
            work.let_act_while_handed_back, (IDispatcherDeactivated,)
        )
        logging.getLogger("zc.async.events").removeHandler(self._troubles)

    def next_number(self) -> int:
        """A number for a job."""
        return next(self._numbers)

    # -- looking

    def view(self) -> View:
        """The database as it is now."""
        return View(self._observer, self.model)

    def begin_step(self) -> None:
        """A moment passes."""
        self.clock.advance(0.001)
        self.model.largest.clear()
        for quota in self.view().queue.quotas.values():
            self.model.resize(quota)

    def check(self) -> None:
        """See that all is as promised."""
        assert not self._troubles.texts, self._troubles.texts[0]
        view = self.view()
        promises.check_step(view, self.model, self.stage)
        self.statuses = {job.status for k, _e, job in view.known() if k.role == "put"}

    def note_quota(self, name: str) -> None:
        """Somebody has made a quota or changed its size."""
        quota = self.view().queue.quotas.get(name)
        if quota is not None:
            self.model.resize(quota)

    # -- clients

    def act(self, client: int, action: Any, end: str) -> None:
        """A client does something, and ends its transaction or not."""
        self._act(self.clients[client], action, end)

    def act_meanwhile(self, action: Any) -> None:
        """Another client does something, and commits."""
        self._act(self._other, action, "commit")

    def _act(self, client: Client, action: Any, end: str) -> None:
        if not client.open:
            client.manager.begin()
            client.open = True
        client.changes += action.perform(self, client)
        if end == "commit":
            self._commit(client)
        elif end == "abort":
            self._abort(client)

    def commit(self, client: int) -> None:
        """A client commits, or meets a conflict."""
        self._commit(self.clients[client])

    def _commit(self, client: Client) -> None:
        if not client.open:
            return
        try:
            client.manager.commit()
        except ConflictError:
            self._abort(client)
            return
        changes, client.changes, client.open = client.changes, [], False
        for change in changes:
            change()

    def _abort(self, client: Client) -> None:
        client.manager.abort()
        client.changes, client.open = [], False

    # -- dispatchers

    def may_start(self) -> bool:
        """Whether there is a dispatcher that does not poll."""
        return sum(process.active for process in self.present.values()) < DISPATCHERS

    def start(self, number: int) -> None:
        """A process starts, if there is none that lives and polls."""
        process = self.present.get(number)
        if process is None or not process.active:
            labels = NEEDS if number == DISPATCHERS else LABELS[number]
            process = self.present[number] = Process(self.database, self.uuids[number], labels)
            self.processes.append(process)

    def _choose(self, number: int, fits: Any) -> Any:
        """One of the present processes that fit, None if none does."""
        fitting = [process for _number, process in sorted(self.present.items()) if fits(process)]
        return fitting[number % len(fitting)] if fitting else None

    def _choose_active(self, number: int) -> Any:
        """One that may poll: of those who act in the middle of something, rather another one."""
        others = self._choose(number, lambda process: process.active and process is not self._actor)
        own = self._choose(number, lambda process: process.active and not process.polling)
        return others or own

    def poll(
        self,
        number: int,
        contended: bool = False,
        place: str = "",
        steps: tuple[Step, ...] = (),
    ) -> bool:
        """A dispatcher polls, while others act. Returns whether it should again."""
        process = self._choose_active(number)
        return process is not None and self._poll(process, contended, place, steps)

    def _poll(
        self,
        process: Process,
        contended: bool = False,
        place: str = "",
        steps: tuple[Step, ...] = (),
    ) -> bool:
        waited = None if steps else [job._p_oid for job in self.view().waiting]
        deadlines = self._deadlines()
        began = self.clock.time
        self._let_act(process, place, steps)
        outcome = process.poll(contended)
        self.stage.let_nobody_act()
        assert steps or not outcome.failed
        poll = claims.Poll(process, began, waited, contended, outcome)
        view = self.view()
        claims.note_holders(poll, view, self.model, work.number_of)
        claims.check_claimed(poll, view, deadlines)
        claims.check_undisturbed(poll, view)
        return bool(outcome.jobs) or outcome.again is not None

    def _deadlines(self) -> dict[bytes, int | None]:
        known = self.view().known()
        return {job._p_oid: k.deadline for k, _effect, job in known if job is not None}

    def run(
        self, number: int, which: int = 0, place: str = "", steps: tuple[Step, ...] = ()
    ) -> None:
        """A dispatcher runs one of the jobs it claimed, while others act."""
        process = self._choose(number, lambda process: process.alive and process.claims)
        if process is not None:
            self._run(process, process.claims[which % len(process.claims)], place, steps)

    def _run(
        self, process: Process, claimed: Claimed, place: str = "", steps: tuple[Step, ...] = ()
    ) -> bool:
        self._let_act(process, place, steps, claimed)
        ours = process.run(claimed)
        self.stage.let_nobody_act()
        self._check_whose(claimed, ours)
        return ours

    def _check_whose(self, claimed: Claimed, ours: bool) -> None:
        job = self.view().same(claimed.job_id[0])
        still = (job.claim_token, job.status) == (claimed.token, zc.async_.interfaces.ACTIVE)
        assert ours or not still, f"its worker gave up {job!r}, which is still its"

    def fire(self, number: int, which: int = 0) -> None:
        """A Deferred fires for which a job waits."""
        process = self._choose(number, lambda process: process.active and process.deferred)
        if process is not None:
            self._fire(process, process.deferred[which % len(process.deferred)])

    def _fire(self, process: Process, claimed: Claimed) -> bool:
        ours = process.fire(claimed)
        self._check_whose(claimed, ours)
        return ours

    def stop(self, number: int, begun: bool, steps: tuple[Step, ...] = ()) -> None:
        """A dispatcher stops without grace, while others act."""
        process = self._choose_active(number)
        if process is not None:
            self._let_act(process, "hand back", steps)
            process.stop(begun)
            self.stage.let_nobody_act()

    def crash(self, number: int, known: bool) -> None:
        """The process of a dispatcher ends at once; `known`: the others can see it."""
        process = self._choose(number, lambda process: process.alive)
        if process is not None:
            process.crash(known)

    def end_process(self, number: int, end: str, again: bool) -> None:
        """A process ends, and perhaps another starts in its place."""
        if end.startswith("stop"):
            self.stop(number, end == "stop begun")
        else:
            self.crash(number, end == "crash")
        for other in range(DISPATCHERS if again else 0):
            if other in self.present:
                self.start(other)

    def has_claims(self) -> bool:
        """Whether there is a job that a process could run."""
        return any(p.alive and p.claims for p in self.present.values())

    def has_deferred(self) -> bool:
        """Whether a job waits for a Deferred."""
        return any(p.active and p.deferred for p in self.present.values())

    def remains(self) -> list[tuple[Process, Claimed]]:
        """The jobs that processes have begun which have stopped."""
        return [
            (process, claimed)
            for process in self.processes
            if process.alive and process.stopped
            for claimed in process.claims
        ]

    def run_remains(self, which: int, place: str = "", steps: tuple[Step, ...] = ()) -> None:
        """A thread goes on that a stop has left behind."""
        remains = self.remains()
        if remains:
            process, claimed = remains[which % len(remains)]
            self._run(process, claimed, place, steps)

    def _let_act(
        self,
        process: Process,
        place: str,
        steps: tuple[Step, ...],
        claimed: Claimed | None = None,
    ) -> None:
        def act() -> None:
            self._actor, self._claimed = process, claimed
            for step in steps:
                getattr(self, step.what)(*step.args)
            self._actor = self._claimed = None
            if not process.alive:
                raise Crash

        if steps:
            self.stage.let_act(place, act)

    def under_way(self, client: Any) -> Any:
        """The job in the middle of which others act, or whose callbacks it performs, or None."""
        if self._claimed is None:
            return None
        job = client.connection.get(self._claimed.job_id[0])
        while job.is_of_system:
            job = job.callable.__self__
        return job

    # -- several steps in one

    def pass_time(self, seconds: float) -> None:
        """Time passes."""
        self.clock.advance(seconds)

    def work(self, number: int, rounds: int = 3) -> None:
        """A dispatcher polls and runs what it claims, some times."""
        process = self._choose_active(number)
        for _round in range(rounds if process is not None else 0):
            if process.active:
                self._poll(process)
            while process.active and process.claims:
                self._run(process, process.claims[0])

    def poll_and_run(self, number: int, place: str, steps: tuple[Step, ...]) -> None:
        """A dispatcher polls, and runs the last job that it claimed while others act."""
        process = self._choose_active(number)
        if process is not None:
            self._poll(process)
        if process is not None and process.claims:
            self._run(process, process.claims[-1], place, steps)

    def take_over(self, number: int) -> None:
        """The other dispatchers do nothing until they are dead for this one, which then works."""
        for _look in range(LOOKS):
            self.clock.advance(DEATH / (LOOKS - 1))
            self.work(number, rounds=1)
        self.work(number)

    # -- the end

    def drain(self) -> None:
        """One healthy dispatcher does everything, while the others do nothing."""
        for client in (*self.clients, self._other):
            self._abort(client)
        self._open_quotas()
        healthy = DISPATCHERS
        self.start(healthy)
        process = self.present[healthy]
        # Of late callbacks the dispatcher may only hear after its last job.
        quiet = 0
        for _round in range(ROUNDS):
            self._work_off(process)
            quiet = quiet + 1 if ends.is_drained(self.view()) else 0
            if quiet == 2:
                break
            for _look in range(LOOKS):
                # Others die before its eyes.
                self.clock.advance(DEATH / (LOOKS - 1))
                self._work_off(process)
        ends.check_end(self.view())

    def _open_quotas(self) -> None:
        self._other.manager.begin()
        for quota in self._other.queue.quotas.values():
            quota.size = max(1, quota.size)
        self._other.manager.commit()

    def _work_off(self, process: Process) -> None:
        for _poll in range(100):
            self.begin_step()
            more = self._poll(process)
            while process.claims:
                self._run(process, process.claims[0])
            while process.deferred:
                self._fire(process, process.deferred[0])
            self.check()
            if not more:
                return
        raise AssertionError("it polls on and on")

    def wake_the_paused(self) -> None:
        """Whoever was paused goes on with its old jobs, to no effect."""
        before = self._entries()
        for process in self.processes[:-1]:
            if not process.alive:
                continue
            for claimed in list(process.claims):
                assert not self._run(process, claimed), "it was drained by another"
            for claimed in list(process.deferred):
                assert not self._fire(process, claimed), "it was drained by another"
        self.check()
        assert self._entries() == before

    def _entries(self) -> list[list[int]]:
        return [effect.entries() for _known, effect, _job in self.view().known()]
