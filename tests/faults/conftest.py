"""Dispatchers on a virtual reactor, and what has to be so after every fault."""

import contextlib
import time
import uuid

import pytest

import zc.async_.dispatcher
import zc.async_.testing
from tests.dispatcher import work
from tests.dispatcher.conftest import *  # noqa: F403
from tests.dispatcher.conftest import PATIENCE, none_at_work
from zc.async_.dispatcher import Dispatcher
from zc.async_.interfaces import COMPLETED


@pytest.fixture
def goes_on(client, dispatcher, reactor, settle, completed, agents_of):
    """Asserts that the dispatcher goes on and nothing is left behind.

    Another job that is put now completes; nothing waits, no agent has a job and no quota a member.
    """

    def nothing_is_left():
        client.manager.begin()
        return not any(len(agent) for agent in agents_of(dispatcher).values()) and not any(
            len(quota) for quota in client.queue.quotas.values()
        )

    def goes_on():
        client.manager.begin()
        another = client.queue.put(work.answer)
        client.manager.commit()
        completed(another)
        assert another.result == 42
        settle(lambda: not any(pool.busy for pool in dispatcher.pools()))
        settle(nothing_is_left)
        # Two polls more, so that whatever no longer counts has been dropped.
        reactor.time_flies(2 * dispatcher.poll_interval)
        client.manager.begin()
        assert list(client.queue) == []
        assert len(client.queue) == 0
        assert dispatcher.getStatusInfo()["status"] == "RUNNING"

    return goes_on


@pytest.fixture
def failed(client, completed, goes_on):
    """Waits until a job has failed, asserts that the rest goes on, and returns the failure."""

    def failed(job, *errors):
        completed(job)
        assert job.result.check(*errors), job.result
        failure = job.result
        goes_on()
        return failure

    return failed


@pytest.fixture
def soon(client, reactor):
    """Waits until jobs have completed, and workers have told of it, while virtual time flies."""

    def soon(*jobs):
        end = time.monotonic() + PATIENCE
        while True:
            while reactor.time_passes():
                pass
            client.manager.begin()
            if all(job.status == COMPLETED for job in jobs) and none_at_work(jobs):
                return
            assert time.monotonic() < end, f"not completed: {jobs}"
            reactor.time_flies(1)
            reactor.wait_until_asked(0.01)

    return soon


@pytest.fixture
def errors_told(caplog):
    """The messages of the library at ERROR and above, with their tracebacks."""

    def errors_told():
        return "\n".join(
            caplog.handler.format(record)
            for record in caplog.records
            if record.name == "zc.async.events" and record.levelname in ("ERROR", "CRITICAL")
        )

    return errors_told


@pytest.fixture
def start_process(database, install_agent, reactor):
    """Starts what stands for a process: a dispatcher with a virtual reactor of its own.

    The other reactor keeps the time when these crash.
    """
    started = []
    install_agent()

    def start_process(uuid_=None):
        if uuid_ is not None:
            # As in a process that has just begun.
            zc.async_.dispatcher.pop(uuid_)
        reactor = zc.async_.testing.Reactor()
        reactor.start()
        started.append(Dispatcher(database, reactor, uuid=uuid_ or uuid.uuid4()))
        started[-1].activate()
        reactor.time_flies(0)
        return started[-1]

    yield start_process
    work.gate.set()
    with contextlib.ExitStack() as stack:
        for dispatcher in started:
            stack.callback(zc.async_.testing.tear_down_dispatcher, dispatcher)


@pytest.fixture
def size_of(database):
    """Returns how many bytes the record of a job has."""

    def size_of(job):
        data, _serial = database.storage.load(job._p_oid)
        return len(data)

    return size_of
