"""A server is lost, and its standby takes its place: first it only reads, then it writes."""

import contextlib

import pytest

import zc.async_.configure
import zc.async_.relstorage
from benchmarks.storages import free_port
from benchmarks.workers import wait_until
from tests.dispatcher import work
from tests.races import parties
from zc.async_.dispatcher import wakeup
from zc.async_.interfaces import COMPLETED, OutOfReachError
from zc.async_.job import Job
from zc.async_.relstorage import listening

#: Seconds for servers to do as they were told.
PATIENCE = 90

pytestmark = pytest.mark.slow


@pytest.fixture
def standby(server, request):
    """Follows the server."""
    folder = server.folder.with_name(f"standby-{request.node.name[-20:]}")
    standby = server.standby(folder, free_port())
    standby.start()
    yield standby
    standby.stop()


@pytest.fixture
def catch_up(standby, server):
    """Waits until the standby has all that was committed."""

    def has_all():
        with server.cursor() as cursor:
            cursor.execute("SELECT pg_current_wal_lsn()")
            (written,) = cursor.fetchone()
        with standby.cursor() as cursor:
            cursor.execute("SELECT pg_last_wal_replay_lsn() >= %s", (written,))
            return cursor.fetchone()[0]

    return lambda: wait_until(has_all, PATIENCE)


@pytest.fixture
def moved(cut_off, proxy, standby, catch_up):
    """Has the clients of the server led to the standby, which has all that was committed."""

    def moved():
        catch_up()
        proxy.lead_to(("127.0.0.1", standby.port))

    return moved


def test_a_standby_is_out_of_reach_until_it_writes(cut_off, connect, moved, standby):
    zc.async_.configure.base()
    parties.make_queue(cut_off)
    with contextlib.closing(parties.Client(cut_off)) as client:
        first = client.put(Job(work.answer))
        moved()
        # It reads.
        client.manager.begin()
        assert list(client.queue) == [first]
        # A put may want new oids, which the server gives nobody now either.
        with pytest.raises(OutOfReachError):
            client.put(Job(work.answer))
        client.manager.abort()
        with standby.cursor() as cursor:
            cursor.execute("SELECT pg_promote(TRUE, 30)")
        second = client.put(Job(work.answer))
        client.manager.begin()
        assert list(client.queue) == [first, second]


def test_a_dispatcher_goes_on_after_a_failover(cut_off, moved, standby):
    zc.async_.configure.base()
    parties.make_queue(cut_off)
    with (
        contextlib.closing(parties.Dispatcher(cut_off)) as dispatcher,
        contextlib.closing(parties.Client(cut_off)) as client,
    ):
        job = client.put(Job(work.answer))
        moved()
        outcome = dispatcher.poll()
        assert (outcome.jobs, outcome.failed) == ([], True)
        with standby.cursor() as cursor:
            cursor.execute("SELECT pg_promote(TRUE, 30)")
        wait_until(lambda: not (dispatcher.work() or job_is_left(client, job)), PATIENCE)
        assert (job.status, job.result) == (COMPLETED, 42)


def job_is_left(client, job):
    client.manager.begin()
    return job.status != COMPLETED


def test_nobody_listens_to_a_standby(cut_off, moved, standby, monkeypatch, caplog):
    monkeypatch.setattr(listening, "BACKOFF", (0.05, 0.2))
    listener = wakeup.Listener(lambda: None)
    moved()
    wakeup.listen(cut_off, listener)
    wait_until(lambda: "cannot listen" in caplog.text, PATIENCE)
    assert not wakeup.hears(cut_off)
    with standby.cursor() as cursor:
        cursor.execute("SELECT pg_promote(TRUE, 30)")
    wait_until(lambda: wakeup.hears(cut_off), PATIENCE)
    wakeup.forget(cut_off, listener)


def pause(standby):
    """Have it go on later with what its server does."""

    def is_paused():
        cursor.execute("SELECT pg_get_wal_replay_pause_state() = 'paused'")
        return cursor.fetchone()[0]

    with standby.cursor() as cursor:
        cursor.execute("SELECT pg_wal_replay_pause()")
        wait_until(is_paused, PATIENCE)


def test_a_replica_that_is_behind_is_waited_for(server, standby, catch_up, zodb, party, tmp_path):
    """Of a process that loads from it: what it sees may be older than a commit."""
    replicas = tmp_path / "replicas"
    replicas.write_text(f"127.0.0.1:{standby.port}\n")
    oid = party.root["a"]._p_oid
    catch_up()
    with zodb.through(server.port).database(ro_replica_conf=str(replicas)) as database:
        zc.async_.relstorage.watch(database)
        pause(standby)
        party.root["a"].value = 7
        party.manager.commit()
        with pytest.raises(OutOfReachError, match="behind"):
            zc.async_.relstorage.catch_up(database, [oid])
        with standby.cursor() as cursor:
            cursor.execute("SELECT pg_wal_replay_resume()")

        def is_there():
            try:
                zc.async_.relstorage.catch_up(database, [oid])
            except OutOfReachError:
                return False
            return True

        wait_until(is_there, PATIENCE)
        with database.transaction() as connection:
            assert connection.root()["a"].value == 7
