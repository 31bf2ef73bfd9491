"""Commits that the server does after their connections were lost: nothing is done twice for them.

While the connection is cut, the server waits for a lock: this is as if it were slow.
"""

import concurrent.futures
import contextlib
import threading

import pytest

import zc.async_.configure
from benchmarks.workers import wait_until
from tests.processes import Entry
from tests.races import parties
from tests.relstorage.test_out_of_reach import committers, forget, waiting_for
from zc.async_ import local, utils
from zc.async_.interfaces import COMPLETED, PENDING, ReassignedError
from zc.async_.job import Job, NeverRetry
from zc.async_.running import callback_runs

#: Seconds for another thread to do as it was told.
PATIENCE = 90


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Nobody waits long for the database."""
    zc.async_.configure.base()
    monkeypatch.setattr(utils, "DISCONNECTED_BACKOFF", (0.01, 0.01, 0.05))
    yield
    parties.done.clear()


@pytest.fixture
def client(database):
    """One who sees the database while the other one is cut off."""
    parties.make_queue(database)
    with contextlib.closing(parties.Client(database)) as client:
        client.root["entry"] = Entry()
        client.manager.commit()
        yield client


@pytest.fixture
def dispatcher(cut_off, client):
    """One whose connections can be cut."""
    with contextlib.closing(parties.Dispatcher(cut_off)) as dispatcher:
        yield dispatcher


class Slow:
    """Holds the lock which each commit takes last, until it lets go of it."""

    def __init__(self, cursor):
        self.cursor = cursor
        cursor.execute("SELECT pg_advisory_lock(-1)")

    def let_go(self):
        self.cursor.execute("SELECT pg_advisory_unlock(-1)")

    def wait_for_commit(self):
        """Wait until somebody commits, who has to wait."""
        wait_until(lambda: committers(self.cursor) == 1, PATIENCE)

    def wait_for_look(self, job):
        """Wait until somebody looks what became of a job, who has to wait."""
        wait_until(lambda: waiting_for(self.cursor, job._p_oid), PATIENCE)


@pytest.fixture
def slow_down(server, zodb):
    """Has the server be slow with commits from now on."""
    with contextlib.ExitStack() as stack:
        yield lambda: Slow(stack.enter_context(server.cursor(zodb.name)))


def act():
    """Take effect in the database, and elsewhere."""
    parties.done.append("act")
    local.getJob()._p_jar.root()["entry"].count += 1
    return 42


def run(dispatcher, claimed):
    """Run a job as a worker does; return what it gave up for."""
    try:
        dispatcher.run(claimed)
    except ReassignedError as error:
        return error
    return None


@pytest.mark.parametrize("policy", [None, NeverRetry])
def test_a_job_that_the_server_commits_later_does_not_run_again(
    dispatcher, client, proxy, slow_down, policy
):
    job = client.put(Job(act), retry_policy_factory=policy)
    (claimed,) = dispatcher.claim()
    slow = slow_down()
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        running = thread.submit(run, dispatcher, claimed)
        slow.wait_for_commit()
        proxy.cut()
        # It looks what became of it, and has to wait for that.
        slow.wait_for_look(job)
        assert parties.done == ["act"]
        slow.let_go()
        assert running.result(PATIENCE) is None
    assert parties.done == ["act"]
    client.manager.begin()
    assert (job.status, job.result, client.root["entry"].count) == (COMPLETED, 42, 1)


def test_a_job_that_the_server_rolls_back_later_is_tried_again(
    dispatcher, client, proxy, slow_down
):
    job = client.put(Job(act))
    (claimed,) = dispatcher.claim()
    slow = slow_down()
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        running = thread.submit(run, dispatcher, claimed)
        slow.wait_for_commit()
        slow.cursor.execute("SELECT pid FROM pg_locks WHERE classid = 4294967295 AND NOT granted")
        (committing,) = slow.cursor.fetchone()
        proxy.cut()
        slow.wait_for_look(job)
        slow.cursor.execute("SELECT pg_terminate_backend(%s)", (committing,))
        slow.let_go()
        assert running.result(PATIENCE) is None
    client.manager.begin()
    assert (job.status, client.root["entry"].count) == (PENDING, 0)
    assert list(client.queue) == [job]


def test_a_claim_that_the_server_commits_later_is_waited_for_by_the_next_poll(
    dispatcher, client, proxy, slow_down
):
    job = client.put(Job(act), retry_policy_factory=NeverRetry)
    slow = slow_down()
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        polling = thread.submit(dispatcher.poll)
        slow.wait_for_commit()
        proxy.cut()
        outcome = polling.result(PATIENCE)
        assert (outcome.jobs, outcome.failed) == ([], True)
        polling = thread.submit(dispatcher.poll)
        slow.wait_for_look(job)
        assert not polling.done()
        slow.let_go()
        outcome = polling.result(PATIENCE)
    # No worker had it: it is claimed anew, and no policy is asked.
    claimed = outcome.jobs or dispatcher.claim()
    assert [one.job_id[0] for one in claimed] == [job._p_oid]
    dispatcher.run(claimed[0])
    client.manager.begin()
    assert (job.status, job.result, client.root["entry"].count) == (COMPLETED, 42, 1)
    assert parties.done == ["act"]


def test_a_put_that_the_server_commits_later_is_there_once(client, cut_off, proxy, slow_down):
    """Who put it does not know; what he puts again has another identity."""
    slow = slow_down()
    with (
        contextlib.closing(parties.Client(cut_off)) as other,
        concurrent.futures.ThreadPoolExecutor(1) as thread,
    ):
        other.manager.begin()
        putting = thread.submit(other.put, Job(act))
        slow.wait_for_commit()
        proxy.cut()
        with pytest.raises(utils.DISCONNECTED_ERRORS):
            putting.result(PATIENCE)
        other.manager.abort()
        slow.let_go()

        def arrived():
            client.manager.begin()
            return len(client.queue) == 1

        wait_until(arrived, PATIENCE)
        # The lane of the connection is as the server has it.
        other.put(Job(act))
        client.manager.begin()
        assert len(client.queue) == 2
        assert len(list(client.queue)) == 2


def act_and_let_act():
    act()
    parties.call_hook()


def test_a_worker_that_was_cut_off_while_its_job_was_given_to_another_commits_nothing(
    dispatcher, client, database, proxy
):
    with contextlib.closing(parties.Dispatcher(database)) as sibling:
        job = client.put(Job(act_and_let_act))
        (claimed,) = dispatcher.claim()

        def bury():
            proxy.close()
            client.manager.begin()
            client.queue.dispatchers[dispatcher.uuid].deactivate()
            client.manager.commit()
            sibling.work()
            proxy.open()

        parties.set_hook(bury)
        assert isinstance(run(dispatcher, claimed), ReassignedError)
    client.manager.begin()
    assert (job.status, client.root["entry"].count) == (COMPLETED, 1)
    assert parties.done == ["act", "act"]


#: What `lose_the_server` does, once.
hooks = []


def lose_the_server():
    """Load something while the server is out of reach."""
    jar = local.getJob()._p_jar
    if hooks:
        hooks.pop()()
        forget(jar)
    return jar.root()["entry"].count


@pytest.mark.parametrize("policy", [None, NeverRetry])
def test_a_job_that_loses_the_server_comes_to_an_end(dispatcher, client, proxy, policy, caplog):
    """Nothing of what is done after its try needs the server; its policy says what follows."""
    timer = threading.Timer(0.3, proxy.open)

    def lose():
        proxy.close()
        timer.start()

    hooks.append(lose)
    job = client.put(Job(lose_the_server), retry_policy_factory=policy)
    (claimed,) = dispatcher.claim()
    dispatcher.run(claimed)
    timer.join()
    client.manager.begin()
    # It waits for another try, or has failed.
    assert (job.status, job.claim_token) == (PENDING if policy is None else COMPLETED, 1)
    assert "tearDown" not in caplog.text


def note_end(entry, result):
    """A callback."""
    entry.count += 1


def test_a_callback_that_was_chosen_is_performed_though_the_server_is_lost(
    dispatcher, client, proxy, monkeypatch
):
    """What was loaded before the choice was committed has to be loaded again."""
    timer = threading.Timer(0.3, proxy.open)
    choose = callback_runs._choose

    def choose_and_lose(*args):
        chosen = choose(*args)
        if not timer.ident:
            proxy.close()
            timer.start()
            forget(chosen._p_jar)
        return chosen

    monkeypatch.setattr(callback_runs, "_choose", choose_and_lose)
    job = client.queue.put(Job(act))
    job.addCallbacks(Job(note_end, client.root["entry"]))
    client.manager.commit()
    (claimed,) = dispatcher.claim()
    assert run(dispatcher, claimed) is None
    timer.join()
    client.manager.begin()
    assert (job.status, client.root["entry"].count) == (COMPLETED, 2)
