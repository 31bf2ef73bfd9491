"""The order in which a claim goes through the jobs of a group, and shares of it."""

import pytest

from zc.async_.job.order import GroupKey, sort_key
from zc.async_.queue.backlog import SHARDS, STRETCH, Group
from zc.async_.queue.candidates import MOST_AHEAD, Candidates

PLAIN = GroupKey(False, (), ())


def key(number, rank=0):
    return sort_key(rank, number, number, number, b"")


def group_of(count, shards=SHARDS):
    group = Group(shards)
    group.add([(key(number), number) for number in reversed(range(count))])
    return group


def taken(candidates):
    while candidates.peek() is not None:
        yield candidates.pop()[1]


@pytest.mark.parametrize("shards", [1, 3, SHARDS])
def test_the_order_does_not_depend_on_shards(shards):
    count = 5 * STRETCH + 3
    group = group_of(count, shards)
    assert sum(shard.count for shard in group.shards) == count
    assert list(taken(Candidates(PLAIN, group, None))) == list(range(count))


def test_what_is_new_is_in_its_place_among_what_is_stored():
    candidates = Candidates(PLAIN, group_of(3), None)
    candidates.push((key(0, rank=-1), "first", None))
    candidates.push((key(1) + b"x", "second", None))
    candidates.push((key(5), "last", None))
    assert list(taken(candidates)) == ["first", 0, 1, "second", 2, "last"]


def test_stretches_of_jobs_are_in_different_shards():
    group = group_of(SHARDS * STRETCH)
    assert [len(shard.jobs) for shard in group.shards] == [STRETCH] * SHARDS
    for shard in group.shards:
        assert max(shard.jobs.values()) - min(shard.jobs.values()) == STRETCH - 1


def test_a_share_goes_first_and_then_the_rest_in_order():
    group = group_of(4 * STRETCH)
    order = list(taken(Candidates(PLAIN, group, 1)))
    assert order[:STRETCH] == list(range(STRETCH, 2 * STRETCH))
    rest = order[STRETCH:]
    assert rest == sorted(rest)
    assert sorted(order) == list(range(4 * STRETCH))


def test_shares_of_different_dispatchers_are_apart():
    group = group_of(SHARDS * STRETCH)
    firsts = [next(taken(Candidates(PLAIN, group, share))) for share in range(SHARDS)]
    assert len(set(firsts)) == SHARDS


def test_a_share_does_not_go_before_a_better_rank():
    group = group_of(4 * STRETCH)
    candidates = Candidates(PLAIN, group, 1)
    candidates.push((key(10_000, rank=-1), "urgent", None))
    assert next(taken(candidates)) == "urgent"


def test_a_share_does_not_get_far_ahead_of_the_rest():
    group = Group(2)
    old = [(key(number), number) for number in range(3)]
    young = [(key(MOST_AHEAD + number), f"young {number}") for number in range(3)]
    for shard, entries in zip(group.shards, (old, young), strict=True):
        for entry in entries:
            shard.add(*entry)
    order = list(taken(Candidates(PLAIN, group, 1)))
    assert order == ["young 0", 0, "young 1", 1, "young 2", 2]


def test_an_empty_share_leaves_the_order_as_it_is():
    group = group_of(STRETCH)
    assert list(taken(Candidates(PLAIN, group, 5))) == list(range(STRETCH))


def test_a_group_of_one_shard_has_no_shares():
    group = group_of(3 * STRETCH, shards=1)
    assert list(taken(Candidates(PLAIN, group, 1))) == list(range(3 * STRETCH))


def test_what_is_fetched_ahead_is_what_is_wanted_first():
    group = group_of(4 * STRETCH)
    assert list(Candidates(PLAIN, group, None).first_stored(5)) == list(range(5))
    assert list(Candidates(PLAIN, group, 2).first_stored(5)) == [32, 33, 34, 35, 36]
