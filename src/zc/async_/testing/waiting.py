"""Functions that wait for the work of dispatchers and their threads.

They work with real reactors and with `zc.async_.testing.Reactor`, whose time they let pass. Each
waits at most the given number of seconds, and then raises AssertionError. Functions that look into
the database begin new transactions in the connection of the object: its uncommitted changes are
lost. Call them from the thread of the test.
"""

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import zc.async_.dispatcher
from zc.async_.interfaces import ACTIVE, CALLBACKS, COMPLETED
from zc.async_.testing import reactor as virtual
from zc.async_.testing.looking import look_anew

#: `time.sleep` as it was when this module was imported: tests may replace it.
time_sleep = time.sleep

#: Real seconds between two looks.
PAUSE = 0.01

#: Virtual seconds between two looks while a virtual reactor runs.
STEP = 0.1


def _looks(seconds: float) -> Iterator[None]:
    """Yield before each look; the last time when the time is over."""
    yield
    end = time.monotonic() + seconds
    steps = math.ceil(seconds / STEP)
    while time.monotonic() < end or (virtual.running and steps > 0):
        if virtual.running:
            # When virtual time is used up, real time still goes on for worker threads.
            _pass_virtual_time(STEP if steps > 0 else 0)
            steps -= 1
        else:
            time_sleep(PAUSE)
        yield


def _pass_virtual_time(seconds: float) -> None:
    reactors = list(virtual.running)
    for reactor in reactors:
        reactor.time_flies(seconds / len(reactors))
    reactors[0].wait_until_asked(PAUSE)
    for reactor in reactors:
        while reactor.time_passes():
            pass


def wait_until(look: Callable[[], Any], seconds: float, message: str) -> None:
    """Wait until `look()` is true. AssertionError with `message` if it does not become true."""
    for _look in _looks(seconds):
        if look():
            return
    raise AssertionError(message)


def _wait_to_see(obj: Any, look: Callable[[], Any], seconds: float, message: str) -> None:
    wait_until(lambda: look_anew(obj, look), seconds, message)


def get_poll(dispatcher: Any, count: int | None = None, seconds: float = 6) -> Any:
    """Wait for a poll of `dispatcher` and return it (a `PollInfo`).

    By default it is the first one after the present one. With `count`, it is the newest as soon as
    there are more than `count`.
    """
    known = dispatcher.polls[0].key if count is None and dispatcher.polls else None

    def there_is() -> bool:
        polls = dispatcher.polls
        if count is not None:
            return len(polls) > count
        return bool(polls) and polls[0].key != known

    wait_until(there_is, seconds, "dispatcher never polled")
    return dispatcher.polls[0]


def wait_for_result(job: Any, seconds: float = 6) -> Any:
    """Wait until `job` and its callbacks have completed, and return the job's result."""
    _wait_to_see(job, lambda: job.status == COMPLETED, seconds, "job never completed")
    return job.result


def wait_for_start(job: Any, seconds: float = 6) -> None:
    """Wait until a worker thread has begun with `job`."""
    _wait_to_see(job, lambda: _has_begun(job), seconds, "job never started")


def _has_begun(job: Any) -> bool:
    if job.status != ACTIVE:
        return bool(job.status in (CALLBACKS, COMPLETED))
    agent = job.agent
    dispatcher = None if agent is None else zc.async_.dispatcher.get(agent.parent.UUID)
    if dispatcher is None or job.is_suspended():
        return True
    # The job is active from its claim on, which is just before a thread has it.
    oid = int.from_bytes(job._p_oid, "big")
    return any(oid == active for active, _database_name in dispatcher.getActiveJobIds())


def wait_for_annotation(job: Any, key: Any, seconds: float = 6) -> Any:
    """Wait until `job` has an annotation of that name, and return its value."""
    message = f"annotation {key!r} never set"
    _wait_to_see(job, lambda: key in job.annotations, seconds, message)
    return job.annotations[key]


def wait_for_deactivation(dispatcher: Any, seconds: float = 6) -> None:
    """Wait until `dispatcher` has stopped and handed back its jobs."""
    wait_until(
        lambda: not dispatcher.activated and dispatcher.poller is None,
        seconds,
        "dispatcher never deactivated",
    )


def wait_for_death(dispatcher_agents: Any, seconds: float = 10) -> None:
    """Wait until the pings of a dispatcher (an `IDispatcherAgents`) are so old that it is dead."""
    _wait_to_see(
        dispatcher_agents, lambda: dispatcher_agents.dead, seconds, "dispatcher never died"
    )
