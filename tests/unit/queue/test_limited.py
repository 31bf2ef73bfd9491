"""Jobs with quotas in the backlog: the order, what holds them back, and what claims look at."""

import collections
import random

import hypothesis
import hypothesis.strategies as st
import pytest
import ZODB
from ZODB.DemoStorage import DemoStorage
from ZODB.POSException import ConflictError

from tests.unit import calls
from zc.async_.interfaces import COMPLETED, NEW, PENDING
from zc.async_.job import Job
from zc.async_.job.order import GroupKey
from zc.async_.queue import contenders, limited, prefetch, ready
from zc.async_.queue.backlog import Backlog, Group
from zc.async_.queue.limited import Limited, Pile, indices
from zc.async_.queue.places import Places
from zc.async_.queue.quota import Members, Quota


def refuse(job):
    return False


def to_backlog(client):
    """Have all waiting jobs read from the lanes, and none handed out."""
    client.commit()
    more = True
    while more:
        client.begin()
        with client.queue.claiming() as claim:
            more = claim.more
        client.commit()


def put(client, *quota_names, priority=0):
    job = Job(calls.nothing)
    job.quota_names = quota_names
    job.priority = priority
    return client.queue.put(job)


def index_of(client):
    """The index of jobs that nobody has refused."""
    return client.queue.backlog.limited[False, ()]


def check(client):
    """Every pile is filed once, where it belongs."""
    entries = 0
    for _key, index in indices(client.queue.backlog):
        filed = [(head, pile.quota_names) for head, pile in index.opened()]
        assert [head for head, _names in filed] == sorted(index.open)
        counts = collections.Counter()
        for name in {name for name, _head in index.parked_by}:
            for head, pile in index.under(name):
                assert pile.held_by == name
                assert head in index.parked
                filed.append((head, pile.quota_names))
                counts[name] += 1
        assert len(index.parked) == len(index.parked_by)
        assert counts == {**index.held, **index.closed}
        assert not set(index.held) & set(index.closed)
        piles = {quota_names: index.pile(quota_names) for quota_names in index.piles}
        assert sorted(filed) == sorted((pile.first(), names) for names, pile in piles.items())
        for pile in piles.values():
            assert pile.head == pile.first()
            assert pile.count == len(pile.jobs) > 0
            entries += pile.count
    assert entries == client.queue.backlog.limited_count()


@pytest.fixture
def quotas(client):
    """Makes quotas with these names; the first arguments is their size."""

    def quotas(size, *names):
        for name in names:
            client.queue.quotas.create(name, size)
        client.commit()
        return client.queue.quotas

    return quotas


# -- the order


NAMES = "abcde"


def put_one(client, draw, jobs):
    names = draw.sample(NAMES, draw.choice([0, 1, 1, 1, 2, 3]))
    names = [name for name in names if name in client.queue.quotas]
    jobs.append(put(client, *names, priority=draw.choice([0, 0, 1])))


def claim_one(client, draw, jobs):
    first = first_free(client, jobs)
    assert client.queue.claim() is first


def claim_one_of_some(client, draw, jobs):
    chosen = {id(job) for job in jobs if draw.random() < 0.6}
    first = first_free(client, [job for job in jobs if id(job) in chosen])
    assert client.queue.claim(lambda job: id(job) in chosen) is first


def first_free(client, jobs):
    """The job that a claim should give, by a look at every job and quota."""
    quotas = client.queue.quotas
    full = {name for name, quota in quotas.items() if quota.filled}
    free = [job for job in jobs if job.status == PENDING and not full & set(job.quota_names)]
    return min(free, key=lambda job: job.position_key(), default=None)


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
        change = draw.choice(["priority", "names", "remove"])
        if change == "priority":
            job.priority = draw.choice([0, 2])
        elif change == "names":
            job.quota_names = draw.sample(list(client.queue.quotas), draw.choice([0, 1, 2]))
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
    check(client)


ACTIONS = [put_one] * 6 + [claim_one] * 4 + [forget_one] * 2
ACTIONS += [claim_one_of_some, put_back_one, edit_one, change_quotas, look]


@hypothesis.settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(st.integers(0, 1 << 32), st.booleans())
def test_a_claim_gives_the_first_job_that_no_quota_holds_back(clock, seed, are_limits_low):
    draw = random.Random(seed)
    database = ZODB.DB(DemoStorage())
    clients = [calls.Client(database), calls.Client(database)]
    patch = pytest.MonkeyPatch()
    if are_limits_low:
        patch.setattr(limited, "FEW", 2)
        patch.setattr(contenders, "OPENED_AT_ONCE", 2)
        patch.setattr(contenders, "MOVES", 1)
    try:
        calls.make_queue(clients[0])
        for name in NAMES:
            clients[0].queue.quotas.create(name, draw.choice([0, 1, 1, 2, 5]))
        clients[0].commit()
        jobs = []
        for _round in range(8):
            client = draw.choice(clients)
            client.begin()
            mine = [client.mine(job) for job in jobs]
            for _step in range(draw.randrange(25)):
                clock.advance(microseconds=10)
                draw.choice(ACTIONS)(client, draw, mine)
            look(client, draw, mine)
            client.commit()
            jobs = mine
    finally:
        patch.undo()
        for client in clients:
            client.close()
        database.close()


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


# -- full quotas


def parked(client):
    """How many piles are parked under which quotas that claims ask, and under which closed ones."""
    index = index_of(client)
    return dict(index.held), dict(index.closed)


def test_a_pile_is_parked_by_the_claim_that_fills_its_quota_and_opened_when_it_has_room(
    client, quotas
):
    quotas(1, "a", "b")
    first, second, third = (put(client, name) for name in "aab")
    client.commit()
    assert client.claim() is first
    assert parked(client) == ({"a": 1}, {})
    assert client.claim() is third
    first()
    # Who wants no job leaves it to others, and writes nothing.
    client.begin()
    with client.queue.claiming() as claim:
        pass
    assert not claim.changed
    assert parked(client) == ({"a": 1}, {})
    assert client.claim(refuse) is None
    assert parked(client) == ({}, {})
    assert client.claim() is second


def test_what_waits_under_a_quota_with_room_is_claimed_in_its_turn(client, quotas):
    quotas(2, "a")
    jobs = [put(client, "a") for _number in range(4)]
    client.commit()
    assert client.claim_all() == jobs[:2]
    later = put(client)
    client.commit()
    jobs[1]()
    assert client.claim_all() == [jobs[2], later]
    jobs[0]()
    assert client.claim_all() == [jobs[3]]


@pytest.mark.parametrize("count", [3, 40], ids=["few piles", "many piles"])
def test_piles_of_a_quota_that_many_share_are_claimed_in_order(client, quotas, count):
    """As if each customer had a quota, and all together another one."""
    quotas(1, "all")
    names = [f"q{number:02}" for number in range(count)]
    quotas(1, *names)
    jobs = [put(client, "all", name) for name in reversed(names)]
    to_backlog(client)
    for job in jobs:
        assert client.claim() is job
        check(client)
        assert client.claim() is None
        check(client)
        job()
    assert not index_of(client)
    assert parked(client) == ({}, {})


def test_a_pile_goes_from_one_full_quota_to_the_next(client, quotas):
    quotas(1, "a", "b")
    a, b, both = put(client, "a"), put(client, "b"), put(client, "a", "b")
    client.commit()
    assert client.claim_all() == [a, b]
    assert client.claim() is None
    (name,) = parked(client)[0]
    {"a": a, "b": b}[name]()
    assert client.claim() is None
    (other_name,) = parked(client)[0]
    assert other_name != name
    {"a": a, "b": b}[other_name]()
    assert client.claim() is both


def test_claims_ask_no_closed_quota(client, connect, quotas):
    names = [f"q{number:02}" for number in range(50)]
    quotas(0, *names)
    for name in names:
        put(client, name)
    client.commit()
    assert client.claim() is None
    assert parked(client) == ({}, dict.fromkeys(names, 1))
    last = put(client)
    client.commit()
    fresh = connect()
    assert fresh.claim() is fresh.mine(last)
    assert loaded(fresh, Quota) == []


def loaded(client, *kinds):
    """The objects of some classes that a connection has in memory."""
    objects = [obj for _oid, obj in client.connection._cache.lru_items()]
    return [obj for obj in objects if isinstance(obj, kinds)]


def test_a_claim_looks_at_few_of_many_quotas_with_room(client, connect, quotas):
    names = [f"q{number:03}" for number in range(300)]
    quotas(1, *names)
    jobs = [put(client, name) for name in names]
    to_backlog(client)
    client.begin()
    fresh = connect()
    fresh.connection.cacheMinimize()
    # So that none is asked for beforehand.
    assert fresh.claim() is fresh.mine(jobs[0])
    most = prefetch.PREFETCH_STORED + 1
    assert len(loaded(fresh, Quota)) <= most
    assert len(loaded(fresh, Members)) <= most
    assert len(loaded(fresh, Job)) <= most


@pytest.mark.parametrize("count", [3, 40], ids=["few piles", "many piles"])
def test_a_closed_quota_that_is_opened_lets_its_jobs_pass(client, other, quotas, count):
    quotas(0, "closed")
    names = [f"q{number:02}" for number in range(count)]
    quotas(1, *names)
    jobs = [put(client, "closed", name) for name in names]
    client.commit()
    assert client.claim() is None
    assert parked(client) == ({}, {"closed": count})
    other.begin()
    other.queue.quotas["closed"].size = 2
    other.commit()
    assert client.claim_all() == jobs[:2]
    check(client)
    assert not list(client.queue.quotas.reopened_names())


def test_a_closed_quota_that_is_removed_lets_its_jobs_pass(client, other, quotas):
    quotas(0, "a", "b")
    jobs = [put(client, "a"), put(client, "b"), put(client, "a")]
    client.commit()
    assert client.claim() is None
    other.begin()
    other.queue.quotas.remove("a")
    other.commit()
    assert client.claim_all() == [jobs[0], jobs[2]]
    assert parked(client) == ({}, {"b": 1})


def test_a_quota_that_is_opened_and_closed_again_stays_closed(client, quotas):
    quotas(0, "a")
    put(client, "a")
    client.commit()
    assert client.claim() is None
    quotas(0)["a"].size = 1
    quotas(0)["a"].size = 0
    client.commit()
    assert client.claim() is None
    assert parked(client) == ({}, {"a": 1})
    assert not list(client.queue.quotas.reopened_names())


def test_a_quota_that_is_closed_while_it_is_full_is_asked_no_more(client, quotas):
    quotas(1, "a")
    first, second = put(client, "a"), put(client, "a")
    client.commit()
    assert client.claim() is first
    assert parked(client) == ({"a": 1}, {})
    client.queue.quotas["a"].size = 0
    client.commit()
    assert client.claim() is None
    assert parked(client) == ({}, {"a": 1})
    first()
    client.queue.quotas["a"].size = 1
    client.commit()
    assert client.claim() is second


def test_a_quota_made_again_while_its_jobs_are_parked_holds_for_them(client, quotas):
    quotas(0, "a")
    jobs = [put(client, "a"), put(client, "a")]
    client.commit()
    assert client.claim() is None
    client.queue.quotas.remove("a")
    client.queue.quotas.create("a", 1)
    client.commit()
    assert client.claim_all() == jobs[:1]


def test_a_quota_made_later_holds_back_jobs_that_name_it(client, quotas):
    quotas(1, "a")
    put(client, "a")
    client.queue.quotas.remove("a")
    to_backlog(client)
    client.queue.quotas.create("a", 0)
    client.commit()
    assert client.claim() is None
    assert parked(client) == ({}, {"a": 1})


def test_claims_see_to_a_bounded_number_of_opened_quotas(client, quotas, monkeypatch):
    monkeypatch.setattr(ready, "MOVES", 10)
    names = [f"q{number:02}" for number in range(25)]
    quotas(0, *names)
    jobs = [put(client, name) for name in names]
    client.commit()
    assert client.claim() is None
    for name in names:
        client.queue.quotas[name].size = 1
    client.commit()
    for opened, more in [(10, True), (20, True), (25, False)]:
        with client.queue.claiming() as claim:
            assert claim.next(refuse) is None
        assert claim.more is more
        assert len(index_of(client).open) == opened
        client.commit()
    assert client.claim_all() == jobs


def test_claims_park_a_bounded_number_of_piles_and_pass_over_all(client, quotas, monkeypatch):
    monkeypatch.setattr(contenders, "MOVES", 10)
    names = [f"q{number:02}" for number in range(25)]
    quotas(1, *names)
    for name in names:
        put(client, name)
    to_backlog(client)
    for name in names:
        client.queue.quotas[name].size = 0
    jobs = [put(client) for _number in range(3)]
    client.commit()
    for job, open_ones, more in zip(jobs, (15, 5, 0), (True, True, False), strict=True):
        with client.queue.claiming() as claim:
            assert claim.next() is job
        assert claim.more is more
        assert len(index_of(client).open) == open_ones
        client.commit()


def test_claims_that_find_only_full_quotas_write_nothing(client, quotas):
    quotas(0, "a")
    quotas(1, "b")
    for name in "abb":
        put(client, name)
    client.commit()
    assert client.claim() is not None
    assert client.claim() is None
    client.begin()
    with client.queue.claiming() as claim:
        assert claim.next() is None
    assert not claim.changed
    assert not client.connection._registered_objects


# -- races


def of_index(number):
    """Accepts the job that was put with a priority."""
    return lambda job: job.priority == number


@pytest.mark.parametrize("first_commits", ["who takes", "who adds"])
@pytest.mark.parametrize("count", [1, 2], ids=["without a record", "with a record"])
def test_who_takes_the_last_job_of_a_pile_and_who_adds_one_conflict(
    client, other, quotas, first_commits, count
):
    # Others, or trees would be emptied, which conflicts in any case.
    quotas(5, *"abcdef")
    for name in "abcdef":
        put(client, name)
    for _number in range(count - 1):
        put(client, "a", priority=1)
    to_backlog(client)
    for _number in range(count - 1):
        client.claim()
    other.begin()
    assert client.queue.claim().quota_names == ("a",)
    assert index_of(client).pile(("a",)) is None
    add_unread(other, "a")
    assert index_of(other).pile(("a",)).count == 2
    winner, loser = (client, other) if first_commits == "who takes" else (other, client)
    winner.commit()
    with pytest.raises(ConflictError):
        loser.commit()
    loser.abort()
    to_backlog(client)
    check(client)


def test_two_who_make_a_pile_of_the_same_names_conflict(client, other, quotas):
    quotas(5, "a", "b", "c")
    put(client, "b"), put(client, "c")
    to_backlog(client)
    other.begin()
    for party in (client, other):
        add_unread(party, "a")
    client.commit()
    with pytest.raises(ConflictError):
        other.commit()


def add_unread(client, *names):
    """Have a job in the backlog that no lane has had."""
    job = Job(calls.nothing)
    job.kept_quota_names = names
    client.connection.add(job)
    index = index_of(client)
    pile = index.pile(names) or Pile(names)
    pile.add(job.position_key(), job)
    limited.change_count(client.queue.backlog, 1)
    index.file(pile, Places(client.queue.quotas))
    return job


def test_claims_of_jobs_of_different_quotas_do_not_conflict(client, other, quotas):
    names = [f"q{number:02}" for number in range(10)]
    quotas(1, *names)
    for number, name in enumerate(names):
        put(client, name, priority=number)
    to_backlog(client)
    other.begin()
    assert client.queue.claim(of_index(1)).quota_names == ("q01",)
    assert other.queue.claim(of_index(2)).quota_names == ("q02",)
    client.commit()
    other.commit()
    client.begin()
    check(client)
    assert len(client.claim_all()) == 8


@pytest.mark.parametrize("first_commits", ["who parks", "who opens", "who removes"])
def test_a_pile_is_not_left_under_a_quota_that_is_opened_meanwhile(
    client, other, quotas, first_commits
):
    quotas(0, "a")
    job = put(client, "a")
    # Else both would read it from its lane.
    to_backlog(client)
    other.begin()
    assert client.queue.claim() is None
    assert parked(client) == ({}, {"a": 1})
    if first_commits == "who removes":
        other.queue.quotas.remove("a")
    else:
        other.queue.quotas["a"].size = 1
    if first_commits == "who parks":
        client.commit()
        other.commit()
    else:
        other.commit()
        # Before it sees what it should, another claim may do away with the note.
        other.claim(refuse)
        assert not list(other.queue.quotas.reopened_names())
        with pytest.raises(ConflictError):
            client.commit()
        client.abort()
    assert client.claim() is job


def test_a_pile_added_under_a_closed_quota_while_that_is_dealt_with_is_not_left_there(
    client, other, quotas
):
    quotas(0, "a")
    quotas(1, "b")
    put(client, "a")
    client.commit()
    assert client.claim() is None
    put(client, "a", "b")
    client.commit()
    client.begin()
    assert client.queue.claim() is None
    assert parked(client) == ({}, {"a": 2})
    other.begin()
    other.queue.quotas["a"].size = 1
    other.commit()
    with pytest.raises(ConflictError):
        client.commit()
    client.abort()
    assert client.claim() is not None


@pytest.mark.parametrize("first_commits", ["who takes", "who adds"])
def test_the_last_pile_from_under_a_quota_and_a_new_one_under_it_conflict(
    client, other, quotas, first_commits
):
    quotas(1, "a", "b", "c", "d")
    held = [put(client, name) for name in "acc"]
    second = put(client, "a")
    put(client, "a", "b")
    to_backlog(client)
    assert [client.claim(), client.claim()] == held[:2]
    assert parked(client) == ({"a": 1, "c": 1}, {})
    other.begin()
    # Comes to the other pile, and finds `a` full.
    assert other.queue.claim() is None
    assert parked(other) == ({"a": 2, "c": 1}, {})
    client.queue.remove(second)
    held[0]._set_status(COMPLETED)
    # Drops the job that waits no more, and leaves the other pile where it is.
    assert client.queue.claim(refuse) is None
    assert parked(client) == ({"c": 1}, {})
    winner, loser = (client, other) if first_commits == "who takes" else (other, client)
    winner.commit()
    with pytest.raises(ConflictError):
        loser.commit()
    loser.abort()
    to_backlog(client)
    check(client)


def test_two_who_open_quotas_do_not_conflict(client, other, quotas):
    quotas(0, "a", "b")
    other.begin()
    client.queue.quotas["a"].size = 1
    other.queue.quotas["b"].size = 1
    client.commit()
    other.commit()
    client.begin()
    assert sorted(client.queue.quotas.reopened_names()) == ["a", "b"]


def test_who_removes_a_quota_and_who_gives_it_places_conflict(client, other, quotas):
    quotas(1, "a")
    other.begin()
    client.queue.quotas.remove("a")
    other.queue.quotas["a"].size = 2
    client.commit()
    with pytest.raises(ConflictError):
        other.commit()


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


# -- databases of older versions


def as_older_versions_wrote(client):
    """Have the waiting jobs in groups, all of them, as before there was an index."""
    client.begin()
    backlog = client.queue.backlog
    for (system, refusals), index in indices(backlog):
        for quota_names in list(index.piles):
            entries = list(index.pile(quota_names).jobs.items())
            backlog.group(GroupKey(system, quota_names, refusals)).add(entries)
    del backlog.limited
    del backlog.limited_count
    del client.queue.quotas.reopened
    client.commit()


@pytest.fixture
def old(client, quotas, clock):
    """A database of the present layout but for quotas; with the jobs that wait."""
    quotas(0, "closed")
    quotas(1, "one")
    quotas(5, "five")
    jobs = []
    for number in range(30):
        clock.advance(microseconds=10)
        names = [(), ("closed",), ("one",), ("five",), ("five", "one")][number % 5]
        jobs.append(put(client, *names, priority=number % 3))
    running = min((j for j in jobs if "one" in j.quota_names), key=lambda job: job.position_key())
    client.commit()
    assert client.claim(lambda job: job is running) is running
    jobs.remove(running)
    to_backlog(client)
    as_older_versions_wrote(client)
    client.connection.cacheMinimize()
    return jobs, running


def test_jobs_in_groups_of_older_versions_are_looked_at(client, old):
    jobs, _running = old
    client.begin()
    assert list(client.queue) == sorted(jobs, key=lambda job: job.position_key())
    assert len(client.queue) == len(jobs)


@pytest.mark.parametrize("limit", [1000, 1, 0], ids=["at once", "one by one", "none"])
def test_jobs_in_groups_of_older_versions_are_claimed(client, old, monkeypatch, limit):
    monkeypatch.setattr(ready, "TAKE_OVER_LIMIT", limit)
    jobs, running = old
    groups = client.queue.backlog.groups
    jobs.append(put(client, "one"))
    client.commit()
    while jobs:
        client.begin()
        first = first_free(client, jobs)
        assert client.queue.claim() is first
        client.commit()
        if first is not None:
            jobs.remove(first)
            # So that the next one has its place.
            first()
        else:
            running, was_running = None, running
            if was_running is not None:
                was_running()
            else:
                client.queue.quotas["closed"].size = 100
                client.commit()
        assert list(client.queue) == sorted(jobs, key=lambda job: job.position_key())
        assert len(client.queue) == len(jobs)
    if limit:
        assert [names for _system, names, _refusals in groups if names] == []
        check(client)


def test_a_claim_says_that_there_are_more_groups_to_take_over(client, old, monkeypatch):
    monkeypatch.setattr(ready, "TAKE_OVER_LIMIT", 3)
    for more in (True, False):
        client.begin()
        with client.queue.claiming() as claim:
            pass
        client.commit()
        assert (claim.changed, claim.more) == (True, more)


@pytest.mark.parametrize("is_empty", [False, True])
def test_who_takes_a_group_over_and_who_still_adds_to_it_conflict(client, other, old, is_empty):
    if is_empty:
        shard = client.queue.backlog.groups[False, ("five",), ()].shards[0]
        for key in list(shard.jobs):
            shard.remove(key)
        client.commit()
    other.begin()
    group = other.queue.backlog.groups[False, ("five",), ()]
    assert isinstance(group, Group)
    job = add_to_group(other, group)
    to_backlog(client)
    with pytest.raises(ConflictError):
        other.commit()
    assert job.status == NEW


def add_to_group(client, group):
    job = Job(calls.nothing)
    client.connection.add(job)
    group.add([(job.position_key(), job)])
    return job


def test_a_quota_of_an_older_version_can_be_opened(client, old):
    assert client.queue.quotas.reopened is None
    client.queue.quotas["closed"].size = 1
    client.commit()
    assert list(client.queue.quotas.reopened_names()) == ["closed"]
    assert any(job.quota_names == ("closed",) for job in client.claim_all())


def test_a_backlog_of_an_older_version_counts():
    backlog = Backlog()
    del backlog.limited
    del backlog.limited_count
    assert backlog.count() == 0
    assert indices(backlog) == []
    assert isinstance(limited.index_of(backlog, False, ()), Limited)
