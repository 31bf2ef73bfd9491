"""What Hypothesis may choose from."""

from hypothesis import strategies as st

from tests.statemachine import work
from tests.statemachine.actions import (
    AVOIDED,
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
from tests.statemachine.world import CLIENTS, DISPATCHERS, QUOTAS, Step

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

names = st.lists(st.sampled_from(QUOTAS), unique=True, max_size=2).map(tuple)
times = st.one_of(st.none(), st.sampled_from([-5, 0, 5, 40]))
limits = st.one_of(st.none(), st.sampled_from([0, 5, 70]))

if "callbacks that commit their start" in AVOIDED:
    kinds = st.sampled_from([kind for kind in work.KINDS if kind != "commit"])
    policies_of_callbacks = st.just("default")
else:
    kinds = st.sampled_from(work.KINDS)
    policies_of_callbacks = st.sampled_from(["default", "never"])
wanted = st.sampled_from(["any", "success", "failure", "both"])
last_callbacks = st.builds(Callback, kinds, wanted, st.just(()), policies_of_callbacks)
behind = st.lists(last_callbacks, max_size=1).map(tuple)
callbacks = st.builds(Callback, kinds, wanted, behind, policies_of_callbacks)
some_callbacks = st.lists(callbacks, max_size=2).map(tuple)

policies = st.sampled_from(sorted(work.POLICIES))
nothing = st.just(())
never = st.just(False)
at_once = st.none()

simple = st.builds(
    Spec,
    st.sampled_from([*work.KINDS, "inner", "defer"]),
    policies,
    st.integers(-1, 1),
    times,
    limits,
    names,
    some_callbacks,
    nothing,
    never,
)
parts = st.builds(
    Spec,
    st.sampled_from([*work.KINDS, "inner"]),
    policies,
    st.just(0),
    at_once,
    at_once,
    names,
    some_callbacks,
    nothing,
    never,
)
composed = st.builds(
    Spec,
    st.sampled_from(["serial", "parallel"]),
    st.sampled_from(["default", "never"]),
    st.just(0),
    at_once,
    at_once,
    names,
    some_callbacks,
    st.lists(parts, max_size=3).map(tuple),
    st.booleans(),
)

puts = st.builds(Put, st.one_of(simple, simple, composed))
edits = st.one_of(
    st.builds(Edit, which, st.just("priority"), st.integers(-1, 1)),
    st.builds(Edit, which, st.sampled_from(["begin_after", "begin_by"]), times),
    st.builds(Edit, which, st.just("quota_names"), names),
)
removals = st.builds(Remove, which, st.booleans())
changes = st.one_of(edits, removals, st.builds(PutAgain, which), st.builds(Fail, which))
additions = st.builds(AddCallback, which, callbacks)
sizes_of_quotas = st.one_of(st.none(), st.integers(0, 2))
sizes_of_agents = st.sampled_from([0, 1, 2, 3, 3])
filters = st.sampled_from(["none", *sorted(work.FILTERS)])
operations = st.one_of(
    st.just(Touch()),
    st.builds(SetQuota, st.sampled_from(QUOTAS), sizes_of_quotas),
    st.builds(SetAgent, dispatchers, sizes_of_agents, filters),
)
actions = st.one_of(puts, changes, additions, operations)


def _step(what: str, *args: st.SearchStrategy) -> st.SearchStrategy:
    return st.builds(Step, st.just(what), st.tuples(*args))


#: What clients do to the job in the middle of which they act.
disturbances = st.one_of(
    st.builds(AddCallback, st.just(THAT), callbacks),
    st.builds(AddCallback, st.just(THAT), callbacks),
    st.builds(Fail, st.just(THAT)),
    st.just(Touch()),
)

#: What others do in the middle of something.
steps = st.lists(
    st.one_of(
        _step("act_meanwhile", disturbances),
        _step("act_meanwhile", disturbances),
        _step("act_meanwhile", actions),
        _step("poll", dispatchers, st.booleans()),
        _step("run", dispatchers, which),
        _step("work", dispatchers),
        _step("take_over", dispatchers),
        _step("take_over", dispatchers),
        _step("end_process", dispatchers, ends_of_processes, st.booleans()),
        _step("pass_time", durations),
    ),
    min_size=1,
    max_size=3,
).map(tuple)
