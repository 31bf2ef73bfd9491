"""Dispatchers on real reactors of Twisted."""

import contextlib
import operator
import textwrap
import threading
import uuid

import pytest
import transaction
import ZODB
from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.internet.selectreactor import SelectReactor
from ZODB.FileStorage import FileStorage

import zc.async_
import zc.async_.subscribers
import zc.async_.testing
from tests import storages
from tests.dispatcher import choosers, work
from tests.dispatcher.conftest import PATIENCE
from tests.programs import run_program
from zc.async_.agent import Agent
from zc.async_.dispatcher import Dispatcher
from zc.async_.interfaces import COMPLETED, KEY, DatabaseOpened
from zc.async_.job import Job, parallel
from zc.async_.process import registry
from zc.async_.queue import Queue
from zc.async_.subscribers import QueueInstaller
from zc.async_.testing import wait_for_result

#: Seconds: no test waits for a poll to come by itself.
LONG = 1000


@pytest.fixture(params=storages.KINDS)
def db(request, tmp_path):
    """A database of each kind: where nothing is polled for, all have to give notice."""
    with storages.opened(request.param, request, tmp_path) as database:
        yield database


@pytest.fixture
def start(database, install_agent):
    """Starts dispatchers on reactors of their own, in threads; they are torn down in the end."""
    started = []

    def start(threaded=False, poll_interval=LONG, other=None, **options):
        install_agent()
        dispatcher = Dispatcher(
            other or database, SelectReactor(), poll_interval, uuid=uuid.uuid4(), **options
        )
        dispatcher.activate(threaded=threaded)
        dispatcher.thread = threading.Thread(
            target=dispatcher.reactor.run,
            kwargs={"installSignalHandlers": False},
            name=f"zc.async dispatcher {dispatcher.UUID}",
            daemon=True,
        )
        dispatcher.thread.start()
        started.append(dispatcher)
        zc.async_.testing.get_poll(dispatcher, 0, PATIENCE)
        return dispatcher

    yield start
    work.gate.set()
    for dispatcher in started:
        zc.async_.testing.tear_down_dispatcher(dispatcher)


@pytest.fixture(params=[False, True], ids=["polls in the reactor", "polls in threads"])
def dispatcher(start, request):
    """A dispatcher of either kind."""
    return start(request.param)


def test_a_put_starts_the_job_without_a_further_poll(dispatcher, put):
    job = put(Job(operator.mul, 6, 7))
    assert wait_for_result(job, PATIENCE) == 42
    assert len(dispatcher.polls) == 1


def test_many_jobs_are_done_without_a_further_poll(dispatcher, put, client):
    jobs = [client.queue.put(client.root["counter"].increase) for _ in range(2)]
    jobs += [client.queue.put(work.answer) for _ in range(60)]
    client.manager.commit()
    for job in jobs:
        wait_for_result(job, PATIENCE)
    assert client.root["counter"].count == 2


def test_parallel_jobs_deferreds_and_callbacks_get_on(dispatcher, put, client):
    job = client.queue.put(parallel(work.answer, work.answer, postprocess=work.add))
    job.addCallback(client.root["log"].note)
    deferred = client.queue.put(work.defer)
    client.manager.commit()
    assert wait_for_result(job, PATIENCE) == 84
    zc.async_.testing.wait_until(lambda: work.deferreds, PATIENCE, "no deferred")
    dispatcher.reactor.callFromThread(work.deferreds[0].callback, 43)
    assert wait_for_result(deferred, PATIENCE) == 43
    client.manager.begin()
    assert client.root["log"].entries == ((84,),)


def test_a_stop_gives_grace_and_then_hands_everything_back(start, put, client):
    dispatcher = start(shutdown_grace_period=PATIENCE)
    job = put(work.wait)
    zc.async_.testing.wait_for_start(job, PATIENCE)
    dispatcher.reactor.callFromThread(dispatcher.reactor.stop)
    zc.async_.testing.wait_until(lambda: not dispatcher.activated, PATIENCE, "not stopped")
    assert dispatcher.thread.is_alive()
    work.gate.set()
    dispatcher.thread.join(PATIENCE)
    assert not dispatcher.thread.is_alive()
    client.manager.begin()
    assert job.result == "waited"
    assert client.queue.dispatchers[dispatcher.UUID].activated is None


def test_two_dispatchers_of_one_database_share_the_work(start, client):
    dispatchers = [start(), start(threaded=True)]
    jobs = [client.queue.put(work.answer) for _ in range(60)]
    client.manager.commit()
    for job in jobs:
        wait_for_result(job, PATIENCE)
    started = [dispatcher.getStatistics()["started"] for dispatcher in dispatchers]
    assert sum(started) >= 60
    assert work.happened == ["answer"] * 60


def test_a_chooser_that_ends_its_thread_ends_no_dispatcher(start, put, client):
    dispatcher = start(poll_interval=0.05)
    client.manager.begin()
    agents = client.queue.dispatchers[dispatcher.UUID]
    agents["main"].chooser = choosers.choose_and_leave
    job = put(work.answer)
    assert wait_for_result(job, PATIENCE) == 42
    # The first time it was asked, and the second.
    assert work.happened.count("leave") >= 2


def stop_reactor(*args):
    """Have the reactor stopped, as soon as it can be."""
    reactor = zc.async_.local.getReactor()
    reactor.callFromThread(reactor.stop)
    return "stopped"


def stop_dispatcher(*args):
    dispatcher = zc.async_.local.getDispatcher()
    dispatcher.reactor.callFromThread(dispatcher.deactivate)
    return "stopped"


@pytest.mark.parametrize("as_callback", [False, True])
@pytest.mark.parametrize("stop", [stop_reactor, stop_dispatcher])
def test_a_job_or_callback_that_stops_its_dispatcher_ends_and_does_not_run_again(
    start, client, stop, as_callback
):
    for _trial in range(4):
        dispatcher = start()
        job = client.queue.put(work.answer if as_callback else stop)
        stopping = job.addCallback(stop) if as_callback else job
        client.manager.commit()
        _wait_for_end(dispatcher)
        client.manager.begin()
        assert (job.status, stopping.result) == (COMPLETED, "stopped")
        assert list(client.queue) == []


def _wait_for_end(dispatcher):
    zc.async_.testing.wait_until(lambda: not dispatcher.activated, PATIENCE, "not stopped")
    dispatcher.reactor.callFromThread(_stop, dispatcher.reactor)
    dispatcher.thread.join(PATIENCE)


def _stop(reactor):
    with contextlib.suppress(ReactorNotRunning):
        reactor.stop()


def defer_to_reactor():
    deferred = Deferred()
    reactor = registry.dispatchers()[0].reactor
    reactor.callFromThread(reactor.callLater, 0, deferred.callback, 42)
    return deferred


async def await_reactor():
    return (await defer_to_reactor()) + 1


@pytest.mark.parametrize(("call", "result"), [(defer_to_reactor, 42), (await_reactor, 43)])
def test_a_job_that_is_called_by_hand_waits_for_what_a_reactor_in_another_thread_brings(
    start, client, call, result
):
    start()
    job = client.root["job"] = Job(call)
    client.manager.commit()
    assert job() == result


@pytest.mark.parametrize(
    ("db", "trials"),
    [
        ("FileStorage", 50),
        pytest.param("FileStorage", 500, marks=pytest.mark.slow),
        pytest.param("ZEO", 500, marks=pytest.mark.slow),
        pytest.param("RelStorage", 100, marks=pytest.mark.slow),
        pytest.param("RelStorage with history", 100, marks=pytest.mark.slow),
    ],
    indirect=["db"],
)
def test_a_job_that_puts_another_commits_and_returns_it_runs_once(start, put, trials):
    start()
    for _trial in range(trials):
        assert wait_for_result(put(delegate), PATIENCE) == 42
    assert work.happened.count("delegate") == trials


def delegate():
    work.happened.append("delegate")
    inner = zc.async_.local.getQueue().put(Job(operator.mul, 6, 7))
    transaction.commit()
    return inner


#: A Twisted application with a dispatcher on the installed reactor.
APPLICATION = """
    import ZODB, ZODB.FileStorage, transaction
    import twisted.internet.reactor as reactor
    import zc.async_.configure, zc.async_.dispatcher
    from zc.async_.interfaces import COMPLETED, IQueue
    from tests.dispatcher import work

    db = ZODB.DB(ZODB.FileStorage.FileStorage("data.fs"))
    zc.async_.configure.base()
    zc.async_.configure.start(db, poll_interval=1000, twisted=True)
    dispatcher = zc.async_.dispatcher.get()
    dispatcher.shutdown_grace_period = GRACE
    connection = db.open()
    jobs = []

    def put():
        jobs.append(IQueue(connection).put(work.answer))
        jobs.append(IQueue(connection).put(work.wait))
        transaction.commit()
        look()

    def look():
        transaction.begin()
        if jobs[0].status == COMPLETED and "wait" in work.happened:
            print(jobs[0].result, dispatcher._schedule.threaded, len(dispatcher.polls))
            reactor.callLater(0, reactor.stop)
            reactor.addSystemEventTrigger("during", "shutdown", print, "during")
            if GRACE:
                reactor.addSystemEventTrigger("before", "shutdown", work.gate.set)
        else:
            reactor.callLater(0.01, look)

    reactor.callWhenRunning(put)
    reactor.run()
    work.gate.set()
    transaction.begin()
    print(jobs[1].result, jobs[1].status, len(IQueue(connection)))
"""


@pytest.mark.parametrize(
    ("grace", "end"),
    [(0, "None active-status 1"), (60, "waited completed-status 0")],
    ids=["without grace", "with grace"],
)
def test_on_the_installed_reactor_jobs_run_and_a_stop_hands_back(tmp_path, grace, end):
    process = run_program(tmp_path, f"GRACE = {grace}\n{textwrap.dedent(APPLICATION)}")
    assert (process.stdout, process.stderr) == (f"42 True 1\nduring\n{end}\n", "")
    assert process.returncode == 0


# -- what is new is served at once, long before the next poll


def test_a_queue_that_is_added_is_served_at_once(dispatcher, client):
    client.manager.begin()
    queue = client.root[KEY]["new"] = Queue()
    client.manager.commit()
    client.manager.begin()
    job = queue.put(Job(operator.mul, 6, 7))
    client.manager.commit()
    assert wait_for_result(job, PATIENCE) == 42


def test_a_queue_that_is_added_with_a_job_is_served_at_once(dispatcher, client):
    client.manager.begin()
    queue = client.root[KEY]["new"] = Queue()
    client.connection.add(queue)
    job = queue.put(Job(operator.mul, 6, 7))
    client.manager.commit()
    assert wait_for_result(job, PATIENCE) == 42


@pytest.fixture
def database_without_queues(tmp_path, base):
    """A database whose root has no queues."""
    database = ZODB.DB(FileStorage(str(tmp_path / "other.fs")))
    yield database
    database.close()


def test_queues_of_a_database_that_had_none_are_served_at_once(
    database_without_queues, start, connect
):
    start(other=database_without_queues)
    QueueInstaller()(DatabaseOpened(database_without_queues))
    client = connect(database_without_queues)
    job = client.queue.put(Job(operator.mul, 6, 7))
    client.manager.commit()
    assert wait_for_result(job, PATIENCE) == 42


def test_queues_that_are_added_to_another_database_are_served_at_once(
    two_databases, start, connect
):
    start(other=two_databases["content"])
    client = connect(two_databases["content"])
    queues = client.root[KEY]
    queues["new"] = Queue()
    client.manager.commit()
    client.manager.begin()
    job = queues["new"].put(Job(operator.mul, 6, 7))
    client.manager.commit()
    assert wait_for_result(job, PATIENCE) == 42


def test_an_agent_that_is_added_works_at_once(dispatcher, client):
    client.manager.begin()
    agents = client.queue.dispatchers[dispatcher.UUID]
    agents["main"].size = 0
    client.manager.commit()
    job = client.queue.put(Job(operator.mul, 6, 7))
    client.manager.commit()
    client.manager.begin()
    agents["new"] = Agent()
    client.manager.commit()
    assert wait_for_result(job, PATIENCE) == 42


def test_a_quota_that_is_changed_holds_at_once(dispatcher, client):
    client.manager.begin()
    client.queue.quotas.create("one", size=0)
    job = client.queue.put(Job(operator.mul, 6, 7))
    job.quota_names = ["one"]
    client.manager.commit()
    client.queue.quotas["one"].size = 1
    client.manager.commit()
    assert wait_for_result(job, PATIENCE) == 42


def test_the_threads_of_a_queue_that_is_removed_end_at_once(dispatcher, client):
    client.manager.begin()
    queue = client.root[KEY]["new"] = Queue()
    client.manager.commit()
    job = queue.put(Job(operator.mul, 6, 7))
    client.manager.commit()
    wait_for_result(job, PATIENCE)
    # The reactor's thread notes a thread when it has started it.
    pool = dispatcher.queues["new"]["main"]
    zc.async_.testing.wait_until(lambda: pool.threads, PATIENCE, "no thread")
    (thread,) = pool.threads
    client.manager.begin()
    del client.root[KEY]["new"]
    client.manager.commit()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert "new" not in dispatcher.queues
