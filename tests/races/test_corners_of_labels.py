"""Jobs that need labels, while others claim, edit, remove or leave."""

import datetime
import random
import threading

import pytest

from tests.races.parties import Dispatcher, call_hook, done, set_hook
from zc.async_ import local
from zc.async_.interfaces import COMPLETED, PENDING

GPU = ["gpu"]


def hooked(agent):
    """Claims, and lets the other party act before the poll commits."""
    job = agent.queue.claim()
    call_hook()
    return job


def run():
    done.append("run")


def run_with_hook():
    call_hook()
    done.append("run")


@pytest.fixture
def make(database):
    """Makes dispatchers whose agents have labels; they are closed in the end."""
    made = []

    def make(labels=(), **options):
        dispatcher = Dispatcher(database, **options)
        made.append(dispatcher)
        dispatcher.manager.begin()
        dispatcher.agents(dispatcher)["main"].labels = labels
        dispatcher.manager.commit()
        return dispatcher

    yield make
    for dispatcher in made:
        dispatcher.close()


def put(client, needs=GPU, **options):
    client.manager.begin()
    job = client.queue.put(run, needs=needs, **options)
    client.manager.commit()
    return job


def left(client):
    client.manager.begin()
    return list(client.queue)


# -- two who read one lane


def test_who_lacks_the_labels_files_the_job_while_who_has_them_claims_it(client, make):
    plain, gpu = make(chooser=hooked), make(GPU)
    put(client)
    claimed = []
    set_hook(lambda: claimed.extend(gpu.claim()))

    # It has read the lane before the other claims.
    assert plain.poll().jobs == []

    assert len(claimed) == 1
    assert plain.claim() == []
    gpu.run(claimed[0])
    assert left(client) == []
    assert done == ["run"]


def test_who_has_the_labels_claims_the_job_while_who_lacks_them_files_it(client, make):
    gpu, plain = make(GPU, chooser=hooked), make()
    job = put(client)
    set_hook(plain.claim)

    # It meets a conflict, since the job is in another place now.
    outcome = gpu.poll()
    assert (outcome.jobs, outcome.again is None) == ([], False)

    assert left(client) == [job]
    gpu.work()
    assert left(client) == []
    assert done == ["run"]


def test_who_comes_while_others_file_its_jobs_finds_them(client, make, database):
    plain = make(chooser=hooked)
    jobs = [put(client, needs=needs) for needs in (GPU, ["eu"], ["eu", "gpu"])]
    made = []
    set_hook(lambda: made.append(make(GPU)))
    plain.poll()
    (gpu,) = made
    gpu.work()
    assert left(client) == jobs[1:]
    assert done == ["run"]


# -- labels and needs that change


def test_a_label_that_is_taken_away_in_the_middle_of_a_claim_keeps_the_job(client, make):
    gpu = make(GPU, chooser=hooked)
    job = put(client)

    def take_away():
        client.manager.begin()
        gpu.agents(client)["main"].labels = ()
        client.manager.commit()

    set_hook(take_away)
    outcome = gpu.poll()
    assert (outcome.jobs, outcome.again is None) == ([], False)
    gpu.work()
    assert left(client) == [job]
    assert done == []
    client.manager.begin()
    gpu.agents(client)["main"].labels = GPU
    client.manager.commit()
    gpu.work()
    assert done == ["run"]


@pytest.mark.parametrize("committed_first", ["the claim", "the edit"])
@pytest.mark.parametrize("needs", [["eu"], ()], ids=["other needs", "no needs"])
@pytest.mark.parametrize("where", ["in the lane", "filed"])
def test_needs_that_are_edited_in_the_middle_of_a_claim_hold(
    client, make, committed_first, needs, where
):
    gpu, eu = make(GPU, chooser=hooked), make(["eu"])
    job = put(client)
    if where == "filed":
        eu.work()

    def edit():
        client.manager.begin()
        job.needs = needs
        if committed_first == "the edit":
            client.manager.commit()

    set_hook(edit)
    outcome = gpu.poll()
    if committed_first == "the edit":
        assert outcome.jobs == []
        if needs:
            gpu.work()
            assert left(client) == [job]
        eu.work()
    else:
        with pytest.raises(Exception, match="conflict"):
            client.manager.commit()
        client.manager.abort()
        (claimed,) = outcome.jobs
        gpu.run(claimed)
    gpu.work()
    assert left(client) == []
    assert done == ["run"]


@pytest.mark.parametrize("change", ["remove", "fail", "pull"])
@pytest.mark.parametrize("where", ["in the lane", "filed"])
def test_a_job_that_is_taken_away_while_somebody_files_or_claims_it_does_not_run(
    client, make, change, where
):
    gpu, plain = make(GPU, chooser=hooked), make(chooser=hooked)
    job = put(client)
    if where == "filed":
        plain.work()

    def take_away():
        client.manager.begin()
        if change == "fail":
            job.fail()
        elif change == "pull":
            client.queue.pull()
        else:
            client.queue.remove(job)
        client.manager.commit()

    set_hook(take_away)
    plain.poll()
    gpu.work(), plain.work(), gpu.work()
    assert left(client) == []
    assert done == []
    assert client.queue.stale_entries() == 0


def test_a_deadline_that_passes_while_who_has_the_labels_claims(client, make, clock):
    gpu, plain = make(GPU, chooser=hooked), make()
    job = put(client, begin_by=datetime.timedelta(seconds=5))
    plain.work()

    def pass_by():
        clock.advance(6)
        plain.claim()

    set_hook(pass_by)
    gpu.work()
    plain.work()
    assert left(client) == []
    assert job.status == COMPLETED
    # One of the two has won.
    assert (len(done) == 1) == (job.result is None)
    assert client.queue.stale_entries() == 0


# -- many


def note_place():
    job, agent = local.getJob(), local.getJob().agent
    labels = agent.parent.labels_for(agent)
    done.append((job._p_oid, labels.issuperset(job.needs)))


@pytest.mark.parametrize("seed", range(3))
def test_dispatchers_in_threads_run_every_job_once_and_where_it_may_run(
    client, make, database, seed
):
    draw = random.Random(seed)
    sets = [(), ("a",), ("b",), ("a", "b"), ("c",)]
    dispatchers = [make(labels) for labels in (["a"], ["b"], ["a", "b", "c"], [])]
    client.manager.begin()
    jobs = []
    for number in range(120):
        jobs.append(client.queue.put(note_place, needs=draw.choice(sets)))
        if number % 10 == 0:
            client.manager.commit()
    client.manager.commit()
    threads = [threading.Thread(target=dispatcher.work) for dispatcher in dispatchers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Who ended last may have filed something for who ended before.
    dispatchers[2].work()
    assert left(client) == []
    assert sorted(done) == [(oid, True) for oid in sorted(job._p_oid for job in jobs)]
    assert {job.status for job in jobs} == {COMPLETED}


def test_a_dispatcher_that_dies_leaves_its_job_to_others_who_have_the_labels(client, make):
    gpu, other_gpu, plain = make(GPU), make(GPU), make()
    client.manager.begin()
    job = client.queue.put(run_with_hook, needs=GPU)
    client.manager.commit()
    (claimed,) = gpu.claim()
    gpu.die_in(claimed)
    plain.work()
    client.manager.begin()
    assert (job.status, job.needs) == (PENDING, ("gpu",))
    other_gpu.work()
    assert left(client) == []
    assert job.status == COMPLETED
    assert done == ["run"]
