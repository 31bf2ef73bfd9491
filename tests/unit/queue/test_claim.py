"""What a claim reads, takes and tells."""

import zc.async_.queue.claim
from tests.unit import calls
from tests.unit.queue.claims import HOUR, claim_nothing, refuse
from zc.async_.interfaces import COMPLETED
from zc.async_.job import Job


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
        claim_nothing(client)
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
        claim_nothing(client)
    clock.advance(hours=2)
    for failed in (10, 20, 25):
        claim_nothing(client)
        assert sum(job.status == COMPLETED for job in jobs) == failed
        assert len(client.queue) == 25 - failed
    assert client.claim() is None
    assert len(client.queue) == 0


def test_a_claim_reads_few_of_many_waiting_jobs(client, connect):
    for number in range(2000):
        client.queue.put(Job(calls.echo, number))
    client.commit()
    for _sweep in range(2000 // zc.async_.queue.claim.SWEEP_LIMIT + 1):
        claim_nothing(client)
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
