"""The answer to a commit is lost, and then the server is away: nothing is done a second time.

What a client has in its cache says nothing then of what became of the commit.
"""

import concurrent.futures
import contextlib
import logging

import pytest
import ZEO
from twisted.internet.defer import Deferred

from benchmarks import storages
from benchmarks.workers import wait_until
from tests import zeoservers
from tests.races import parties
from tests.races.parties import call_hook, done, set_hook
from tests.torture.proxy import Proxy
from zc.async_ import local, utils
from zc.async_.interfaces import ACTIVE, COMPLETED, KEY, NEW, ReassignedError
from zc.async_.job import Job

pytestmark = pytest.mark.slow

#: Seconds that something is given which is to happen; and that a client waits for its server.
PATIENCE = 90
CLIENT_PATIENCE = 0.5

#: Deferreds that jobs returned; the last one is fired when the server is back.
fired = []


@pytest.fixture(autouse=True)
def clean():
    yield
    fired.clear()


class _Zeo:
    """A ZEO server, and what tells of its commits."""

    #: A word of the request by which a client has a transaction committed.
    word = b"tpc_finish"

    def __init__(self, running, direct):
        self.address = running.address
        self._direct = direct

    @contextlib.contextmanager
    def open(self, address):
        """The database, as a client behind the network has it."""
        with contextlib.closing(ZEO.DB(address, wait_timeout=CLIENT_PATIENCE)) as database:
            yield database

    def last(self):
        """The last transaction."""
        self._direct.storage.ping()
        return self._direct.storage.lastTransaction()


class _Postgres:
    """The same of a PostgreSQL server."""

    word = b"lock_and_choose_tid_and_move"

    def __init__(self, postgres, zodb):
        self.address = "127.0.0.1", postgres.port
        self._postgres = postgres
        self._zodb = zodb

    def open(self, address):
        return self._zodb.through(address[1]).database()

    def last(self):
        with self._postgres.cursor(self._zodb.name) as cursor:
            cursor.execute("SELECT max(tid) FROM object_state")
            return cursor.fetchone()[0]


@pytest.fixture(params=["ZEO", pytest.param("RelStorage", marks=pytest.mark.slow)])
def server(request, tmp_path):
    """A server with an empty queue."""
    if request.param == "ZEO":
        with zeoservers.server(tmp_path) as running, running.database() as direct:
            yield _Zeo(running, direct)
        return
    zodb = request.getfixturevalue("zodb")
    with zodb.database() as database:
        storages.add_queue(database)
    yield _Postgres(request.getfixturevalue("postgres"), zodb)


@pytest.fixture
def proxy(server):
    with Proxy(server.address).running() as running:
        yield running


@pytest.fixture
def database(server, proxy):
    with server.open(proxy.address) as database:
        yield database


@pytest.fixture
def lose_answer(server, proxy, monkeypatch):
    """Loses the answer to the next commit; the server is away then until somebody waits for it."""
    monkeypatch.setattr(utils, "DISCONNECTED_BACKOFF", (0.05, 0.05, 0.1))
    monkeypatch.setattr(utils.log, "level", logging.DEBUG)
    handler = _Reopens(proxy)
    utils.log.addHandler(handler)
    with concurrent.futures.ThreadPoolExecutor(1) as thread:

        def go_away(before):
            assert proxy.sprung.wait(PATIENCE)
            wait_until(lambda: server.last() != before, PATIENCE)
            proxy.close()

        def lose_answer():
            proxy.hold_replies_from(server.word)
            handler.lost = thread.submit(go_away, server.last())

        yield lose_answer
        handler.lost.result(PATIENCE)
    utils.log.removeHandler(handler)


class _Reopens(logging.Handler):
    """Lets the server be reached when somebody finds that it is away, and tries again later."""

    def __init__(self, proxy):
        super().__init__()
        self._proxy = proxy
        self.lost = None

    def emit(self, record):
        if "database out of reach" in record.getMessage():
            self.lost.result(PATIENCE)
            if fired and not fired[-1].called:
                fired[-1].callback(42)
            self._proxy.open()


# -- what is committed with the answer lost


def nothing(*args):
    done.append("nothing")


def return_number(*args):
    done.append("act")
    # What is to be committed with the result.
    local.getJob()._p_jar.root()["acts"] = len(done)
    call_hook()
    return 42


def return_new_job(*args):
    return_number()
    return local.getJob()._p_jar.root()[KEY][""].put(Job(nothing))


def return_kept_job(*args):
    return_number()
    return local.getJob()._p_jar.root()["kept"]


def return_deferred(*args):
    return_number()
    fired.append(Deferred())
    return fired[-1]


@pytest.fixture
def client(database):
    with contextlib.closing(parties.Client(database)) as client:
        client.root["kept"] = Job(nothing)
        client.manager.commit()
        yield client


@pytest.fixture
def dispatcher(client, database):
    with contextlib.closing(parties.Dispatcher(database)) as dispatcher:
        yield dispatcher


@pytest.fixture
def run_with_lost_answer(client, dispatcher, lose_answer):
    """Puts, claims and runs a job, whose next commit from `call_hook` on has no answer."""

    def run(job):
        client.queue.put(job)
        client.manager.commit()
        (claimed,) = dispatcher.claim()
        set_hook(lose_answer)
        deferred = None
        try:
            deferred = dispatcher.run(claimed)
        except ReassignedError:
            # As a dispatcher does with what its worker gave up.
            for other in dispatcher.poll(lost={(claimed.job_id, claimed.token)}).jobs:
                dispatcher.run(other)
        client.manager.begin()
        return deferred

    return run


@pytest.fixture
def end(client, dispatcher, clock):
    """Does all that is left, what waits for its time as well."""

    def end():
        if client.root["kept"].status == NEW:
            client.root["kept"]()
        dispatcher.work()
        clock.advance(60)
        dispatcher.work()
        client.manager.begin()

    return end


@pytest.mark.parametrize("call", [return_number, return_new_job, return_kept_job])
def test_a_job_whose_commit_cannot_be_seen_for_a_while_does_not_run_again(
    run_with_lost_answer, end, call
):
    job = Job(call)
    run_with_lost_answer(job)
    end()
    assert done.count("act") == 1
    assert (job.status, job.result) == (COMPLETED, 42 if call is return_number else None)


def test_a_job_whose_deferred_is_waited_for_does_not_run_again(client, run_with_lost_answer):
    job = Job(return_deferred)
    assert run_with_lost_answer(job) is fired[0]
    assert done == ["act"]
    assert job.status == ACTIVE


@pytest.mark.parametrize("call", [return_number, return_new_job, return_kept_job, return_deferred])
def test_a_callback_whose_commit_cannot_be_seen_for_a_while_does_not_run_again(
    run_with_lost_answer, end, call
):
    job = Job(nothing)
    callback = job.addCallback(call)
    run_with_lost_answer(job)
    end()
    assert done.count("act") == 1
    numbers = call in (return_number, return_deferred)
    assert (callback.status, callback.result) == (COMPLETED, 42 if numbers else None)
    assert job.status == COMPLETED
