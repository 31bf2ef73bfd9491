"""Serial and parallel jobs, run step by step."""

import pytest
import ZODB.utils
from ZODB.POSException import ConflictError

from tests.unit import calls
from zc.async_.interfaces import ACTIVE, COMPLETED
from zc.async_.interfaces import TimeoutError as BeginByPassedError
from zc.async_.job import Job, composition, parallel, serial
from zc.async_.running import tries
from zc.async_.threadlocal import local


def one():
    calls.happen("one")
    return 1


def two():
    calls.happen("two")
    return 2


def three():
    calls.happen("three")
    return 3


def results(*jobs):
    return [job.result for job in jobs]


def results_after(first, *jobs):
    return first, tuple(job.result for job in jobs)


def count_failures(*jobs):
    return sum(hasattr(job.result, "check") for job in jobs)


def return_job(*jobs):
    """Go on with another job."""
    return local.getQueue().put(Job(calls.add, *(job.result for job in jobs)))


def add_third(main, result):
    main.args.append(Job(three))


def add_second(main):
    """As in the documents: extend the main job, and have a callback extend it again."""
    calls.happen("first")
    part = Job(two)
    main.args.append(part)
    part.addCallback(Job(add_third, main))
    return 1


BOTH = pytest.mark.parametrize("compose", [serial, parallel])


@pytest.fixture(autouse=True)
def nothing_happened(happened):
    pass


def names():
    return [entry[0] for entry in calls.happened]


@BOTH
def test_the_postprocess_gets_the_completed_parts(client, agent, compose):
    job = client.put(compose(one, two, three, postprocess=results))
    calls.run_all(agent)
    assert job.status == COMPLETED
    assert job.result == [1, 2, 3]
    assert names() == ["one", "two", "three"]


@BOTH
def test_without_postprocess_the_result_is_the_parts(client, agent, compose):
    job = client.put(compose(one, two))
    parts = tuple(job.args)
    calls.run_all(agent)
    assert job.result == parts
    assert results(*parts) == [1, 2]


@BOTH
def test_parts_and_postprocess_can_be_jobs_with_arguments(client, agent, compose):
    job = client.put(
        compose(Job(calls.add, 1, 2), Job(calls.add, 3), postprocess=Job(results_after, "foo"))
    )
    calls.run_all(agent)
    assert job.result == ("foo", (3, 3))


@BOTH
def test_of_nothing_the_postprocess_gets_nothing(client, agent, compose):
    empty = client.put(compose())
    with_postprocess = client.put(compose(postprocess=results))
    calls.run_all(agent)
    assert empty.result == ()
    assert with_postprocess.result == []


@BOTH
def test_a_part_that_fails_does_not_keep_the_others_from_running(client, agent, compose):
    job = client.put(compose(one, calls.fail, three, postprocess=count_failures))
    calls.run_all(agent)
    assert job.result == 1
    assert names() == ["one", "three"]


@BOTH
def test_a_postprocess_that_fails_fails_the_job(client, agent, compose):
    job = client.put(compose(one, postprocess=calls.fail))
    callback = job.addCallback(calls.identity)
    client.commit()
    calls.run_all(agent)
    assert job.result.check(ValueError)
    assert callback.result.check(ValueError)
    assert job.status == COMPLETED


@BOTH
def test_the_job_can_be_extended_before_it_starts(client, agent, compose):
    job = client.put(compose(one, postprocess=results))
    job.args.append(Job(two))
    job.args.append(three)
    client.commit()
    calls.run_all(agent)
    assert job.result == [1, 2, 3]


@BOTH
def test_the_job_can_be_extended_by_its_parts_and_by_their_callbacks(client, agent, compose):
    job = client.put(compose(postprocess=results))
    job.args.append(Job(add_second, job))
    client.commit()
    calls.run_all(agent)
    assert job.result == [1, 2, 3]
    assert names() == ["first", "two", "three"]


@BOTH
def test_callbacks_of_the_job_come_when_all_is_done(client, agent, compose):
    job = compose(one, two, postprocess=results)
    job.addCallback(calls.happen)
    client.put(job)
    calls.run_all(agent)
    assert calls.happened[-1] == ([1, 2],)
    assert names()[:-1] == ["one", "two"]


@BOTH
def test_composed_jobs_can_be_parts_of_composed_jobs(client, agent, compose):
    inner = [serial(one, two, postprocess=results), parallel(three, postprocess=results)]
    job = client.put(compose(*inner, postprocess=results))
    calls.run_all(agent)
    assert job.result == [[1, 2], [3]]


@BOTH
def test_a_part_that_returns_a_job_has_ended_when_that_has(client, agent, compose):
    job = client.put(compose(return_job, two, postprocess=results))
    calls.run_all(agent)
    assert job.result == [0, 2]


@BOTH
def test_a_postprocess_can_return_a_job(client, agent, compose):
    job = client.put(compose(one, two, postprocess=return_job))
    calls.run_all(agent)
    assert job.result == 3


@BOTH
def test_the_composed_job_holds_no_place_while_its_parts_run(client, agent, compose):
    agent.size = 1
    jobs = [client.put(compose(one, two, postprocess=results)) for _number in range(5)]
    calls.run_all(agent)
    assert [job.result for job in jobs] == [[1, 2]] * 5


@BOTH
def test_the_composed_job_waits_while_its_parts_run(client, agent, compose):
    job = client.put(compose(one, two))
    assert calls.run_next(agent) is job
    assert job.status == ACTIVE
    assert job.result.callable is composition.collect
    assert len(agent) == 0
    calls.run_next(agent)
    assert job.status == ACTIVE
    calls.run_all(agent)
    assert job.status == COMPLETED


def test_serial_parts_are_put_one_after_the_other(client, agent):
    client.put(serial(one, two, three))
    calls.run_next(agent)
    for part in (one, two, three):
        assert [job.callable for job in client.queue] == [part]
        calls.run_next(agent)
    assert len(client.queue) == 1


def test_parallel_parts_are_put_all_at_once(client, agent):
    client.put(parallel(one, two, three))
    calls.run_next(agent)
    assert [job.callable for job in client.queue] == [one, two, three]


def test_parallel_parts_may_end_in_any_order(client, agent):
    agent.size = 10
    job = client.put(parallel(one, two, three, postprocess=results))
    calls.run_next(agent)
    client.begin()
    parts = [agent.claimJob() for _number in range(3)]
    client.commit()
    for part in reversed(parts):
        part()
    calls.run_all(agent)
    assert job.result == [1, 2, 3]
    assert names() == ["three", "two", "one"]


def test_two_last_parts_that_end_at_the_same_time_start_one_postprocess(
    client, other, agent, uuid_2
):
    job = client.put(parallel(Job(end_together), two, postprocess=results))
    calls.run_next(agent)
    elsewhere = other.agent(uuid_2)
    client.begin()
    first = agent.claimJob()
    client.commit()
    other.begin()
    second = elsewhere.claimJob()
    other.commit()
    # The callback of the first part does not see the end of the second one.
    MEANWHILE.append(second)
    first()
    calls.run_all(agent)
    assert job.result == ["together", 2]
    assert job.status == COMPLETED
    client.begin()
    assert len(client.queue) == 0


MEANWHILE = []


def end_together():
    if MEANWHILE:
        MEANWHILE.pop()()
    return "together"


def start_parts(client, agent, *parts, **options):
    """Have an agent claim all parts of a parallel job, as if for its workers."""
    agent.size = len(parts) + 1
    job = client.put(parallel(*parts, **options))
    calls.run_next(agent)
    client.begin()
    claimed = [agent.claimJob() for _part in parts]
    for part in claimed:
        part.activate_at(0)
    client.commit()
    return job, claimed


def work(other, part):
    """Run a job as a worker does."""
    other.begin()
    there = other.mine(part)
    tries.run_claimed(there, there.claim_token)


def keep_books(client, agent):
    client.begin()
    agent.keep_books()
    client.commit()


def written_since(client, tid):
    """The classes of the records that were written by other transactions than the first ones."""
    storage = client.connection.db().storage
    return [
        [ZODB.utils.get_pickle_metadata(record.data)[1] for record in transaction]
        for transaction in storage.iterator(tid)
    ][1:]


def test_to_end_a_part_is_one_transaction_that_writes_the_part_alone(client, other, agent):
    _job, parts = start_parts(client, agent, *[one] * 40)
    before = client.connection.db().lastTransaction()
    for part in parts:
        work(other, part)
    transactions = written_since(client, before)
    assert transactions == [["Job"]] * 40


def test_the_ends_of_neighbours_are_noted_in_few_records(client, other, agent):
    job, parts = start_parts(client, agent, *[one] * 400)
    for part in parts[32:48]:
        work(other, part)
    before = client.connection.db().lastTransaction()
    keep_books(client, agent)
    ((*classes,),) = written_since(client, before)
    assert classes.count("Tally") == 2
    assert not {"Job", "Parts"} & set(classes)
    assert job.status == ACTIVE


@pytest.mark.parametrize("put_back", [False, True])
def test_a_part_that_was_removed_from_its_agent_tells_of_its_end_itself(
    client, other, agent, put_back
):
    job, (part, second) = start_parts(client, agent, one, two, postprocess=results)
    agent.remove(part)
    if put_back:
        client.queue.putBack(part)
        client.commit()
        client.begin()
        assert agent.claimJob() is part
        part.activate_at(0)
    client.commit()
    work(other, part)
    work(other, second)
    keep_books(client, agent)
    calls.run_all(agent)
    assert (job.status, job.result) == (COMPLETED, [1, 2])


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 255, 256, 257, 300])
def test_a_parallel_job_ends_when_all_its_parts_have_and_not_before(client, agent, count):
    job, parts = start_parts(client, agent, *[one] * count, postprocess=results)
    for part in reversed(parts):
        assert len(client.queue) == 0
        part._set_status(COMPLETED)
        agent.remember(part)
        # Told twice.
        agent.remember(part)
    assert len(client.queue) == 1
    client.commit()
    client.begin()
    agent.keep_books()
    client.commit()
    assert len(client.queue) == 1
    for part in parts:
        part._result = 1
    client.commit()
    calls.run_all(agent)
    assert job.result == [1] * count


def test_two_dispatchers_that_note_the_ends_of_the_last_parts_conflict(client, other, agent):
    job, parts = start_parts(client, agent, one, two)
    for part in parts:
        part._set_status(COMPLETED)
    client.commit()
    other.begin()
    agent.remember(parts[0])
    other.mine(agent).remember(other.mine(parts[1]))
    client.commit()
    with pytest.raises(ConflictError):
        other.commit()
    assert job.status == ACTIVE


def test_the_end_of_a_part_is_noted_though_its_dispatcher_died_before_its_books(
    client, other, agent, uuid_2
):
    job, parts = start_parts(client, agent, one, two, postprocess=results)
    for part in parts:
        work(other, part)
    client.begin()
    agent.parent.deactivate()
    client.commit()
    calls.run_all(client.agent(uuid_2))
    assert job.result == [1, 2]


def test_the_end_of_a_part_is_noted_though_its_worker_completes_it_after_it_was_handed_back(
    client, other, agent, uuid_2
):
    job, parts = start_parts(client, agent, one, two, postprocess=results)
    client.begin()
    # Its dispatcher is taken for dead, and is not: its worker is faster than the interruption.
    agent.parent.deactivate()
    client.commit()
    for part in parts:
        work(other, part)
    calls.run_all(client.agent(uuid_2))
    assert job.result == [1, 2]


def test_a_part_that_is_failed_by_hand_has_ended(client, other, agent):
    job, (first, second) = start_parts(client, agent, one, two, postprocess=count_failures)
    first.fail()
    client.commit()
    work(other, second)
    keep_books(client, agent)
    calls.run_all(agent)
    assert job.result == 1


def test_a_part_with_callbacks_has_ended_when_they_have(client, other, agent):
    part = Job(one)
    part.addCallback(calls.happen)
    job, parts = start_parts(client, agent, part, postprocess=results)
    work(other, parts[0])
    keep_books(client, agent)
    calls.run_all(agent)
    assert job.result == [1]
    assert (1,) in calls.happened


def test_parts_that_are_added_by_a_part_of_a_worker_are_waited_for(client, other, agent):
    job = client.put(parallel(postprocess=results))
    job.args.append(Job(add_second, job))
    client.commit()
    calls.run_next(agent)
    client.begin()
    part = agent.claimJob()
    part.activate_at(0)
    client.commit()
    work(other, part)
    keep_books(client, agent)
    assert job.status == ACTIVE
    calls.run_all(agent)
    assert job.result == [1, 2, 3]


def test_a_part_whose_end_cannot_be_noted_does_not_fail_the_books(
    client, other, agent, monkeypatch, caplog
):
    job, (part,) = start_parts(client, agent, one, postprocess=results)
    work(other, part)
    with monkeypatch.context() as patched:
        patched.setattr(composition, "part_ended", calls.fail)
        keep_books(client, agent)
    assert "a job of the system tries again" in caplog.text
    calls.run_all(agent)
    assert job.result == [1]


def test_a_parallel_job_that_an_older_release_has_begun_goes_on(client, agent):
    """As it was begun: with tallies that callbacks of the parts write."""
    job = client.put(parallel(one, two, postprocess=results))
    client.begin()
    claimed = agent.claimJob()
    claimed.activate_at(0)
    last = Job(results)
    progress = composition.Progress(last)
    progress._tallies = (composition.Tally(None, 0, 0),)
    job.wait_for_job(last)
    composition._start_parallel_parts(job, progress)
    client.commit()
    job.args.append(Job(three))
    client.commit()
    calls.run_all(agent)
    assert job.result == [1, 2, 3]


@BOTH
def test_a_conflict_while_the_parts_are_put_leaves_one_of_each(client, other, agent, compose):
    log = client.add("log", calls.Log())
    job = compose(one, two, postprocess=results)
    job.stored_callable, run = "tests.unit.job.test_composition:conflict_once", job.callable
    RUN[:] = [run, log, other]
    client.put(job)
    calls.run_all(agent)
    assert job.result == [1, 2]
    assert names() == ["one", "two"]
    assert log.entries == (("other",), ("job",))


RUN = []


def conflict_once(*jobs, postprocess):
    run, log, other = RUN
    result = run(*jobs, postprocess=postprocess)
    if not log.entries:
        other.begin()
        other.mine(log).note("other")
        other.commit()
    log.note("job")
    return result


def test_a_composed_job_whose_dispatcher_stops_goes_on_elsewhere(client, agent, uuid_2):
    job = client.put(serial(one, two, postprocess=results))
    calls.run_next(agent)
    calls.run_next(agent)
    agent.parent.deactivate()
    client.commit()
    calls.run_all(client.agent(uuid_2))
    assert job.result == [1, 2]


@BOTH
def test_a_composed_job_that_was_failed_stays_failed(client, agent, compose):
    job = client.put(compose(one, two, postprocess=results))
    calls.run_next(agent)
    job.fail()
    client.commit()
    calls.run_all(agent)
    assert job.result.check(BeginByPassedError)
    assert len(client.queue) == 0


@BOTH
def test_a_composed_job_needs_a_queue(client, compose):
    job = client.add("job", compose(one))
    assert "put it into one" in job().getErrorMessage()


@BOTH
def test_what_cannot_be_called_is_refused_at_once(compose):
    with pytest.raises(TypeError):
        compose(42)
    with pytest.raises(TypeError):
        compose(postprocess=42)


@BOTH
def test_composed_jobs_have_keyword_only_postprocess_and_are_shown(compose):
    job = compose(one, two)
    assert job.kwargs == {"postprocess": None}
    assert len(job.args) == 2
    assert compose.__name__ in repr(job)
