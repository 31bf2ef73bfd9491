"""Jobs that open connections of their own to the databases of their queue."""

import contextlib
import threading

import persistent
import pytest
import transaction

import zc.async_
from tests.dispatcher import work
from tests.races.parties import make_queue
from tests.zeoservers import server
from zc.async_.interfaces import COMPLETED, KEY
from zc.async_.job import Job, RetryCommonForever
from zc.async_.running.participants import TwoConnectionsError
from zc.twist import Failure


def database_of_job(name=None):
    """The database of this thread's job, or another of its group."""
    database = zc.async_.local.getJob()._p_jar.db()
    return database if name is None else database.databases[name]


@contextlib.contextmanager
def second(name=None, manager=None):
    """Another connection, closed in the end."""
    connection = database_of_job(name).open(manager)
    try:
        yield connection
    finally:
        connection.transaction_manager.abort()
        connection.close()


def own():
    """The connection of the job."""
    return zc.async_.local.getJob()._p_jar


def by_second(*args):
    """Change something by another connection, and commit by the thread's manager."""
    with second() as connection:
        connection.root()["counter"].increase()
        transaction.commit()
    return "done"


def by_several(*args):
    """One after the other; all are open at once, and take part once each."""
    with second() as first, second() as another, second() as third:
        for connection in (first, another, third):
            connection.root()["counter"].increase()
            transaction.commit()
        assert first.root()["counter"].count == third.root()["counter"].count
    return "done"


def by_second_and_own(*args):
    """Alternately."""
    with second() as connection:
        for one in (connection, own(), connection, own()):
            one.root()["counter"].increase()
            transaction.commit()
    return "done"


def by_manager_of_its_own(*args):
    """Twice, and change something by the job's connection in between."""
    with second(manager=transaction.TransactionManager()) as connection:
        for _number in range(2):
            connection.root()["counter"].increase()
            connection.transaction_manager.commit()
    own().root()["done"] = True
    return "done"


def by_context_manager(*args):
    with database_of_job().transaction() as connection:
        connection.root()["counter"].increase()
    return "done"


def left_open(*args):
    """Never closed."""
    connection = database_of_job().open()
    connection.root()["counter"].increase()
    transaction.commit()
    return "done"


GOOD = [
    (by_second, 1),
    (by_several, 3),
    (by_second_and_own, 4),
    (by_manager_of_its_own, 2),
    (by_context_manager, 1),
    (left_open, 1),
]


def both(*args):
    """Change something by two connections in one transaction, and commit."""
    work.happened.append("both")
    with second() as connection:
        connection.root()["counter"].increase()
        own().root()["done"] = True
        transaction.commit()


def two_others(*args):
    work.happened.append("two_others")
    with second() as first, second() as another:
        first.root()["counter"].increase()
        another.root()["done"] = True
        transaction.commit()


def two_of_a_manager(*args):
    work.happened.append("two_of_a_manager")
    manager = transaction.TransactionManager()
    with second(manager=manager) as first, second(manager=manager) as another:
        first.root()["counter"].increase()
        another.root()["done"] = True
        manager.commit()


def leave_uncommitted(*args):
    """Leave the changes to the end of the job, which changes the job."""
    work.happened.append("leave_uncommitted")
    database_of_job().open().root()["counter"].increase()


BAD = [both, two_others, two_of_a_manager, leave_uncommitted]


@pytest.fixture(scope="module")
def zeo_server(tmp_path_factory):
    """A real ZEO server."""
    with server(tmp_path_factory.mktemp("zeo")) as running:
        yield running


@pytest.fixture
def zeo(zeo_server):
    """A database of the server, as if it were new."""
    with zeo_server.database() as database:
        with database.transaction() as connection:
            connection.root().clear()
        yield database


@pytest.fixture
def relstorage(zodb):
    """A new database in PostgreSQL."""
    with zodb.database() as database:
        yield database


@pytest.fixture(params=["FileStorage", "ZEO", pytest.param("RelStorage", marks=pytest.mark.slow)])
def database(request, base):
    """A database with a queue and a counter, on each storage."""
    names = {"FileStorage": "db", "ZEO": "zeo", "RelStorage": "relstorage"}
    database = request.getfixturevalue(names[request.param])
    make_queue(database)
    with database.transaction() as connection:
        connection.root()["counter"] = work.Counter()
    return database


@pytest.mark.parametrize(("call", "count"), GOOD)
def test_a_job_may_commit_by_other_connections_to_its_database(
    dispatcher, client, put, completed, call, count
):
    for number in range(3):
        # One after the other: what a job committed stays, and it runs again over a conflict.
        job = put(call)
        completed(job)
        assert job.result == "done"
        assert client.root["counter"].count == (number + 1) * count


@pytest.mark.parametrize(("call", "count"), GOOD)
def test_so_may_a_callback(dispatcher, client, completed, call, count):
    job = client.queue.put(work.answer)
    callback = job.addCallback(call)
    client.manager.commit()
    completed(job)
    assert callback.result == "done"
    assert client.root["counter"].count == count


@pytest.mark.parametrize("call", BAD)
@pytest.mark.parametrize("as_callback", [False, True])
def test_two_connections_in_one_transaction_fail_the_job_and_the_error_says_what_to_do(
    dispatcher, client, completed, caplog, call, as_callback
):
    job = client.queue.put(work.answer if as_callback else call)
    failing = job.addCallback(call) if as_callback else job
    failing.retry_policy_factory = RetryCommonForever
    client.manager.commit()
    completed(job)
    assert failing.result.check(TwoConnectionsError)
    assert "job._p_jar" in failing.result.getErrorMessage()
    assert work.happened.count(call.__name__) == 1
    assert client.root["counter"].count == 0
    assert not [r for r in caplog.records if r.name.startswith("txn")]
    # And nobody hangs.
    other = client.queue.put(by_second)
    client.manager.commit()
    completed(other)
    assert other.result == "done"


def put_by_second(own_manager, *args):
    """Put a job by another connection, commit, and return it."""
    work.happened.append("put_by_second")
    with second(manager=transaction.TransactionManager() if own_manager else None) as connection:
        inner = connection.root()[KEY][""].put(work.answer)
        connection.transaction_manager.commit()
    return inner


@pytest.mark.parametrize("own_manager", [False, True])
def test_a_job_that_was_put_by_another_connection_can_be_returned(
    dispatcher, put, completed, own_manager
):
    job = put(Job(put_by_second, own_manager))
    completed(job)
    assert job.result == 42
    assert work.happened.count("put_by_second") == 1


def annotate_and_commit_by_second(*args):
    """The annotation is a change of the job's code: it cannot give way."""
    zc.async_.local.getJob().annotations["noted"] = True
    by_second()


def annotate_between(*args):
    by_second()
    zc.async_.local.getJob().annotations["noted"] = True
    transaction.commit()
    by_second()
    return "done"


def test_what_a_callback_writes_of_itself_does_not_get_lost(dispatcher, client, completed):
    job = client.queue.put(work.answer)
    callback = job.addCallback(annotate_between)
    failing = job.addCallback(annotate_and_commit_by_second)
    client.manager.commit()
    completed(job)
    assert callback.result == "done"
    assert callback.annotations["noted"] is True
    assert failing.result.check(TwoConnectionsError)
    assert client.root["counter"].count == 2


class Surrounded(Job):
    """Commits by other connections before and after the call."""

    def setUp(self):
        by_second()

    def tearDown(self, setup_info):
        by_second()


def test_so_may_what_surrounds_a_job(dispatcher, client, put, completed, settle):
    job = put(Surrounded(work.answer))
    completed(job)
    assert job.result == 42

    def count():
        client.manager.begin()
        return client.root["counter"].count

    settle(lambda: count() == 2)


@pytest.mark.parametrize(("call", "count"), GOOD)
def test_so_may_a_job_that_is_called_by_hand(database, base, call, count):
    connection = database.open()
    try:
        job = connection.root()["job"] = Job(call)
        assert job() == "done"
        transaction.begin()
        assert connection.root()["counter"].count == count
    finally:
        transaction.abort()
        connection.close()


@pytest.mark.parametrize("call", [both, two_others, leave_uncommitted])
def test_two_connections_fail_a_job_that_is_called_by_hand_too(database, base, call):
    connection = database.open()
    try:
        job = connection.root()["job"] = Job(call)
        assert job().check(TwoConnectionsError)
        transaction.begin()
        assert job.status == COMPLETED
        assert connection.root()["counter"].count == 0
    finally:
        transaction.abort()
        connection.close()


def test_whoever_calls_a_job_hears_of_two_connections_of_his_own(database, base):
    connection, another = database.open(), database.open()
    try:
        job = connection.root()["job"] = Job(work.answer)
        another.root()["done"] = True
        with pytest.raises(TwoConnectionsError):
            job()
        assert work.happened == []
    finally:
        transaction.abort()
        connection.close()
        another.close()


# -- several databases


def in_content_by(database_name, manager_of_its_own):
    """Change something in the other database, by another connection to it or by its group."""
    manager = transaction.TransactionManager() if manager_of_its_own else None
    with second(database_name, manager) as connection:
        content = connection.get_connection("content")
        content.root()["counter"].increase()
        connection.transaction_manager.commit()
    # The job's own connections work as ever.
    transaction.begin()
    own().get_connection("content").root()["counter"].increase()
    return "done"


@pytest.mark.parametrize("manager_of_its_own", [False, True])
@pytest.mark.parametrize("database_name", ["content", "async"])
def test_a_job_may_commit_by_other_connections_to_each_database_of_a_group(
    two_databases,
    make_dispatcher,
    install_agent,
    reactor,
    connect,
    settle,
    database_name,
    manager_of_its_own,
):
    install_agent()
    client = connect(two_databases["content"])

    def completed(job):
        def ended():
            client.manager.begin()
            return job.status == COMPLETED

        settle(ended)

    client.root["counter"] = work.Counter()
    client.manager.commit()
    make_dispatcher(two_databases["content"]).activate()
    reactor.time_flies(0)
    for number in range(3):
        job = client.queue.put(Job(in_content_by, database_name, manager_of_its_own))
        client.manager.commit()
        completed(job)
        assert job.result == "done"

        def counted(count=2 * (number + 1)):
            # Of two databases, one after the other finishes a commit.
            client.manager.begin()
            return client.root["counter"].count == count

        settle(counted)


# -- the fence


class Reassigning(persistent.Persistent):
    """Lets somebody else have the job before a commit."""

    count = 0

    def increase(self, by_own_manager, before_opening):
        job = zc.async_.local.getJob()
        if before_opening:
            reassign(job)
        with second(manager=transaction.TransactionManager() if by_own_manager else None) as other:
            other.get(self._p_oid).count += 1
            if not before_opening:
                reassign(job)
            try:
                other.transaction_manager.commit()
            except Exception as error:
                work.happened.append(type(error).__name__)
                raise
        work.happened.append("committed")


def reassign(job):
    """As a sibling does that takes the worker for dead, in another thread."""
    oid, database = job._p_oid, job._p_jar.db()

    def do():
        with database.transaction() as connection:
            connection.get(oid).claim_token += 1

    thread = threading.Thread(target=do)
    thread.start()
    thread.join()


@pytest.mark.parametrize("by_own_manager", [False, True])
@pytest.mark.parametrize("before_opening", [False, True])
def test_a_worker_whose_job_is_somebody_elses_commits_by_no_connection(
    dispatcher, client, put, settle, by_own_manager, before_opening
):
    record = client.root["record"] = Reassigning()
    client.manager.commit()
    job = put(Job(record.increase, by_own_manager, before_opening))
    settle(lambda: work.happened)
    settle(lambda: not any(pool.busy for pool in dispatcher.pools()))
    client.manager.begin()
    assert record.count == 0
    # The last one is of RelStorage, and asks for another try.
    assert set(work.happened) <= {"ReadConflictError", "ReassignedError", "CacheHasNewerTidError"}
    assert not isinstance(job.result, Failure)


def test_a_connection_that_a_thread_kept_is_fenced_by_each_of_its_jobs(
    dispatcher, client, put, completed
):
    """Its transaction may have begun before the job was put."""
    assert not vars(kept)
    jobs = []
    for _job in range(4):
        jobs.append(put(by_kept_connection))
        completed(*jobs)
    assert [job.result for job in jobs] == ["done"] * 4
    assert client.root["counter"].count == 4


kept = threading.local()


def by_kept_connection():
    if not hasattr(kept, "connection"):
        kept.connection = database_of_job().open(transaction.TransactionManager())
    kept.connection.root()["counter"].increase()
    kept.connection.transaction_manager.commit()
    return "done"
