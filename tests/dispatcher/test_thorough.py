"""What a dispatcher looks for now and then."""

import datetime

import pytest
import transaction

import zc.async_.clock
from tests import storages
from tests.dispatcher import work
from tests.dispatcher.polls import complete, later
from zc.async_.agent import Agent
from zc.async_.dispatcher import thorough
from zc.async_.interfaces import ACTIVE, COMPLETED, PENDING
from zc.async_.job import Job, parallel
from zc.async_.testing import set_now

#: Time stands still until a test lets some pass.
pytestmark = pytest.mark.usefixtures("pinned")

slow = pytest.mark.slow

SECOND = datetime.timedelta(seconds=1)
HOUR = datetime.timedelta(hours=1)


@pytest.fixture(params=["FileStorage", pytest.param("RelStorage with history", marks=slow)])
def db(request, tmp_path):
    """A database whose transactions can be undone."""
    with storages.opened(request.param, request, tmp_path) as database:
        yield database


@pytest.fixture
def poller(make_poller, client):
    """A poller that is active, with an agent."""
    poller = make_poller()
    poller.poll(held=frozenset())
    client.manager.begin()
    client.queue.dispatchers[poller.uuid]["main"] = Agent()
    client.manager.commit()
    return poller


def undo_last(database, count):
    """Undo the newest transactions, one after the other."""
    for entry in list(database.undoLog(0, count))[:count]:
        manager = transaction.TransactionManager()
        database.undo(entry["id"], manager.get())
        manager.commit()


@pytest.mark.parametrize("with_books", [False, True])
def test_a_job_whose_completion_was_undone_is_handed_back(
    poller, client, database, with_books, caplog
):
    job = client.queue.put(work.answer)
    client.manager.commit()
    (claimed,) = poller.poll(held=frozenset()).jobs
    held = frozenset({(claimed.job_id, claimed.token)})
    poller.poll(held=held)
    complete(client, job)
    if with_books:
        # Else the job alone is as it was: the agent takes it for completed.
        poller.poll(held=frozenset())
    undo_last(database, 2 if with_books else 1)
    poller.poll(held=frozenset())
    client.manager.begin()
    assert job.status == ACTIVE
    for _look in range(3):
        later(seconds=thorough.INTERVAL + 1)
        poller.poll(held=frozenset())
    client.manager.begin()
    agent = client.queue.dispatchers[poller.uuid]["main"]
    assert job not in agent
    assert not len(agent.completed)
    assert "is with no worker" in caplog.text
    # Its interruption is dealt with by whoever works for the system.
    assert len(client.queue.dispatchers[poller.uuid].system_agent) == 1


def test_a_job_that_a_thread_has_is_left_alone(poller, client):
    job = client.queue.put(work.answer)
    client.manager.commit()
    (claimed,) = poller.poll(held=frozenset()).jobs
    held = frozenset({(claimed.job_id, claimed.token)})
    for _look in range(4):
        later(seconds=thorough.INTERVAL + 1)
        poller.poll(held=held)
    client.manager.begin()
    assert list(client.queue.dispatchers[poller.uuid]["main"]) == [job]
    assert len(client.queue) == 0


def test_a_job_that_was_claimed_by_this_poll_is_left_alone(poller, client, caplog):
    """It is not held before the poll ends: one look is no evidence."""
    for _look in range(3):
        later(seconds=thorough.INTERVAL + 1)
        client.manager.begin()
        client.queue.put(work.answer)
        client.manager.commit()
        poller.poll(held=frozenset())
        poller.poll(held=frozenset())
        client.manager.begin()
        (job,) = client.queue.dispatchers[poller.uuid]["main"]
        complete(client, job)
        poller.poll(held=frozenset())
    assert "is with no worker" not in caplog.text


def test_who_waits_for_an_interval_waits_no_longer_though_the_clock_is_set_back(poller, client):
    job = client.queue.put(work.answer, 60 * SECOND)
    client.manager.commit()
    poller.poll(held=frozenset())
    later(seconds=10)
    set_now(zc.async_.clock.now() - HOUR)
    poller.poll(held=frozenset())
    client.manager.begin()
    assert job.status == PENDING
    assert job.begin_after <= zc.async_.clock.now() + 60 * SECOND
    later(seconds=61)
    assert len(poller.poll(held=frozenset()).jobs) == 1


def test_who_waits_for_a_date_waits_for_it_though_the_clock_is_set_back(poller, client):
    moment = zc.async_.clock.now() + 60 * SECOND
    job = client.queue.put(work.answer, moment)
    client.manager.commit()
    poller.poll(held=frozenset())
    set_now(zc.async_.clock.now() - HOUR)
    later(seconds=61)
    assert poller.poll(held=frozenset()).jobs == []
    client.manager.begin()
    assert job.begin_after == moment
    assert job.status != COMPLETED


@pytest.mark.parametrize("needs", [(), ("gpu",)], ids=["no needs", "needs"])
@pytest.mark.parametrize("limit", [1000, 1], ids=["all in a look", "one in a look"])
def test_a_quota_whose_closing_was_undone_lets_its_jobs_pass(
    poller, client, database, monkeypatch, limit, needs
):
    client.queue.dispatchers[poller.uuid]["main"].labels = needs
    monkeypatch.setattr(thorough, "CLOSED_LIMIT", limit)
    names = ["a", "b", "c"]
    for name in names:
        client.queue.quotas.create(name)
    client.manager.commit()
    closings = []
    for name in names:
        client.queue.quotas[name].size = 0
        client.manager.commit()
        closings.append(database.undoLog(0, 1)[0]["id"])
        client.queue.put(work.answer, needs=needs).quota_names = [name]
        client.manager.commit()
    assert poller.poll(held=frozenset()).jobs == []
    for closing in (closings[0], closings[2]):
        manager = transaction.TransactionManager()
        database.undo(closing, manager.get())
        manager.commit()
    assert poller.poll(held=frozenset()).jobs == []
    claimed = []
    for _look in range(4):
        later(seconds=thorough.INTERVAL + 1)
        held = frozenset((job.job_id, job.token) for job in claimed)
        claimed += poller.poll(held=held).jobs
    assert sorted(job.quota_names for job in claimed) == [("a",), ("c",)]


def test_jobs_that_wait_for_each_others_places_go_on(
    client, make_dispatcher, install_agent, reactor, settle, caplog
):
    """Both are claimed by the first poll, and each has the place that the other's part needs."""
    jobs = []
    for mine, others in ("ab", "ba"):
        client.queue.quotas.create(mine)
        part = Job(work.answer)
        part.quota_names = [others]
        jobs.append(parallel(part))
        jobs[-1].quota_names = [mine]
    for job in jobs:
        client.queue.put(job)
    client.manager.commit()
    install_agent()
    make_dispatcher().activate()

    def have_ended():
        reactor.time_flies(1)
        client.manager.begin()
        return all(job.status == COMPLETED for job in jobs)

    settle(have_ended)
    assert [part.result for job in jobs for (part,) in [job.result]] == [42, 42]
    assert caplog.text.count("it would wait for ever") == 1
    assert "gives up its place in the quota 'b' while it waits" in caplog.text
