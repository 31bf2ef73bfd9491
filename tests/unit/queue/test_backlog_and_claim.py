"""What becomes of jobs between the put and the claim: deadlines, quotas, filters, edits."""

import datetime

import pytest
from ZODB.POSException import ConflictError

import zc.async_.queue.claim
from tests.unit import calls
from zc.async_.agent import Agent
from zc.async_.interfaces import COMPLETED, NEW, PENDING
from zc.async_.interfaces import TimeoutError as BeginByPassedError
from zc.async_.job import Job
from zc.async_.job.order import GroupKey
from zc.async_.queue.backlog import Backlog, Group

HOUR = datetime.timedelta(hours=1)


def to_backlog(client):
    """Have the waiting jobs read from the lanes without one being taken."""
    assert client.claim(refuse) is None


def refuse(job):
    return False


def accept(job):
    return True


def timed_out(job):
    return job.status == COMPLETED and job.result.check(BeginByPassedError)


def numbers(jobs):
    return [job.args[0] for job in jobs]


@pytest.fixture(params=["in a lane", "in the backlog"])
def settle(request, client):
    """Leaves waiting jobs where they are, or has them moved to the backlog."""

    def settle():
        client.commit()
        if request.param == "in the backlog":
            to_backlog(client)
        client.begin()

    return settle


# -- the backlog


def test_a_backlog_gives_the_group_of_a_key_and_makes_it_once():
    backlog = Backlog()
    key = GroupKey(False, ("a",), ())
    group = backlog.group(key)
    assert isinstance(group, Group)
    assert backlog.group(key) is group
    assert backlog.group(GroupKey(True, ("a",), ())) is not group


def test_a_claim_that_takes_nothing_and_finds_nothing_writes_nothing(client):
    client.put(calls.nothing, priority=1)
    client.claim()
    before = client.queue.backlog._p_serial, client.queue.lanes._p_serial
    client.begin()
    with client.queue.claiming() as claim:
        assert claim.next() is None
    assert not claim.changed
    assert not client.connection._registered_objects
    assert before == (client.queue.backlog._p_serial, client.queue.lanes._p_serial)


def test_a_claim_says_when_the_next_job_is_due(client, clock):
    client.put(calls.nothing, clock.after(hours=2))
    client.put(calls.nothing, clock.after(hours=1))
    client.begin()
    with client.queue.claiming() as claim:
        claim.next()
    assert claim.next_time() == clock.time + 3600 * 1_000_000


def test_a_claim_says_when_the_next_job_must_have_begun(client, clock):
    job = client.put(calls.nothing, None, HOUR)
    client.begin()
    with client.queue.claiming() as claim:
        assert claim.next(refuse) is None
    assert claim.next_time() == job.deadline_moment()


def test_a_claim_of_an_empty_queue_knows_no_next_time(client):
    with client.queue.claiming() as claim:
        pass
    assert claim.next_time() is None


def test_a_claim_reads_a_bounded_number_of_entries(client, monkeypatch):
    monkeypatch.setattr(zc.async_.queue.claim, "SWEEP_LIMIT", 10)
    for _number in range(25):
        client.queue.put(calls.nothing)
    client.commit()
    lanes = client.queue.lanes
    for unread, more in [(15, True), (5, True), (0, False)]:
        with client.queue.claiming() as claim:
            pass
        assert claim.more is more
        assert sum(len(lane) for lane in lanes.values()) == unread
        assert len(client.queue) == 25
        client.commit()


def test_a_claim_takes_a_bounded_number_of_jobs_that_fell_due(client, clock, monkeypatch):
    monkeypatch.setattr(zc.async_.queue.claim, "SWEEP_LIMIT", 10)
    for _number in range(25):
        client.put(calls.nothing, clock.after(hours=1))
        to_backlog(client)
    clock.advance(hours=2)
    for later in (15, 5, 0):
        with client.queue.claiming() as claim:
            pass
        assert claim.more is (later > 0)
        assert client.queue.backlog.later_count == later
        client.commit()
    assert len(client.claim_all()) == 25


def test_a_claim_fails_a_bounded_number_of_overdue_jobs(client, clock, monkeypatch):
    monkeypatch.setattr(zc.async_.queue.claim, "SWEEP_LIMIT", 10)
    jobs = [client.queue.put(calls.nothing, None, HOUR) for _number in range(25)]
    client.commit()
    for _sweep in range(3):
        to_backlog(client)
    clock.advance(hours=2)
    for failed in (10, 20, 25):
        to_backlog(client)
        assert sum(job.status == COMPLETED for job in jobs) == failed
        assert len(client.queue) == 25 - failed
    assert client.claim() is None
    assert len(client.queue) == 0


def test_a_claim_reads_few_of_many_waiting_jobs(client, connect):
    for number in range(2000):
        client.queue.put(Job(calls.echo, number))
    client.commit()
    for _sweep in range(2000 // zc.async_.queue.claim.SWEEP_LIMIT + 1):
        to_backlog(client)
    fresh = connect()
    fresh.connection.cacheMinimize()
    assert fresh.claim().args[0] == 0
    loaded = [o for _oid, o in fresh.connection._cache.lru_items() if isinstance(o, Job)]
    assert len(loaded) == 1


def test_an_error_in_a_filter_by_hand_is_a_no_and_is_logged(queue, caplog):
    queue.put(calls.nothing)
    assert queue.claim(calls.fail) is None
    assert "taken as a no" in caplog.text
    assert len(queue) == 1


# -- deadlines


def test_a_job_that_cannot_begin_in_time_fails(client, clock, settle):
    job = client.queue.put(calls.nothing, None, HOUR)
    settle()
    clock.advance(minutes=59)
    to_backlog(client)
    assert job.status == PENDING
    clock.advance(minutes=2)
    assert client.claim() is None
    assert timed_out(job)
    assert len(client.queue) == 0
    assert list(client.queue) == []


def test_a_job_claimed_in_time_does_not_fail(client, clock, settle):
    job = client.queue.put(calls.nothing, None, HOUR)
    settle()
    assert client.claim() is job
    assert len(client.queue.backlog.deadlines) == 0
    clock.advance(hours=2)
    assert client.claim() is None
    assert job.status == NEW


def test_the_deadline_counts_from_begin_after(client, clock, settle):
    job = client.queue.put(calls.nothing, clock.after(hours=2), HOUR)
    settle()
    clock.advance(hours=2)
    to_backlog(client)
    assert job.status == PENDING
    clock.advance(hours=1)
    to_backlog(client)
    assert timed_out(job)


def test_a_job_whose_time_was_over_before_the_put_fails(client, clock):
    job = client.put(calls.nothing, clock.after(hours=-3), HOUR)
    assert client.claim() is None
    assert timed_out(job)


def test_the_failure_of_a_late_job_goes_to_its_callbacks(client, clock, agent, happened):
    job = client.queue.put(calls.nothing, None, HOUR)
    job.addCallbacks(failure=calls.happen)
    client.commit()
    clock.advance(hours=2)
    assert calls.run_next(agent) is None
    assert not happened
    assert calls.run_all(agent) != []
    assert happened[0][0].check(BeginByPassedError)
    assert job.status == COMPLETED


def test_the_deadline_holds_behind_a_full_quota(client, clock):
    client.queue.quotas.create("a")
    first, second = Job(calls.nothing), Job(calls.nothing)
    for job in (first, second):
        job.quota_names = ["a"]
        client.put(job, None, HOUR)
    assert client.claim() is first
    assert client.claim() is None
    clock.advance(hours=2)
    assert client.claim() is None
    assert timed_out(second)
    assert first.status == NEW
    assert len(client.queue) == 0
    first()
    assert client.claim() is None


def test_the_deadline_holds_behind_a_filter(client, clock, uuid_1):
    agent = client.agent(uuid_1, filter=refuse)
    job = client.put(calls.nothing, None, HOUR)
    assert calls.run_next(agent) is None
    clock.advance(hours=2)
    assert calls.run_next(agent) is None
    assert timed_out(job)
    assert len(client.queue) == 0


def test_the_deadline_holds_while_the_agents_are_paused(client, clock, uuid_1):
    client.agent(uuid_1, size=0)
    job = client.put(calls.nothing, None, HOUR)
    for _time in range(2):
        client.begin()
        # As a dispatcher does, whatever its agents want.
        with client.queue.claiming():
            pass
        client.commit()
        clock.advance(hours=2)
    assert timed_out(job)


def test_removed_jobs_are_not_failed_by_their_deadline(client, clock, settle):
    job = client.queue.put(calls.nothing, None, HOUR)
    settle()
    client.queue.remove(job)
    client.commit()
    clock.advance(hours=2)
    assert client.claim() is None
    assert job.status == NEW
    assert job.result is None
    assert len(client.queue) == 0


# -- quotas


@pytest.fixture
def limited(client):
    """Puts jobs that need a place in a quota of size 1 named 'a'."""
    client.queue.quotas.create("a")
    client.commit()

    def put(*names, count=1):
        jobs = []
        for number in range(count):
            job = Job(calls.echo, number)
            job.quota_names = names or ("a",)
            jobs.append(client.put(job))
        return jobs

    return put


def test_jobs_of_a_full_quota_wait_and_others_pass_them(client, limited):
    first, second = limited(count=2)
    free = client.put(calls.nothing)
    assert client.claim() is first
    assert client.claim() is free
    assert client.claim() is None
    first()
    assert client.claim() is second


def test_a_job_needs_a_place_in_each_of_its_quotas(client, limited):
    client.queue.quotas.create("b", 2)
    (both,), (a,), (b,) = limited("a", "b"), limited("a"), limited("b")
    assert client.claim() is both
    assert client.claim() is b
    assert client.claim() is None
    both()
    assert client.claim() is a


def test_a_job_that_names_a_quota_twice_takes_one_place(client, limited):
    client.queue.quotas.create("b", 2)
    (first,), (second,) = limited("b", "b"), limited("b")
    client.begin()
    with client.queue.claiming() as claim:
        assert [claim.next(), claim.next()] == [first, second]
    assert len(client.queue.quotas["b"]) == 2


def test_places_are_counted_within_a_claim(client, limited):
    client.queue.quotas["a"].size = 3
    jobs = limited(count=5)
    client.begin()
    with client.queue.claiming() as claim:
        assert [claim.next() for _number in range(4)] == [*jobs[:3], None]
    client.commit()


def test_a_removed_quota_holds_nobody_back(client, limited):
    jobs = limited(count=3)
    assert client.claim() is jobs[0]
    client.queue.quotas.remove("a")
    client.commit()
    assert client.claim_all() == jobs[1:]
    assert jobs[1].quota_names == ("a",)


def test_a_quota_made_again_holds_for_the_jobs_that_waited(client, limited):
    jobs = limited(count=3)
    assert client.claim() is jobs[0]
    client.queue.quotas.remove("a")
    client.commit()
    client.queue.quotas.create("a", 1)
    client.commit()
    # The new one knows nothing of the job claimed under the old one.
    assert client.claim() is jobs[1]
    assert client.claim() is None


def test_a_quota_that_grows_lets_jobs_pass(client, limited, other):
    jobs = limited(count=4)
    assert client.claim() is jobs[0]
    assert client.claim() is None
    other.begin()
    other.queue.quotas["a"].size = 3
    other.commit()
    assert client.claim_all() == jobs[1:3]


def test_a_quota_that_shrinks_leaves_running_jobs_alone(client, limited):
    client.queue.quotas["a"].size = 2
    jobs = limited(count=4)
    assert [client.claim(), client.claim(), client.claim()] == [*jobs[:2], None]
    client.queue.quotas["a"].size = 1
    client.commit()
    assert list(client.queue.quotas["a"]) == jobs[:2]
    jobs[0]()
    assert client.claim() is None
    jobs[1]()
    assert client.claim() is jobs[2]
    assert client.claim() is None


def test_a_quota_of_size_0_stops_its_jobs(client, limited):
    client.queue.quotas["a"].size = 0
    (job,) = limited()
    assert client.claim() is None
    client.queue.quotas["a"].size = 1
    client.commit()
    assert client.claim() is job


def test_the_last_place_of_a_quota_is_not_given_twice(client, other, limited):
    limited(count=2)
    client.begin()
    other.begin()
    assert client.queue.claim() is not None
    # By a lane or by the backlog, what each of them claims is another job.
    assert other.queue.claim(lambda job: job.args[0] == 1) is not None
    client.commit()
    with pytest.raises(ConflictError):
        other.commit()
    other.abort()
    assert other.claim() is None


def test_the_last_place_conflicts_even_if_nothing_else_would(client, other, limited):
    """The records of the quota alone must do it."""
    jobs = [Job(calls.nothing), Job(calls.nothing)]
    for number, job in enumerate(jobs):
        client.add(str(number), job)
    other.begin()
    client.queue.quotas["a"].take_place(jobs[0])
    other.queue.quotas["a"].take_place(other.mine(jobs[1]))
    client.commit()
    with pytest.raises(ConflictError):
        other.commit()


def test_changing_the_size_of_a_quota_does_not_fight_claims(client, other, limited):
    (job,) = limited()
    other.begin()
    other.queue.quotas["a"].size = 5
    assert client.claim() is job
    other.commit()


# -- edits of waiting jobs


def test_an_earlier_begin_after_makes_a_job_due(client, clock, settle):
    job = client.queue.put(calls.nothing, clock.after(days=1))
    settle()
    assert client.claim() is None
    job.begin_after = clock.after(hours=1)
    settle()
    assert client.claim() is None
    clock.advance(hours=1)
    assert client.claim() is job
    assert len(client.queue) == 0


def test_a_later_begin_after_makes_a_job_wait(client, clock, settle):
    job = client.queue.put(calls.nothing)
    settle()
    job.begin_after = clock.after(hours=1)
    client.commit()
    assert client.claim() is None
    assert len(client.queue) == 1
    clock.advance(hours=1)
    assert client.claim() is job


def test_begin_after_can_be_set_back_to_none(client, clock, settle):
    job = client.queue.put(calls.nothing, clock.after(days=1))
    settle()
    job.begin_after = None
    client.commit()
    assert client.claim() is job


def test_an_edited_begin_by_holds(client, clock, settle):
    jobs = [client.queue.put(calls.nothing, None, HOUR) for _number in range(3)]
    settle()
    jobs[0].begin_by = HOUR / 2
    jobs[1].begin_by = HOUR * 2
    jobs[2].begin_by = None
    settle()
    clock.advance(minutes=31)
    to_backlog(client)
    assert timed_out(jobs[0])
    assert [job.status for job in jobs[1:]] == [PENDING, PENDING]
    clock.advance(minutes=60)
    to_backlog(client)
    assert [job.status for job in jobs[1:]] == [PENDING, PENDING]
    clock.advance(minutes=60)
    assert client.claim() is jobs[2]
    assert timed_out(jobs[1])
    assert len(client.queue) == 0


def test_a_begin_by_given_to_a_waiting_job_holds(client, clock, settle):
    job = client.queue.put(calls.nothing)
    settle()
    job.begin_by = HOUR
    client.commit()
    to_backlog(client)
    clock.advance(hours=1)
    to_backlog(client)
    assert timed_out(job)


def test_an_edited_priority_moves_a_job(client, settle):
    jobs = [client.queue.put(calls.nothing) for _number in range(3)]
    settle()
    jobs[2].priority = 1
    jobs[0].priority = -1
    assert list(client.queue) == [jobs[2], jobs[1], jobs[0]]
    assert len(client.queue) == 3
    client.commit()
    assert client.claim_all() == [jobs[2], jobs[1], jobs[0]]


def test_an_edit_keeps_the_arrival(client, clock, settle):
    jobs = [client.queue.put(calls.nothing) for _number in range(3)]
    settle()
    clock.advance(seconds=1)
    jobs[0].args = [1]
    assert list(client.queue) == jobs
    client.commit()
    assert client.claim_all() == jobs


def test_edited_quota_names_hold(client, settle, limited):
    client.queue.quotas.create("b")
    (job,) = limited()
    (first,) = limited()
    settle()
    first.quota_names = ["b"]
    client.commit()
    assert client.claim() is job
    assert client.claim() is first
    assert list(client.queue.quotas["b"]) == [first]
    assert list(client.queue.quotas["a"]) == [job]


def test_quota_names_can_be_taken_away(client, settle, limited):
    first, second = limited(count=2)
    settle()
    assert client.claim() is first
    second.quota_names = ()
    client.commit()
    assert client.claim() is second


def test_a_waiting_job_cannot_name_an_unknown_quota(client, settle):
    job = client.queue.put(calls.nothing)
    settle()
    with pytest.raises(ValueError, match="unknown quota name"):
        job.quota_names = ["content catalog"]
    assert job.quota_names == ()


def test_edits_of_another_connection_hold(client, other, settle, clock):
    jobs = [client.queue.put(Job(calls.echo, number)) for number in range(3)]
    settle()
    other.begin()
    other.mine(jobs[0]).begin_after = clock.after(hours=1)
    other.mine(jobs[2]).priority = 1
    other.mine(jobs[1]).args[0] = 7
    assert numbers(other.queue) == [2, 7, 0]
    other.commit()
    client.begin()
    assert numbers(client.queue) == [2, 7, 0]
    assert len(client.queue) == 3
    assert numbers(client.claim_all()) == [2, 7]
    clock.advance(hours=1)
    assert numbers(client.claim_all()) == [0]
    assert len(client.queue) == 0


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda job: setattr(job, "priority", 1), id="priority"),
        pytest.param(lambda job: job.args.append(1), id="args"),
        pytest.param(lambda job: job.kwargs.update(a=1), id="kwargs"),
        pytest.param(lambda job: setattr(job, "callable", calls.echo), id="callable"),
        pytest.param(lambda job: setattr(job, "begin_by", HOUR), id="begin_by"),
        pytest.param(lambda job: setattr(job, "begin_after", None), id="begin_after"),
        pytest.param(lambda job: job.queue.remove(job), id="remove"),
    ],
)
def test_an_edit_conflicts_with_a_claim_of_the_job(client, other, settle, edit):
    job = client.queue.put(calls.nothing)
    settle()
    other.begin()
    edit(other.mine(job))
    assert client.claim() is job
    with pytest.raises(ConflictError):
        other.commit()
    other.abort()
    client.begin()
    assert len(client.queue) == 0


def test_an_edit_does_not_conflict_with_claims_of_other_jobs(client, other, settle):
    first, second = client.queue.put(calls.nothing), client.queue.put(calls.nothing)
    settle()
    other.begin()
    other.mine(second).args.append(1)
    assert client.claim() is first
    other.commit()
    assert client.claim() is second
    assert second.args == [1]


def test_edits_in_the_transaction_of_the_put_leave_one_entry(client):
    job = client.queue.put(calls.nothing)
    job.priority = 5
    job.args.append(1)
    assert len(client.queue) == 1
    assert sum(len(lane) for lane in client.queue.lanes.values()) == 1


def test_an_edit_in_the_transaction_of_the_put_holds_after_a_claim_in_it(client):
    first, second = client.queue.put(calls.nothing), client.queue.put(calls.nothing)
    assert client.queue.claim(refuse) is None
    second.priority = 1
    assert list(client.queue) == [second, first]
    assert client.queue.claim() is second
    client.commit()
    assert client.claim() is first


def test_two_claims_at_the_same_time_do_not_take_the_same_job(client, other, settle):
    job = client.queue.put(calls.nothing)
    settle()
    client.begin()
    other.begin()
    assert client.queue.claim() is job
    assert other.queue.claim() == other.mine(job)
    client.commit()
    with pytest.raises(ConflictError):
        other.commit()


# -- filters of agents


class Counting:
    """A filter that counts how often it is asked. Global, so that it can be stored."""

    def __init__(self, accepted=()):
        Counting.asked = []
        Counting.accepted = set(accepted)


def counting(job):
    Counting.asked.append(job.args[0])
    return job.args[0] in Counting.accepted


def counting_too(job):
    return counting(job)


@pytest.fixture
def refusing(client, uuid_1):
    """An agent with the filter `counting`."""
    Counting()
    return client.agent(uuid_1, filter=counting)


def put_numbers(client, *numbers):
    jobs = [client.queue.put(Job(calls.echo, number)) for number in numbers]
    client.commit()
    return jobs


def test_a_filter_is_asked_once_about_a_job(client, refusing):
    put_numbers(client, *range(5))
    for _time in range(4):
        assert calls.run_next(refusing) is None
    assert Counting.asked == [0, 1, 2, 3, 4]
    put_numbers(client, 5)
    assert calls.run_next(refusing) is None
    assert Counting.asked == [0, 1, 2, 3, 4, 5]
    assert len(client.queue) == 6


def test_what_one_filter_refuses_others_may_take_in_order(client, refusing, uuid_2):
    jobs = put_numbers(client, *range(5))
    assert calls.run_next(refusing) is None
    assert client.claim() is jobs[0]
    elsewhere = client.agent(uuid_2)
    assert calls.run_next(elsewhere) is jobs[1]
    client.commit()
    assert [calls.run_next(elsewhere) for _number in range(4)] == [*jobs[2:], None]


def test_jobs_that_are_refused_do_not_hold_back_those_that_are_accepted(client, refusing):
    Counting.accepted = {3, 7}
    jobs = put_numbers(client, *range(9))
    assert calls.run_next(refusing) is jobs[3]
    assert calls.run_next(refusing) is jobs[7]
    assert calls.run_next(refusing) is None
    assert Counting.asked == list(range(9))


def test_an_edited_job_is_offered_again(client, refusing):
    jobs = put_numbers(client, *range(3))
    assert calls.run_next(refusing) is None
    Counting.accepted = {10}
    jobs[1].args[0] = 10
    client.commit()
    Counting.asked.clear()
    assert calls.run_next(refusing) is jobs[1]
    assert Counting.asked == [10]


def test_all_jobs_are_offered_to_a_new_filter(client, refusing):
    put_numbers(client, *range(3))
    assert calls.run_next(refusing) is None
    Counting.asked.clear()
    refusing.filter = counting_too
    client.commit()
    assert calls.run_next(refusing) is None
    assert Counting.asked == [0, 1, 2]
    assert calls.run_next(refusing) is None
    assert Counting.asked == [0, 1, 2]


def test_jobs_put_back_are_offered_again(client, refusing):
    (job,) = put_numbers(client, 1)
    assert calls.run_next(refusing) is None
    client.claim()
    client.queue.putBack(job)
    Counting.accepted = {1}
    client.commit()
    assert calls.run_next(refusing) is job


def test_the_refusals_of_one_agent_are_not_those_of_another(client, refusing, uuid_2):
    (job,) = put_numbers(client, 1)
    second = client.agent(uuid_2, filter=counting)
    assert calls.run_next(refusing) is None
    assert calls.run_next(second) is None
    assert Counting.asked == [1, 1]
    third = client.agent(uuid_2, name="third", filter=accept)
    assert calls.run_next(third) is job


def test_the_refusals_of_agents_that_are_new_in_the_transaction_are_apart(client, uuid_1):
    agents = client.agent(uuid_1).parent
    job = client.put(calls.nothing)
    refusing = agents["refusing"] = Agent(filter=refuse)
    accepting = agents["accepting"] = Agent(filter=accept)
    assert refusing.claimJob() is None
    assert accepting.claimJob() is job


def test_a_claim_for_several_agents_offers_each_the_jobs_the_others_refused(client, uuid_1):
    Counting({1, 2})
    first = client.agent(uuid_1, name="first", filter=counting)
    second = client.agent(uuid_1, name="second")
    jobs = put_numbers(client, *range(4))
    with client.queue.claiming():
        assert [first.claimJob(), first.claimJob()] == jobs[1:3]
        assert first.claimJob() is None
        assert [second.claimJob(), second.claimJob()] == [jobs[0], jobs[3]]
        assert second.claimJob() is None
    client.commit()
    assert len(client.queue) == 0
    assert list(client.queue) == []


def test_many_refused_jobs_cost_each_claim_a_bounded_number_of_questions(client, refusing):
    count = 5000
    put_numbers(client, *range(count))
    most = zc.async_.queue.claim.FILTER_LIMIT
    claims = 0
    while len(Counting.asked) < count:
        before = len(Counting.asked)
        calls.run_next(refusing)
        assert len(Counting.asked) - before <= most
        claims += 1
        assert claims <= count // zc.async_.queue.claim.SWEEP_LIMIT + 1
    assert len(set(Counting.asked)) == count
    Counting.accepted = {count}
    (job,) = put_numbers(client, count)
    Counting.asked.clear()
    assert calls.run_next(refusing) is job
    assert calls.run_next(refusing) is None
    assert Counting.asked == [count]
    assert len(client.queue) == count


def test_a_changed_filter_is_asked_in_slices(client, refusing, monkeypatch):
    monkeypatch.setattr(zc.async_.queue.claim, "FILTER_LIMIT", 10)
    put_numbers(client, *range(25))
    for asked in (10, 20, 25, 25):
        assert calls.run_next(refusing) is None
        assert len(Counting.asked) == asked
    refusing.filter = counting_too
    client.commit()
    Counting.asked.clear()
    Counting.accepted = {24}
    assert calls.run_next(refusing) is None
    assert calls.run_next(refusing) is None
    assert calls.run_next(refusing).args[0] == 24
    assert len(Counting.asked) == 25


def test_a_slice_that_was_cut_off_says_that_there_is_more(client, refusing, monkeypatch):
    monkeypatch.setattr(zc.async_.queue.claim, "FILTER_LIMIT", 2)
    put_numbers(client, *range(3))
    with client.queue.claiming() as claim:
        assert refusing.claimJob() is None
    assert claim.more
    client.commit()
    with client.queue.claiming() as claim:
        assert refusing.claimJob() is None
    assert not claim.more


def test_a_filter_and_quotas_hold_together(client, refusing):
    client.queue.quotas.create("a")
    Counting.accepted = {1, 2}
    jobs = [Job(calls.echo, number) for number in range(4)]
    for job in jobs:
        job.quota_names = ["a"]
        client.put(job)
    client.begin()
    with client.queue.claiming():
        assert refusing.claimJob() is jobs[1]
        assert refusing.claimJob() is None
    client.commit()
    jobs[1]()
    assert calls.run_next(refusing) is jobs[2]
    assert Counting.asked == [0, 1, 2]


def test_jobs_of_the_system_are_offered_to_no_filter_and_no_usual_claim(client, refusing):
    job = Job(calls.echo, 1)
    system = client.put(job.make_system_job(job.handleInterrupt))
    assert client.claim() is None
    assert calls.run_next(refusing) is None
    assert Counting.asked == []
    assert calls.run_next(refusing.parent.system_agent) is system


def test_a_chooser_that_looks_at_the_queue_sees_all_waiting_jobs(client, uuid_1, settle, clock):
    agent = client.agent(uuid_1)
    jobs = put_numbers(client, *range(3))
    jobs.append(client.put(Job(calls.echo, 3), clock.after(seconds=1)))
    settle()
    clock.advance(seconds=2)
    with client.queue.claiming():
        assert agent.claimJob() is jobs[0]
        assert len(client.queue) == 3
        assert list(client.queue) == jobs[1:]
        assert agent.claimJob() is jobs[1]
        client.queue.remove(jobs[2])
        assert list(client.queue) == jobs[3:]
        assert agent.claimJob() is jobs[3]
    client.commit()
    assert len(client.queue) == 0
    assert jobs[2].status == NEW
