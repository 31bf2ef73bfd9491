"""Several clients and dispatchers do anything in any order: what is promised holds.

`STATEMACHINE_EXAMPLES=2000 pytest tests/statemachine --no-cov` tries as many examples, at random;
what it prints for a failure is a test.
"""

import os
import sys

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.statemachine import strategies as choose
from tests.statemachine.world import World
from zc.async_.interfaces import ACTIVE, CALLBACKS, COMPLETED, NEW, PENDING

COMMON = settings(
    database=None,
    deadline=None,
    derandomize=True,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)
QUICK = settings(COMMON, max_examples=10, stateful_step_count=30)
LONG = settings(COMMON, max_examples=50, stateful_step_count=50)


def has(*statuses):
    """A precondition: somebody put jobs that are in one of these statuses."""
    return lambda machine: not machine.world.statuses.isdisjoint(statuses)


class Machine(RuleBasedStateMachine):
    """See `tests.statemachine`."""

    def __init__(self):
        super().__init__()
        self.world = World()

    def teardown(self):
        try:
            # Not after a failure, which that of the end would hide.
            if sys.exc_info()[0] is None:
                self.world.drain()
                self.world.wake_the_paused()
        finally:
            self.world.close()

    @invariant()
    def all_is_as_promised(self):
        self.world.check()
        self.world.begin_step()

    # -- clients

    @rule(client=choose.clients, action=choose.puts(), end=choose.ends)
    def put(self, client, action, end):
        self.world.act(client, action, end)

    @rule(client=choose.clients, action=choose.puts(), dispatcher=choose.dispatchers)
    def put_and_poll(self, client, action, dispatcher):
        self.world.act(client, action, "commit")
        self.world.poll(dispatcher)

    @rule(
        client=choose.clients,
        action=choose.puts(),
        dispatcher=choose.dispatchers,
        place=choose.places_of_runs,
        steps=choose.steps(),
    )
    def put_and_run_while(self, client, action, dispatcher, place, steps):
        self.world.act(client, action, "commit")
        self.world.poll_and_run(dispatcher, place, steps)

    @precondition(has(NEW, PENDING, ACTIVE))
    @rule(client=choose.clients, action=choose.changes(), end=choose.ends)
    def change(self, client, action, end):
        self.world.act(client, action, end)

    @precondition(has(PENDING, ACTIVE, CALLBACKS, COMPLETED))
    @rule(client=choose.clients, action=choose.additions(), end=choose.ends)
    def add_callback(self, client, action, end):
        self.world.act(client, action, end)

    @rule(client=choose.clients, action=choose.operations(), end=choose.ends)
    def operate(self, client, action, end):
        self.world.act(client, action, end)

    @precondition(lambda self: any(client.open for client in self.world.clients))
    @rule(client=choose.clients)
    def commit(self, client):
        self.world.commit(client)

    # -- dispatchers

    @precondition(has(PENDING, ACTIVE, CALLBACKS))
    @rule(dispatcher=choose.dispatchers, contended=choose.booleans)
    def poll(self, dispatcher, contended):
        self.world.poll(dispatcher, contended)

    @precondition(has(PENDING))
    @rule(
        dispatcher=choose.dispatchers,
        contended=choose.booleans,
        place=choose.places_of_polls,
        steps=choose.steps(),
    )
    def poll_while(self, dispatcher, contended, place, steps):
        self.world.poll(dispatcher, contended, place, steps)

    @precondition(lambda self: self.world.has_claims())
    @rule(dispatcher=choose.dispatchers, which=choose.which)
    def run(self, dispatcher, which):
        self.world.run(dispatcher, which)

    @precondition(lambda self: self.world.has_claims())
    @rule(
        dispatcher=choose.dispatchers,
        which=choose.which,
        place=choose.places_of_runs,
        steps=choose.steps(),
    )
    def run_while(self, dispatcher, which, place, steps):
        self.world.run(dispatcher, which, place, steps)

    @precondition(lambda self: self.world.has_deferred())
    @rule(dispatcher=choose.dispatchers, which=choose.which)
    def fire(self, dispatcher, which):
        self.world.fire(dispatcher, which)

    @precondition(has(PENDING, ACTIVE, CALLBACKS))
    @rule(dispatcher=choose.dispatchers)
    def take_over(self, dispatcher):
        self.world.take_over(dispatcher)

    @precondition(lambda self: self.world.has_claims())
    @rule(dispatcher=choose.dispatchers, end=choose.ends_of_processes, again=choose.booleans)
    def end_process(self, dispatcher, end, again):
        self.world.end_process(dispatcher, end, again)

    @precondition(lambda self: self.world.has_claims())
    @rule(dispatcher=choose.dispatchers, begun=choose.booleans, steps=choose.steps())
    def stop_while(self, dispatcher, begun, steps):
        self.world.stop(dispatcher, begun, steps)

    @precondition(lambda self: self.world.may_start())
    @rule(dispatcher=choose.dispatchers)
    def start(self, dispatcher):
        self.world.start(dispatcher)

    @precondition(lambda self: self.world.remains())
    @rule(which=choose.which, place=choose.places_of_runs, steps=choose.steps())
    def run_remains(self, which, place, steps):
        self.world.run_remains(which, place, steps)

    @rule(seconds=choose.durations)
    def pass_time(self, seconds):
        self.world.pass_time(seconds)


@pytest.fixture(autouse=True)
def nobody_sleeps(monkeypatch):
    """Waiting in earnest means that somebody met what should not have happened."""

    def sleep(seconds):
        pytest.fail(f"somebody wants to sleep for {seconds} s")

    monkeypatch.setattr("time.sleep", sleep)


def examples(profile):
    """The profile, or as many random examples of it as the environment asks for."""
    count = os.environ.get("STATEMACHINE_EXAMPLES")
    if count is None:
        return profile
    return settings(profile, max_examples=int(count), derandomize=False)


def test_what_is_promised_holds_in_any_order_of_things():
    run_state_machine_as_test(Machine, settings=examples(QUICK))


@pytest.mark.slow
@pytest.mark.parametrize("number", range(4))
def test_what_is_promised_holds_in_any_long_order_of_things(number):
    """In parts, which processes can share."""
    kind = type("Machine", (Machine,), {})
    run_state_machine_as_test(seed(number)(kind), settings=examples(LONG))
