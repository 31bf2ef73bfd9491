"""What is remembered of polls and jobs."""

import datetime

import pytest

import zc.async_.clock
from zc.async_ import utils
from zc.async_.dispatcher.handing_out import HandingOut
from zc.async_.dispatcher.plans import Outcome
from zc.async_.dispatcher.records import JobInfo, PollInfo, Records, reported
from zc.async_.testing import BEGINNING, set_now, virtualtime

#: Time stands still until a test lets some pass.
pytestmark = pytest.mark.usefixtures("pinned")

SECOND = datetime.timedelta(seconds=1)


@pytest.fixture
def records():
    return Records(polls_size=5, jobs_size=3)


def at(seconds):
    """Some seconds after the beginning."""
    return BEGINNING + seconds * SECOND


def go_on(seconds):
    """Let time pass until some seconds after the beginning."""
    passed = at(seconds) - zc.async_.clock.now()
    virtualtime.let_pass(zc.async_.clock.interval_microseconds(passed))


def poll(records, seconds, **agents):
    """A poll at a time; `agents` has the new jobs of each agent of the queue ''."""
    go_on(seconds)
    info = records.new_poll()
    info[""] = {name: {"new jobs": list(jobs)} for name, jobs in agents.items()}
    records.publish(info)
    return info


def job(records, oid, name="", **info):
    """A job that is told of; it started at the beginning unless `info` says otherwise."""
    told = JobInfo(
        {
            "completed": None,
            "failed": False,
            "reassigned": False,
            "started": BEGINNING.replace(tzinfo=None),
            **info,
        }
    )
    if told["started"] is not None:
        told.began = microseconds(told["started"])
    if told["completed"] is not None:
        told.ended = microseconds(told["completed"])
    records.new_job((oid, name), told)
    return told


def microseconds(date):
    """What the monotonic clock tells then."""
    since = zc.async_.clock.now().replace(tzinfo=None) - date
    return zc.async_.clock.monotonic() - zc.async_.clock.interval_microseconds(since)


def after(seconds):
    return at(seconds).replace(tzinfo=None)


def test_a_job_is_reported_by_its_oid_as_a_number_and_its_database():
    assert reported((b"\0" * 7 + b"\x2a", "async")) == (42, "async")


# -- polls


def test_a_poll_knows_its_time_without_a_time_zone():
    assert PollInfo(1).utc_timestamp == BEGINNING.replace(tzinfo=None)


def test_the_newest_polls_are_kept_the_newest_first(records):
    polls = [poll(records, number) for number in range(7)]
    assert list(records.polls) == polls[:1:-1]


def test_keys_of_polls_shrink_though_time_stands_still_or_goes_back(records):
    keys = [records.new_poll().key, records.new_poll().key]
    set_now(at(-10))
    keys.append(records.new_poll().key)
    assert keys == sorted(set(keys), reverse=True)


def test_the_key_of_a_poll_tells_its_time(records):
    poll = records.new_poll()
    assert utils.long_to_dt(poll.key) == poll.utc_timestamp


class Looking(dict):
    """What a poll found in the queues. Looks at the polls while it is recorded."""

    def __init__(self, found, records):
        super().__init__(found)
        self._records = records
        self.seen = []

    def items(self):
        for item in super().items():
            yield item
            self.seen.append([dict(poll) for poll in self._records.polls])


def found(*names):
    """What a poll found in queues of these names."""
    return {name: {"main": {"active jobs": [], "new jobs": [], "error": None}} for name in names}


def test_a_poll_is_shown_once_it_is_complete(records):
    first, second = Looking(found("a", "b"), records), Looking(found("a", "b", "c"), records)
    handing_out = HandingOut(records, None)
    handing_out.record(Outcome(info=first), is_periodic=True)
    assert first.seen == [[]] * 2
    handing_out.record(Outcome(info=second), is_periodic=False)
    assert second.seen == [[found("a", "b")]] * 3
    assert list(records.polls) == [found("a", "b", "c")]


def test_whoever_goes_through_a_poll_is_not_disturbed_by_claims(records):
    handing_out = HandingOut(records, None)
    handing_out.record(Outcome(info=found("a", "b")), is_periodic=True)
    (poll,) = records.polls
    names = iter(poll)
    assert next(names) == "a"
    handing_out.record(Outcome(info=found("b", "c")), is_periodic=False)
    assert list(names) == ["b"]
    (newer,) = records.polls
    assert (newer.key, newer.utc_timestamp, newer.monotonic) == (
        poll.key,
        poll.utc_timestamp,
        poll.monotonic,
    )
    assert handing_out.current is newer


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(lambda poll: poll.key, id="key"),
        pytest.param(lambda poll: utils.dt_to_long(poll.utc_timestamp), id="key of the time"),
        pytest.param(lambda poll: poll.utc_timestamp, id="time"),
        pytest.param(lambda poll: poll.utc_timestamp.replace(tzinfo=datetime.UTC), id="in UTC"),
        pytest.param(lambda poll: 2 * SECOND, id="interval"),
    ],
)
def test_before_a_poll_is_the_one_before_it_and_at_it_is_itself(records, moment):
    polls = [poll(records, number) for number in range(5)]
    assert records.poll(None, moment(polls[2])) is polls[1]
    assert records.poll(moment(polls[2]), None) is polls[2]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        pytest.param({}, [4, 3, 2, 1, 0], id="everything"),
        pytest.param({"at": at(2)}, [2, 1, 0], id="until a poll"),
        pytest.param({"before": at(2)}, [1, 0], id="before a poll"),
        pytest.param({"since": at(2)}, [4, 3, 2], id="since a poll"),
        pytest.param({"at": at(3), "since": at(1)}, [3, 2, 1], id="from one to another"),
        pytest.param({"before": at(3), "since": at(1)}, [2, 1], id="from one to before another"),
        pytest.param({"at": 2 * SECOND}, [2, 1, 0], id="until some time ago"),
        pytest.param({"since": 1 * SECOND}, [4, 3], id="since some time ago"),
        pytest.param({"at": at(2).replace(tzinfo=None)}, [2, 1, 0], id="until a naive time"),
        pytest.param({"at": at(9)}, [4, 3, 2, 1, 0], id="until the future"),
        pytest.param({"at": at(-1)}, [], id="until before all"),
        pytest.param({"since": at(9)}, [], id="since the future"),
    ],
)
def test_polls_of_a_span_of_time_are_found(records, arguments, found):
    keys = [poll(records, number).key for number in range(5)]
    span = {"at": None, "before": None, "since": None, **arguments}
    assert [keys.index(info.key) for info in records.iter_polls(**span)] == found


def test_a_key_of_a_poll_is_a_time(records):
    polls = [poll(records, number) for number in range(3)]
    assert list(records.iter_polls(polls[1].key, None, None)) == [polls[1], polls[0]]
    assert list(records.iter_polls(None, polls[1].key, None)) == [polls[0]]


def test_at_and_before_exclude_each_other(records):
    with pytest.raises(ValueError, match="not both"):
        list(records.iter_polls(at(0), at(0), None))


def test_the_newest_poll_of_a_time_is_found(records):
    polls = [poll(records, number) for number in range(3)]
    assert records.poll(None, None) is polls[2]
    assert records.poll(at(1.5), None) is polls[1]
    assert records.poll(None, at(1)) is polls[0]
    with pytest.raises(ValueError, match="no poll is known"):
        records.poll(at(-1), None)


# -- jobs


def test_a_job_is_told_as_a_copy(records):
    told = job(records, 1)
    found = records.job(1, None)
    assert found == told
    found["failed"] = True
    assert records.job(1, None) == told


def test_a_job_is_looked_up_by_database_if_two_have_its_oid(records):
    job(records, 1, "first", result="1")
    job(records, 1, "second", result="2")
    with pytest.raises(KeyError, match="several databases have a job with the oid 1: name one"):
        records.job(1, None)
    assert records.job(1, "second")["result"] == "2"
    with pytest.raises(KeyError):
        records.job(1, "third")


def test_an_unknown_job_is_a_key_error(records):
    with pytest.raises(KeyError):
        records.job(1, None)


@pytest.mark.parametrize("ended", [{"completed": after(1)}, {"reassigned": True}], ids=str)
def test_the_oldest_jobs_that_ended_are_forgotten(records, ended):
    for oid in range(4):
        job(records, oid, **ended)
    with pytest.raises(KeyError):
        records.job(0, None)
    assert records.job(1, None)


def test_jobs_that_have_not_ended_are_not_forgotten(records):
    job(records, 0)
    for oid in range(1, 6):
        job(records, oid, completed=after(1))
    assert records.job(0, None)
    with pytest.raises(KeyError):
        records.job(3, None)
    for oid in range(10, 16):
        job(records, oid)
    assert all(records.job(oid, None) for oid in (0, *range(10, 16)))


def test_a_job_that_begins_again_is_the_newest(records):
    for oid in range(3):
        job(records, oid, completed=after(1))
    job(records, 0, completed=after(2))
    job(records, 3)
    assert records.job(0, None)["completed"] == after(2)
    with pytest.raises(KeyError):
        records.job(1, None)


def test_a_job_that_ended_elsewhere_has_ended(records):
    job(records, 1)
    outcome = {"completed": after(3), "result": "42", "failed": False}
    records.job_ended((1, ""), outcome)
    assert records.job(1, None)["result"] == "42"
    # Only once, and only if it is known.
    records.job_ended((1, ""), {**outcome, "result": "43"})
    records.job_ended((2, ""), outcome)
    assert records.job(1, None)["result"] == "42"


# -- statistics


def statistics(records, **arguments):
    names = ("at", "before", "since", "queue", "agent")
    return records.statistics(**{**dict.fromkeys(names), **arguments})


def test_without_polls_there_is_nothing_to_tell(records):
    assert statistics(records) == {
        "started": 0,
        "successful": 0,
        "failed": 0,
        "unknown": 0,
        "statistics start": None,
        "statistics end": None,
        "longest active": None,
        "longest failed": None,
        "longest successful": None,
        "shortest active": None,
        "shortest failed": None,
        "shortest successful": None,
    }


def test_jobs_are_counted_by_how_they_ended_and_how_long_they_took():
    records = Records(polls_size=5, jobs_size=20)
    for oid, seconds in enumerate((3, 1, 2), 1):
        job(records, oid, completed=after(seconds))
    for oid, seconds in enumerate((5, 7), 4):
        job(records, oid, completed=after(seconds), failed=True)
    job(records, 6)
    job(records, 7, started=after(4))
    job(records, 8, started=None)
    job(records, 9, reassigned=True)
    job(records, 10, reassigned=True, completed=after(9))
    poll(records, 0, main=[(oid, "") for oid in range(1, 7)])
    poll(records, 5, main=[(oid, "") for oid in range(7, 12)])
    go_on(10)
    assert statistics(records) == {
        "started": 11,
        "successful": 4,
        "failed": 2,
        # One that was reassigned, and one that is not known any more.
        "unknown": 2,
        "statistics start": after(5),
        "statistics end": after(0),
        "longest active": (6, ""),
        "longest failed": (5, ""),
        "longest successful": (10, ""),
        "shortest active": (8, ""),
        "shortest failed": (4, ""),
        "shortest successful": (2, ""),
    }


def test_statistics_are_of_a_span_a_queue_and_an_agent(records):
    first = poll(records, 0, main=[(1, "")], other=[(2, ""), (3, "")])
    first["second"] = {"main": {"new jobs": [(4, "")]}}
    poll(records, 5, main=[(5, "")])["closed"] = None
    assert statistics(records)["started"] == 5
    assert statistics(records, since=at(5))["started"] == 1
    assert statistics(records, before=at(5))["started"] == 4
    assert statistics(records, queue="second")["started"] == 1
    assert statistics(records, agent="main")["started"] == 3
    assert statistics(records, queue="", agent="other")["started"] == 2
    assert statistics(records, queue="closed")["started"] == 0
