"""What clients do in their transactions.

Each action has `perform(world, client)`, which returns what is to be done to the model when the
transaction has been committed. An action for which there is nothing does nothing.
"""

import datetime
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ZODB.POSException import POSKeyError, ReadConflictError

import zc.async_.clock
from tests.statemachine import work
from tests.statemachine.model import Known
from tests.statemachine.work import Effect, StagedJob
from zc.async_.interfaces import CALLBACKS, COMPLETED, NEW, PENDING
from zc.async_.job.composition import run_parallel, run_serial

#: What is to be done to the model when a transaction has been committed.
Changes = list[Callable[[], None]]

SECOND = datetime.timedelta(seconds=1)


def _short(spec: Any) -> str:
    """A call that makes this, without what is usual."""
    usual = spec._field_defaults
    words = [f"{k}={v!r}" for k, v in spec._asdict().items() if v != usual[k]]
    return f"{type(spec).__name__}({', '.join(words)})"


class Callback(NamedTuple):
    """What follows a job; `wanted` says for which results."""

    kind: str = "plain"
    wanted: str = "any"
    behind: tuple["Callback", ...] = ()
    policy: str = "default"

    __repr__ = _short


class Spec(NamedTuple):
    """A job. Times are in seconds from now; `parts` are for serial and parallel jobs."""

    kind: str = "plain"
    policy: str = "default"
    priority: int = 0
    begin_after: int | None = None
    begin_by: int | None = None
    quota_names: tuple[str, ...] = ()
    callbacks: tuple[Callback, ...] = ()
    parts: tuple["Spec", ...] = ()
    postprocessed: bool = False
    needs: tuple[str, ...] = ()
    #: Whether it takes a place for coroutines.
    coroutine: bool = False

    __repr__ = _short


class Builder:
    """Makes jobs in the transaction of a client, and collects what is to be known of them."""

    def __init__(self, world: Any, client: Any) -> None:
        self._world = world
        self._client = client
        self.known: list[Known] = []

    def changes(self) -> Changes:
        """What is to be done to the model."""

        def change() -> None:
            for known in self.known:
                self._world.model.add(known)

        return [change]

    def job(self, spec: Spec, role: str, owner: int | None = None) -> Any:
        """A job, with all that belongs to it."""
        effect, known = self._effect(spec.kind, role, owner, spec.policy)
        if spec.kind in ("serial", "parallel"):
            job = self._composed(spec, known)
        else:
            if spec.kind == "inner":
                effect.inner, _known = self._effect("plain", "inner", known.number)
            job = StagedJob(work.perform, effect)
        effect.job = job
        job.retry_policy_factory = work.POLICIES[spec.policy]
        known.quota_names = tuple(
            name for name in spec.quota_names if name in self._client.queue.quotas
        )
        job.quota_names = known.quota_names
        job.needs = known.needs = spec.needs
        if spec.coroutine:
            job.is_coroutine = True
        for callback in spec.callbacks:
            self.callback(job, known, callback)
        return job

    def callback(self, job: Any, known: Known, spec: Callback) -> None:
        """Add a callback to a job."""
        late = job.status not in (NEW, PENDING)
        kinds = ("success", "failure") if spec.wanted == "both" else (spec.wanted,)
        made: dict[str, Any] = {}
        for wanted in kinds:
            effect, of_callback = self._effect(spec.kind, "callback", known.number, spec.policy)
            of_callback.wanted, of_callback.late = wanted, late
            made[wanted] = effect.job = StagedJob(work.perform, effect)
            effect.job.retry_policy_factory = work.POLICIES[spec.policy]
            for behind in spec.behind:
                self.callback(effect.job, of_callback, behind)
        if spec.wanted == "any":
            job.addCallback(made["any"])
        else:
            job.addCallbacks(**made)

    def _composed(self, spec: Spec, known: Known) -> Any:
        parts, numbers = [], []
        for part in spec.parts:
            first = len(self.known)
            parts.append(self.job(part, "part", known.number))
            numbers.append(self.known[first].number)
        known.parts = tuple(numbers)
        postprocess = None
        if spec.postprocessed:
            effect, after = self._effect("plain", "after", known.number)
            known.after = after.number
            postprocess = effect.job = StagedJob(work.perform, effect)
        # As `zc.async_.job.serial` and `parallel` make them.
        run = run_serial if spec.kind == "serial" else run_parallel
        return StagedJob(run, *parts, postprocess=postprocess)

    def _effect(
        self, kind: str, role: str, owner: int | None, policy: str = "default"
    ) -> tuple[Effect, Known]:
        effect = Effect(self._world.next_number(), kind)
        effect.hot = self._client.root["hot"]
        self._client.connection.add(effect)
        known = Known(effect.number, role, kind, policy, effect._p_oid, owner)
        self.known.append(known)
        return effect, known


def deadline_of(job: Any) -> int | None:
    """By when a job must have begun (microseconds)."""
    if job.begin_by is None:
        return None
    start = zc.async_.clock.to_microseconds(job.begin_after)
    return start + zc.async_.clock.interval_microseconds(job.begin_by)


#: Stands for the job in the middle of which a client acts.
THAT = -1


def jobs_seen(world: Any, client: Any) -> Iterator[tuple[Known, Any]]:
    """The jobs that somebody put, or that are parts, as the transaction of a client sees them."""
    for known in world.model.jobs.values():
        if known.role in ("callback", "after"):
            continue
        try:
            effect = client.connection.get(known.effect)
            effect._p_activate()
        except (POSKeyError, ReadConflictError):
            # It was committed after this transaction began.
            continue
        if effect.job is not None:
            yield known, effect.job


def choose(world: Any, client: Any, which: int, fits: Any) -> tuple[Known, Any]:
    """One of the jobs that fit, (None, None) if there is none."""
    fitting = [(known, job) for known, job in jobs_seen(world, client) if fits(known, job)]
    if which == THAT:
        that = world.under_way(client)
        fitting = [(known, job) for known, job in fitting if job is that]
    else:
        fitting = [(known, job) for known, job in fitting if known.role == "put"]
    return fitting[which % len(fitting)] if fitting else (None, None)  # type: ignore[return-value]


def _waits(known: Known, job: Any) -> bool:
    return bool(job.status == PENDING)


class Put(NamedTuple):
    """Put a job."""

    spec: Spec

    def perform(self, world: Any, client: Any) -> Changes:
        builder = Builder(world, client)
        job = builder.job(self.spec, "put")
        known = builder.known[0]
        now = zc.async_.clock.now()
        spec = self.spec
        client.queue.put(
            job,
            begin_after=None if spec.begin_after is None else now + spec.begin_after * SECOND,
            begin_by=None if spec.begin_by is None else spec.begin_by * SECOND,
            priority=spec.priority,
        )
        known.priority, known.deadline = spec.priority, deadline_of(job)
        return builder.changes()


class PutAgain(NamedTuple):
    """Put a job that was removed."""

    which: int

    def perform(self, world: Any, client: Any) -> Changes:
        def fits(known: Known, job: Any) -> bool:
            return job.status == NEW and all(
                name in client.queue.quotas for name in job.quota_names
            )

        known, job = choose(world, client, self.which, fits)
        if known is None:
            return []
        client.queue.put(job)
        deadline = deadline_of(job)

        def change() -> None:
            known.removed, known.deadline = False, deadline

        return [change]


class Remove(NamedTuple):
    """Remove a waiting job, by itself or by its position."""

    which: int
    pull: bool = False

    def perform(self, world: Any, client: Any) -> Changes:
        known, job = choose(world, client, self.which, _waits)
        if known is None:
            return []
        if self.pull:
            assert client.queue.pull(list(client.queue).index(job)) is job
        else:
            client.queue.remove(job)

        def change() -> None:
            known.removed = True

        return [change]


class Edit(NamedTuple):
    """Change a waiting job: its priority, times (seconds from now, None), quotas or needs."""

    which: int
    what: str
    value: Any

    def perform(self, world: Any, client: Any) -> Changes:
        known, job = choose(world, client, self.which, _waits)
        if known is None:
            return []
        getattr(self, f"_{self.what}")(client, job)
        priority, quota_names, deadline = job.priority, job.quota_names, deadline_of(job)
        needs = job.needs

        def change() -> None:
            known.priority, known.quota_names, known.deadline = priority, quota_names, deadline
            known.needs = needs

        return [change]

    def _priority(self, client: Any, job: Any) -> None:
        job.priority = self.value

    def _begin_after(self, client: Any, job: Any) -> None:
        now = zc.async_.clock.now()
        job.begin_after = None if self.value is None else now + self.value * SECOND

    def _begin_by(self, client: Any, job: Any) -> None:
        job.begin_by = None if self.value is None else abs(self.value) * SECOND

    def _quota_names(self, client: Any, job: Any) -> None:
        job.quota_names = [name for name in self.value if name in client.queue.quotas]

    def _needs(self, client: Any, job: Any) -> None:
        job.needs = self.value


class Fail(NamedTuple):
    """Have a job fail that has not ended."""

    which: int

    def perform(self, world: Any, client: Any) -> Changes:
        def fits(known: Known, job: Any) -> bool:
            return job.status not in (NEW, CALLBACKS, COMPLETED)

        _known, job = choose(world, client, self.which, fits)
        if job is not None:
            job.fail()
        return []


class AddCallback(NamedTuple):
    """Add a callback to a job in whatever state it is."""

    which: int
    callback: Callback

    def perform(self, world: Any, client: Any) -> Changes:
        known, job = choose(world, client, self.which, lambda known, job: True)
        if known is None:
            return []
        builder = Builder(world, client)
        builder.callback(job, known, self.callback)
        return builder.changes()


class SetQuota(NamedTuple):
    """Make, change or (with the size None) remove a quota."""

    name: str
    size: int | None

    def perform(self, world: Any, client: Any) -> Changes:
        quotas = client.queue.quotas
        quota = quotas.get(self.name)
        if self.size is None:
            if quota is not None:
                quotas.remove(self.name)
            return []
        if quota is None:
            quotas.create(self.name, self.size)
        else:
            quota.size = self.size
        return [lambda: world.note_quota(self.name)]


class SetAgent(NamedTuple):
    """Change the sizes, the filter and the labels of a dispatcher's agent."""

    dispatcher: int
    size: int
    filter: str
    labels: tuple[str, ...] = ()
    coroutine_size: int = 3

    def perform(self, world: Any, client: Any) -> Changes:
        agent = client.queue.dispatchers[world.uuids[self.dispatcher]]["main"]
        if agent.size != self.size:
            agent.size = self.size
        if agent.filter != work.FILTERS[self.filter]:
            agent.filter = work.FILTERS[self.filter]
        agent.labels = self.labels
        agent.coroutine_size = self.coroutine_size
        return []


class Touch(NamedTuple):
    """Write what jobs write, too."""

    def perform(self, world: Any, client: Any) -> Changes:
        client.root["hot"].count += 1
        return []
