"""Dispatchers hear by NOTIFY of what others commit, and know when they do not."""

import contextlib
import threading

import pytest

import zc.async_.configure
from benchmarks.workers import wait_until
from tests.dispatcher import work
from tests.dispatcher.polls import PollerByHand
from tests.dispatcher.test_watching import CHANGES
from tests.races import parties
from tests.relstorage.pooler import Pooler
from zc.async_.agent import Agent
from zc.async_.dispatcher import wakeup
from zc.async_.dispatcher.plans import Outcome
from zc.async_.dispatcher.wakeup import Listener
from zc.async_.dispatcher.watching import Watch
from zc.async_.relstorage import leave_turns, listening, take_turns
from zc.async_.relstorage.turns import turns_of

#: Seconds for something to be heard.
PATIENCE = 90


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Nobody waits long."""
    zc.async_.configure.base()
    monkeypatch.setattr(listening, "BACKOFF", (0.05, 0.2))


@pytest.fixture
def database(database):
    parties.make_queue(database)
    return database


class Woken(Listener):
    """Counts how often it was woken."""

    def __init__(self):
        super().__init__(self.wake)
        self.count = 0

    def wake(self):
        self.count += 1


@pytest.fixture
def listen():
    """Listens to a database; when it hears, the listener is returned."""
    listeners = []

    def listen(database, listener=None, hears=True):
        listener = listener or Woken()
        assert wakeup.listen(database, listener)
        listeners.append((database, listener))
        if hears:
            wait_until(lambda: wakeup.hears(database), PATIENCE)
        return listener

    yield listen
    for database, listener in listeners:
        wakeup.forget(database, listener)


def threads():
    return [one for one in threading.enumerate() if one.name.startswith("zc.async wake-up")]


def ends(count=0):
    """Wait for the end of threads that nobody needs any more."""
    wait_until(lambda: len(threads()) == count, PATIENCE)


def put(database):
    with contextlib.closing(parties.Client(database)) as client:
        return client.put(work.answer)


@pytest.fixture
def other(zodb):
    """The database as another process has it."""
    with zodb.database() as other:
        yield other


@pytest.fixture
def lane(other):
    """The oid of the record that every put of others writes."""
    with contextlib.closing(parties.Client(other)) as client:
        client.put(work.answer)
        (lane,) = client.queue.lanes.values()
        return lane.newest._p_oid


def put_until_woken(client, listener):
    """Put jobs, and wait until the notice of the last one has woken a listener."""
    client.put(work.answer)
    (lane,) = client.queue.lanes.values()
    listener.oids = frozenset([lane.newest._p_oid])
    before = listener.count
    client.put(work.answer)
    wait_until(lambda: listener.count > before, PATIENCE)


@pytest.mark.parametrize("whose", ["of this process", "of another one"])
def test_a_commit_that_concerns_the_listener_wakes_it(database, other, listen, whose):
    listener = listen(database)
    theirs = database if whose == "of this process" else other
    with contextlib.closing(parties.Client(theirs)) as client:
        put_until_woken(client, listener)


def test_puts_of_applications_are_told_to_those_who_take_turns(database, other, listen):
    """Those of dispatchers are not, which then would be slower side by side."""
    turns = turns_of(database)
    listener = listen(database)
    heard = turns._heard
    with contextlib.closing(parties.Client(other)) as client:
        take_turns(client.connection)
        put_until_woken(client, listener)
        assert turns._heard == heard
        leave_turns(client.connection)
        client.put(work.answer)
        wait_until(lambda: turns._heard > heard, PATIENCE)


def test_other_commits_do_not(database, other, lane, listen):
    deaf, listener = listen(database), listen(database)
    listener.oids = frozenset([lane])
    before = listener.count, deaf.count
    put(other)
    wait_until(lambda: listener.count > before[0], PATIENCE)
    # Both were told by one thread, this one first.
    assert deaf.count == before[1]


def test_a_poller_is_not_woken_by_its_own_commits(database, listen, lane, other):
    with contextlib.closing(PollerByHand(database, parties.uuid.uuid4())) as poller:
        poller.poll()
        listen(database, poller.listener)
        witness = listen(database)
        with contextlib.closing(parties.Client(database)) as client:
            client.manager.begin()
            client.queue.dispatchers[poller.uuid]["main"] = Agent(size=1)
            client.manager.commit()
        outcome = poller.poll()
        (claimed,) = outcome.jobs
        with contextlib.closing(parties.Client(database)) as client:
            running = client.queue.dispatchers[poller.uuid]["main"].running._p_oid
            cursor = next(iter(client.queue.lanes.values())).cursor._p_oid
            client.manager.begin()
            client.connection.get(claimed.job_id[0]).end_with(42)
            client.manager.commit()
        poller.listener.oids = witness.oids = frozenset([running, cursor])
        before = len(poller.woken), witness.count
        put(other)
        assert poller.poll().jobs
        wait_until(lambda: witness.count > before[1], PATIENCE)
        assert len(poller.woken) == before[0]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_that_may_let_a_job_start_is_heard(database, other, listen, change):
    with contextlib.closing(PollerByHand(database, parties.uuid.uuid4())) as poller:
        poller.poll()
        with contextlib.closing(parties.Client(other)) as client:
            client.manager.begin()
            client.queue.dispatchers[poller.uuid]["main"] = Agent(size=3)
            client.queue.quotas.create("one", 1)
            client.queue.quotas.create("none", 0)
            client.manager.commit()
            for name in ("one", "one", "none"):
                client.manager.begin()
                client.queue.put(work.answer).quota_names = [name]
                client.manager.commit()
            listener = listen(database)
            poller.poll()
            listener.oids = poller.poll().watched[database]
            before = listener.count
            client.manager.begin()
            CHANGES[change](client.queue, client.queue.dispatchers[poller.uuid])
            client.manager.commit()
            wait_until(lambda: listener.count > before, PATIENCE)


# -- when notices do not come


def test_a_listener_is_told_when_it_begins_to_hear_and_when_it_does_not_any_more(
    database, server, listen
):
    listener = listen(database, hears=False)
    wait_until(lambda: listener.count == 1, PATIENCE)
    assert wakeup.hears(database)
    server.crash()
    wait_until(lambda: listener.count == 2, PATIENCE)
    assert not wakeup.hears(database)
    server.start()
    wait_until(lambda: wakeup.hears(database), PATIENCE)
    assert listener.count == 3


def test_a_connection_that_is_cut_is_made_anew(database, server, zodb, listen, other, lane):
    listener = listen(database)
    listener.oids = frozenset([lane])
    server.cut(zodb.name)
    wait_until(lambda: listener.count >= 3, PATIENCE)
    wait_until(lambda: wakeup.hears(database), PATIENCE)
    before = listener.count
    put(other)
    wait_until(lambda: listener.count > before, PATIENCE)


def test_a_pooler_that_passes_no_notices_is_found_out(zodb, server, listen, monkeypatch, caplog):
    monkeypatch.setattr(listening, "TRIAL", 0.2)
    with (
        Pooler(("127.0.0.1", server.port)).running() as pooler,
        zodb.through(pooler.address[1]).database() as database,
    ):
        listen(database, hears=False)
        wait_until(lambda: "cannot listen" in caplog.text, PATIENCE)
        assert "notices do not arrive. A pooler" in caplog.text
        assert not wakeup.hears(database)
        # The database works all the same.
        parties.make_queue(database)
        assert put(database) is not None
        # Somebody has changed its mode.
        pooler.drops = False
        wait_until(lambda: wakeup.hears(database), PATIENCE)


def test_a_dispatcher_knows_whether_it_is_deaf(database, server):
    woken = threading.Event()
    watch = Watch(woken.set)
    assert not watch.is_deaf
    try:
        assert watch.follow(Outcome(watched={database: frozenset()}))
        # Not yet, or already.
        wait_until(lambda: not watch.is_deaf, PATIENCE)
        woken.clear()
        server.crash()
        assert woken.wait(PATIENCE)
        assert watch.is_deaf
    finally:
        watch.end()


def test_while_it_cannot_listen_warnings_become_rare(database, server, listen, caplog):
    server.crash()
    caplog.set_level("INFO")
    listen(database, hears=False)

    def told():
        return [record for record in caplog.records if "cannot listen" in record.getMessage()]

    wait_until(lambda: len(told()) >= 5, PATIENCE)
    assert [record.levelname for record in told()[:5]] == [
        "WARNING",
        "WARNING",
        "WARNING",
        "INFO",
        "WARNING",
    ]


def test_that_another_begins_to_listen_wakes_nobody(database, other, listen, lane):
    listener = listen(database)
    listener.oids = frozenset([lane])
    before = listener.count
    listen(other)
    put(other)
    wait_until(lambda: listener.count > before, PATIENCE)
    assert listener.count == before + 1


# -- its thread


def test_listeners_of_a_database_share_a_thread_that_ends_with_the_last_of_them(database):
    listeners = Woken(), Woken()
    for listener in listeners:
        wakeup.listen(database, listener)
    assert len(threads()) == 1
    wakeup.forget(database, listeners[0])
    wait_until(lambda: wakeup.hears(database), PATIENCE)
    wakeup.forget(database, listeners[1])
    wakeup.forget(database, listeners[1])
    ends()


def test_it_ends_while_the_server_is_away(database, server):
    listener = Woken()
    wakeup.listen(database, listener)
    server.crash()
    wait_until(lambda: not wakeup.hears(database), PATIENCE)
    wakeup.forget(database, listener)
    ends()


def test_it_ends_when_its_database_was_closed(zodb):
    listener = Woken()
    with zodb.database() as database:
        wakeup.listen(database, listener)
        storage = database.storage
    # The database does not know its storage any more.
    wakeup.forget(database, listener)
    del database, storage
    ends(len(threads()))


def test_a_thread_that_has_ended_can_be_told_to(database):
    thread = listening.Listening(database, lambda oids, committer: None)
    thread.stop()
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    thread.stop()


def test_who_reads_from_a_replica_looks_instead(zodb, tmp_path):
    """Notices would come before the changes."""
    replicas = tmp_path / "replicas"
    host = zodb.dsn.split("host='")[1].split("'")[0]
    replicas.write_text(f"{host}\n")
    with zodb.database(ro_replica_conf=str(replicas)) as database:
        assert not wakeup.listen(database, Woken())
        assert not wakeup.hears(database)
