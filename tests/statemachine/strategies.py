"""What Hypothesis may choose from.

Composite strategies rather than `builds`: of those Hypothesis keeps how everything was made, and
takes very long to print it.
"""

from typing import Any

from hypothesis import strategies as st

from tests.statemachine import work
from tests.statemachine.actions import (
    THAT,
    AddCallback,
    Callback,
    Edit,
    Fail,
    Put,
    PutAgain,
    Remove,
    SetAgent,
    SetQuota,
    Spec,
    Touch,
)
from tests.statemachine.world import CLIENTS, DISPATCHERS, NEEDS, QUOTAS, Step

clients = st.integers(0, CLIENTS - 1)
dispatchers = st.integers(0, DISPATCHERS - 1)
which = st.integers(0, 5)
booleans = st.booleans()
places_of_runs = st.sampled_from(["in", "before", "in", "after", "in", "policy"])
places_of_polls = st.sampled_from(["claim", "hand back"])
ends = st.sampled_from(["commit", "commit", "abort", "leave open"])

#: Whether a process stops, its threads having begun what it claimed or not, or crashes, its
#: siblings seeing that at once or not.
ends_of_processes = st.sampled_from(["stop", "stop begun", "crash", "crash unknown"])

#: Seconds: a moment, more than some deadlines, a ping, what makes a dispatcher dead.
durations = st.sampled_from([1, 10, 31, 61])

#: Seconds from now.
times = st.sampled_from([None, None, None, -5, 0, 5, 40])
limits = st.sampled_from([None, None, None, 0, 5, 70])

quota_names = st.sampled_from([(), (), *[(name,) for name in QUOTAS], QUOTAS])
#: More than half need nothing. Nobody has all of the last ones but who drains the queue.
needs = st.sampled_from([(), (), (), (), ("gpu",), ("eu",), ("eu", "gpu"), NEEDS[3:], NEEDS[2:3]])
labels = st.sampled_from([(), (), ("gpu",), ("eu",), ("eu", "gpu")])
coroutines = st.sampled_from([False, False, True])
policies = st.sampled_from(sorted(work.POLICIES))
priorities = st.integers(-1, 1)

kinds_of_callbacks = st.sampled_from(work.KINDS)
policies_of_callbacks = st.sampled_from(["default", "default", "never"])
wanted = st.sampled_from(["any", "success", "failure", "both"])

Draw = Any


@st.composite
def callbacks(draw: Draw, last: bool = False) -> Callback:
    """A callback, perhaps with one behind it."""
    behind = () if last or not draw(booleans) else (draw(callbacks(last=True)),)
    kind, policy = draw(kinds_of_callbacks), draw(policies_of_callbacks)
    return Callback(kind, draw(wanted), behind, policy)


@st.composite
def some_callbacks(draw: Draw) -> tuple[Callback, ...]:
    """Up to two callbacks."""
    return tuple(draw(callbacks()) for _callback in range(draw(st.integers(0, 2))))


@st.composite
def parts(draw: Draw) -> Spec:
    """A part of a composed job."""
    kind = draw(st.sampled_from([*work.KINDS, "inner"]))
    names, behind = draw(quota_names), draw(some_callbacks())
    return Spec(
        kind,
        draw(policies),
        quota_names=names,
        callbacks=behind,
        needs=draw(needs),
        coroutine=draw(coroutines),
    )


@st.composite
def puts(draw: Draw) -> Put:
    """A put of a job."""
    kind = draw(st.sampled_from([*work.KINDS, "inner", "defer", "serial", "parallel"]))
    spec = Spec(
        kind,
        draw(policies),
        draw(priorities),
        draw(times),
        draw(limits),
        draw(quota_names),
        draw(some_callbacks()),
        needs=draw(needs),
        coroutine=draw(coroutines),
    )
    if kind in ("serial", "parallel"):
        some = tuple(draw(parts()) for _part in range(draw(st.integers(0, 3))))
        spec = spec._replace(parts=some, postprocessed=draw(booleans))
    return Put(spec)


@st.composite
def edits(draw: Draw) -> Edit:
    """A change of a waiting job."""
    values = {
        "priority": priorities,
        "begin_after": times,
        "begin_by": times,
        "quota_names": quota_names,
        "needs": needs,
    }
    what = draw(st.sampled_from(sorted(values)))
    return Edit(draw(which), what, draw(values[what]))


@st.composite
def changes(draw: Draw) -> Any:
    """What clients do to their jobs."""
    kind = draw(st.sampled_from([Edit, Edit, Remove, PutAgain, Fail]))
    if kind is Edit:
        return draw(edits())
    if kind is Remove:
        return Remove(draw(which), draw(booleans))
    return kind(draw(which))


@st.composite
def additions(draw: Draw) -> AddCallback:
    """A late or early callback."""
    return AddCallback(draw(which), draw(callbacks()))


@st.composite
def operations(draw: Draw) -> Any:
    """What operators do, and a write of what jobs write, too."""
    kind = draw(st.sampled_from([Touch, SetQuota, SetAgent]))
    if kind is SetQuota:
        return SetQuota(draw(st.sampled_from(QUOTAS)), draw(st.sampled_from([None, 0, 1, 2])))
    if kind is SetAgent:
        filters = st.sampled_from(["none", *sorted(work.FILTERS)])
        size = draw(st.sampled_from([0, 1, 2, 3, 3]))
        for_coroutines = draw(st.sampled_from([0, 1, 2, 3, 3]))
        return SetAgent(draw(dispatchers), size, draw(filters), draw(labels), for_coroutines)
    return Touch()


@st.composite
def disturbances(draw: Draw) -> Any:
    """What clients do to the job in the middle of which they act."""
    kind = draw(st.sampled_from([AddCallback, AddCallback, Fail, Touch]))
    if kind is AddCallback:
        return AddCallback(THAT, draw(callbacks()))
    return Fail(THAT) if kind is Fail else Touch()


actions = st.one_of(puts(), changes(), additions(), operations())

_ARGUMENTS: dict[str, tuple[st.SearchStrategy, ...]] = {
    "act_meanwhile": (st.one_of(disturbances(), disturbances(), actions),),
    "poll": (dispatchers, booleans),
    "run": (dispatchers, which),
    "work": (dispatchers,),
    "take_over": (dispatchers,),
    "end_process": (dispatchers, ends_of_processes, booleans),
    "pass_time": (durations,),
}


@st.composite
def steps(draw: Draw) -> tuple[Step, ...]:
    """What others do in the middle of something."""
    often = ["act_meanwhile", "act_meanwhile", "take_over"]
    names = st.sampled_from([*often, *_ARGUMENTS])
    chosen = [draw(names) for _step in range(draw(st.integers(1, 3)))]
    return tuple(Step(name, tuple(map(draw, _ARGUMENTS[name]))) for name in chosen)
