"""The agents of a worker's dispatcher follow the settings."""

import types

import pytest

from tests.races.parties import Client, make_queue
from zc.async_.agent import Agent
from zc.async_.interfaces import KEY
from zc.async_.queue import Queue
from zc.async_.worker import SettingsError, agents, settings


def takes_all(job):
    return True


def takes_none(job):
    return False


def choose(agent):
    return agent.queue.claim()


HERE = __name__


@pytest.fixture
def client(db):
    """A connection to a database with the queues '' and 'mail'."""
    make_queue(db)
    client = Client(db)
    client.connection.root()[KEY]["mail"] = Queue()
    client.manager.commit()
    yield client
    client.manager.abort()
    client.connection.close()


@pytest.fixture
def activate(client, identity):
    """Activates the dispatcher with settings; returns its agents, by queue and name."""

    def activate(*wanted, **values):
        keeper = agents.AgentKeeper(
            settings.Settings(agents=tuple(settings.Agent(**one) for one in wanted), **values)
        )
        found = {}
        for name, queue in client.connection.root()[KEY].items():
            if identity not in queue.dispatchers:
                queue.dispatchers.register(identity)
            of_dispatcher = queue.dispatchers[identity]
            keeper(types.SimpleNamespace(object=of_dispatcher))
            found[name] = of_dispatcher
        client.manager.commit()
        return found

    return activate


def sizes(found):
    return {
        queue: {name: agent.size for name, agent in of_dispatcher.items()}
        for queue, of_dispatcher in found.items()
    }


def test_without_settings_there_is_one_of_three(activate):
    assert sizes(activate()) == {"": {"main": 3}, "mail": {"main": 3}}


def test_threads_are_its_size_each_time(activate):
    assert sizes(activate(threads=10))[""] == {"main": 10}
    assert sizes(activate(threads=5))[""] == {"main": 5}


def test_what_the_settings_do_not_say_stays_as_operators_have_set_it(activate):
    found = activate()
    found[""]["main"].size = 7
    found[""]["main"].filter = takes_none
    assert sizes(activate())[""] == {"main": 7}
    assert activate(threads=2)[""]["main"].filter is takes_none
    assert sizes(activate(threads=2))[""] == {"main": 2}


def test_only_in_the_queues_that_are_served(activate):
    assert sizes(activate(queues=("mail",))) == {"": {}, "mail": {"main": 3}}
    # The next settings are for the other one.
    assert sizes(activate(queues=("",))) == {"": {"main": 3}, "mail": {"main": 0}}


def test_several_agents_with_queues_filters_and_choosers(activate):
    found = activate(
        {"name": "all"},
        {"name": "mail", "size": 1, "queues": ("mail",), "filter": f"{HERE}:takes_all"},
        {"name": "chosen", "size": 0, "chooser": f"{HERE}:choose"},
        threads=8,
    )
    assert sizes(found) == {
        "": {"all": 8, "chosen": 0},
        "mail": {"all": 8, "mail": 1, "chosen": 0},
    }
    assert found["mail"]["mail"].filter is takes_all
    assert found[""]["chosen"].chooser is choose


def test_an_agent_gets_the_labels_that_the_settings_name_and_keeps_others(activate):
    def labels(**values):
        return activate({"name": "main", **values})[""]["main"].labels

    assert labels() == ()
    assert labels(labels=("eu", "gpu")) == ("eu", "gpu")
    assert labels() == ("eu", "gpu")
    assert labels(labels=()) == ()


def test_an_agent_gets_another_filter_or_chooser_or_none(activate):
    def one(**values):
        agent = activate({"name": "main", **values})[""]["main"]
        return agent.filter, agent.chooser

    assert one(filter=f"{HERE}:takes_all") == (takes_all, None)
    assert one(filter=f"{HERE}:takes_none") == (takes_none, None)
    assert one(chooser=f"{HERE}:choose") == (None, choose)
    assert one(filter=f"{HERE}:takes_all") == (takes_all, None)
    assert one() == (None, None)


def test_a_filter_that_stays_is_not_set_again(activate, client):
    wanted = {"name": "main", "filter": f"{HERE}:takes_all"}
    agent = activate(wanted)[""]["main"]
    serial = agent._p_serial
    activate(wanted)
    client.manager.begin()
    assert agent._p_serial == serial


def test_a_filter_whose_code_is_gone_is_replaced(activate):
    agent = activate({"name": "main", "filter": f"{HERE}:takes_all"})[""]["main"]
    agent._filter = "shop_nowhere:gone"
    assert activate({"name": "main"})[""]["main"].filter is None


def test_an_agent_that_the_settings_name_no_more_takes_no_jobs(activate):
    activate({"name": "a"}, {"name": "b"})
    assert sizes(activate({"name": "b"}))[""] == {"a": 0, "b": 3}
    assert sizes(activate({"name": "a", "size": 2}))[""] == {"a": 2, "b": 0}


def test_an_agent_that_is_named_again_takes_jobs_again(activate):
    assert sizes(activate())[""] == {"main": 3}
    assert sizes(activate({"name": "other", "size": 1}))[""] == {"main": 0, "other": 1}
    assert sizes(activate())[""] == {"main": 3, "other": 0}
    # One that an operator has paused stays so.
    activate()[""]["main"].size = 0
    assert sizes(activate())[""] == {"main": 0, "other": 0}


def test_agents_of_the_application_are_left_alone(activate):
    found = activate()
    found[""]["own"] = Agent(size=9)
    assert sizes(activate(threads=2))[""] == {"main": 2, "own": 9}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"filter": "shop_nowhere:f"}, "the filter of the agent 'a' is shop_nowhere:f, and there"),
        ({"chooser": f"{HERE}:nothing"}, "the chooser of the agent 'a' is"),
        ({"filter": f"{HERE}:HERE"}, "which is no function"),
    ],
)
def test_functions_that_are_missing_are_named(values, message):
    wanted = settings.Settings(agents=(settings.Agent("a", **values),))
    with pytest.raises(SettingsError, match=message):
        agents.AgentKeeper(wanted)
