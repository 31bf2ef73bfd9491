"""What tests look at: the virtual time that has passed, and what dispatchers tell."""

import contextlib
import datetime

from ZODB.utils import u64

import zc.async_.clock
from zc.async_.testing import BEGINNING

SECOND = datetime.timedelta(seconds=1)


def seconds():
    """Virtual seconds since the beginning."""
    return (zc.async_.clock.now() - BEGINNING).total_seconds()


def reported(job):
    """The id by which dispatchers tell of a job."""
    return u64(job._p_oid), job._p_jar.db().database_name


def idle(dispatcher):
    """Whether no worker has anything to do, and the dispatcher has heard of it."""
    return not any(pool.busy for pool in dispatcher.pools())


@contextlib.contextmanager
def nothing_written(database):
    """Asserts that nobody commits anything meanwhile."""
    before = database.lastTransaction()
    yield
    assert database.lastTransaction() == before
