"""Functions that a coroutine of a job has a worker call, each in a transaction of its own.

It is the thread of a worker that calls `call_for`, with the fence around it.
"""

from collections.abc import Callable
from typing import Any

from ZODB.utils import u64

import zc.async_.relstorage
from zc.async_ import utils
from zc.async_.interfaces import ReassignedError
from zc.async_.running.around import Around
from zc.async_.running.callback_runs import manager_of
from zc.async_.running.contract import RunnableJob
from zc.async_.running.holding import Hold
from zc.async_.running.participants import has_nothing_left
from zc.async_.threadlocal import local


def call_for(job: RunnableJob, token: int, function: Callable[[], Any]) -> Any:
    """Call a function for a job that waits for a coroutine, and commit what it did.

    `function` is called in the context of the job, and again after conflicts: five times in all.
    While the database is out of reach this waits. Returns what it returned.
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
        self._calls = 0

    def go(self) -> Any:
        """Call it up to five times, and as often as the database is out of reach."""
        name = f"calling a function for the coroutine with oid {u64(self._job._p_oid):#x}"
        return utils.try_five_times(self._try, name, self._manager, commit=False)

    def _try(self) -> Any:
        job, serial = self._job, None
        self._hold.check_is_ours()
        self._calls += 1
        around = Around(job, self._manager)
        try:
            around.set_up()
            value = self._function()
            self._hold.check_is_open()
            if has_nothing_left(job, self._manager):
                self._manager.abort()
                return value
            # The record is written: so the fence holds, and it can be seen what was committed.
            job._p_changed = True
            serial = job._p_serial
            self._manager.commit()
            self._hold.note_committed()
            return value
        except (*utils.EXPLOSIVE_ERRORS, ReassignedError):
            self._manager.abort()
            raise
        except Exception as error:
            if serial is not None and self._hold.was_committed(serial, error):
                return value
            self._manager.abort()
            zc.async_.relstorage.pause(error, self._calls)
            raise
        finally:
            around.tear_down()
