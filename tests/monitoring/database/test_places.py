"""`asyncdb status`, `asyncdb UUIDs`: queues, dispatchers and agents."""

import datetime
import uuid

import pytest
import transaction
import ZODB
import zope.component
from ZODB.interfaces import IDatabase

import zc.async_.testing
from tests.monitoring.database.test_selecting import OwnAgent, choose, is_of_add
from tests.unit import calls
from zc.async_ import monitordb
from zc.async_.dispatcher import Dispatcher
from zc.async_.interfaces import KEY
from zc.async_.process import liveness
from zc.async_.queue import Queue, Queues


class BrokenAgent(OwnAgent):
    """Cannot be counted."""

    def __len__(self):
        raise RuntimeError("out of order")


class BrokenQueue(Queue):
    """Cannot be counted, or looked through."""

    def __len__(self):
        raise RuntimeError("out of order")

    def is_waiting(self, job, entry_key):
        raise RuntimeError("out of order")


def test_status(world, client, uuid_1, uuid_2, clock, asked):
    client.agent(uuid_2, filter=is_of_add, size=7, name="adder")
    client.agent(uuid_2, chooser=choose, name="picky")
    world.active()
    world.pending()
    clock.advance(seconds=5)
    status = asked.value("status")
    times = {
        "dead": False,
        "last ping": "2030-01-01T12:00:00Z",
        "since ping": {"seconds": 5.0},
        "ping interval": {"seconds": 30.0},
        "ping death interval": {"minutes": 1},
    }
    first = {"agents": {"main": {"filter": None, "len": 1, "size": 3}}, **times}
    agents = {
        "adder": {
            "filter": "tests.monitoring.database.test_selecting.is_of_add",
            "len": 0,
            "size": 7,
        },
        "picky": {
            "chooser": "tests.monitoring.database.test_selecting.choose",
            "len": 0,
            "size": 3,
        },
    }
    dispatchers = {str(uuid_1): first, str(uuid_2): {"agents": agents, **times}}
    assert status == {"": {"len": 1, "dispatchers": dispatchers}}
    assert asked.value(f"status uuid:{uuid_1} queue:") == {
        "": {"len": 1, "dispatchers": {str(uuid_1): first}}
    }
    told = asked.value("status agent:p*")[""]["dispatchers"]
    assert told[str(uuid_1)]["agents"] == {}
    assert told[str(uuid_2)]["agents"] == {"picky": agents["picky"]}


def test_status_of_this_process(world, client, identity, asked):
    client.agent(identity)
    assert list(asked.value("status uuid:THIS")[""]["dispatchers"]) == [str(identity)]


def test_only_active_dispatchers_are_told_of(world, client, uuid_1, uuid_2, asked):
    client.agent(uuid_2)
    client.queue.dispatchers[uuid_1].deactivate()
    client.commit()
    assert asked.value("UUIDs") == [str(uuid_2)]
    assert list(asked.value("status")[""]["dispatchers"]) == [str(uuid_2)]
    assert asked.value(f"status uuid:{uuid_1}") == {"": {"len": 0, "dispatchers": {}}}


def test_dispatchers_of_several_queues(world, client, uuid_1, uuid_2, asked):
    mail = client.root[KEY]["mail"] = Queue()
    for one in (uuid_1, uuid_2):
        mail.dispatchers.register(one)
        mail.dispatchers[one].activate()
    client.commit()
    assert asked.value("UUIDs") == sorted([str(uuid_1), str(uuid_2)])
    assert list(asked.value("status queue:mail")) == ["mail"]
    assert set(asked.value("status")) == {"", "mail"}


def test_a_dead_dispatcher(world, client, uuid_1, clock, asked):
    clock.watch(lambda: asked.value("status"), 62)
    assert asked.value("status")[""]["dispatchers"][str(uuid_1)]["dead"] is True
    assert asked.value("UUIDs") == [str(uuid_1)]


def test_a_dispatcher_whose_process_has_ended(world, client, uuid_1, asked, monkeypatch):
    monkeypatch.setattr(liveness, "is_gone", lambda holder: True)
    assert asked.value("status")[""]["dispatchers"][str(uuid_1)]["dead"] is True


def test_what_is_not_there(world, asked, uuid_2):
    assert "no queue matches 'mail'; there is ''" in asked.error("status queue:mail")
    assert f"no dispatcher of the UUID {uuid_2}" in asked.error(f"status uuid:{uuid_2}")
    assert "is no modifier: status takes queue:, agent:, uuid:" in asked.error("status x:y")
    assert "UUIDs takes none" in asked.error("UUIDs uuid:THIS")


def test_a_database_without_queues_says_what_to_do(db, asked):
    for tool in ("status", "UUIDs", "count pending", "nextpending", "lastcompleted", "job 1"):
        assert "has no queues yet: zc.async_.configure.start(db)" in asked.error(tool)


# -- what is broken


def test_an_agent_that_is_broken_hides_nothing_else(world, client, uuid_1, asked):
    client.queue.dispatchers[uuid_1]["broken"] = BrokenAgent()
    client.commit()
    agents = asked.value("status")[""]["dispatchers"][str(uuid_1)]["agents"]
    assert agents["main"] == {"filter": None, "len": 0, "size": 3}
    assert "agent 'broken' of dispatcher" in agents["broken"]["error"]
    assert "out of order" in agents["broken"]["error"]


def test_a_queue_that_is_broken_hides_nothing_else(world, client, asked):
    client.root[KEY]["broken"] = BrokenQueue()
    client.root[KEY]["broken"].put(calls.nothing)
    client.commit()
    world.pending()
    status = asked.value("status")
    assert status[""]["len"] == 1
    assert "queue 'broken' cannot be read" in status["broken"]["error"]
    for tool in ("count pending", "jobs pending", "nextpending"):
        text = asked.text(tool)
        assert "queue 'broken' cannot be read (builtins.RuntimeError: out of order)" in text
    assert asked.value("count pending queue:") == 1
    assert asked.value("UUIDs")


def test_a_mapping_of_queues_that_is_broken(world, client, asked):
    client.root[KEY] = "no queues at all"
    client.commit()
    assert "the mapping of queues cannot be read" in asked.error("status")


def test_an_agent_whose_filter_is_missing(world, client, uuid_1, asked):
    client.agent(uuid_1, filter=is_of_add, name="adder")._filter = "gone.away:take"
    client.commit()
    agents = asked.value("status")[""]["dispatchers"][str(uuid_1)]["agents"]
    assert "missing here: cannot import 'gone.away.take'" in agents["adder"]["filter"]
    assert agents["adder"]["size"] == 3


def test_an_agent_without_a_filter_attribute(world, client, uuid_1, asked):
    client.queue.dispatchers[uuid_1]["own"] = OwnAgent()
    client.commit()
    agents = asked.value("status")[""]["dispatchers"][str(uuid_1)]["agents"]
    assert agents["own"] == {"chooser": "'its own'", "len": 0, "size": 5}


def test_the_functions_answer_with_plain_values(world, client, uuid_1):
    client.begin()
    told = monitordb.status(client.connection)[""]["dispatchers"][str(uuid_1)]
    assert told["last ping"].tzinfo is datetime.UTC
    assert told["since ping"] == datetime.timedelta()
    assert monitordb.UUIDs(client.queue) == [str(uuid_1)]


# -- which database


def test_a_process_without_a_database_says_what_to_do(asked):
    zope.component.getGlobalSiteManager().unregisterUtility(provided=IDatabase)
    text = asked.error("status")
    assert "zc.async_.configure.start(db)" in text
    assert "zope.component.provideUtility(db, ZODB.interfaces.IDatabase)" in text


def test_the_dispatcher_s_database_is_asked(asked, make_database, clock):
    own, other = make_database("own"), make_database("other")
    zope.component.getGlobalSiteManager().unregisterUtility(provided=IDatabase)
    reactor = zc.async_.testing.Reactor()
    Dispatcher(own, reactor, uuid=uuid.UUID(int=1))
    assert list(asked.value("status")) == ["own"]
    Dispatcher(other, reactor, uuid=uuid.UUID(int=2))
    # Neither is that of the process.
    assert "no dispatcher of its own UUID" in asked.error("status")
    Dispatcher(other, reactor)
    assert list(asked.value("status")) == ["other"]


@pytest.fixture
def make_database():
    made = []

    def make_database(name):
        made.append(ZODB.DB(None))
        with made[-1].transaction() as connection:
            connection.root()[KEY] = Queues()
            connection.root()[KEY][name] = Queue()
        return made[-1]

    yield make_database
    for database in made:
        database.close()


def test_a_database_that_is_closed_says_so(asked):
    database = ZODB.DB(None)
    zope.component.provideUtility(database, IDatabase)
    database.close()
    assert "is closed: open it anew" in asked.error("status")


def test_the_connection_is_closed_and_nothing_is_written(world, client, asked, db, uuid_1):
    client.agent(uuid_1, filter=change_something, name="changer")
    world.pending(calls.add)
    before = db.lastTransaction()
    assert asked.value("count pending agent:changer") == 1
    assert db.lastTransaction() == before
    opened = [info for info in db.connectionDebugInfo() if info["opened"] is not None]
    assert len(opened) == 1
    client.begin()
    assert client.queue.quotas.keys() == []
    assert client.connection._registered_objects == []
    assert transaction.get()._resources == []


def change_something(job):
    """A filter that has no manners."""
    job.queue.quotas.create("naughty")
    try:
        job._p_jar.transaction_manager.commit()
    except Exception:
        refused.append(job)
    return bool(refused)


refused = []
