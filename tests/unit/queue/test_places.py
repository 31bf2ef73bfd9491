"""The places of quotas as claims give them."""

import pytest
from ZODB.POSException import ConflictError

from tests.unit import calls
from zc.async_.job import Job


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
