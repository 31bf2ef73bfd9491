"""A page that shows queues, agents and jobs, and deletes or repairs them."""

import contextlib
import datetime
import html
import uuid

import pytest
import transaction
import zope.component

import zc.async_.configure
import zc.async_.dispatcher
from benchmarks.storages import add_queue, file_database
from tests.clients import overview
from tests.dispatcher import work
from tests.zeoservers import server
from zc.async_.agent import Agent
from zc.async_.interfaces import KEY, NEW, PENDING, IDispatcherActivated, IQueue
from zc.async_.interfaces import TimeoutError as BeginByPassedError
from zc.async_.job import Job, serial
from zc.async_.queue import Queue
from zc.async_.testing import get_poll, wait_for_result, wait_for_start, wait_until

PATIENCE = 90


def is_answer(job):
    return job.callable is work.answer


def choose(agent):
    return agent.queue.claim(is_answer)


@pytest.fixture(autouse=True)
def clean_work(clean_process):
    """What jobs did is forgotten, and those that wait go on in the end."""
    work.reset()
    yield
    work.gate.set()


SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("ZEO", "RelStorage")]


@pytest.fixture(params=["FileStorage", *SLOW])
def databases(request, tmp_path):
    """A database with a queue, for the process that runs jobs and for the one that has the page.

    These are two clients of a ZEO server, or of PostgreSQL, or one FileStorage.
    """
    with contextlib.ExitStack() as stack:
        if request.param == "ZEO":
            running = stack.enter_context(server(tmp_path))
            yield [stack.enter_context(running.database()) for _ in range(2)]
        elif request.param == "RelStorage":
            zodb = request.getfixturevalue("zodb")
            found = [stack.enter_context(zodb.database()) for _ in range(2)]
            add_queue(found[0])
            yield found
        else:
            yield [stack.enter_context(file_database(tmp_path))] * 2


@pytest.fixture
def application(databases):
    """The application, which puts jobs: a connection of this thread."""
    zc.async_.configure.base()
    zope.component.provideHandler(add_chooser)
    zc.async_.configure.start(databases[0], poll_interval=0.1, agent_size=2)
    get_poll(zc.async_.dispatcher.get(), 0, PATIENCE)
    connection = databases[0].open()
    IQueue(connection).quotas.create("mail")
    transaction.commit()
    yield connection
    work.gate.set()
    transaction.abort()
    connection.close()
    zc.async_.configure.stop()


@zope.component.adapter(IDispatcherActivated)
def add_chooser(event):
    """Give the dispatcher of the application a second agent, which has a chooser."""
    if "chooser" not in event.object:
        event.object["chooser"] = Agent(chooser=choose, size=1)


@pytest.fixture
def operator(databases, application):
    """A connection of the operator, who sees what is committed when a request begins."""
    manager = transaction.TransactionManager()
    connection = databases[1].open(manager)

    def request(function, *args):
        for attempt in manager.attempts(10):
            with attempt:
                result = function(connection, *args)
        return result

    yield request
    manager.abort()
    connection.close()


@pytest.fixture
def shows(operator):
    """Waits until the page has all these texts, and returns it."""

    def shows(*texts):
        pages = []

        def has_all():
            pages[:] = [operator(overview.page)]
            return all(text in pages[0] for text in texts)

        with contextlib.suppress(AssertionError):
            wait_until(has_all, PATIENCE, "")
        assert [text for text in texts if text not in pages[0]] == [], pages[0]
        return pages[0]

    return shows


def put(application, *args, **options):
    job = IQueue(application).put(*args, **options)
    transaction.commit()
    return job


def row(job, status, result=""):
    """How the page shows a job; `result` may be the beginning of that."""
    cells = [overview.oid_of(job), status, html.escape(repr(job))]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + f"<td>{result}"


def becomes(look):
    """Wait until the application sees what the operator has committed."""

    def sees():
        transaction.begin()
        return look()

    wait_until(sees, PATIENCE, "the application does not see it")


def fail_once(text):
    """Fail, but for a second time."""
    work.happened.append(text)
    if work.happened.count(text) == 1:
        raise ValueError("not yet")
    return text


def test_the_page_shows_what_waits_is_at_work_and_has_completed(application, shows):
    limited = Job(work.wait)
    limited.quota_names = ["mail"]
    put(application, limited)
    later = put(application, work.answer, datetime.timedelta(days=1))
    # Before the part of the composed job takes the other place of the agent.
    bad = put(application, work.fail)
    composed = put(application, serial(work.wait))
    for job in (limited, composed):
        wait_for_start(job, PATIENCE)
    shows(
        "<h2>Queue (default): 1 waiting</h2>",
        row(later, "Pending"),
        row(limited, "Active", "None"),
        "<h4>Agent main, all jobs: 2 of 2</h4>",
        "<h4>Agent chooser, chooser choose: idle</h4>",
        f"Quota mail: 1 of 1, first {html.escape(repr(limited))}, full",
        f"<h3>Dispatcher {zc.async_.dispatcher.get().UUID}: active</h3>",
    )
    work.gate.set()
    wait_for_result(composed, PATIENCE)
    shows(
        row(limited, "Completed"),
        row(composed, "Completed"),
        row(bad, "Completed", "it failed"),
        "main, all jobs: idle",
        "Quota mail: 0 of 1</p>",
    )


def test_a_composed_job_is_shown_to_wait_for_another(application, operator):
    composed = put(application, serial(work.wait))
    wait_for_start(composed, PATIENCE)

    def says(text):
        return lambda: text in operator(overview.detail, overview.oid_of(composed))

    wait_until(says("<td>waits for "), PATIENCE, "it does not wait")
    becomes(lambda: composed.result is not None)
    assert says(f"<td>waits for {overview.oid_of(composed.result)}</td>")()
    work.gate.set()
    wait_until(says("<td>Completed</td>"), PATIENCE, "it does not end")


def test_a_job_that_waits_is_deleted(application, operator, shows):
    job = put(application, work.answer, datetime.timedelta(days=1))
    shows(row(job, "Pending"))
    operator(overview.delete, overview.oid_of(job))
    shows("Queue (default): 0 waiting")
    becomes(lambda: job.status == NEW)


def test_a_job_at_work_is_deleted_and_the_dispatcher_tells_that_it_has_lost_it(
    application, operator, shows
):
    job = put(application, work.wait)
    wait_for_start(job, PATIENCE)
    operator(overview.delete, overview.oid_of(job))
    shows("<h4>Agent main, all jobs: idle</h4>")
    becomes(lambda: job.result is not None and job.result.check(BeginByPassedError))
    told = zc.async_.dispatcher.get().getJobInfo
    wait_until(lambda: told(overview.oid_of(job))["reassigned"], PATIENCE, "it is not told")


def test_a_job_that_has_failed_is_repeated(application, operator, shows):
    job = put(application, Job(fail_once, "a text"))
    wait_for_result(job, PATIENCE)
    shows(row(job, "Completed", "not yet"))
    oid = overview.oid_of(operator(overview.repeat, overview.oid_of(job)))
    wait_until(
        lambda: "<td>Completed</td>" in operator(overview.detail, oid), PATIENCE, "it does not end"
    )
    assert "&#x27;a text&#x27;</td></tr>" in operator(overview.detail, oid)


def test_a_job_that_waits_for_a_date_is_begun_at_once(application, operator):
    job = put(application, work.answer, datetime.timedelta(days=1))
    operator(overview.hurry, overview.oid_of(job))
    assert wait_for_result(job, PATIENCE) == 42


def test_completed_jobs_are_forgotten_and_the_next_ones_are_shown(application, operator, shows):
    old = put(application, work.answer)
    wait_for_result(old, PATIENCE)
    shows(row(old, "Completed"))
    operator(overview.forget_completed, "")
    new = put(application, work.answer)
    wait_for_result(new, PATIENCE)
    assert row(old, "Completed") not in shows(row(new, "Completed"))


def test_an_agent_is_paused_and_goes_on(application, operator, shows):
    uuid_ = str(zc.async_.dispatcher.get().UUID)
    # The other one takes answers, too.
    for name in ("main", "chooser"):
        operator(overview.resize, "", uuid_, name, 0)
    job = put(application, work.answer)
    shows(row(job, "Pending"))
    operator(overview.resize, "", uuid_, "main", 1)
    assert wait_for_result(job, PATIENCE) == 42


def test_the_job_of_a_dispatcher_that_is_gone_is_handed_to_another(application, operator, shows):
    own = str(zc.async_.dispatcher.get().UUID)
    for name in ("main", "chooser"):
        operator(overview.resize, "", own, name, 0)
    gone = uuid.uuid4()
    job = put(application, work.answer)
    shows(row(job, "Pending"))

    def claim(connection):
        dispatchers = connection.root()[KEY][""].dispatchers
        dispatchers.register(gone)
        dispatchers[gone].activate()
        dispatchers[gone]["theirs"] = Agent()
        return dispatchers[gone]["theirs"].claimJob()._p_oid

    assert operator(claim) == job._p_oid
    shows(f"<h3>Dispatcher {gone}: active</h3>", row(job, "Assigned", "None"))
    operator(overview.bury, "", str(gone))
    operator(overview.resize, "", own, "main", 1)
    assert wait_for_result(job, PATIENCE) == 42
    assert str(gone) not in shows(own)


def test_a_queue_is_deleted_with_what_waits_in_it(application, operator, shows):
    queue = application.root()[KEY]["old"] = Queue()
    job = queue.put(work.answer, datetime.timedelta(days=1))
    transaction.commit()
    shows("<h2>Queue old: 1 waiting</h2>", row(job, "Pending"))
    deleted = operator(overview.delete_queue, "old")
    assert (deleted.__name__, deleted.__parent__) == (None, None)
    assert "Queue old" not in shows("Queue (default)")
    becomes(lambda: queue.name is None)
    assert job.status == PENDING
    assert wait_for_result(put(application, work.answer), PATIENCE) == 42
