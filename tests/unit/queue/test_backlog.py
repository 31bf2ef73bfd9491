"""The backlog by itself."""

from zc.async_.job.order import GroupKey
from zc.async_.queue import limited
from zc.async_.queue.backlog import Backlog, Group
from zc.async_.queue.limited import Limited, indices


def test_a_backlog_gives_the_group_of_a_key_and_makes_it_once():
    backlog = Backlog()
    key = GroupKey(False, ("a",), ())
    group = backlog.group(key)
    assert isinstance(group, Group)
    assert backlog.group(key) is group
    assert backlog.group(GroupKey(True, ("a",), ())) is not group


def test_a_backlog_of_an_older_version_counts():
    backlog = Backlog()
    del backlog.limited
    del backlog.limited_count
    assert backlog.count() == 0
    assert indices(backlog) == []
    assert isinstance(limited.index_of(backlog, False, ()), Limited)
