"""Jobs that need labels: who may take them, in what order, and where they wait."""

import uuid

import hypothesis
import hypothesis.strategies as st
import pytest

from tests.unit import calls
from tests.unit.queue.claims import HOUR, claim_nothing, examples, refuse, timed_out, to_backlog
from tests.unit.queue.needs import EU, GPU, needing, sets
from tests.unit.queue.piles import check, parked, put
from zc.async_.job import Job
from zc.async_.queue.needing import Needing, all_needing, note_needs

# -- who may take what


def test_a_job_is_taken_by_who_has_all_that_it_needs(client, settle):
    job = needing(client, "gpu", "eu")
    settle()
    for labels in ([], GPU, EU, ["gpu", "us"], ["GPU", "eu"], ["gpu", "e"]):
        assert client.queue.claim(labels=labels) is None
    assert client.queue.claim(labels=["us", "gpu", "eu"]) is job
    assert len(client.queue) == 0


def test_who_has_labels_takes_jobs_that_need_nothing_too_and_all_in_order(client, settle):
    jobs = [needing(client, *needs) for needs in ["", "g", "", "ge", "e", "g", ""]]
    urgent = needing(client, "g", priority=1)
    settle()
    taken = list(iter(lambda: client.queue.claim(labels=["g", "e"]), None))
    assert taken == [urgent, *jobs]


def test_who_has_none_takes_what_needs_nothing_and_nothing_is_held_back(client, settle):
    jobs = [needing(client, *needs) for needs in ["g", "", "e", "", "ge"]]
    urgent = needing(client, "g", priority=5)
    settle()
    assert list(iter(client.queue.claim, None)) == [jobs[1], jobs[3]]
    assert list(client.queue) == [urgent, jobs[0], jobs[2], jobs[4]]


def test_a_uuid_is_a_label(client, settle):
    here, there = uuid.UUID(int=1), uuid.UUID(int=2)
    job = needing(client, here)
    settle()
    assert client.queue.claim(labels=[there]) is None
    assert client.queue.claim(labels=[str(here)]) is job


def test_labels_of_a_claim_are_checked(queue):
    for take in (queue.claim, queue.pull):
        with pytest.raises(TypeError, match="labels is a collection of labels"):
            take(labels="gpu")
        with pytest.raises(ValueError, match="in labels cannot be a label"):
            take(labels=["a b"])


def test_a_job_that_is_put_with_bad_needs_is_not_put_and_not_changed(client):
    job = Job(calls.nothing)
    with pytest.raises(TypeError):
        client.queue.put(job, priority=3, needs="gpu")
    assert (job.priority, job.needs, len(client.queue)) == (0, (), 0)
    assert client.queue.put(job, needs=GPU).needs == ("gpu",)


def test_a_job_of_the_system_needs_nothing(client):
    job = Job(calls.nothing)
    job.needs = GPU
    late = client.queue.put(job.make_system_job(job.resumeCallbacks))
    client.commit()
    assert client.queue.claim_for(None, system=True) is late


# -- pulling


def test_pull_takes_back_a_job_whatever_it_needs(client, settle):
    jobs = [needing(client, *needs) for needs in ["g", "", "e"]]
    settle()
    assert client.queue.pull() is jobs[0]
    assert client.queue.pull(-1) is jobs[2]
    assert list(client.queue) == [jobs[1]]


def test_pull_with_labels_counts_what_needs_no_others(client, settle):
    jobs = [needing(client, *needs) for needs in ["g", "ge", "", "e"]]
    settle()
    assert client.queue.pull(1, labels=["e"]) is jobs[3]
    assert client.queue.pull(-1, labels=["g"]) is jobs[2]
    assert client.queue.pull(labels=["g"]) is jobs[0]
    with pytest.raises(IndexError, match=r"fewer than 1 waiting jobs need nothing but \['g'\]"):
        client.queue.pull(labels=["g"])
    assert list(client.queue) == [jobs[1]]


# -- agents, and what they call


class Claimer:
    """Choosers, which are stored by name."""

    @staticmethod
    def plain(agent):
        return agent.queue.claim()

    @staticmethod
    def with_labels(agent):
        return agent.queue.claim(labels=GPU)

    @staticmethod
    def refusing_first(agent):
        agent.queue.claim(refuse)
        return agent.queue.claim(lambda job: True)

    @staticmethod
    def raising(agent):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="it takes all"),
        pytest.param({"filter": calls.identity}, id="it has a filter"),
        pytest.param({"chooser": Claimer.plain}, id="it has a chooser"),
        pytest.param({"chooser": Claimer.refusing_first}, id="its chooser claims twice"),
    ],
)
def test_an_agent_takes_what_its_labels_and_those_of_its_dispatcher_satisfy(
    client, uuid_1, uuid_2, options, settle
):
    agent = client.agent(uuid_1, labels=GPU, size=10, **options)
    agent.parent.labels = ("eu",)
    jobs = [needing(client, *needs) for needs in [GPU, EU, ["gpu", "eu"], [uuid_1], ["us"], []]]
    elsewhere = needing(client, uuid_2)
    settle()
    taken = list(iter(agent.claimJob, None))
    assert taken == [*jobs[:4], jobs[5]]
    assert list(client.queue) == [jobs[4], elsewhere]


def test_agents_of_one_dispatcher_differ_by_their_labels(client, uuid_1, settle):
    big = client.agent(uuid_1, name="big", labels=["big"])
    small = client.agent(uuid_1, name="small")
    jobs = [needing(client, *needs) for needs in [["big"], []]]
    settle()
    with client.queue.claiming():
        assert small.claimJob() is jobs[1]
        assert small.claimJob() is None
        assert big.claimJob() is jobs[0]


def test_a_chooser_may_name_labels_itself(client, uuid_1):
    agent = client.agent(uuid_1, chooser=Claimer.with_labels)
    job = needing(client, "gpu")
    needing(client, uuid_1)
    client.commit()
    assert agent.claimJob() is job
    assert agent.claimJob() is None


def test_what_an_agent_has_is_not_there_for_others_afterwards(client, uuid_1):
    agent = client.agent(uuid_1, labels=GPU)
    needing(client, "gpu", callable=calls.fail)
    needing(client, "gpu")
    client.commit()
    assert agent.claimJob() is not None
    assert client.queue.claim() is None
    agent.chooser = Claimer.raising
    with pytest.raises(ZeroDivisionError):
        agent.claimJob()
    assert client.queue.claim() is None


def test_labels_of_an_agent_can_be_changed_at_any_time(client, uuid_1, settle):
    agent = client.agent(uuid_1)
    job = needing(client, "gpu")
    settle()
    assert agent.claimJob() is None
    client.commit()
    agent.labels = GPU
    client.commit()
    assert agent.labels == ("gpu",)
    assert agent.claimJob() is job


def test_agents_and_dispatchers_of_older_databases_have_none(client, uuid_1):
    agent = client.agent(uuid_1)
    assert "_labels" not in vars(agent)
    assert "labels" not in vars(agent.parent)
    assert (agent.labels, agent.parent.labels) == ((), ())


# -- filters, quotas and times


def test_a_filter_is_asked_only_about_what_the_labels_allow_and_once(client, uuid_1, happened):
    agent = client.agent(uuid_1, labels=GPU, filter=calls_and_refuses)
    jobs = [needing(client, *needs) for needs in [GPU, EU, []]]
    client.commit()
    for _time in range(2):
        assert agent.claimJob() is None
        client.commit()
    assert [job for (job,) in happened] == [jobs[0], jobs[2]]
    assert sets(client) == [("eu",), ("gpu",)]
    check(client)
    # Others may have them.
    assert client.queue.claim(labels=GPU) is jobs[0]
    agent.labels = EU
    client.commit()
    assert agent.claimJob() is None
    assert [job for (job,) in happened][2:] == [jobs[1]]


def calls_and_refuses(job):
    calls.happen(job)


def test_a_job_that_nobody_can_run_takes_no_place_in_a_quota(client, quotas, settle):
    quotas(1, "a")
    first = put(client, "a", needs=GPU)
    second = put(client, "a")
    third = put(client, "a")
    settle()
    assert client.claim() is second
    assert client.claim() is None
    assert list(client.queue.quotas["a"]) == [second]
    second()
    assert client.claim() is third
    third()
    check(client)
    client.begin()
    assert client.queue.claim(labels=GPU) is first


def test_a_full_quota_holds_back_those_with_labels_too(client, quotas, settle):
    quotas(1, "a", "b")
    jobs = [put(client, "a", needs=GPU) for _number in range(3)]
    jobs.append(put(client, "b", needs=GPU))
    settle()
    assert client.queue.claim(labels=GPU) is jobs[0]
    assert client.queue.claim(labels=GPU) is jobs[3]
    assert client.queue.claim(labels=GPU) is None
    client.commit()
    check(client)
    jobs[0]()
    client.begin()
    assert client.queue.claim(labels=GPU) is jobs[1]


def test_a_closed_quota_that_is_opened_opens_for_all_needs(client, other, quotas):
    quotas(0, "closed")
    quotas(5, "open")
    jobs = [put(client, "closed", needs=needs) for needs in [GPU, EU, ["eu", "gpu"], []]]
    to_backlog(client)
    assert client.queue.claim(labels=["eu", "gpu"]) is None
    client.commit()
    assert [dict(whole.closed) for _r, whole in all_needing(client.queue.backlog)] == [
        {("closed", ("eu",)): 1, ("closed", ("eu", "gpu")): 1, ("closed", ("gpu",)): 1}
    ]
    assert parked(client) == ({}, {"closed": 1})
    other.begin()
    other.queue.quotas["closed"].size = 2
    other.commit()
    # Noticed by somebody who has none of the labels.
    assert client.claim() is jobs[3]
    check(client)
    client.begin()
    assert client.queue.claim(labels=GPU) is jobs[0]
    assert client.queue.claim(labels=["eu", "gpu"]) is None


def test_what_is_due_later_is_taken_when_it_is_due_by_who_has_the_labels(client, clock, settle):
    job = needing(client, "gpu", begin_after=clock.after(hours=1))
    settle()
    assert client.queue.claim(labels=GPU) is None
    assert not sets(client)
    clock.advance(hours=1)
    assert client.queue.claim() is None
    assert sets(client) == [("gpu",)]
    assert client.queue.claim(labels=GPU) is job


@pytest.mark.parametrize("quota_names", [(), ("a",)], ids=["no quota", "a quota"])
@pytest.mark.parametrize("count", [1, 2, 20])
def test_deadlines_hold_and_leave_nothing_where_nobody_looks(
    client, clock, settle, quotas, quota_names, count
):
    quotas(0, "a")
    jobs = [put(client, *quota_names, needs=GPU) for _number in range(count)]
    stays = put(client, *quota_names, needs=GPU, priority=-1)
    for job in jobs:
        job.begin_by = HOUR
    settle()
    claim_nothing(client)
    clock.advance(hours=1, seconds=1)
    claim_nothing(client)
    assert all(map(timed_out, jobs))
    assert (len(client.queue), client.queue.stale_entries()) == (1, 0)
    check(client)
    assert client.queue.unserved() == {("gpu",): 1}
    assert list(client.queue) == [stays]


# -- edits, and jobs that come back


@pytest.mark.parametrize("quota_names", [(), ("a",)], ids=["no quota", "a quota"])
def test_an_edited_job_moves(client, settle, quotas, quota_names):
    quotas(5, "a")
    first, second = (put(client, *quota_names, needs=GPU) for _number in range(2))
    settle()
    first.needs = EU
    settle()
    assert len(client.queue) == 2
    assert client.queue.claim() is None
    assert client.queue.claim(labels=EU) is first
    second.needs = ()
    settle()
    assert client.queue.claim() is second
    check(client)
    # Who has the labels comes across the entries that are left.
    assert sets(client) == [("gpu",)]
    assert client.queue.stale_entries() in (1, 2)
    assert client.queue.claim(labels=GPU) is None
    assert (sets(client), client.queue.stale_entries()) == ([], 0)


def test_an_edit_in_the_transaction_of_the_put_makes_no_other_entry(client):
    job = client.queue.put(calls.nothing)
    job.needs = GPU
    assert sum(len(lane) for lane in client.queue.lanes.values()) == 1
    client.commit()
    assert client.queue.claim() is None
    assert client.queue.claim(labels=GPU) is job


def test_a_job_that_is_put_back_keeps_its_needs_and_goes_first(client, settle):
    jobs = [needing(client, "gpu") for _number in range(2)]
    settle()
    assert client.queue.claim(labels=GPU) is jobs[0]
    client.queue.putBack(jobs[0])
    settle()
    assert jobs[0].needs == ("gpu",)
    assert client.queue.claim() is None
    assert client.queue.claim(labels=GPU) is jobs[0]


def test_a_removed_job_may_be_put_again_with_other_needs(client, settle):
    job = needing(client, "gpu")
    settle()
    client.queue.remove(job)
    settle()
    client.queue.put(job, needs=EU)
    settle()
    assert client.queue.claim(labels=GPU) is None
    assert client.queue.claim(labels=EU) is job


# -- where they wait


sets_of_labels = st.sets(st.sampled_from(["a", "ab", "b", "c", "d", "e", "é"]), max_size=5)


@examples(300)
@hypothesis.given(st.lists(sets_of_labels.filter(bool), max_size=25), sets_of_labels)
def test_the_sets_that_labels_satisfy_are_found_by_a_search(needs, labels):
    whole = Needing()
    known = sorted({tuple(sorted(some)) for some in needs})
    for some in known:
        whole.piles[some, ()] = b""
        whole.piles[some, ("a",)] = b""
    assert list(whole.sets()) == known
    satisfied = [some for some in known if labels.issuperset(some)]
    assert list(whole.satisfied(frozenset(labels))) == satisfied


def test_nothing_is_left_of_a_set_without_jobs(client):
    for number in range(3):
        for label in "abc":
            needing(client, label, priority=number)
    to_backlog(client)
    assert sets(client) == [("a",), ("b",), ("c",)]
    assert len(client.queue) == 9
    for label in "abc":
        while client.queue.claim(labels=[label]) is not None:
            pass
        client.commit()
        check(client)
    assert sets(client) == []
    assert client.queue.backlog.count() == 0
    (whole,) = [whole for _refusals, whole in all_needing(client.queue.backlog)]
    assert not any((whole.piles, whole.open, whole.parked, whole.held))


def test_a_backlog_of_an_older_version_gets_its_part_for_needs_when_it_is_needed(client):
    assert client.queue.backlog.needing is None
    client.put(calls.nothing)
    assert client.claim() is not None
    assert client.queue.backlog.needing is None
    needing(client, "gpu")
    to_backlog(client)
    assert sets(client) == [("gpu",)]
    note_needs(client.queue.backlog)
    assert sets(client) == [("gpu",)]
