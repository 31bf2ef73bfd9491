"""Functions that a coroutine of a job has a worker call, each in a transaction of its own.

It is the thread of a worker that calls `call_for`, with the fence around it.
"""

from collections.abc import Callable
from typing import Any

import zc.async_.relstorage
from zc.async_ import utils
from zc.async_.interfaces import ReassignedError
from zc.async_.running.callback_runs import manager_of
from zc.async_.running.contract import RunnableJob
from zc.async_.running.holding import Hold
from zc.async_.running.participants import has_nothing_left
from zc.async_.threadlocal import local

#: How often a function is called at most if its transaction conflicts with others.
MOST_CALLS = 5


def call_for(job: RunnableJob, token: int, function: Callable[[], Any]) -> Any:
    """Call a function for a job that waits for a coroutine, and commit what it did.

    `function` is called in the context of the job, again after conflicts. Returns what it returned.
    Raises what it raised, the error of its commit, or `ReassignedError` if the job is not this
    worker's any more; nothing is committed then.
    """
    step = _Step(job, token, function)
    before = local.job
    local.job = job
    local.claimed = job._p_oid, job._p_jar.db().database_name, token
    try:
        return step.go()
    finally:
        local.job, local.claimed = before, None


class _Step:
    def __init__(self, job: RunnableJob, token: int, function: Callable[[], Any]) -> None:
        self._job = job
        self._manager = manager_of(job)
        self._hold = Hold(job, token, self._manager)
        self._function = function

    def go(self) -> Any:
        for call in range(1, MOST_CALLS + 1):
            utils.try_until_reachable(
                self._hold.check_is_ours, "looking whose a job is", self._manager
            )
            done, value = self._try(call)
            if done:
                return value
        raise AssertionError("the last call returns or raises")  # pragma: no cover

    def _try(self, call: int) -> tuple[bool, Any]:
        """Whether it is done with that call, and what the function returned."""
        job, serial, value = self._job, None, None
        setup_info: Any = None
        # While the job is loaded: afterwards the database may be out of reach.
        tear_down, leave_thread = job.tearDown, job.leave_thread
        try:
            setup_info = job.setUp()
            value = self._function()
            self._hold.check_is_open()
            if has_nothing_left(job, self._manager):
                self._manager.abort()
                return True, value
            # The record is written: so the fence holds, and it can be seen what was committed.
            job._p_changed = True
            serial = job._p_serial
            self._manager.commit()
            self._hold.note_committed()
            return True, value
        except (*utils.EXPLOSIVE_ERRORS, ReassignedError):
            self._manager.abort()
            raise
        except Exception as error:
            if serial is not None and self._hold.was_committed(serial, error):
                return True, value
            self._manager.abort()
            passes = isinstance(error, utils.TRANSIENT_ERRORS + utils.DISCONNECTED_ERRORS)
            if call == MOST_CALLS or not passes:
                raise
            zc.async_.relstorage.pause(error, call)
            return False, None
        finally:
            tear_down(setup_info)
            leave_thread()
