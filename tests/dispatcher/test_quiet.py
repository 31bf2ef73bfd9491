"""Queues in which nothing changed need no visit, and none that needs one is left out."""

import datetime
import itertools

import pytest
import zope.component

import zc.async_.clock
from tests.dispatcher import choosers, work
from tests.dispatcher.polls import later
from zc.async_.agent import Agent
from zc.async_.dispatcher import quiet, visit, wakeup
from zc.async_.dispatcher.plans import SYSTEM
from zc.async_.interfaces import KEY
from zc.async_.process import liveness
from zc.async_.queue import Queue
from zc.async_.subscribers import AgentInstaller
from zc.async_.testing import set_now

#: Time stands still until a test lets some pass.
pytestmark = pytest.mark.usefixtures("pinned")

#: Queues in most of the tests; none of them is visited because there are few.
MANY = 12


def choose_nothing(agent):
    """A chooser."""


@pytest.fixture
def visited(monkeypatch):
    """The names of the queues that were visited; it can be cleared."""
    names = []
    work_ = visit.Visit.work

    def note_and_work(self):
        names.append(self.name)
        work_(self)

    monkeypatch.setattr(visit.Visit, "work", note_and_work)
    return names


@pytest.fixture
def queues(client):
    """Makes a number of queues, and returns the mapping of all."""

    def queues(count=MANY):
        mapping = client.root[KEY]
        for number in range(count):
            mapping[f"q{number:03}"] = Queue()
        client.manager.commit()
        return mapping

    return queues


@pytest.fixture
def calm(make_poller, visited, monkeypatch):
    """A poller with an agent in each queue, in none of which there is anything to do.

    It visits no queue in its turn.
    """

    def calm(turns=0):
        zope.component.provideHandler(AgentInstaller("main"))
        poller = make_poller()
        for _poll in range(3):
            poller.poll()
        monkeypatch.setattr(quiet, "VISITS", turns)
        monkeypatch.setattr(quiet, "PAUSE", 0)
        visited.clear()
        return poller

    return calm


@pytest.fixture
def put_into(client):
    """Puts a job into a queue of a name, and commits."""

    def put_into(name, quota_names=(), **options):
        client.manager.begin()
        job = client.root[KEY][name].put(work.answer, **options)
        job.quota_names = quota_names
        client.manager.commit()
        return job

    return put_into


def test_a_poll_of_many_queues_without_work_visits_few_loads_nothing_and_writes_nothing(
    queues, calm, visited, database
):
    queues(300)
    poller = calm(turns=quiet.VISITS)
    poller.poll()
    visited.clear()
    connection = poller.poller._connection
    connection.getTransferCounts(True)
    before = database.lastTransaction()
    for _poll in range(10):
        poller.poll()
    assert len(visited) == 10 * quiet.VISITS
    assert connection.getTransferCounts() == (0, 0)
    assert database.lastTransaction() == before


def test_all_queues_are_visited_in_turn(queues, calm, visited):
    names = set(queues().keys())
    poller = calm(turns=3)
    for _poll in range((MANY + 1 + 2) // 3):
        poller.poll()
    assert set(visited) == names
    assert len(visited) < len(names) + 3


def test_turns_take_place_at_intervals(queues, calm, visited, monkeypatch):
    queues()
    poller = calm(turns=3)
    monkeypatch.setattr(quiet, "PAUSE", 1000)
    for _poll in range(10):
        poller.poll()
    assert len(visited) == 0


def test_few_queues_are_visited_by_each_poll(calm, visited):
    poller = calm(turns=3)
    for _poll in range(5):
        poller.poll()
    assert visited == [""] * 5


def agents(mapping, poller, name="q005"):
    return mapping[name].dispatchers[poller.uuid]


CHANGES = {
    "a job is put": lambda queue, agents: queue.put(work.answer),
    "a job for later is put": lambda queue, agents: queue.put(
        work.answer, begin_after=zc.async_.clock.now() + datetime.timedelta(1)
    ),
    "an agent grows": lambda queue, agents: setattr(agents["main"], "size", 5),
    "an agent gets labels": lambda queue, agents: setattr(agents["main"], "labels", ["gpu"]),
    "a job that needs labels is put": lambda queue, agents: queue.put(work.answer, needs=["gpu"]),
    "an agent is added": lambda queue, agents: agents.__setitem__("new", Agent()),
    "an agent is removed": lambda queue, agents: agents.__delitem__("main"),
    "a job with a quota is put": lambda queue, agents: put_with_quota(queue),
    "the dispatcher is buried": lambda queue, agents: agents.deactivate(),
    "somebody claims for an agent": lambda queue, agents: (
        queue.put(work.answer),
        agents["main"].claimJob(),
    ),
    "the queue is another": lambda queue, agents: queue.parent.__setitem__("q005", Queue()),
}


def put_with_quota(queue):
    queue.quotas.create("new", 0)
    queue.put(work.answer).quota_names = ["new"]


@pytest.mark.parametrize("change", CHANGES)
def test_a_queue_in_which_something_changed_is_visited_and_no_other(
    queues, calm, visited, client, change
):
    mapping = queues()
    poller = calm()
    client.manager.begin()
    CHANGES[change](mapping["q005"], agents(mapping, poller))
    client.manager.commit()
    poller.poll()
    assert set(visited) == {"q005"}


def test_a_job_that_another_dispatcher_left_waiting_is_found(queues, calm, make_poller, put_into):
    queues()
    poller = calm()
    sibling = make_poller()
    sibling.poll()
    for _job in range(3):
        put_into("q005")
    # It takes what it can run, and files the rest.
    assert len(sibling.poll(busy={("q005", "main"): 2}).jobs) == 1
    assert len(poller.poll().jobs) == 2


@pytest.mark.parametrize("size", [0, 1])
def test_a_job_with_a_quota_that_another_dispatcher_left_waiting_is_found(
    queues, calm, make_poller, put_into, client, size
):
    mapping = queues()
    client.manager.begin()
    mapping["q005"].quotas.create("one", size)
    client.manager.commit()
    poller = calm()
    sibling = make_poller()
    sibling.poll()
    for _job in range(2):
        put_into("q005", quota_names=["one"])
    assert len(sibling.poll().jobs) == size
    assert poller.poll().jobs == []
    client.manager.begin()
    mapping["q005"].quotas["one"].size = 2
    client.manager.commit()
    assert len(poller.poll().jobs) == 2 - size


def test_a_queue_with_jobs_that_only_others_can_run_is_quiet_until_that_changes(
    queues, calm, put_into, client, visited
):
    mapping = queues()
    client.manager.begin()
    mapping["q005"].quotas.create("one")
    client.manager.commit()
    poller = calm()
    jobs = [put_into("q005", needs=["gpu"], quota_names=names) for names in [(), ["one"], ["one"]]]
    later_job = put_into(
        "q005", needs=["eu"], begin_after=zc.async_.clock.now() + datetime.timedelta(seconds=9)
    )
    for _poll in range(3):
        poller.poll()
    visited.clear()
    for _poll in range(5):
        outcome = poller.poll()
        assert (outcome.again, outcome.jobs) == (None, [])
    assert visited == []
    later(seconds=9)
    # It is due, and is filed.
    for _poll in range(3):
        poller.poll()
    assert visited == ["q005"] * 2
    client.manager.begin()
    agents(mapping, poller)["main"].labels = ["gpu"]
    client.manager.commit()
    outcome = poller.poll()
    assert [claimed.needs for claimed in outcome.jobs] == [("gpu",)] * 2
    # The one that is held back by a quota is waited for.
    visited.clear()
    poller.poll(busy={("q005", "main"): 2})
    assert visited == ["q005"]
    client.manager.begin()
    assert [job.status for job in jobs].count("pending-status") == 1
    assert later_job.status == "pending-status"


@pytest.mark.parametrize("needs", [(), ("gpu",)], ids=["no needs", "needs"])
def test_a_queue_with_a_job_that_one_may_run_is_visited_though_its_filter_refused_it(
    queues, calm, put_into, client, visited, needs
):
    mapping = queues()
    poller = calm()
    client.manager.begin()
    agent = agents(mapping, poller)["main"]
    agent.labels, agent.filter = ["gpu"], choosers.refuse
    client.manager.commit()
    put_into("q005", needs=needs)
    for _poll in range(3):
        poller.poll()
    visited.clear()
    poller.poll()
    assert visited == ["q005"]


def test_a_job_that_another_dispatcher_left_for_those_with_labels_is_found(
    queues, calm, make_poller, put_into, client
):
    mapping = queues()
    poller = calm()
    sibling = make_poller()
    sibling.poll()
    client.manager.begin()
    agents(mapping, poller)["main"].labels = ["gpu"]
    client.manager.commit()
    for _poll in range(3):
        poller.poll()
    put_into("q005", needs=["gpu"])
    assert sibling.poll().jobs == []
    assert len(poller.poll().jobs) == 1


def test_quotas_of_quiet_queues_are_not_remembered(queues, calm, client):
    mapping = queues()
    client.manager.begin()
    for number in range(100):
        mapping["q005"].quotas.create(f"quota {number}")
    client.manager.commit()
    poller = calm()
    seen = poller.poller._quiet._seen
    assert len(seen["q005"]) == len(seen["q004"])


def test_jobs_are_claimed_as_before(queues, calm, put_into):
    queues()
    poller = calm()
    for name in ("q001", "q007"):
        put_into(name)
    assert [job.agent for job in poller.poll().jobs] == [("q001", "main"), ("q007", "main")]
    assert not poller.poll().jobs


def test_while_a_queue_has_jobs_it_is_visited(queues, calm, put_into, visited):
    queues()
    poller = calm()
    for _job in range(4):
        put_into("q001")
    poller.poll()
    visited.clear()
    for _poll in range(3):
        poller.poll(busy={("q001", "main"): 3})
    assert visited == ["q001"] * 3


def test_a_job_that_falls_due_is_found(queues, calm, put_into, visited):
    queues()
    poller = calm()
    put_into("q005", begin_after=zc.async_.clock.now() + datetime.timedelta(seconds=5))
    for _poll in range(3):
        outcome = poller.poll()
    moment = zc.async_.clock.microseconds() + 5_000_000
    assert outcome.next_time == moment
    assert outcome.quiet >= {"q005"}
    later(seconds=5)
    assert [job.agent for job in poller.poll().jobs] == [("q005", "main")]


def test_a_queue_with_a_chooser_is_visited_always(queues, calm, client, visited):
    mapping = queues()
    poller = calm()
    client.manager.begin()
    agents(mapping, poller)["main"].chooser = choose_nothing
    client.manager.commit()
    for _poll in range(5):
        poller.poll()
    assert visited == ["q005"] * 5


def test_all_queues_are_told_of_in_each_poll(queues, calm):
    names = set(queues().keys())
    poller = calm()
    outcome = poller.poll()
    assert set(outcome.info) == outcome.done == names
    info = {"active jobs": [], "error": None, "len": 0, "new jobs": [], "size": 3}
    assert all(agents == {"main": info} for agents in outcome.info.values())
    assert outcome.sizes.keys() == {(name, agent) for name in names for agent in ("main", SYSTEM)}


def test_pings_of_quiet_queues_are_written_in_time_and_in_one_transaction(
    queues, calm, client, database, visited
):
    mapping = queues()
    poller = calm()
    before = sum(1 for _record in database.storage.iterator())
    for _ping in range(3):
        for _second in range(30):
            later(seconds=1)
            poller.poll()
        client.manager.begin()
        pings = {queue.dispatchers[poller.uuid].last_ping.value for queue in mapping.values()}
        assert pings == {zc.async_.clock.now()}
    assert sum(1 for _record in database.storage.iterator()) == before + 3
    assert not visited


def test_a_dead_sibling_is_buried_in_all_queues_at_the_next_poll_but_one(
    queues, calm, make_poller, client, put_into
):
    mapping = queues()
    poller, sibling = calm(), make_poller()
    for _poll in range(4):
        sibling.poll()
        poller.poll()
    job = put_into("q005")
    (claimed,) = sibling.poll(busy={}).jobs
    assert claimed.agent[0] == "q005"
    for _poll in range(4):
        # The queue does not get quiet before the sibling is done, for all that it knows.
        poller.poll()
    liveness.release(sibling.uuid)
    assert poller.poll().again == 0
    jobs = [job for _poll in range(2) for job in poller.poll().jobs]
    assert [job.agent for job in jobs] == [("q005", SYSTEM)]
    client.manager.begin()
    assert not any(queue.dispatchers[sibling.uuid].activated for queue in mapping.values())
    assert job.status != "pending"


@pytest.mark.parametrize("interval", [1, 5, 9, 10, 20])
def test_a_silent_sibling_is_buried(queues, calm, make_poller, client, interval, caplog):
    mapping = queues()
    poller, sibling = calm(), make_poller()
    for _poll in range(4):
        sibling.poll()
        poller.poll()
    # Polls are a little early or late. So queues are glanced at as rarely as can be.
    deviations = itertools.cycle([-10, -10, 50])
    for _poll in range(120 // interval):
        later(seconds=interval, milliseconds=next(deviations))
        poller.poll(poll_interval=interval)
    client.manager.begin()
    assert not any(queue.dispatchers[sibling.uuid].activated for queue in mapping.values())
    assert "poll failed" not in caplog.text


def test_all_queues_are_visited_when_the_clock_was_set_back(queues, calm, visited):
    names = set(queues().keys())
    poller = calm()
    set_now(zc.async_.clock.now() - datetime.timedelta(hours=1))
    poller.poll()
    assert set(visited) == names
    visited.clear()
    poller.poll()
    assert not visited


def test_a_conflict_of_pings_is_no_end(queues, calm, client, connect, monkeypatch):
    mapping = queues()
    poller = calm()
    other = connect()
    glance = visit.Visit.glance

    def glance_and_be_disturbed(self):
        glance(self)
        monkeypatch.setattr(visit.Visit, "glance", glance)
        other.manager.begin()
        ping = other.root[KEY]["q003"].dispatchers[poller.uuid].last_ping
        ping.value = zc.async_.clock.now()
        other.manager.commit()

    later(seconds=31)
    monkeypatch.setattr(visit.Visit, "glance", glance_and_be_disturbed)
    assert poller.poll().again is not None
    poller.poll()
    client.manager.begin()
    pings = {queue.dispatchers[poller.uuid].last_ping.value for queue in mapping.values()}
    assert pings == {zc.async_.clock.now()}


# -- in a dispatcher


def test_a_dispatcher_tells_of_all_queues_and_serves_them(
    queues, start_dispatcher, install_agent, reactor, put_into, completed
):
    names = set(queues().keys())
    install_agent()
    dispatcher = start_dispatcher()
    reactor.time_flies(30)
    for poll in dispatcher.polls[:-1]:
        assert set(poll) == names
        assert all(set(agents) == {"main"} for agents in poll.values())
    jobs = [put_into(name) for name in ("q001", "q005", "q001")]
    completed(*jobs)
    polls = dispatcher.polls
    started = [len(polls[0][name]["main"]["new jobs"]) for name in ("q001", "q005", "q002")]
    assert started == [2, 1, 0]
    assert not polls[1]["q001"]["main"]["new jobs"]
    reactor.time_flies(5)
    assert not dispatcher.polls[0]["q001"]["main"]["new jobs"]
    assert dispatcher.getStatistics()["started"] == 3


def test_looks_at_a_storage_that_does_not_tell_visit_changed_queues_only(
    queues, start_dispatcher, install_agent, reactor, put_into, completed, monkeypatch, visited
):
    monkeypatch.setattr(wakeup, "_METHODS", ("method of another storage",))
    queues()
    install_agent()
    start_dispatcher()
    reactor.time_flies(5)
    monkeypatch.setattr(quiet, "VISITS", 0)
    visited.clear()
    reactor.time_flies(5)
    assert not visited
    job = put_into("q005")
    reactor.time_flies(1)
    completed(job)
    assert set(visited) == {"q005"}


def test_a_removed_queue_is_not_told_of_any_more_and_has_no_threads(
    queues, start_dispatcher, install_agent, reactor, put_into, completed, client, settle
):
    mapping = queues()
    install_agent()
    dispatcher = start_dispatcher()
    reactor.time_flies(5)
    completed(put_into("q005"))
    (thread,) = dispatcher.queues["q005"]["main"].threads
    reactor.time_flies(5)
    client.manager.begin()
    del mapping["q005"]
    client.manager.commit()
    settle(lambda: not thread.is_alive())
    assert "q005" not in dispatcher.queues
    assert "q005" not in dispatcher.polls[0]
    assert dispatcher.queues["q004"]


def test_a_removed_queue_keeps_its_threads_while_a_job_runs(
    queues, start_dispatcher, install_agent, reactor, client, settle
):
    mapping = queues()
    install_agent()
    dispatcher = start_dispatcher()
    reactor.time_flies(5)
    client.manager.begin()
    mapping["q005"].put(work.wait)
    client.manager.commit()
    settle(lambda: dispatcher.getActiveJobIds("q005"))
    client.manager.begin()
    del mapping["q005"]
    client.manager.commit()
    reactor.time_flies(5)
    (thread,) = dispatcher.queues["q005"]["main"].threads
    assert thread.is_alive()
    work.gate.set()
    settle(lambda: not thread.is_alive())
    reactor.time_flies(5)
    assert "q005" not in dispatcher.queues
