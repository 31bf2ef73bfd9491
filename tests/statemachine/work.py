"""What the jobs do, and where in the middle of it others may act."""

import datetime
import itertools
from typing import Any, NamedTuple

import persistent
from BTrees.OOBTree import OOBTree
from twisted.internet.defer import Deferred
from ZODB.POSException import ConflictError

import zc.async_.clock
from zc.async_ import local
from zc.async_.agent import Agent
from zc.async_.job import Job, NeverRetry, RetryCommonForever, RetryCommonFourTimes

#: After how long `RetryLater` wants a job to be tried again.
DELAY = datetime.timedelta(seconds=20)


class Start(NamedTuple):
    """That a job's code was called, whatever became of the transaction."""

    token: int
    time: int


class Stage:
    """What happened in this process, and what is to happen at some place."""

    def __init__(self) -> None:
        self.starts: dict[int, list[Start]] = {}
        self.numbers = itertools.count(1)
        self._place: str | None = None
        self._act: Any = None

    def let_act(self, place: str, act: Any) -> None:
        """Have `act` called when this place is reached, once.

        Places are: 'before' the code of a job, 'in' it, 'after' its commit, 'policy' (when one is
        asked), 'claim' (when an agent has claimed a job) and 'hand back' (of what a dispatcher
        had).
        """
        self._place, self._act = place, act

    def let_nobody_act(self) -> None:
        """Have nothing called."""
        self._place = self._act = None

    def reach(self, place: str) -> None:
        """Let others act, if this is the place for it."""
        if place == self._place:
            act = self._act
            self.let_nobody_act()
            act()


stage = Stage()


def set_new_stage() -> Stage:
    """Forget what happened."""
    global stage
    stage = Stage()
    return stage


class Hot(persistent.Persistent):
    """What many want to write."""

    count = 0


class Effect(persistent.Persistent):
    """What a job is to do, and what it did that was committed.

    Every run adds an entry of its own: two runs that should not both have taken effect do not meet
    here, so that nothing but the package keeps them apart.
    """

    #: The job, once there is one.
    job: Any = None
    #: What the job returns, if that is another job.
    inner: "Effect | None" = None
    hot: Any = None

    def __init__(self, number: int, kind: str) -> None:
        self.number = number
        self.kind = kind
        self._entries = OOBTree({0: None})

    def add(self) -> None:
        """Take effect."""
        self._entries[next(stage.numbers)] = None

    def entries(self) -> list[int]:
        """For each time that it took effect a number; later ones are higher."""
        return list(self._entries)[1:]


def perform(effect: Effect, *results: Any) -> Any:
    """What every job calls."""
    job = local.getJob()
    starts = stage.starts.setdefault(effect.number, [])
    starts.append(Start(job.claim_token, zc.async_.clock.microseconds()))
    if effect.kind == "commit":
        effect.hot.count += 1
        job._p_jar.transaction_manager.commit()
    if effect.kind != "defer":
        effect.add()
    stage.reach("in")
    return _DEEDS.get(effect.kind, _return_number)(effect, len(starts))


def _return_number(effect: Effect, start: int) -> Any:
    return effect.number


def _fail(effect: Effect, start: int) -> Any:
    raise ValueError(effect.number)


def _meet_conflicts(effect: Effect, start: int) -> Any:
    if start <= 2:
        raise ConflictError
    return effect.number


def _write_what_is_hot(effect: Effect, start: int) -> Any:
    effect.hot.count += 1
    return effect.number


def _exit_once(effect: Effect, start: int) -> Any:
    if start == 1:
        raise SystemExit
    return effect.number


def _defer(effect: Effect, start: int) -> Any:
    return Deferred()


def _return_job(effect: Effect, start: int) -> Any:
    inner = effect.inner
    inner.job = StagedJob(perform, inner)
    return local.getQueue().put(inner.job)


_DEEDS = {
    "fail": _fail,
    "conflict": _meet_conflicts,
    "hot": _write_what_is_hot,
    "exit": _exit_once,
    "defer": _defer,
    "inner": _return_job,
}

#: What simple jobs do.
KINDS = ("plain", "hot", "conflict", "exit", "fail", "commit")


class StagedJob(Job):
    """A job around whose code others may act."""

    def setUp(self) -> Any:
        stage.reach("before")

    def tearDown(self, setup_info: Any) -> None:
        stage.reach("after")

    def detached_call(self, call: Any) -> Any:
        """Its code is that of any job: that of coroutines differs only in the places it takes."""
        return call, self.stored_args, self.stored_kwargs


class StagedPolicy(RetryCommonFourTimes):
    """The default, while others act."""

    def interrupted(self) -> Any:
        stage.reach("policy")
        return super().interrupted()


class StagedNeverRetry(NeverRetry):
    """Never retries, while others act."""

    def interrupted(self) -> Any:
        stage.reach("policy")
        return super().interrupted()


class RetryLater(NeverRetry):
    """Tries twice more, after a while."""

    tries = 0

    def _later(self, *args: Any) -> Any:
        stage.reach("policy")
        return DELAY if self.tries < 2 else False

    jobError = commitError = _later

    def interrupted(self) -> Any:
        answer = self._later()
        self.tries += 1
        return answer

    def updateData(self, data_cache: dict[str, Any]) -> None:
        self.tries += 1


POLICIES = {
    "default": None,
    "staged": StagedPolicy,
    "never": StagedNeverRetry,
    "later": RetryLater,
    "forever": RetryCommonForever,
}


class StagedAgent(Agent):
    """Lets others act between its claim and the commit of that."""

    def _choose(self) -> Any:
        job = super()._choose()
        if job is not None:
            stage.reach("claim")
        return job


def number_of(job: Any) -> int:
    """The number of what a job does, 0 if it is none of ours."""
    effect = effect_of(job)
    return 0 if effect is None else effect.number


def effect_of(job: Any) -> Effect | None:
    """What a job does, None if it is none of ours."""
    first = job.args[0] if len(job.args) else None
    return first if isinstance(first, Effect) else None


def accept_even(job: Any) -> bool:
    """A filter."""
    return number_of(job) % 2 == 0


def accept_odd(job: Any) -> bool:
    """A filter."""
    return number_of(job) % 2 == 1


def accept_none(job: Any) -> bool:
    """A filter."""
    return False


FILTERS = {"none": None, "even": accept_even, "odd": accept_odd, "nothing": accept_none}


def let_act_while_handed_back(event: Any) -> None:
    """Told of each dispatcher that is deactivated."""
    stage.reach("hand back")
