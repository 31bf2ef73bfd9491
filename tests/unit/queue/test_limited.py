"""Jobs with quotas in the backlog: their order, and their piles."""

import random

import hypothesis
import hypothesis.strategies as st
import pytest

from tests.unit import calls
from tests.unit.queue.claims import examples, refuse, to_backlog, turns, two_clients
from tests.unit.queue.piles import check, first_free, index_of, put
from zc.async_.interfaces import COMPLETED, NEW, PENDING
from zc.async_.queue import contenders, limited, serving

# -- the order


NAMES = "abcde"
LABELS = "pqrs"


def put_one(client, draw, jobs):
    names = draw.sample(NAMES, draw.choice([0, 1, 1, 1, 2, 3]))
    names = [name for name in names if name in client.queue.quotas]
    priority = draw.choice([0, 0, 1])
    jobs.append(put(client, *names, priority=priority, needs=some_labels(draw)))


def some_labels(draw):
    return draw.sample(LABELS, draw.choice([0, 0, 1, 2, 3]))


def claim_one(client, draw, jobs):
    labels = some_labels(draw)
    first = first_free(client, jobs, labels)
    assert client.queue.claim(labels=labels) is first


def claim_some_at_once(client, draw, jobs):
    with client.queue.claiming():
        for _number in range(draw.choice([2, 4])):
            claim_one(client, draw, jobs)


def claim_one_of_some(client, draw, jobs):
    chosen = {id(job) for job in jobs if draw.random() < 0.6}
    labels = some_labels(draw)
    first = first_free(client, [job for job in jobs if id(job) in chosen], labels)
    assert client.queue.claim(lambda job: id(job) in chosen, None, labels) is first


def put_back_one(client, draw, jobs):
    claimed = [job for job in jobs if job.status == NEW and job.claim_token]
    for job in draw.sample(claimed, min(1, len(claimed))):
        client.queue.putBack(job)


def forget_one(client, draw, jobs):
    # As if it had been run.
    claimed = [job for job in jobs if job.status == NEW and job.claim_token]
    for job in draw.sample(claimed, min(1, len(claimed))):
        job._set_status(COMPLETED)
        jobs.remove(job)


def edit_one(client, draw, jobs):
    waiting = [job for job in jobs if job.status == PENDING]
    for job in draw.sample(waiting, min(1, len(waiting))):
        change = draw.choice(["priority", "names", "needs", "remove"])
        if change == "priority":
            job.priority = draw.choice([0, 2])
        elif change == "names":
            job.quota_names = draw.sample(list(client.queue.quotas), draw.choice([0, 1, 2]))
        elif change == "needs":
            job.needs = some_labels(draw)
        else:
            client.queue.remove(job)
            jobs.remove(job)


def change_quotas(client, draw, jobs):
    quotas = client.queue.quotas
    name = draw.choice(NAMES)
    if name not in quotas:
        quotas.create(name, draw.choice([0, 1, 2]))
    elif len(quotas) > 2 and draw.random() < 0.3:
        quotas.remove(name)
    else:
        quotas[name].size = draw.choice([0, 0, 1, 2, 3])


def look(client, draw, jobs):
    waiting = sorted((j for j in jobs if j.status == PENDING), key=lambda job: job.position_key())
    assert list(client.queue) == waiting
    assert len(client.queue) == len(waiting)
    assert client.queue[1:3] == waiting[1:3]
    unserved = client.queue.unserved()
    assert sum(unserved.values()) == len(waiting)
    for needs, number in unserved.items():
        # What no claim has read is not told apart.
        known = [job for job in waiting if job.needs == needs]
        assert number <= len(known) if needs else number >= len(known)
    check(client)


ACTIONS = [put_one] * 6 + [claim_one] * 4 + [forget_one] * 2


def drop_stale(client, draw, jobs):
    before = client.queue.stale_entries()
    dropped = serving.drop_stale(client.queue, draw.choice([1, 3, 1000]))
    assert client.queue.stale_entries() == before - dropped


ACTIONS += [claim_some_at_once, claim_one_of_some, put_back_one, edit_one, change_quotas, look]
ACTIONS += [drop_stale]


@examples(80)
@hypothesis.given(st.integers(0, 1 << 32), st.booleans())
def test_a_claim_gives_the_first_job_that_no_quota_holds_back(clock, seed, are_limits_low):
    draw = random.Random(seed)
    with two_clients() as clients, pytest.MonkeyPatch.context() as patch:
        if are_limits_low:
            patch.setattr(limited, "FEW", 2)
            patch.setattr(contenders, "OPENED_AT_ONCE", 2)
            patch.setattr(contenders, "MOVES", 1)
        for name in NAMES:
            clients[0].queue.quotas.create(name, draw.choice([0, 1, 1, 2, 5]))
        clients[0].commit()
        for client, jobs, steps in turns(draw, clients, 8, 25):
            for _step in steps:
                clock.advance(microseconds=10)
                draw.choice(ACTIONS)(client, draw, jobs)
            look(client, draw, jobs)


def test_jobs_of_many_quotas_are_claimed_in_the_order_of_their_puts(client, quotas):
    names = [f"q{number * 37 % 100:02}" for number in range(100)]
    quotas(1, *names)
    jobs = [put(client, name) for name in names]
    to_backlog(client)
    check(client)
    assert client.claim_all() == jobs
    assert not index_of(client)
    assert len(index_of(client).piles) == 0
    assert client.queue.backlog.count() == 0


def test_a_more_urgent_job_goes_before_the_others_of_its_quota_and_of_others(client, quotas):
    quotas(2, "a", "b")
    old = [put(client, "a"), put(client, "b"), put(client, "a")]
    to_backlog(client)
    urgent = put(client, "a", priority=1)
    to_backlog(client)
    check(client)
    assert client.claim() is urgent
    assert client.claim_all() == old[:2]


def test_a_pile_grows_beyond_its_record_and_shrinks_to_nothing(client, quotas):
    quotas(100, "a")
    jobs = []
    for _number in range(limited.FEW + 3):
        jobs.append(put(client, "a"))
        to_backlog(client)
        check(client)
    assert index_of(client).pile(("a",)).many is not None
    for job in jobs:
        assert client.claim() is job
        check(client)
    assert not index_of(client)


# -- filters


def test_what_a_filter_refused_waits_in_an_index_of_its_own_and_is_held_back_there(
    client, quotas, uuid_1
):
    quotas(1, "a", "b")
    agent = client.agent(uuid_1, filter=refuse)
    jobs = [put(client, name) for name in "aabb"]
    client.commit()
    assert calls.run_next(agent) is None
    assert len(client.queue.backlog.limited) == 2
    check(client)
    assert client.claim_all() == [jobs[0], jobs[2]]
    check(client)
    jobs[0]()
    assert client.claim_all() == [jobs[1]]
    assert list(client.queue) == jobs[3:]
