"""Tools of `asyncdb` that choose jobs: states, filters, figures."""

import datetime

import persistent
import pytest
import zope.interface

from tests.monitoring.database.world import World, shown
from tests.unit import calls
from zc.async_ import monitordb
from zc.async_.commands import BadQuestionError, NotThereError
from zc.async_.interfaces import ACTIVE, ASSIGNED, CALLBACKS, COMPLETED, KEY, PENDING, IAgent
from zc.async_.job import Job
from zc.async_.queue import Queue

STATES = ["pending", "assigned", "active", "callbacks", "succeeded", "failed"]


def choose(agent):
    return agent.queue.claim()


def is_of_add(job):
    return job.callable is calls.add


def refuse_with_error(job):
    raise ValueError("a broken filter")


@pytest.fixture
def jobs(world, clock):
    """One of each state, by its name, ten seconds after each other; the last is pending."""
    world.agent.size = 10
    jobs = {}
    for state in ("failed", "succeeded", "callbacks", "active", "assigned", "pending"):
        if state == "failed":
            job = world.completed(calls.fail)
        elif state == "succeeded":
            job = world.completed(calls.add, 1, 2)
        else:
            job = getattr(world, state)()
        jobs[state] = job
        clock.advance(seconds=10)
    statuses = [job.status for job in jobs.values()]
    assert statuses == [COMPLETED, COMPLETED, CALLBACKS, ACTIVE, ASSIGNED, PENDING]
    return jobs


# -- states


@pytest.mark.parametrize("state", STATES)
def test_each_state_is_listed_and_counted(state, jobs, asked):
    assert asked.value(f"jobs {state}") == shown(jobs[state])
    assert asked.value(f"count {state}") == 1
    figures = asked.value(f"jobstats {state}")
    assert {key: figures[key] for key in STATES} == {**dict.fromkeys(STATES, 0), state: 1}


def test_several_states(jobs, asked):
    order = ["pending", "callbacks", "active", "assigned", "succeeded", "failed"]
    assert asked.value("jobs pending assigned active callbacks completed") == shown(
        *map(jobs.get, order)
    )
    assert asked.value("jobs completed") == shown(jobs["succeeded"], jobs["failed"])
    assert asked.value("count completed") == 2
    assert asked.value("count pending active failed") == 3
    assert asked.value("count pending pending") == 1


@pytest.mark.parametrize("tool", ["jobs", "count", "jobstats"])
def test_states_that_are_wrong(tool, jobs, asked):
    assert "give the states that jobs may be in: pending, assigned" in asked.error(tool)
    assert "'done' is no state: give pending, assigned" in asked.error(f"{tool} done")
    assert "give one of completed, succeeded, failed" in asked.error(f"{tool} completed failed")
    assert "is no state" in asked.error(f"{tool} \x00 {'x' * 9999}")


def test_what_is_told_of_each(jobs, asked, client):
    client.begin()
    assert asked.value("jobs pending display:default") == shown(jobs["pending"])
    assert asked.value("jobs pending display:repr") == [repr(jobs["pending"])]
    oid = shown(jobs["pending"])[0][0]
    assert asked.value("jobs pending display:details") == [asked.value(f"job {oid}")]
    assert "'all' is none of default, repr, details" in asked.error("jobs pending display:all")
    assert "display" in asked.error("jobstats pending display:")
    with pytest.raises(BadQuestionError, match="display"):
        monitordb.jobs(client.connection, "pending", display="all")


def test_a_list_may_be_limited(jobs, asked):
    assert len(asked.value("jobs pending completed count:2")) == 2
    assert "count: '-1' is no number" in asked.error("jobs pending count:-1")
    assert "count: '' is no number" in asked.error("jobs pending count:")


def test_nothing_is_an_empty_list(client, asked):
    assert asked.value("jobs pending completed") == []
    assert asked.value("count pending completed") == 0
    figures = asked.value("jobstats pending completed")
    assert figures["longest wait"] is figures["shortest active"] is None
    assert asked.text("nextpending") == asked.text("lastcompleted") == "null"


def test_jobs_that_have_completed_and_are_in_no_history_yet(world, asked):
    old = world.completed()
    job = world.pending()
    assert calls.run_next(world.agent) is job
    assert not any(job is known for known in world.agent.completed)
    assert asked.value("count completed") == asked.value("count succeeded") == 2
    assert asked.value("jobs completed") == shown(job, old)
    assert asked.value("lastcompleted")["repr"] == repr(job)


def test_a_job_that_waits_for_another_is_in_no_list(world, asked):
    outer, inner = world.active(), world.pending()
    outer.wait_for_job(inner)
    world.client.commit()
    assert list(world.agent) == []
    assert asked.value("jobs pending active") == shown(inner)
    assert asked.value("count active") == 0


# -- figures


def test_figures(world, clock, asked):
    for wait, active in [(5, 1), (1, 60), (30, 2)]:
        job = world.pending()
        clock.advance(seconds=wait)
        world.agent.parent.say()
        world.client.commit()
        world.agent.claimJob().activate_at(clock.time)
        clock.advance(seconds=active)
        job.end_with(None)
        world.agent.keep_books()
        world.client.commit()
    figures = asked.value("jobstats completed display:repr")
    waits = [figures[key][0] for key in ("shortest wait", "longest wait")]
    assert waits == [{"seconds": 1.0}, {"seconds": 30.0}]
    assert figures["longest active"][0] == {"minutes": 1}
    assert figures["shortest active"][0] == {"seconds": 1.0}
    assert figures["longest wait"][1] == repr(job)
    details = asked.value("jobstats completed display:details")
    assert details["longest wait"][1]["wait"] == {"seconds": 30.0}


def test_figures_of_jobs_that_have_not_ended(world, clock, asked):
    active = world.active()
    clock.advance(seconds=9)
    pending = world.pending()
    later = world.pending(begin_after=datetime.timedelta(hours=1))
    clock.advance(seconds=1)
    figures = asked.value("jobstats pending active")
    assert figures["longest active"] == [{"seconds": 10.0}, *shown(active)]
    assert figures["longest wait"] == [{"seconds": 1.0}, *shown(pending)]
    assert figures["shortest wait"][0] == {"seconds": 0.0}
    assert figures["shortest wait"][1] in shown(later, active)


# -- filters


@pytest.mark.parametrize(
    ("globs", "names"),
    [
        ("add", ["add"]),
        ("a*", ["add"]),
        ("tests.unit.calls.add", ["add"]),
        ("tests.unit.*", ["nothing", "add", "static", "increase"]),
        ("unit.calls.add", []),
        ("*.calls.add", ["add"]),
        ("add,nothing", ["nothing", "add"]),
        ("ADD", []),
        ("static", ["static"]),
        ("tests.unit.calls.Nested.static", ["static"]),
        ("increase", ["increase"]),
        ("*.Counter.increase", ["increase"]),
        ("[ab]dd,increas?", ["add", "increase"]),
        ("add,", ["add"]),
    ],
)
@pytest.mark.parametrize("state", ["pending", "completed"])
def test_callable(globs, names, state, world, asked):
    counter = world.client.add("counter", calls.Counter())
    world.agent.size = 9
    functions = {
        "nothing": calls.nothing,
        "add": calls.add,
        "static": calls.Nested.static,
        "increase": counter.increase,
    }
    args = {"static": (1,)}
    jobs = {
        name: getattr(world, state)(function, *args.get(name, ()))
        for name, function in functions.items()
    }
    wanted = shown(*(jobs[name] for name in names))
    found = asked.value(f"jobs {state} callable:{globs}")
    assert sorted(found) == sorted(wanted)
    assert asked.value(f"count {state} callable:{globs}") == len(names)


def test_a_callable_needs_a_glob(asked, client):
    assert "nothing behind the colon" in asked.error("count pending callable:")


def test_a_job_whose_code_is_missing_is_found_by_its_name(world, asked):
    job = world.pending(calls.add, 1)
    job.stored_callable = "gone.away:Away.add"
    world.client.commit()
    assert asked.value("jobs pending callable:gone.away.Away.add") == shown(job)
    assert asked.value("jobs pending callable:add") == shown(job)
    details = asked.value("nextpending")
    assert "``gone.away.Away.add(1)``" in details["repr"]
    assert details["status"] == "pending"


def test_queue(world, asked):
    mail = world.client.root[KEY]["mail"] = Queue()
    world.client.commit()
    usual = world.pending()
    other = mail.put(calls.nothing)
    world.client.commit()
    assert asked.value("jobs pending queue:") == shown(usual)
    assert asked.value("jobs pending queue:mail") == shown(other)
    assert asked.value("count pending queue:m*") == 1
    assert asked.value("count pending queue:*") == asked.value("count pending") == 2
    assert asked.value("nextpending queue:mail")["queue"] == "mail"
    assert "no queue matches 'x'; there is '', 'mail'" in asked.error("count pending queue:x")
    assert "no queue matches" in asked.error("nextpending queue:x")


def test_uuid_and_agent_of_jobs_that_agents_have(world, client, uuid_1, uuid_2, asked, clock):
    second = client.agent(uuid_2)
    third = client.agent(uuid_2, name="third")
    jobs = [world.active(agent=agent) for agent in (world.agent, second, third)]
    ended = []
    for agent in (world.agent, second, third):
        ended.append(world.completed(agent=agent))
        clock.advance(seconds=1)
    assert asked.value(f"jobs active uuid:{uuid_1}") == shown(jobs[0])
    assert sorted(asked.value(f"jobs active uuid:{uuid_2}")) == shown(*jobs[1:])
    assert asked.value("jobs active agent:third") == shown(jobs[2])
    assert sorted(asked.value("jobs active agent:main")) == shown(*jobs[:2])
    assert asked.value(f"count completed uuid:{uuid_2} agent:ma*") == 1
    assert asked.value(f"count succeeded uuid:{uuid_2}") == 2
    assert asked.value("lastcompleted agent:main")["repr"] == repr(ended[1])
    assert asked.value("count completed agent:nobody") == 0


def test_this_is_the_dispatcher_of_this_process(world, client, identity, asked):
    mine = client.agent(identity)
    world.completed()
    world.completed(agent=mine)
    assert asked.value("count completed") == 2
    assert asked.value("count completed uuid:THIS") == 1


def test_a_dispatcher_that_is_not_known(world, uuid_1, uuid_2, asked):
    text = asked.error(f"count completed uuid:{uuid_2}")
    assert f"no dispatcher of the UUID {uuid_2} is known there; active: {uuid_1}" in text
    assert "is no UUID" in asked.error("count completed uuid:")


def test_pending_jobs_are_those_that_an_agent_would_take(world, client, uuid_1, uuid_2, asked):
    client.agent(uuid_2, filter=is_of_add, name="adder")
    client.agent(uuid_2, filter=refuse_with_error, name="broken")
    client.agent(uuid_2, chooser=choose, name="picky")
    nothing, add = world.pending(), world.pending(calls.add)
    assert asked.value("jobs pending agent:adder") == shown(add)
    assert asked.value("count pending agent:adder") == 1
    assert asked.value("nextpending agent:adder")["repr"] == repr(add)
    assert asked.value("count pending agent:broken") == 0
    assert asked.value("jobs pending agent:main") == shown(nothing, add)
    assert asked.value(f"count pending uuid:{uuid_1}") == 2
    assert asked.value("count pending agent:nobody") == 0
    assert asked.value("jobs pending agent:nobody") == []
    text = asked.error("count pending agent:picky")
    assert f"agent 'picky' of dispatcher {uuid_2} has no filter but a chooser" in text
    # That one takes all, whatever the other does.
    assert asked.value("count pending agent:*") == 2
    assert asked.value("count active agent:picky") == 0


def test_a_filter_whose_code_is_missing_says_so(world, client, uuid_2, asked):
    agent = client.agent(uuid_2, filter=is_of_add, name="adder")
    agent._filter = "gone.away:take"
    client.commit()
    assert "cannot import 'gone.away.take'" in asked.error("count pending agent:adder")


def test_jobs_of_the_system_wait_for_any_agent(world, client, uuid_2, asked):
    client.agent(uuid_2, filter=is_of_add, name="adder")
    job = Job(calls.nothing)
    system = job.make_system_job(job.resumeCallbacks)
    client.put(system)
    assert asked.value("jobs pending agent:adder") == shown(system)


def test_times(world, clock, asked):
    world.agent.size = 9
    old = world.completed()
    clock.advance(hours=2)
    world.agent.parent.say()
    world.client.commit()
    new = world.completed()
    active = world.active()
    later = world.pending(begin_after=datetime.timedelta(hours=5))
    for name in ("requested_start", "start", "end", "callbacks_completed"):
        assert asked.value(f"jobs completed {name}:since1H") == shown(new)
        assert asked.value(f"jobs completed {name}:before1H") == shown(old)
        assert asked.value(f"jobs completed {name}:since3H,before1H") == shown(old)
        assert asked.value(f"count completed {name}:since3H") == 2
        assert asked.value(f"count completed {name}:since90M,before1H") == 0
        assert "is no span" in asked.error(f"count completed {name}:")
        assert "is no interval" in asked.error(f"count completed {name}:since")
    assert asked.value("jobs active start:since1M") == shown(active)
    assert asked.value("jobs active end:since1M") == []
    assert asked.value("jobs pending requested_start:since0S") == shown(later)
    assert asked.value("jobs pending requested_start:before0S") == []
    assert asked.value("jobs pending start:since99999D") == []
    assert asked.value("count completed end:since9999999D,before0S") == 2
    assert asked.value("count completed end:before9999999D") == 0


def test_history_is_read_only_as_far_as_times_want_it(world, clock, asked, monkeypatch):
    world.agent.size = 99
    for _number in range(60):
        world.completed()
    clock.advance(days=2)
    world.agent.parent.say()
    world.client.commit()
    new = world.completed()
    read = []
    monkeypatch.setattr(
        "zc.async_.monitordb.finding._has_ended", lambda job, state: read.append(job) or True
    )
    assert asked.value("jobs completed end:since10M") == shown(new)
    assert len(read) == 1


def test_all_filters_have_to_fit(world, client, uuid_1, asked):
    client.root[KEY]["mail"] = Queue()
    client.commit()
    add, _nothing = world.completed(calls.add), world.completed()
    line = f"jobs completed uuid:{uuid_1} agent:main queue: callable:add end:since1H start:since1H"
    assert asked.value(line) == shown(add)
    assert asked.value(f"{line},before1M") == []
    assert asked.value("jobs completed queue:mail") == []


# -- single jobs


def test_nextpending_is_the_first_in_order(world, asked, clock):
    world.pending(calls.add)
    clock.advance(seconds=1)
    urgent = world.pending(calls.nothing, priority=1)
    assert asked.value("nextpending")["repr"] == repr(urgent)
    assert asked.value("nextpending callable:add")["repr"].endswith("add()``>")
    assert asked.text("nextpending callable:other") == "null"


def test_nextpending_of_several_queues_was_to_begin_first(world, asked, clock):
    mail = world.client.root[KEY]["mail"] = Queue()
    first = mail.put(calls.nothing)
    world.client.commit()
    clock.advance(seconds=1)
    second = world.pending()
    assert asked.value("nextpending")["repr"] == repr(first)
    assert asked.value("jobs pending") == shown(second, first)


def test_lastcompleted_of_several_agents(world, client, uuid_2, asked, clock):
    second = client.agent(uuid_2)
    world.completed(agent=second)
    clock.advance(seconds=1)
    newest = world.completed()
    assert asked.value("lastcompleted")["repr"] == repr(newest)
    assert asked.value(f"lastcompleted uuid:{uuid_2}")["dispatcher"] == str(uuid_2)
    assert asked.value("jobs completed")[0] == shown(newest)[0]


def test_tools_without_states_take_none(asked, client):
    assert "'pending' is not understood here" in asked.error("nextpending pending")
    assert "'completed' is not understood here" in asked.error("lastcompleted completed")


# -- the functions


def test_the_functions_answer_with_plain_values(jobs, client, uuid_1):
    client.begin()
    context = client.queue
    assert monitordb.jobs(context, "pending") == [tuple(shown(jobs["pending"])[0])]
    assert monitordb.count(client.connection, "pending", "active") == 2
    figures = monitordb.jobstats(context, "active")
    assert isinstance(figures["longest active"][0], datetime.timedelta)
    assert monitordb.lastcompleted(context, uuid=uuid_1)["active end"].tzinfo is datetime.UTC
    assert monitordb.nextpending(context)["queue"] == ""
    since = monitordb.Span(since=datetime.timedelta(seconds=45))
    assert monitordb.count(context, "completed", end=since) == 0
    assert monitordb.count(context, "completed", end=None, callable=None, queue=None) == 2
    with pytest.raises(NotThereError):
        monitordb.count(context, "pending", queue="x")
    with pytest.raises(LookupError):
        monitordb.count(calls.Counter(), "pending")
    with pytest.raises(TypeError, match="no filter 'calable'"):
        monitordb.count(context, "pending", calable="x")
    with pytest.raises(TypeError, match=r"end is a zc.async_.monitordb.Span, not 'since1H'"):
        monitordb.count(context, "pending", end="since1H")
    assert not client.connection._registered_objects


# -- an application's own classes


@zope.interface.implementer(IAgent)
class OwnAgent(persistent.Persistent):
    """Takes everything, and remembers nothing but the number."""

    name = parent = filter = None
    chooser = "its own"
    size = 5
    completed = ()

    @property
    def queue(self):
        return self.parent.queue

    def claimJob(self):
        return self.queue.claim()

    def __len__(self):
        return 0

    def __iter__(self):
        return iter(())

    def remove(self, job):
        """Nothing to forget."""

    def jobCompleted(self, job):
        """Nothing to remember."""


def test_the_jobs_of_an_agent_of_another_class_are_in_its_books(client, uuid_1, asked, clock):
    client.agent(uuid_1)
    agents = client.queue.dispatchers[uuid_1]
    agents["own"] = OwnAgent()
    world = World(client, agents.books_of("own"), clock)
    job = world.active()
    assert asked.value("jobs active") == shown(job)
    assert asked.value("jobs active agent:own") == shown(job)
    job.end_with(None)
    client.commit()
    assert asked.value("count completed") == 1
