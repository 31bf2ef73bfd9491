"""Each race between two roles, and what keeps it harmless."""

import operator
import threading

import persistent
import pytest
import transaction
from ZODB.POSException import ConflictError

from tests.races.parties import Dispatcher, call_hook, done, hooked_chooser, set_hook
from zc.async_ import local
from zc.async_.interfaces import ACTIVE, COMPLETED, NEW, PENDING, ReassignedError
from zc.async_.job import Job


class Counter(persistent.Persistent):
    """Counts what took effect in the database."""

    count = 0

    def increase(self):
        """Count, while another party acts."""
        self.count += 1
        done.append("increase")
        call_hook()
        return self.count

    def increase_twice(self):
        """Count with a commit of its own in between."""
        self.count += 1
        call_hook()
        transaction.get()
        local.getJob()._p_jar.transaction_manager.commit()
        self.count += 1


def note(*results):
    done.append(results[-1])


def put_two_and_conflict_once():
    """Put a job, and meet a conflict at the first try."""
    done.append("try")
    local.getQueue().put(Job(operator.mul, 6, 7))
    if done.count("try") == 1:
        raise ConflictError


@pytest.fixture
def database(database):
    """A database with an empty queue and a counter."""
    with database.transaction() as connection:
        connection.root()["counter"] = Counter()
    return database


def put(client, *args):
    job = client.queue.put(Job(*args))
    client.manager.commit()
    return job


# -- 1. late callback against completion


def test_race_1_a_callback_added_while_the_job_runs_is_called_and_the_job_runs_once(
    client, dispatcher
):
    job = put(client, client.root["counter"].increase)

    def add_callback():
        client.manager.begin()
        job.addCallback(note)
        client.manager.commit()

    (claimed,) = dispatcher.claim()
    set_hook(add_callback)
    dispatcher.run(claimed)
    dispatcher.work()

    client.manager.begin()
    assert job.status == COMPLETED
    assert [callback.status for callback in job.callbacks] == [COMPLETED]
    assert done == ["increase", 1]


def test_race_1_a_callback_whose_transaction_spans_the_completion_conflicts_then_is_called(
    client, dispatcher
):
    job = put(client, client.root["counter"].increase)
    (claimed,) = dispatcher.claim()
    client.manager.begin()
    job.addCallback(note)
    assert job.status == ACTIVE
    dispatcher.run(claimed)

    with pytest.raises(ConflictError):
        client.manager.commit()
    client.manager.abort()
    assert job.status == COMPLETED
    job.addCallback(note)
    client.manager.commit()
    dispatcher.work()

    assert done == ["increase", 1]


def test_race_1_callbacks_added_before_and_after_the_bookkeeping_are_called_once_each(
    client, dispatcher
):
    job = put(client, client.root["counter"].increase)
    (claimed,) = dispatcher.claim()
    dispatcher.run(claimed)
    client.manager.begin()
    job.addCallback(Job(note, "before"))
    client.manager.commit()
    dispatcher.work()
    client.manager.begin()
    job.addCallback(Job(note, "after"))
    client.manager.commit()
    dispatcher.work()
    dispatcher.work()

    client.manager.begin()
    assert [callback.status for callback in job.callbacks] == [COMPLETED] * 2
    assert done.count("increase") == 1


# -- 2. live annotation against the running job


def test_race_2_annotations_set_while_the_job_runs_do_not_make_it_run_again(client, dispatcher):
    job = put(client, client.root["counter"].increase)

    def annotate():
        client.manager.begin()
        job.annotations["progress"] = 50
        client.manager.commit()
        local.setLiveAnnotation("own progress", 60)

    (claimed,) = dispatcher.claim()
    set_hook(annotate)
    dispatcher.run(claimed)

    client.manager.begin()
    assert dict(job.annotations) == {"progress": 50, "own progress": 60}
    assert job.status == COMPLETED
    assert done == ["increase"]


# -- 3. deactivation or burial against a claim


def test_race_3_no_job_lands_with_a_dispatcher_that_is_deactivated_meanwhile(client, database):
    dispatcher = Dispatcher(database, chooser=hooked_chooser)
    job = put(client, operator.mul, 6, 7)

    def bury():
        client.manager.begin()
        dispatcher.agents(client).deactivate()
        client.manager.commit()

    set_hook(bury)
    outcome = dispatcher.poll()

    assert outcome.jobs == []
    assert outcome.again is not None
    client.manager.begin()
    assert job.status == PENDING
    assert job in client.queue
    assert len(dispatcher.agents(client)["main"]) == 0
    dispatcher.close()


# -- 4. reassignment


def reassign(client, dispatcher, sibling):
    """The dispatcher is buried, and the sibling runs its job to the end."""

    def act():
        client.manager.begin()
        dispatcher.agents(client).deactivate()
        client.manager.commit()
        sibling.work()

    return act


def test_race_4_a_job_that_was_reassigned_takes_effect_once(client, dispatcher, sibling):
    job = put(client, client.root["counter"].increase)
    (claimed,) = dispatcher.claim()
    dispatcher.run_in_vain(claimed, reassign(client, dispatcher, sibling))

    client.manager.begin()
    assert job.status == COMPLETED
    assert client.root["counter"].count == 1
    assert done == ["increase", "increase"]


def test_race_4_a_commit_of_the_job_itself_is_fenced(client, dispatcher, sibling):
    job = put(client, client.root["counter"].increase_twice)
    (claimed,) = dispatcher.claim()
    dispatcher.run_in_vain(claimed, reassign(client, dispatcher, sibling))

    client.manager.begin()
    assert job.status == COMPLETED
    assert client.root["counter"].count == 2


def test_race_4_the_same_dispatcher_claiming_again_fences_its_own_old_thread(client, dispatcher):
    job = put(client, client.root["counter"].increase)
    (first,) = dispatcher.claim()
    client.manager.begin()
    dispatcher.agents(client).deactivate()
    client.manager.commit()
    # The next poll notices that the dispatcher lives, reactivates it, and gets the job that asks
    # the retry policy; the one after it the job itself.
    (interruption,) = dispatcher.claim()
    dispatcher.run(interruption)
    (again,) = dispatcher.claim()

    assert again.job_id == first.job_id
    client.manager.begin()
    assert first.token != client.same(job).claim_token
    with pytest.raises(ReassignedError):
        dispatcher.run(first)
    dispatcher.run(again)
    client.manager.begin()
    assert client.root["counter"].count == 1


# -- 5. remove, pull or an edit against a claim


def test_race_5_a_job_removed_while_it_is_claimed_does_not_run(client, database):
    dispatcher = Dispatcher(database, chooser=hooked_chooser)
    job = put(client, client.root["counter"].increase)

    def remove():
        client.manager.begin()
        client.queue.remove(job)
        client.manager.commit()

    set_hook(remove)
    assert dispatcher.poll().jobs == []
    assert dispatcher.claim() == []
    client.manager.begin()
    assert job.status == NEW
    assert len(client.queue) == 0
    assert done == []
    dispatcher.close()


def test_race_5_a_claim_that_commits_first_makes_the_removal_conflict(client, dispatcher):
    job = put(client, client.root["counter"].increase)
    client.manager.begin()
    client.queue.remove(job)
    (claimed,) = dispatcher.claim()
    with pytest.raises(ConflictError):
        client.manager.commit()
    client.manager.abort()
    dispatcher.run(claimed)
    client.manager.begin()
    assert job.status == COMPLETED
    assert len(client.queue) == 0


@pytest.mark.parametrize("committed_first", ["the sweep", "the edit"])
def test_race_5_an_edit_while_the_job_goes_to_the_backlog_holds(client, database, committed_first):
    """The lane entry and the backlog entry of before the edit count no more."""
    client.queue.quotas.create("closed", 0)
    client.manager.commit()
    dispatcher = Dispatcher(database, size=1, chooser=hooked_chooser)
    client.manager.begin()
    client.queue.put(Job(operator.mul, 6, 7), priority=1)
    job = client.queue.put(client.root["counter"].increase)
    client.manager.commit()

    def edit():
        client.manager.begin()
        job.quota_names = ["closed"]
        if committed_first == "the edit":
            client.manager.commit()

    set_hook(edit)
    (claimed,) = dispatcher.claim()
    client.manager.commit()
    dispatcher.run(claimed)

    assert dispatcher.claim() == []
    client.manager.begin()
    assert list(client.queue) == [job]
    assert len(client.queue) == 1
    client.queue.quotas.remove("closed")
    client.manager.commit()
    dispatcher.work()
    assert done == ["increase"]
    client.manager.begin()
    assert len(client.queue) == 0
    dispatcher.close()


# -- 6. two dispatchers over one lane or group


def test_race_6_a_job_that_two_dispatchers_want_is_claimed_by_one(client, database, sibling):
    dispatcher = Dispatcher(database, chooser=hooked_chooser)
    put(client, client.root["counter"].increase)
    claimed_by_sibling = []
    set_hook(lambda: claimed_by_sibling.extend(sibling.claim()))

    outcome = dispatcher.poll()

    assert outcome.jobs == []
    assert outcome.again is not None
    assert len(claimed_by_sibling) == 1
    assert dispatcher.claim() == []
    dispatcher.close()


def test_race_6_dispatchers_in_threads_run_every_job_once(client, database):
    count = 60
    dispatchers = [Dispatcher(database) for _number in range(3)]
    client.manager.begin()
    for _number in range(count):
        client.queue.put(client.root["counter"].increase)
    client.manager.commit()
    threads = [threading.Thread(target=dispatcher.work) for dispatcher in dispatchers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # What conflicts made one give up for the moment is left for the next poll.
    dispatchers[0].work()

    client.manager.begin()
    assert len(client.queue) == 0
    completed = [
        job
        for agents in client.queue.dispatchers.values()
        for job in agents["main"].completed
        if job.status == COMPLETED
    ]
    assert len(completed) == count
    succeeded = [job for job in completed if isinstance(job.result, int)]
    # Five conflicts over the counter end a job; what took effect is what succeeded.
    assert client.root["counter"].count == len(succeeded)
    for dispatcher in dispatchers:
        dispatcher.close()


# -- 7. full and freed quotas


def test_race_7_two_dispatchers_do_not_take_the_last_place_both(client, database, sibling):
    dispatcher = Dispatcher(database, chooser=hooked_chooser)
    client.manager.begin()
    client.queue.quotas.create("one")
    for _number in range(2):
        client.queue.put(client.root["counter"].increase).quota_names = ["one"]
    client.manager.commit()
    claimed_by_sibling = []
    set_hook(lambda: claimed_by_sibling.extend(sibling.claim()))

    assert dispatcher.poll().jobs == []
    assert dispatcher.claim() == []
    assert len(claimed_by_sibling) == 1
    client.manager.begin()
    assert len(client.queue.quotas["one"]) == 1
    dispatcher.close()


def test_race_7_the_place_of_a_completed_job_is_free_before_the_books_are_kept(
    client, dispatcher, sibling
):
    client.queue.quotas.create("one")
    jobs = [client.queue.put(client.root["counter"].increase) for _number in range(2)]
    for job in jobs:
        job.quota_names = ["one"]
    client.manager.commit()
    (claimed,) = dispatcher.claim()
    assert sibling.claim() == []
    dispatcher.run(claimed)

    assert len(sibling.claim()) == 1


def test_race_7_a_job_that_waits_for_another_keeps_its_place_until_that_has_ended(
    client, dispatcher, sibling
):
    client.queue.quotas.create("one")
    outer = client.queue.put(put_inner)
    other = client.queue.put(client.root["counter"].increase)
    outer.quota_names = other.quota_names = ["one"]
    client.manager.commit()
    (claimed,) = dispatcher.claim()
    dispatcher.run(claimed)

    client.manager.begin()
    assert outer.status == ACTIVE
    assert list(client.queue.quotas["one"]) == [outer]
    (inner,) = sibling.claim()
    sibling.run(inner)
    client.manager.begin()
    assert outer.result == 42
    assert list(client.queue.quotas["one"]) == []
    sibling.work()
    client.manager.begin()
    assert other.status == COMPLETED


def test_race_7_a_job_that_waits_for_one_that_names_its_quota_gives_its_place_up(
    client, dispatcher, sibling
):
    client.queue.quotas.create("one")
    outer = client.queue.put(put_limited_inner)
    outer.quota_names = ["one"]
    client.manager.commit()
    dispatcher.work()
    sibling.work()
    client.manager.begin()
    assert outer.result == 42


def put_limited_inner():
    """Return a job that returns another one, which needs the place of this one."""
    return local.getQueue().put(Job(put_inner_into_quota))


def put_inner_into_quota():
    inner = put_inner()
    inner.quota_names = ["one"]
    return inner


def put_inner():
    return local.getQueue().put(Job(operator.mul, 6, 7))


def test_race_7_a_freed_place_is_written_so_that_every_dispatcher_is_woken(
    client, dispatcher, sibling
):
    client.queue.quotas.create("one")
    for _job in range(2):
        client.queue.put(client.root["counter"].increase).quota_names = ["one"]
    client.manager.commit()
    (claimed,) = dispatcher.claim()
    # Every one in which a job waits for the place.
    watched = set().union(*sibling.poll().watched.values())
    members = client.queue.quotas["one"].members
    assert members._p_oid in watched
    dispatcher.run(claimed)
    client.manager.begin()
    client.queue.dispatchers[dispatcher.uuid]["main"].size = 0
    client.manager.commit()
    dispatcher.poll()

    client.manager.begin()
    assert members.jobs == ()


# -- 8. putting inside a job whose transaction is retried or rolled back


def test_race_8_of_a_try_that_is_repeated_nothing_remains(client, dispatcher):
    job = put(client, put_two_and_conflict_once)
    (claimed,) = dispatcher.claim()
    dispatcher.run(claimed)

    client.manager.begin()
    assert job.status == COMPLETED
    assert done == ["try", "try"]
    assert len(client.queue) == 1
    assert len(list(client.queue)) == 1
    dispatcher.work()
    client.manager.begin()
    assert len(client.queue) == 0


def test_race_8_a_put_that_is_rolled_back_to_a_savepoint_leaves_no_trace(client, dispatcher):
    client.manager.begin()
    kept = client.queue.put(Job(operator.mul, 6, 7))
    savepoint = client.manager.savepoint()
    for _number in range(40):
        client.queue.put(Job(operator.mul, 1, 1))
    savepoint.rollback()
    also_kept = client.queue.put(Job(operator.mul, 6, 8))
    client.manager.commit()

    assert list(client.queue) == [kept, also_kept]
    assert len(client.queue) == 2
    dispatcher.work()
    client.manager.begin()
    assert (kept.result, also_kept.result) == (42, 48)


def test_race_8_the_first_put_of_a_connection_can_be_aborted(client, dispatcher):
    client.manager.begin()
    client.queue.put(Job(operator.mul, 6, 7))
    client.manager.abort()
    job = put(client, operator.mul, 6, 7)
    dispatcher.work()
    client.manager.begin()
    assert job.result == 42
    assert len(client.queue) == 0
