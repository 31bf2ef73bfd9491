"""What `asyncdb` tells of needs and labels, and of jobs that nobody can run."""

import pytest
from ZODB.utils import u64

from tests.monitoring.database.test_selecting import OwnAgent, choose, is_of_add
from tests.monitoring.database.world import shown
from tests.unit import calls
from zc.async_ import monitordb
from zc.async_.commands import NotThereError
from zc.async_.interfaces import KEY
from zc.async_.queue import Queue


def to_backlog(client):
    client.commit()
    with client.queue.claiming():
        pass
    client.commit()


# -- jobs


def test_the_needs_of_a_job_are_told_and_whether_somebody_has_the_labels(
    world, client, uuid_1, asked
):
    job = world.pending(needs=["gpu", "eu"])
    told = asked.value(f"job {u64(job._p_oid)}")
    assert (told["needs"], told["served"]) == (["eu", "gpu"], False)
    world.agent.labels = ["gpu", "eu"]
    client.commit()
    assert asked.value("nextpending")["served"] is True
    world.agent.parent.deactivate()
    client.commit()
    assert asked.value("nextpending")["served"] is False
    world.agent.parent.activate()
    calls.run_next(world.agent)
    told = asked.value(f"job {u64(job._p_oid)}")
    assert (told["needs"], told["served"]) == (["eu", "gpu"], None)


def test_of_a_job_that_needs_nothing_nothing_more_is_told(world, asked):
    job = world.pending()
    assert not {"needs", "served"} & set(asked.value(f"job {u64(job._p_oid)}"))


def test_whether_a_job_is_served_is_left_open_if_it_cannot_be_told(world, client, uuid_1, asked):
    job = world.pending(needs=["gpu"])
    client.queue.dispatchers[uuid_1].last_ping = None
    client.commit()
    assert asked.value(f"job {u64(job._p_oid)}")["served"] is None


def test_jobs_can_be_selected_by_their_needs(world, client, asked):
    world.agent.labels = ["eu", "gpu", "gpu-2"]
    client.commit()
    nothing, eu, gpu, both = (
        world.pending(needs=needs) for needs in [[], ["eu"], ["gpu-2"], ["eu", "gpu"]]
    )
    for line, jobs in [
        ("needs:eu", [eu, both]),
        ("needs:gpu*", [gpu, both]),
        ("needs:gpu", [both]),
        ("needs:eu,gpu*", [both]),
        ("needs:*", [eu, gpu, both]),
        ("needs:", [nothing]),
        ("needs:us", []),
        ("needs:eu callable:nothing", [eu, both]),
    ]:
        assert asked.value(f"jobs pending {line}") == shown(*jobs)
        assert asked.value(f"count pending {line}") == len(jobs)
    for _number in range(4):
        calls.run_next(world.agent)
    world.agent.keep_books()
    client.commit()
    assert asked.value("count completed needs:gpu*") == 2
    assert asked.value("lastcompleted needs:eu")["needs"] == ["eu", "gpu"]
    assert monitordb.count(client.connection, "completed", needs="") == 1


@pytest.mark.parametrize("read", [False, True], ids=["in a lane", "read"])
def test_pending_jobs_of_an_agent_are_those_whose_needs_it_satisfies(
    world, client, uuid_1, uuid_2, asked, read, clock
):
    client.agent(uuid_2, filter=is_of_add, labels=["gpu"], name="adder")
    world.agent.parent.labels = ("eu",)
    client.commit()
    nothing, add = world.pending(), world.pending(calls.add)
    eu = world.pending(needs=["eu"])
    gpu, gpu_add = (world.pending(call, needs=["gpu"]) for call in (calls.nothing, calls.add))
    ours = world.pending(needs=[uuid_1])
    if read:
        to_backlog(client)
    for line, jobs in [
        ("agent:main", [nothing, add, eu, ours]),
        (f"uuid:{uuid_1}", [nothing, add, eu, ours]),
        ("agent:adder", [add, gpu_add]),
        ("agent:*", [nothing, add, eu, gpu_add, ours]),
        ("agent:nobody", []),
        ("", [nothing, add, eu, gpu, gpu_add, ours]),
    ]:
        assert asked.value(f"jobs pending {line}") == shown(*jobs)
        assert asked.value(f"count pending {line}") == len(jobs)


def test_jobs_due_later_are_told_apart_by_their_needs_too(world, client, clock, asked):
    world.pending(needs=["gpu"], begin_after=clock.after(hours=1))
    world.pending()
    assert asked.value("count pending agent:main") == 1
    to_backlog(client)
    assert client.queue.claim() is not None
    client.commit()
    assert asked.value("count pending agent:main") == 0
    assert asked.value("count pending") == 1


def test_a_chooser_is_no_problem_before_it_matters(world, client, uuid_2, asked):
    client.agent(uuid_2, chooser=choose, name="picky", labels=["gpu"])
    world.pending()
    assert asked.value("count pending agent:*") == 1
    world.pending(needs=["eu"])
    assert asked.value("count pending agent:*") == 1
    world.pending(needs=["gpu"])
    assert "has no filter but a chooser" in asked.error("count pending agent:*")


# -- dispatchers and agents


def test_labels_are_told_of_who_has_some(world, client, uuid_1, uuid_2, asked):
    client.agent(uuid_2, labels=["gpu", "eu"])
    world.agent.parent.labels = ("us",)
    client.queue.dispatchers[uuid_2]["own"] = OwnAgent()
    client.commit()
    dispatchers = asked.value("status")[""]["dispatchers"]
    first, second = dispatchers[str(uuid_1)], dispatchers[str(uuid_2)]
    assert first["labels"] == ["us"]
    assert "labels" not in first["agents"]["main"]
    assert "labels" not in second
    assert second["agents"]["main"]["labels"] == ["eu", "gpu"]
    assert "labels" not in second["agents"]["own"]


# -- what nobody can run


def test_needs_that_nobody_satisfies_are_told_of_each_queue(world, client, uuid_1, asked):
    client.root[KEY]["mail"] = Queue()
    client.commit()
    assert asked.value("unserved") == {"": [], "mail": []}
    assert "unserved" not in asked.value("status")[""]
    world.agent.labels = ["eu"]
    for needs in [["gpu"], ["eu"], ["eu", "us"], ["eu", "us"], ["a"], []]:
        world.pending(needs=needs)
    to_backlog(client)
    told = [
        {"needs": ["eu", "us"], "jobs": 2},
        {"needs": ["a"], "jobs": 1},
        {"needs": ["gpu"], "jobs": 1},
    ]
    assert asked.value("unserved") == {"": told, "mail": []}
    assert asked.value("unserved queue:") == {"": told}
    assert asked.value("status queue:")[""]["unserved"] == told
    assert monitordb.unserved(client.connection, "") == {"": told}
    client.root[KEY]["mail"].put(calls.nothing, needs=["gpu"])
    client.commit()
    assert asked.value("unserved queue:mail") == {"mail": [{"needs": [], "jobs": 1}]}
    assert "unserved" not in asked.value("status queue:mail")["mail"]


def test_what_is_not_there_or_broken_is_told(world, client, asked):
    assert "no queue matches 'mail'" in asked.error("unserved queue:mail")
    assert "unserved takes queue:" in asked.error("unserved uuid:THIS")
    with pytest.raises(NotThereError):
        monitordb.unserved(client.connection, "mail")
    client.root[KEY]["broken"] = BrokenQueue()
    client.commit()
    assert "queue 'broken' cannot be read" in asked.error("unserved")
    assert asked.value("unserved queue:") == {"": []}


class BrokenQueue(Queue):
    """Cannot tell."""

    def unserved(self):
        raise RuntimeError("out of order")
