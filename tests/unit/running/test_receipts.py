"""Jobs that change another database than the queue's, and processes that die in their commits."""

import uuid

import pytest

import zc.async_.running.receipts
from tests import storages
from tests.unit import calls
from zc.async_.interfaces import ACTIVE, CALLBACKS, COMPLETED, PENDING
from zc.async_.job import Job
from zc.async_.running import tries as running
from zc.async_.running.retry import NeverRetry


@pytest.fixture(params=storages.KINDS)
def databases(request, clock, tmp_path):
    """The database of the queue, and another one that has a counter."""
    with storages.opened_group(request.param, request, tmp_path, ("main", "content")) as databases:
        with databases["content"].transaction() as connection:
            connection.root()["counter"] = calls.Counter()
        yield databases


@pytest.fixture
def receipts(databases):
    """Have jobs leave receipts."""
    zc.async_.running.receipts.install(databases["content"])
    zc.async_.running.receipts.install(databases["content"])


@pytest.fixture
def client(databases, connect):
    """A client of the queue."""
    client = connect(databases["main"])
    calls.make_queue(client)
    return client


def counter(client):
    return client.connection.get_connection("content").root()["counter"]


def count(by=1):
    """Count in the other database; return something plain."""
    job = zc.async_.local.getJob()
    counter = job._p_jar.get_connection("content").root()["counter"]
    counter.count += by
    return counter.count


def count_and_return_record():
    count()
    return calls.Log()


class Worker:
    """A process: a connection, and an agent whose jobs are run in it."""

    def __init__(self, client, number, clock):
        self.client = client
        self.agent = client.agent(uuid.UUID(int=number))
        self.clock = clock

    def claim(self):
        self.client.begin()
        self.agent.queue.dispatchers.ping(self.agent.parent.UUID)
        job = self.agent.claimJob()
        if job is not None:
            job.activate_at(self.clock.time)
        self.client.commit()
        return job

    def look(self):
        """Say that it lives, and see who does not."""
        self.client.begin()
        self.agent.queue.dispatchers.ping(self.agent.parent.UUID)
        self.client.commit()

    def run(self):
        job = self.claim()
        running.run_claimed(job, job.claim_token)

    def run_all(self):
        while True:
            self.client.begin()
            self.agent.queue.dispatchers.ping(self.agent.parent.UUID)
            system = self.agent.parent.system_agent.claimJob()
            self.client.commit()
            if system is not None:
                system()
                continue
            job = self.claim()
            if job is None:
                return
            running.run_claimed(job, job.claim_token)

    def die_in_commit(self, first):
        """Run a job, and die after the database `first` has finished its commit."""
        job = self.claim()
        connections = self.client.connection.connections
        connections.setdefault("content", self.client.connection.get_connection("content"))
        with pytest.MonkeyPatch.context() as patch:
            for name, connection in connections.items():
                patch.setattr(connection, "sortKey", lambda n=name: "12"[n != first])
                if name != first:
                    finish = connection._storage.tpc_finish
                    patch.setattr(connection._storage, "tpc_finish", die_if_deadly(finish))
            with pytest.raises(SystemExit):
                running.run_claimed(job, job.claim_token)


#: Whether whoever is to die does so in the next commit.
deadly = []

#: One for each call of `count_once_deadly`.
times = []


def die_if_deadly(finish):
    def die_or_finish(*args):
        if deadly:
            raise SystemExit
        return finish(*args)

    return die_or_finish


@pytest.fixture
def dead(client, connect, clock, databases):
    """Puts a job, and has a process die in its commit; returns another process."""

    def dead(first, job, in_job=True, **options):
        deadly[:] = [True] if in_job else []
        times.clear()
        other = connect(databases["main"])
        worker = Worker(other, 1, clock)
        job = client.put(job, **options)
        client.commit()
        worker.die_in_commit(first)
        deadly.clear()
        successor = Worker(connect(databases["main"]), 2, clock)
        clock.watch(successor.look, 63)
        successor.run_all()
        client.begin()
        return job

    return dead


def test_a_job_that_took_effect_and_does_not_know_it_is_not_run_again(
    client, dead, receipts, caplog
):
    job = dead("content", Job(count))
    assert (job.status, job.result) == (COMPLETED, 1)
    assert counter(client).count == 1
    assert "as its receipt says" in caplog.text


def test_a_result_that_is_no_plain_value_is_lost_with_the_process(client, dead, receipts):
    job = dead("content", Job(count_and_return_record))
    assert (job.status, job.result) == (COMPLETED, None)
    assert counter(client).count == 1


def test_a_job_that_took_effect_only_in_the_queue_runs_again(client, dead, receipts, caplog):
    job = dead("main", Job(count))
    assert (job.status, job.result) == (COMPLETED, 1)
    assert counter(client).count == 1
    assert "took no effect before a crash" in caplog.text


def test_callbacks_of_such_jobs_are_performed_once(client, dead, receipts, happened):
    for first in ("content", "main"):
        job = Job(count)
        callback = job.addCallback(calls.happen)
        dead(first, job)
        assert (job.status, callback.status) == (COMPLETED, COMPLETED)
    assert happened == [(1,), (2,)]


def count_once_deadly(*args):
    """Count; the first time it is the commit of this that is not survived."""
    if not times:
        deadly.append(True)
    times.append(1)
    return count()


@pytest.mark.parametrize("first", ["content", "main"])
@pytest.mark.parametrize("policy", [None, NeverRetry])
@pytest.mark.parametrize("behind_another", [False, True])
def test_a_callback_takes_effect_once_too(
    client, dead, receipts, happened, first, policy, behind_another
):
    job = Job(calls.nothing)
    owner = job.addCallback(calls.happen) if behind_another else job
    callback = owner.addCallback(Job(count_once_deadly), retry_policy_factory=policy)
    last = callback.addCallback(calls.happen)
    dead(first, job, in_job=False)
    assert [one.status for one in (job, owner, callback, last)] == [COMPLETED] * 4
    if policy is NeverRetry:
        assert callback.result.check(zc.async_.interfaces.AbortedError)
        assert counter(client).count == (first == "content")
    else:
        assert callback.result == 1
        assert counter(client).count == 1


def test_a_job_that_must_not_run_twice_does_not(client, dead, receipts):
    job = dead("main", Job(count), retry_policy_factory=NeverRetry)
    assert job.result.check(zc.async_.interfaces.AbortedError)
    assert counter(client).count == 0


@pytest.mark.parametrize(("first", "times"), [("content", 2), ("main", 0)])
def test_without_receipts_nobody_knows(client, dead, first, times):
    """At least once, if the queue comes last; its name decides that."""
    job = dead(first, Job(count))
    assert job.status == COMPLETED
    assert counter(client).count == times


def test_a_job_that_changes_the_queues_database_only_leaves_none(client, clock, receipts):
    worker = Worker(client, 1, clock)
    job = client.put(calls.nothing)
    worker.run()
    assert job.receipt_databases == ()
    content = client.connection.get_connection("content").root()
    assert len(content[zc.async_.running.receipts.KEY].current) == 1


def test_a_process_without_the_other_database_says_so(client, clock, receipts, caplog):
    worker = Worker(client, 1, clock)
    job = client.put(count)
    worker.run()
    job.receipt_databases = ("elsewhere",)
    assert not zc.async_.running.receipts.is_without_effect(job)
    assert "has no database 'elsewhere'" in caplog.text


# How they are stored says nothing about how many there may be.
@pytest.mark.parametrize("databases", ["FileStorage"], indirect=True)
def test_the_last_of_many_callbacks_in_a_row_may_be_the_one_without_effect(client, receipts):
    job = Job(calls.nothing)
    last = calls.add_chain(job, 1500)
    client.put(job)
    client.queue.remove(job)
    client.commit()
    job()
    assert not zc.async_.running.receipts.undo_without_effect(job)
    last.receipt_databases = ("content",)
    assert zc.async_.running.receipts.undo_without_effect(job)
    assert (job.status, last.status) == (CALLBACKS, ACTIVE)


def test_old_receipts_are_dropped(clock):
    receipts = zc.async_.running.receipts.Receipts()
    receipts.add(b"a", (1, None))
    clock.advance(days=8)
    receipts.add(b"b", (1, None))
    assert receipts.get(b"a") == (1, None)
    clock.advance(days=8)
    receipts.add(b"c", (1, None))
    assert [receipts.get(key) for key in (b"a", b"b", b"c")] == [None, (1, None), (1, None)]


def test_a_job_that_is_interrupted_before_its_commit_leaves_none_and_runs_again(
    client, connect, databases, clock, receipts
):
    worker = Worker(connect(databases["main"]), 1, clock)
    job = client.put(count)
    worker.claim()
    client.begin()
    assert job.status == ACTIVE
    Worker(connect(databases["main"]), 2, clock)
    third = Worker(connect(databases["main"]), 3, clock)
    clock.watch(third.look, 63)
    third.run_all()
    client.begin()
    assert job.status != PENDING
    assert counter(client).count == 1
