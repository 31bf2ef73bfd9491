"""Queues: putting, looking, removing, claiming by hand."""

import datetime
import uuid

import hypothesis
import hypothesis.strategies as st
import pytest
import pytz
import ZODB
import zope.component
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from persistent.mapping import PersistentMapping
from ZODB.DemoStorage import DemoStorage

import zc.async_.clock
import zc.async_.queue
import zc.twist
from tests.unit import calls
from tests.unit.conftest import Clock
from zc.async_.interfaces import (
    COMPLETED,
    IUUID,
    KEY,
    NEW,
    PENDING,
    BadStatusError,
    IQueue,
)
from zc.async_.job import Job
from zc.async_.queue import Queue, Queues, getDefaultQueue
from zc.async_.running.retry import NeverRetry

UTC = datetime.UTC


def loaded_jobs(client):
    """How many jobs the connection has read from the database."""
    return sum(isinstance(obj, Job) for _oid, obj in client.connection._cache.lru_items())


# -- putting


def test_a_function_that_is_put_becomes_a_job(queue):
    job = queue.put(calls.nothing)
    assert isinstance(job, Job)
    assert job.callable is calls.nothing
    assert job.status == PENDING
    assert job.parent is queue
    assert job.queue is queue
    assert job.agent is None


def test_a_job_that_is_put_is_returned(queue):
    job = Job(calls.add, 1, 2)
    assert queue.put(job) is job


def test_the_job_belongs_to_the_database_of_the_queue_at_once(client):
    job = client.queue.put(calls.nothing)
    assert job._p_jar is client.connection


def test_a_job_tells_who_put_it(queue):
    zope.component.provideUtility(uuid.UUID(int=5), IUUID)
    assert queue.put(calls.nothing).assignerUUID == uuid.UUID(int=5)


def test_a_process_without_identity_can_put(queue, monkeypatch):
    monkeypatch.setattr(zope.component, "queryUtility", lambda *args, **kwargs: None)
    assert queue.put(calls.nothing).assignerUUID is None


def test_the_arguments_of_put_set_the_attributes_of_the_job(queue, clock):
    job = queue.put(
        calls.nothing,
        clock.after(hours=1),
        datetime.timedelta(minutes=5),
        10,
        NeverRetry,
        7,
    )
    assert job.begin_after == clock.after(hours=1)
    assert job.begin_by == datetime.timedelta(minutes=5)
    assert job.failure_log_level == 10
    assert job.retry_policy_factory is NeverRetry
    assert job.priority == 7


def test_without_arguments_put_leaves_the_attributes_of_the_job_alone(queue, clock):
    job = Job(calls.nothing)
    job.begin_after = clock.after(hours=1)
    job.begin_by = datetime.timedelta(minutes=5)
    job.failure_log_level = 10
    job.retry_policy_factory = NeverRetry
    job.priority = 7
    queue.put(job)
    assert job.begin_after == clock.after(hours=1)
    assert job.begin_by == datetime.timedelta(minutes=5)
    assert job.failure_log_level == 10
    assert job.retry_policy_factory is NeverRetry
    assert job.priority == 7


def test_by_default_a_job_begins_after_the_time_of_the_put(queue, clock):
    job = Job(calls.nothing)
    assert job.begin_after is None
    queue.put(job)
    assert abs(job.begin_after - clock.now) < datetime.timedelta(milliseconds=1)
    assert job.begin_by is None


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(datetime.datetime(2030, 1, 1, 13), id="naive is in UTC"),
        pytest.param(datetime.datetime(2030, 1, 1, 13, tzinfo=UTC), id="UTC"),
        pytest.param(datetime.datetime(2030, 1, 1, 13, tzinfo=pytz.UTC), id="pytz"),
        pytest.param(
            datetime.datetime(
                2030, 1, 1, 8, tzinfo=datetime.timezone(datetime.timedelta(hours=-5))
            ),
            id="another zone",
        ),
    ],
)
def test_times_are_taken_in_any_zone_and_told_in_utc(queue, moment):
    job = queue.put(calls.nothing, moment)
    assert job.begin_after == datetime.datetime(2030, 1, 1, 13, tzinfo=UTC)
    assert job.begin_after.tzinfo is UTC


def test_what_cannot_be_called_cannot_be_put(queue):
    with pytest.raises(TypeError, match="cannot be called"):
        queue.put(42)
    assert len(queue) == 0


@pytest.mark.parametrize("status", [PENDING, COMPLETED])
def test_a_job_that_is_no_longer_new_cannot_be_put(queue, status):
    job = queue.put(calls.nothing)
    if status == COMPLETED:
        queue.claim()()
    with pytest.raises(BadStatusError, match="only a new job"):
        queue.put(job)
    assert job.status == status


def test_a_job_in_one_queue_cannot_be_put_into_another(queue):
    job = queue.put(calls.nothing)
    with pytest.raises(BadStatusError):
        Queue().put(job)
    assert list(queue) == [job]


def test_a_job_that_names_an_unknown_quota_cannot_be_put(queue):
    job = Job(calls.nothing)
    job.quota_names = ["content catalog"]
    with pytest.raises(ValueError, match="unknown quota name") as raised:
        queue.put(job)
    assert raised.value.args == ("unknown quota name", "content catalog")
    assert len(queue) == 0
    assert job.status == NEW


def test_a_priority_is_an_integer(queue):
    with pytest.raises(TypeError, match="integer"):
        queue.put(calls.nothing, priority="high")
    assert len(queue) == 0


@pytest.mark.parametrize(
    ("make", "named"),
    [
        pytest.param(lambda: Job(lambda: 1), "lambda", id="a lambda"),
        pytest.param(lambda: Job(calls.echo, open), None, id="a built-in function is fine"),
        pytest.param(lambda: Job(calls.echo, 1, (i for i in ())), "generator", id="an argument"),
        pytest.param(
            lambda: Job(calls.echo, key=[{1: (i for i in ())}]), "generator", id="deep inside"
        ),
    ],
)
def test_what_cannot_be_stored_cannot_be_put(queue, make, named):
    if named is None:
        queue.put(make())
        assert len(queue) == 1
        return
    with pytest.raises(TypeError, match=named):
        queue.put(make())
    assert len(queue) == 0


def test_persistent_arguments_are_not_looked_into_by_put(client, other):
    counter = client.add("counter", calls.Counter())
    other.begin()
    there = other.mine(counter)
    job = Job(calls.echo, [there], value=there)
    other.queue.put(job)
    assert there._p_changed is None


# -- order


def test_jobs_are_in_the_order_of_their_putting(queue):
    jobs = [queue.put(calls.nothing) for _number in range(40)]
    assert list(queue) == jobs
    assert [queue.claim() for _job in jobs] == jobs


def test_higher_priorities_come_first(queue):
    low = queue.put(calls.nothing, priority=-1)
    usual = queue.put(calls.nothing)
    high = queue.put(calls.nothing, priority=1)
    assert list(queue) == [high, usual, low]
    assert [queue.claim() for _number in range(3)] == [high, usual, low]


def test_a_date_that_has_passed_queues_as_if_there_were_none(queue, clock):
    first = queue.put(calls.nothing)
    second = queue.put(calls.nothing, clock.after(days=-1))
    third = queue.put(calls.nothing)
    assert list(queue) == [first, second, third]
    assert [queue.claim() for _number in range(3)] == [first, second, third]


def test_a_job_due_later_comes_after_those_put_before_it_is_due(queue, clock):
    later = queue.put(calls.nothing, clock.after(minutes=10))
    now = queue.put(calls.nothing)
    assert list(queue) == [now, later]
    clock.advance(minutes=9)
    before = queue.put(calls.nothing)
    clock.advance(minutes=2)
    after = queue.put(calls.nothing)
    assert list(queue) == [now, before, later, after]
    assert [queue.claim() for _number in range(4)] == [now, before, later, after]


def test_jobs_due_later_are_claimed_once_they_are_due(client, clock):
    job = client.put(calls.nothing, clock.after(minutes=10))
    assert client.claim() is None
    clock.advance(minutes=10, microseconds=-1)
    assert client.claim() is None
    clock.advance(microseconds=1)
    assert client.claim() is job


def test_a_due_job_with_priority_comes_before_others(client, clock):
    important = client.put(calls.nothing, clock.after(minutes=10), priority=1)
    usual = client.put(calls.nothing)
    assert client.claim(calls.fail) is None
    clock.advance(minutes=11)
    client.put(calls.nothing)
    assert client.claim() is important
    assert client.claim() is usual


def test_a_job_put_back_comes_before_all_others(queue):
    first = queue.put(calls.nothing)
    queue.put(calls.nothing, priority=1_000_000)
    assert queue.claim().priority == 1_000_000
    job = queue.claim()
    assert job is first
    queue.put(calls.nothing, priority=1_000_000)
    queue.putBack(job)
    assert queue[0] is first
    assert queue.claim() is first


def test_jobs_put_back_keep_their_order_of_arrival_among_each_other(queue):
    jobs = [queue.put(calls.nothing) for _number in range(5)]
    claimed = [queue.claim() for _job in jobs]
    for job in reversed(claimed):
        queue.putBack(job)
    assert list(queue) == jobs


def test_a_job_put_back_once_has_no_precedence_when_it_is_put_again(queue):
    job = queue.put(calls.nothing)
    queue.putBack(queue.claim())
    queue.remove(job)
    other = queue.put(calls.nothing)
    queue.put(job)
    assert list(queue) == [other, job]


def test_only_a_claimed_job_can_be_put_back(queue):
    job = queue.put(calls.nothing)
    with pytest.raises(BadStatusError):
        queue.putBack(job)
    queue.claim()()
    with pytest.raises(BadStatusError):
        queue.putBack(job)


def test_a_job_put_back_keeps_its_deadline(client, clock):
    job = client.put(calls.nothing, clock.after(days=1), datetime.timedelta(hours=1))
    clock.advance(days=1, minutes=1)
    assert client.claim() is job
    client.queue.putBack(job)
    client.commit()
    assert job.begin_by == datetime.timedelta(hours=1)
    clock.advance(minutes=58)
    assert client.claim() is job
    client.queue.putBack(job)
    client.commit()
    clock.advance(minutes=1)
    assert client.claim() is None
    assert job.status == COMPLETED


def test_a_job_that_is_put_back_before_its_time_may_run_at_once(queue, clock):
    job = Job(calls.nothing)
    job.begin_after = clock.after(hours=1)
    queue.putBack(job)
    assert queue.claim() is job


def test_jobs_of_several_connections_are_merged_by_time(client, connect, clock):
    clients = [connect() for _number in range(3)]
    jobs = []
    for number in range(30):
        clock.advance(milliseconds=1)
        jobs.append(clients[number * 7 % 3].put(calls.nothing))
    client.begin()
    assert list(client.queue) == [client.mine(job) for job in jobs]
    assert client.claim_all() == [client.mine(job) for job in jobs]


def test_the_order_of_a_connection_holds_over_many_sweeps(client, other, monkeypatch):
    monkeypatch.setattr("zc.async_.queue.claim.SWEEP_LIMIT", 7)
    jobs = [client.put(calls.nothing) for _number in range(50)]
    assert other.claim_all() == [other.mine(job) for job in jobs]


# -- looking


def test_len_counts_due_and_later_jobs(queue, clock):
    assert len(queue) == 0
    assert not queue
    queue.put(calls.nothing)
    queue.put(calls.nothing, clock.after(days=1))
    assert len(queue) == 2
    assert queue


def test_len_is_right_wherever_the_jobs_are(client, other, clock):
    client.put(calls.nothing, clock.after(days=1))
    for _number in range(10):
        client.put(calls.nothing)
    for expected in range(10, 0, -1):
        other.claim()
        client.begin()
        assert len(client.queue) == len(list(client.queue)) == expected
    assert other.claim() is None
    assert len(other.queue) == 1


def test_len_falls_at_once_on_remove(client, clock):
    job = client.put(calls.nothing)
    later = client.put(calls.nothing, clock.after(days=1))
    client.claim(calls.fail)
    fresh = client.put(calls.nothing)
    for expected, each in [(2, job), (1, later), (0, fresh)]:
        client.queue.remove(each)
        assert len(client.queue) == expected
    client.commit()
    assert client.claim() is None
    clock.advance(days=2)
    assert client.claim() is None
    assert len(client.queue) == 0


def test_len_and_bool_read_no_job(client, connect, clock):
    for number in range(100):
        client.queue.put(calls.nothing, clock.after(days=1) if number % 2 else None)
        if number == 50:
            client.commit()
            client.claim(calls.fail)
    client.queue.pull()
    client.commit()
    fresh = connect()
    fresh.connection.cacheMinimize()
    assert len(fresh.queue) == 99
    assert fresh.queue
    assert loaded_jobs(fresh) == 0
    list(fresh.queue)
    assert loaded_jobs(fresh) == 100


def test_indices_follow_the_order(queue):
    jobs = [queue.put(calls.nothing, priority=-number) for number in range(4)]
    assert [queue[index] for index in (0, 3, -1, -4)] == [jobs[0], jobs[3], jobs[3], jobs[0]]
    assert queue[1:3] == jobs[1:3]
    for index in (4, -5):
        with pytest.raises(IndexError):
            queue[index]


def test_a_queue_knows_which_jobs_wait_in_it(queue):
    job = queue.put(calls.nothing)
    assert job in queue
    assert Job(calls.nothing) not in queue
    assert None not in queue
    assert job not in Queue()
    queue.claim()
    assert job not in queue


# -- taking by hand


def test_pull_takes_the_first_job_or_that_at_an_index(queue):
    jobs = [queue.put(calls.nothing) for _number in range(4)]
    assert queue.pull() is jobs[0]
    assert queue.pull(-1) is jobs[3]
    assert queue.pull(1) is jobs[2]
    assert list(queue) == [jobs[1]]
    assert len(queue) == 1
    assert {job.status for job in (jobs[0], jobs[2], jobs[3])} == {NEW}
    assert jobs[0].parent is None


def test_pull_takes_jobs_that_are_not_due(queue, clock):
    job = queue.put(calls.nothing, clock.after(days=1))
    assert queue.pull() is job


@pytest.mark.parametrize("index", [0, 1, -1])
def test_pull_from_an_empty_queue_is_an_index_error(queue, index):
    with pytest.raises(IndexError):
        queue.pull(index)


def test_remove_takes_that_job(queue):
    first, second = queue.put(calls.nothing), queue.put(calls.nothing)
    queue.remove(first)
    assert list(queue) == [second]
    assert first.status == NEW
    assert first.queue is None


def test_remove_of_a_job_that_does_not_wait_is_a_lookup_error(queue):
    job = Job(calls.nothing)
    with pytest.raises(LookupError):
        queue.remove(job)
    queue.put(job)
    with pytest.raises(LookupError):
        Queue().remove(job)
    queue.claim()
    with pytest.raises(LookupError):
        queue.remove(job)


@pytest.mark.parametrize("in_backlog", [False, True])
def test_a_job_taken_out_can_be_put_again_and_comes_last(client, clock, in_backlog):
    queue = client.queue
    first, second = client.put(calls.nothing), client.put(calls.nothing)
    if in_backlog:
        client.claim(calls.fail)
    clock.advance(seconds=1)
    assert queue.pull() is first
    assert queue.put(first) is first
    assert list(queue) == [second, first]
    queue.remove(second)
    queue.put(second)
    assert list(queue) == [first, second]
    assert len(queue) == 2
    client.commit()
    assert client.claim_all() == [first, second]
    assert len(queue) == 0


def test_a_job_taken_out_can_be_put_into_another_queue(client):
    second = client.root[KEY]["second"] = Queue()
    job = client.put(calls.nothing)
    client.queue.remove(job)
    second.put(job)
    client.commit()
    assert client.claim() is None
    assert second.claim() is job


def test_the_deadline_of_a_job_put_again_counts_from_then(client, clock):
    job = client.put(calls.nothing, begin_by=datetime.timedelta(hours=1))
    client.claim(calls.fail)
    clock.advance(minutes=50)
    client.queue.remove(job)
    client.put(job)
    clock.advance(minutes=50)
    client.claim(calls.fail)
    assert job.status == PENDING
    clock.advance(minutes=10)
    client.claim(calls.fail)
    assert job.status == COMPLETED


def test_many_removed_entries_are_dropped_by_pull(client):
    jobs = [client.queue.put(calls.nothing) for _number in range(300)]
    client.commit()
    for job in jobs[:250]:
        client.queue.remove(job)
    client.commit()
    assert client.queue.pull() is jobs[250]
    client.commit()
    assert client.queue.stale_entries() < 250
    assert len(client.queue) == 49
    assert client.claim_all() == jobs[251:]


def test_removing_does_not_conflict_with_a_claim_of_another_job(client, other):
    first, second = client.put(calls.nothing), client.put(calls.nothing)
    client.begin()
    client.queue.remove(second)
    assert other.claim() == other.mine(first)
    client.commit()
    assert other.claim() is None
    assert len(other.queue) == 0


# -- claiming by hand


def test_a_claimed_job_is_nobodys_and_can_be_called(client):
    job = client.put(Job(calls.add, 5, 2))
    assert client.claim() is job
    assert job.status == NEW
    assert job.parent is None
    assert len(client.queue) == 0
    assert job() == 7
    assert job.status == COMPLETED


def test_an_empty_queue_gives_none_or_the_default(queue):
    assert queue.claim() is None
    assert queue.claim(default="nothing") == "nothing"


def test_a_claim_with_a_filter_takes_the_first_job_that_fits(queue):
    jobs = [queue.put(Job(calls.echo, number)) for number in range(5)]
    assert queue.claim(lambda job: job.args[0] > 2) is jobs[3]
    assert queue.claim(lambda job: job.args[0] > 7, "none") == "none"
    assert queue.claim() is jobs[0]
    assert list(queue) == [jobs[1], jobs[2], jobs[4]]


def test_a_claim_gives_each_time_a_new_token(client):
    job = client.put(calls.nothing)
    tokens = set()
    for _number in range(3):
        assert client.claim() is job
        tokens.add(job.claim_token)
        client.queue.putBack(job)
        client.commit()
    assert len(tokens) == 3


# -- where queues are


@pytest.mark.parametrize(
    ("name", "queue", "problem"),
    [
        ("x", None, "None is no queue: put a"),
        ("x", object(), "is no queue"),
        (None, Queue(), "the name of a queue is a str, not None"),
    ],
)
def test_what_is_no_queue_is_refused_at_once(name, queue, problem):
    queues = Queues()
    with pytest.raises(TypeError, match=problem):
        queues[name] = queue
    assert len(queues) == 0


def test_queues_tell_their_queues_where_they_are():
    queues, queue = Queues(), Queue()
    queues["images"] = queue
    assert queue.name == "images"
    assert queue.parent is queues
    assert list(queues.keys()) == ["images"]
    queues["images"] = queue
    assert (queue.name, queue.parent) == ("images", queues)
    with pytest.raises(KeyError):
        del queues["videos"]


@pytest.mark.parametrize(
    "remove",
    [
        pytest.param(lambda queues: queues.__delitem__("images"), id="del"),
        pytest.param(lambda queues: queues.pop("images"), id="pop"),
        pytest.param(lambda queues: queues.popitem(), id="popitem"),
        pytest.param(lambda queues: queues.clear(), id="clear"),
        pytest.param(lambda queues: queues.update(images=Queue()), id="another in its place"),
    ],
)
def test_a_queue_that_was_removed_has_no_name(remove):
    queues, queue = Queues(), Queue()
    queues["images"] = queue
    remove(queues)
    assert (queue.parent, queue.name) == (None, None)
    assert queue not in queues.values()


def test_queues_are_apart(client):
    second = client.root[KEY]["second"] = Queue()
    client.commit()
    here, there = client.queue.put(calls.nothing), second.put(calls.nothing)
    client.commit()
    assert list(client.queue) == [here]
    assert list(second) == [there]
    assert here.queue is client.queue
    assert there.queue is second
    assert client.claim_all() == [here]
    assert len(second) == 1


class Remembering(Queue):
    """A queue that is told of every put."""

    def __init__(self):
        super().__init__()
        self.seen = ()

    def put(self, item, *args, **kwargs):
        job = super().put(item, *args, **kwargs)
        self.seen += (job,)
        return job


def test_a_subclass_of_queue_can_redefine_put(client, other):
    client.root[KEY]["second"] = Remembering()
    client.commit()
    job = client.root[KEY]["second"].put(calls.nothing)
    client.commit()
    other.begin()
    second = other.root[KEY]["second"]
    assert second.seen == (other.mine(job),)
    assert IQueue.providedBy(second)
    assert second.claim() == other.mine(job)


@pytest.fixture
def two_databases(clock):
    """A connection to a database that mounts the queues of another one."""
    databases = {}
    main = ZODB.DB(DemoStorage(), database_name="main", databases=databases)
    queues_database = ZODB.DB(DemoStorage(), database_name="queues", databases=databases)
    client = calls.Client(main)
    mounted = client.connection.get_connection("queues")
    queues = Queues()
    mounted.add(queues)
    mounted.root()["mounted"] = queues
    client.root[KEY] = queues
    queues[""] = Queue()
    client.commit()
    yield client
    client.close()
    main.close()
    queues_database.close()


def test_the_jobs_of_a_queue_in_another_database_are_in_that_database(two_databases):
    client = two_databases
    counter = client.add("counter", calls.Counter())
    job = client.put(counter.increase)
    assert job._p_jar is client.connection.get_connection("queues")
    assert counter._p_jar is client.connection
    second = calls.Client(client.connection.db())
    claimed = second.claim()
    assert claimed._p_oid == job._p_oid
    assert claimed() == 1
    second.close()
    client.begin()
    assert counter.count == 1
    assert job.status == COMPLETED


def test_connections_to_a_mounted_queue_have_lanes_of_their_own(two_databases):
    clients = [two_databases, calls.Client(two_databases.connection.db())]
    for each in clients:
        each.begin()
        each.queue.put(calls.nothing)
    for each in clients:
        each.commit()
    clients[1].close()
    two_databases.begin()
    assert len(set(two_databases.queue.lanes)) == 2
    third = calls.Client(two_databases.connection.db())
    third.put(calls.nothing)
    two_databases.begin()
    assert len(set(two_databases.queue.lanes)) == 2
    third.close()


def test_the_default_queue_is_found_from_a_persistent_object_and_a_connection(client):
    counter = client.add("counter", calls.Counter())
    assert getDefaultQueue(counter) is client.queue
    assert getDefaultQueue(client.connection) is client.queue
    zope.component.provideAdapter(getDefaultQueue)
    assert IQueue(counter) is client.queue
    assert IQueue(client.root) is client.queue


def test_the_default_queue_is_found_through_the_adapter_to_a_connection(client):
    zope.component.provideAdapter(zc.twist.connection)
    counter = client.add("counter", calls.Counter())
    assert getDefaultQueue(counter) is client.queue


@pytest.mark.parametrize("mapping", [None, PersistentMapping()])
def test_a_database_without_default_queue_says_what_to_do(connect, mapping):
    client = connect()
    if mapping is not None:
        client.root[KEY] = mapping
    counter = client.add("counter", calls.Counter())
    with pytest.raises(LookupError, match="call zc"):
        getDefaultQueue(counter)


def test_an_object_in_no_database_has_no_default_queue(client):
    with pytest.raises(LookupError, match="in no database"):
        getDefaultQueue(calls.Counter())


def test_a_queue_and_jobs_in_no_database_work(clock):
    queue = Queue()
    first = queue.put(calls.nothing)
    second = queue.put(Job(calls.add, 1, 2), priority=1)
    assert list(queue) == [second, first]
    first.priority = 2
    assert list(queue) == [first, second]
    assert queue.claim() is first
    assert len(queue) == 1
    assert queue.claim()() == 3


def test_entries_are_told_apart_when_the_clock_is_set_back(client, clock):
    first = client.put(calls.nothing)
    clock.advance(seconds=-30)
    second = client.put(calls.nothing)
    assert first.entry_key > second.entry_key
    clock.advance(microseconds=-5)
    third = client.put(calls.nothing)
    assert third.entry_key > second.entry_key
    assert set(client.claim_all()) == {first, second, third}


# -- all of it against a model


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
TestQueueAgainstAModel.settings = hypothesis.settings(
    max_examples=30, stateful_step_count=25, deadline=None
)
