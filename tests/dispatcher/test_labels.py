"""Dispatchers and agents with labels, and jobs that need them."""

import datetime
import logging
import uuid

import pytest
import zope.component

from tests.dispatcher import choosers, work
from tests.dispatcher.looking import nothing_written
from tests.dispatcher.polls import later
from tests.dispatcher.test_own_agents import OwnAgent
from tests.unit import calls
from zc.async_.agent import Agent
from zc.async_.dispatcher import Dispatcher, thorough
from zc.async_.interfaces import COMPLETED, KEY, PENDING, IDispatcherActivated
from zc.async_.job import Job, parallel, serial
from zc.async_.process import liveness

#: Time stands still until a test lets some pass.
pytestmark = pytest.mark.usefixtures("pinned")

#: UUIDs, the first one first.
FIRST, SECOND = uuid.UUID(int=1), uuid.UUID(int=2)


def ids(*jobs):
    return {job._p_oid for job in jobs}


def claimed(outcome):
    return {one.job_id[0] for one in outcome.jobs}


# -- where labels are


def test_a_dispatcher_writes_down_its_labels_when_it_is_activated(make_poller, agents):
    poller = make_poller(labels=("eu", "gpu"))
    poller.poll()
    assert agents(poller).labels == ("eu", "gpu")


def test_who_comes_after_it_writes_its_own(make_poller, agents):
    first = make_poller(FIRST, labels=("eu",))
    first.poll()
    first.poller.deactivate([])
    assert agents(first).labels == ("eu",)
    second = make_poller(FIRST, labels=("us",))
    second.poll()
    assert agents(second).labels == ("us",)
    second.poller.deactivate([])
    third = make_poller(FIRST)
    third.poll()
    assert agents(third).labels == ()


def test_handlers_of_the_activation_see_the_labels(make_poller):
    seen = []

    @zope.component.adapter(IDispatcherActivated)
    def look(event):
        seen.append((event.object.labels, event.object.labels_at_work()))

    zope.component.provideHandler(look)
    make_poller(labels=("gpu",)).poll()
    assert seen == [(("gpu",), set())]


def test_who_was_taken_for_dead_goes_on_with_its_labels(active, make_poller, client, agents, put):
    poller = active(labels=["gpu"])
    client.manager.begin()
    agents(poller).deactivate()
    client.manager.commit()
    job = put(work.answer, needs=["gpu", poller.uuid])
    assert claimed(poller.poll()) == ids(job)


def test_labels_are_given_to_a_dispatcher_and_checked(database, make_dispatcher):
    assert make_dispatcher(labels=["gpu", "eu", FIRST]).labels == (str(FIRST), "eu", "gpu")
    assert make_dispatcher().labels == ()
    for bad, error in [("gpu", TypeError), (["a b"], ValueError)]:
        with pytest.raises(error, match="labels"):
            Dispatcher(database, object(), uuid=uuid.uuid4(), labels=bad)


# -- who runs what


def test_each_dispatcher_claims_what_it_satisfies(make_poller, client, put, install_agent):
    install_agent(size=10)
    gpu, plain = make_poller(labels=("gpu",)), make_poller()
    gpu.poll(), plain.poll()
    for_all = put(work.answer)
    for_gpu = [put(work.answer, needs=["gpu"]) for _number in range(3)]
    for_one = put(work.answer, needs=[plain.uuid])
    for_nobody = put(work.answer, needs=["gpu", plain.uuid])
    assert claimed(plain.poll()) == ids(for_all, for_one)
    assert claimed(gpu.poll()) == ids(*for_gpu)
    client.manager.begin()
    assert list(client.queue) == [for_nobody]


def test_agents_of_one_dispatcher_claim_by_their_own_labels_in_one_transaction(
    make_poller, client, put
):
    poller = make_poller(labels=("eu",))
    poller.poll()
    client.manager.begin()
    agents = client.queue.dispatchers[poller.uuid]
    for name, labels in [("big", ["big"]), ("small", []), ("both", ["big", "small"])]:
        agents[name] = Agent(size=1, labels=labels)
    client.manager.commit()
    jobs = [put(work.answer, needs=needs) for needs in [["big", "small"], ["big"], ["eu"]]]
    before = client.connection.db().lastTransaction()
    outcome = poller.poll()
    assert before != client.connection.db().lastTransaction()
    by_agent = {one.agent[1]: one.job_id[0] for one in outcome.jobs}
    names = ["both", "big", "small"]
    assert by_agent == {name: job._p_oid for name, job in zip(names, jobs, strict=True)}


def test_polls_do_not_go_on_because_of_jobs_that_only_others_can_run(
    active, put, client, database, connect
):
    poller = active(size=3)
    for _number in range(600):
        client.queue.put(work.answer, needs=["gpu"])
    client.manager.commit()
    polls = 0
    while poller.poll().again is not None:
        polls += 1
    assert polls == 2
    for _poll in range(3):
        with nothing_written(database):
            outcome = poller.poll()
        assert (outcome.again, outcome.next_time, outcome.jobs) == (None, None, [])
    job = put(work.answer)
    assert claimed(poller.poll()) == ids(job)


def test_a_new_dispatcher_takes_what_has_waited_for_it(active, make_poller, put, install_agent):
    active()
    job = put(work.answer, needs=["gpu"])
    install_agent()
    gpu = make_poller(labels=("gpu",))
    assert claimed(gpu.poll()) == ids(job)


def test_an_agent_that_gets_a_label_is_polled_for_at_once(
    dispatcher, client, put, reactor, completed
):
    job = put(work.answer, needs=["gpu"])
    reactor.time_flies(60)
    client.manager.begin()
    assert job.status == PENDING
    client.queue.dispatchers[dispatcher.UUID]["main"].labels = ["gpu"]
    client.manager.commit()
    completed(job)
    assert job.result == 42
    assert dispatcher.getJobInfo(int.from_bytes(job._p_oid))["needs"] == ("gpu",)


def test_quotas_for_which_only_others_jobs_wait_are_not_watched(
    active, make_poller, client, put, database, install_agent
):
    client.queue.quotas.create("one")
    client.manager.commit()
    poller = active()
    for _number in range(3):
        put(work.answer, quota_names=["one"], needs=["gpu"])
    install_agent()
    gpu = make_poller(labels=("gpu",))
    assert len(gpu.poll().jobs) == 1
    members = client.queue.quotas["one"].members
    assert members._p_oid in gpu.poll().watched[database]
    assert members._p_oid not in poller.poll().watched[database]


@pytest.mark.parametrize("labels", ["gpu", ["a b"], 5])
def test_an_agent_of_an_own_class_with_bad_labels_is_told_of_and_hurts_nobody(
    make_poller, client, put, caplog, labels
):
    poller = make_poller()
    poller.poll()
    client.manager.begin()
    agents = client.queue.dispatchers[poller.uuid]
    agents["own"] = OwnAgent()
    agents["own"].labels = labels
    agents["main"] = Agent()
    client.manager.commit()
    job = put(work.answer)
    waits = put(work.answer, needs=["gpu"])
    outcome = poller.poll()
    assert claimed(outcome) == ids(job)
    assert "labels of agent 'own'" in caplog.text
    assert outcome.info[""]["own"]["error"] is not None
    assert "poll of queue '' failed" not in caplog.text
    client.manager.begin()
    assert client.queue.unserved() == {("gpu",): 1}
    assert waits.status == PENDING


def test_an_agent_of_an_own_class_may_have_labels(make_poller, client, put):
    poller = make_poller(labels=("eu",))
    poller.poll()
    client.manager.begin()
    agents = client.queue.dispatchers[poller.uuid]
    agents["own"] = OwnAgent(size=5)
    client.manager.commit()
    eu, gpu = put(work.answer, needs=["eu"]), put(work.answer, needs=["gpu"])
    assert claimed(poller.poll()) == ids(eu)
    client.manager.begin()
    agents["own"].labels = ["gpu"]
    client.manager.commit()
    assert claimed(poller.poll()) == ids(gpu)


# -- what becomes of jobs


def test_an_interrupted_job_keeps_its_needs(make_poller, client, put, install_agent):
    install_agent()
    gpu, plain = make_poller(FIRST, labels=("gpu",)), make_poller(SECOND)
    gpu.poll(), plain.poll()
    job = put(work.answer, needs=["gpu"])
    assert claimed(gpu.poll()) == ids(job)
    client.manager.begin()
    client.queue.dispatchers[FIRST].deactivate()
    client.manager.commit()
    # Anybody sees to the interruption.
    (system,) = plain.poll().jobs
    client.manager.begin()
    calls.run_claimed(client.connection.get(system.job_id[0]))
    client.manager.begin()
    assert (job.status, job.needs) == (PENDING, ("gpu",))
    assert plain.poll().jobs == []
    liveness.release(FIRST)
    again = make_poller(FIRST, labels=("gpu",))
    assert claimed(again.poll()) == ids(job)


def test_a_job_that_only_a_dead_dispatcher_could_run_waits_for_it_and_its_deadline_holds(
    make_poller, client, put, install_agent
):
    install_agent()
    plain = make_poller()
    plain.poll()
    job = put(work.answer, needs=[FIRST], begin_by=datetime.timedelta(seconds=30))
    stays = put(work.answer, needs=[FIRST])
    plain.poll()
    later(seconds=31)
    plain.poll()
    client.manager.begin()
    assert (job.status, stays.status) == (COMPLETED, PENDING)
    assert job.result.type.__name__ == "TimeoutError"
    pinned = make_poller(FIRST)
    assert claimed(pinned.poll()) == ids(stays)


@pytest.mark.parametrize("compose", [serial, parallel])
def test_parts_and_what_follows_them_have_needs_of_their_own(
    compose, install_agent, start_dispatcher, client, put, completed
):
    install_agent()
    one = start_dispatcher(labels=["one"])
    two = start_dispatcher(labels=["two"])
    parts = [Job(work.answer) for _number in range(4)]
    for number, part in enumerate(parts):
        part.needs = [["one"], ["two"]][number % 2]
    last = Job(work.dispatcher_of)
    last.needs = ["two"]
    job = put(compose(*parts, postprocess=last))
    completed(job)
    assert [part.result for part in parts] == [42] * 4
    assert job.result == str(two.UUID)
    for part in parts:
        owner = one if part.needs == ("one",) else two
        assert owner.getJobInfo(int.from_bytes(part._p_oid))["needs"] == part.needs


def test_a_callback_is_performed_where_its_job_ran_and_a_late_one_by_anybody(
    install_agent, start_dispatcher, client, put, completed
):
    install_agent()
    plain = start_dispatcher()
    gpu = start_dispatcher(labels=["gpu"])
    job = client.queue.put(work.dispatcher_of, needs=["gpu"])
    callback = job.addCallback(Job(work.dispatcher_of))
    callback.needs = ["elsewhere"]
    client.manager.commit()
    completed(job)
    assert job.result == callback.result == str(gpu.UUID)
    gpu.deactivate()
    client.manager.begin()
    late = job.addCallback(Job(work.dispatcher_of))
    client.manager.commit()
    completed(late)
    assert late.result == str(plain.UUID)


def test_a_job_that_is_claimed_by_a_chooser_and_left_is_put_back_with_its_needs(
    active, client, put
):
    poller = active(chooser=choosers.claim_and_return_none, labels=["gpu"])
    job = put(work.answer, needs=["gpu"])
    poller.poll()
    client.manager.begin()
    assert (job.status, job.needs) == (PENDING, ("gpu",))


# -- what nobody can run


@pytest.fixture
def warnings(caplog):
    """What was told of jobs that nobody can run since the last call."""

    def warnings():
        found = [
            record.getMessage()
            for record in caplog.records
            if record.levelno == logging.WARNING and "that need the labels" in record.msg
        ]
        caplog.clear()
        return found

    return warnings


@pytest.fixture
def look(client):
    """Has pollers take a thorough look, each."""

    def look(*pollers):
        later(seconds=thorough.INTERVAL)
        for poller in pollers:
            poller.poll(held=frozenset())

    return look


def test_needs_that_nobody_satisfies_are_told_once_by_one_dispatcher(
    make_poller, put, client, install_agent, look, warnings
):
    install_agent(size=0)
    first, second = make_poller(FIRST), make_poller(SECOND)
    first.poll(), second.poll()
    for _number in range(3):
        put(work.answer, needs=["gpu", "eu"])
    put(work.answer, needs=[SECOND])
    put(work.answer)
    first.poll()
    look(first, second)
    assert warnings() == []
    look(first, second)
    (text,) = warnings()
    assert text.startswith(
        "queue '': jobs wait (3) that need the labels eu, gpu, and no dispatcher"
    )
    for _look in range(3):
        look(first, second)
    assert warnings() == []
    put(work.answer, needs=["us"])
    first.poll()
    look(first, second)
    look(first, second)
    (text,) = warnings()
    assert "jobs wait (1) that need the labels us" in text


def test_they_are_told_again_when_who_satisfied_them_is_gone(
    make_poller, put, client, install_agent, look, warnings
):
    install_agent(size=0)
    first, second = make_poller(FIRST), make_poller(SECOND, labels=("gpu",))
    first.poll(), second.poll()
    put(work.answer, needs=["gpu"])
    for _look in range(3):
        look(first, second)
    assert warnings() == []
    second.poller.deactivate([])
    look(first)
    look(first)
    assert len(warnings()) == 1
    again = make_poller(SECOND, labels=("gpu",))
    again.poll()
    look(first, again)
    again.poller.deactivate([])
    look(first)
    look(first)
    assert len(warnings()) == 1


def test_jobs_that_were_removed_are_not_told_of_and_leave_nothing(
    active, put, client, look, warnings
):
    poller = active()
    jobs = [put(work.answer, needs=["gpu"]) for _number in range(5)]
    poller.poll()
    client.manager.begin()
    for job in jobs:
        client.queue.remove(job)
    client.manager.commit()
    client.manager.begin()
    assert client.queue.stale_entries() == 5
    look(poller)
    look(poller)
    assert warnings() == []
    client.manager.begin()
    assert client.queue.stale_entries() == 0
    assert client.queue.backlog.count() == 0


def test_a_queue_that_was_removed_and_comes_back_is_told_of_anew(
    active, put, client, look, warnings
):
    poller = active(labels=["gpu"], size=0)
    put(work.answer, needs=["eu"])
    for _look in range(3):
        look(poller)
    assert len(warnings()) == 1
    client.manager.begin()
    queue = client.root[KEY].pop("")
    client.manager.commit()
    look(poller)
    client.root[KEY][""] = queue
    client.manager.commit()
    look(poller)
    assert warnings() == []
    look(poller)
    assert len(warnings()) == 1


def test_a_look_that_finds_nothing_writes_nothing(active, put, look, database, warnings):
    poller = active(labels=["gpu"], size=0)
    put(work.answer, needs=["gpu"])
    put(work.answer, needs=["eu"])
    for _look in range(4):
        look(poller)
    assert len(warnings()) == 1
    later(seconds=1)
    poller.poller._looks.make_due()
    with nothing_written(database):
        poller.poll(held=frozenset())
