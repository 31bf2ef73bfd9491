"""Which objects concern a dispatcher, and of whose changes it hears."""

import pytest

from tests.dispatcher import choosers, work
from tests.dispatcher.polls import later
from zc.async_.agent import Agent
from zc.async_.dispatcher import wakeup
from zc.async_.queue.quota import Members, Quota

#: Time stands still until a test lets some pass.
pytestmark = pytest.mark.usefixtures("pinned")


def changed_by(database, call):
    """The oids that are written by what `call` commits."""
    oids = []
    listener = wakeup.Listener(lambda: None)
    listener.heard = lambda heard, committer=None: oids.extend(heard)
    assert wakeup.listen(database, listener)
    call()
    wakeup.forget(database, listener)
    return set(oids)


@pytest.fixture
def watched(active, database):
    """The oids that are watched by a poller that polls now."""
    poller = active()

    def watched():
        outcome = poller.poll()
        assert list(outcome.watched) == [database]
        return outcome.watched[database]

    watched.uuid = poller.uuid
    return watched


@pytest.mark.parametrize("count", [1, 80], ids=["few lanes", "a grown tree of lanes"])
def test_the_first_job_of_every_connection_is_noticed(watched, connect, database, count):
    # No warnings of so many open connections.
    database.setPoolSize(2 * count)
    others = [connect() for _ in range(count)]
    for other in others[:-1]:
        other.manager.begin()
        other.queue.put(work.answer)
        other.manager.commit()
    oids = watched()
    others[-1].manager.begin()
    others[-1].queue.put(work.answer)
    assert changed_by(database, others[-1].manager.commit) & oids


def test_every_job_after_it_is_noticed(watched, put, database):
    put(work.answer)
    for _ in range(40):
        oids = watched()
        assert changed_by(database, lambda: put(work.answer)) & oids


CHANGES = {
    "an agent grows": lambda queue, agents: setattr(agents["main"], "size", 5),
    "an agent gets a filter": lambda queue, agents: setattr(
        agents["main"], "filter", choosers.refuse
    ),
    "an agent gets labels": lambda queue, agents: setattr(agents["main"], "labels", ["gpu"]),
    "an agent is added": lambda queue, agents: agents.__setitem__("new", Agent()),
    "a closed quota is opened": lambda queue, agents: setattr(queue.quotas["none"], "size", 5),
    "a closed quota is removed": lambda queue, agents: queue.quotas.remove("none"),
    "a full quota grows": lambda queue, agents: setattr(queue.quotas["one"], "size", 5),
    "a full quota is removed": lambda queue, agents: queue.quotas.remove("one"),
    "a place is freed": lambda queue, agents: setattr(queue.quotas["one"].members, "jobs", ()),
    "the dispatcher is buried": lambda queue, agents: agents.deactivate(),
    "a waiting job is edited": lambda queue, agents: setattr(queue[0], "priority", 1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_that_may_let_a_job_start_is_noticed(watched, client, put, database, change):
    client.queue.quotas.create("one", 1)
    client.queue.quotas.create("none", 0)
    client.manager.commit()
    for name in ("one", "one", "none"):
        put(work.answer, quota_names=[name])
    oids = watched()
    client.manager.begin()
    CHANGES[change](client.queue, client.queue.dispatchers[watched.uuid])
    assert changed_by(database, client.manager.commit) & oids


def test_of_many_quotas_only_full_ones_are_watched_for_which_jobs_wait(active, client, database):
    poller = active(size=60)
    for number in range(100):
        client.queue.quotas.create(f"quota {number}", number % 2)
        client.queue.put(work.answer).quota_names = [f"quota {number}"]
    client.queue.put(work.answer).quota_names = ["quota 1"]
    client.manager.commit()
    outcome = poller.poll()
    assert len(outcome.jobs) == 50
    watched = [client.connection.get(oid) for oid in outcome.watched[database]]
    full = client.queue.quotas["quota 1"]
    assert [record for record in watched if isinstance(record, Quota)] == [full]
    assert [record for record in watched if isinstance(record, Members)] == [full.members]


def test_pings_of_siblings_are_not_noticed(watched, make_poller, database):
    sibling = make_poller()
    sibling.poll()
    oids = watched()
    later(seconds=31)
    assert not changed_by(database, sibling.poll) & oids


def test_the_poller_s_own_commits_wake_nobody(active, put, database, client):
    poller = active()
    client.queue.quotas.create("one")
    client.manager.commit()
    wakeup.listen(database, poller.listener)
    poller.listener.oids = frozenset(poller.poll().watched[database])
    client.queue.put(work.answer).quota_names = ["one"]
    put(work.answer, quota_names=["one"])
    assert len(poller.woken) == 1
    outcome = poller.poll()
    assert len(outcome.jobs) == 1
    assert len(poller.woken) == 1
    # The next claim takes a place, which is written in a record that is watched since then.
    poller.listener.oids = frozenset(outcome.watched[database])
    assert client.queue.quotas["one"].members._p_oid in poller.listener.oids
    client.manager.begin()
    client.connection.get(outcome.jobs[0].job_id[0]).end_with(42)
    client.manager.commit()
    before = database.lastTransaction()
    assert len(poller.poll().jobs) == 1
    assert database.lastTransaction() != before
    assert len(poller.woken) == 1
    wakeup.forget(database, poller.listener)


def test_nor_do_they_in_another_database(two_databases, make_poller, connect):
    # First of all: this one takes the connection that knows the other database already.
    client = connect(two_databases["content"])
    poller = make_poller(other=two_databases["content"])
    watched = poller.poll().watched
    client.manager.begin()
    assert list(watched) == [two_databases["async"]]
    wakeup.listen(two_databases["async"], poller.listener)
    poller.listener.oids = frozenset([client.queue.dispatchers[poller.uuid].last_ping._p_oid])
    later(seconds=31)
    before = two_databases["async"].lastTransaction()
    poller.poll()
    assert two_databases["async"].lastTransaction() != before
    assert poller.woken == []
    wakeup.forget(two_databases["async"], poller.listener)
