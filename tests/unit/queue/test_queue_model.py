"""Queues against a model."""

import hypothesis
import hypothesis.strategies as st
import ZODB
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from ZODB.DemoStorage import DemoStorage

import zc.async_.clock
import zc.async_.queue
from tests.unit import calls
from tests.unit.conftest import Clock


class QueueMachine(RuleBasedStateMachine):
    """Compares a queue with a list that is sorted each time."""

    def __init__(self):
        super().__init__()
        self.clock = Clock()
        zc.async_.queue.queue._last_key = 0
        zc.async_.clock.replace_source(self.clock)
        self.database = ZODB.DB(DemoStorage())
        self.clients = [calls.Client(self.database) for _number in range(3)]
        calls.make_queue(self.clients[0])
        #: oid to [put back, priority, begin_after, arrival].
        self.waiting = {}
        self.taken = []
        self.numbers = iter(range(1_000_000))

    def teardown(self):
        for client in self.clients:
            client.close()
        self.database.close()
        zc.async_.clock.replace_source(None)

    def _client(self, number):
        client = self.clients[number]
        client.begin()
        # So that times of different connections differ.
        self.clock.advance(milliseconds=1)
        return client

    def _order(self, due_only=False):
        def key(oid):
            back, priority, after, arrival = self.waiting[oid]
            effective = max(after or arrival, arrival)
            return not back, 0 if back else -priority, effective, arrival

        oids = self.waiting
        if due_only:
            oids = [o for o in oids if (self.waiting[o][2] or 0) <= self.clock.time]
        return sorted(oids, key=key)

    who = st.integers(0, 2)
    which = st.integers(0, 100)
    minutes = st.integers(-5, 30)

    @rule(who=who, priority=st.integers(-1, 1), minutes=st.none() | minutes)
    def put(self, who, priority, minutes):
        client = self._client(who)
        after = None if minutes is None else self.clock.after(minutes=minutes)
        job = client.put(calls.nothing, after, priority=priority)
        after = None if after is None else zc.async_.clock.to_microseconds(after)
        self.waiting[job._p_oid] = [False, priority, after, self.clock.time]

    @rule(who=who, minutes=st.integers(0, 20))
    def claim(self, who, minutes):
        self.clock.advance(minutes=minutes)
        client = self._client(who)
        due = self._order(due_only=True)
        job = client.queue.claim()
        client.commit()
        assert (None if job is None else job._p_oid) == (due[0] if due else None)
        if job is not None:
            self.taken.append((job._p_oid, self.waiting.pop(job._p_oid)))

    @rule(who=who, which=which)
    def put_back(self, who, which):
        if self.taken:
            client = self._client(who)
            oid, facts = self.taken.pop(which % len(self.taken))
            client.queue.putBack(client.connection.get(oid))
            client.commit()
            self.waiting[oid] = [True, *facts[1:]]

    @rule(who=who, which=which)
    def remove(self, who, which):
        if self.waiting:
            client = self._client(who)
            oid = sorted(self.waiting)[which % len(self.waiting)]
            client.queue.remove(client.connection.get(oid))
            client.commit()
            del self.waiting[oid]

    @rule(who=who, which=which)
    def pull(self, who, which):
        if self.waiting:
            client = self._client(who)
            index = which % len(self.waiting)
            expected = self._order()[index]
            assert client.queue.pull(index)._p_oid == expected
            client.commit()
            del self.waiting[expected]

    @rule(who=who, which=which, priority=st.integers(-2, 2))
    def edit_priority(self, who, which, priority):
        if self.waiting:
            client = self._client(who)
            oid = sorted(self.waiting)[which % len(self.waiting)]
            client.connection.get(oid).priority = priority
            client.commit()
            self.waiting[oid][1] = priority

    @rule(who=who, which=which, minutes=minutes)
    def edit_begin_after(self, who, which, minutes):
        oids = sorted(oid for oid in self.waiting if not self.waiting[oid][0])
        if oids:
            client = self._client(who)
            oid = oids[which % len(oids)]
            client.connection.get(oid).begin_after = after = self.clock.after(minutes=minutes)
            client.commit()
            self.waiting[oid][2] = zc.async_.clock.to_microseconds(after)

    @rule(who=who)
    def aborted_put(self, who):
        client = self._client(who)
        client.queue.put(calls.nothing)
        client.abort()

    @invariant()
    def everybody_sees_the_same(self):
        for client in self.clients:
            client.begin()
            assert len(client.queue) == len(self.waiting)
            assert [job._p_oid for job in client.queue] == self._order()


TestQueueAgainstAModel = QueueMachine.TestCase


TestQueueAgainstAModel.settings = hypothesis.settings(max_examples=30, stateful_step_count=25)
