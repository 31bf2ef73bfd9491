"""Small tools for several modules: loggers, readable reprs, transactions with retries."""

import datetime
import logging
import sys
import threading
import time
import types
from collections.abc import Callable
from typing import Any

import persistent
import transaction
import transaction.interfaces
import ZEO.Exceptions
import ZODB
import ZODB.POSException
from ZODB.interfaces import IConnection
from ZODB.utils import u64, z64

import zc.async_.clock
import zc.twist
from zc.async_.interfaces import ClosedDatabaseError, OutOfReachError, ReassignedError
from zc.twist import showing
from zc.twist.logrecords import ShownArguments

#: For important events: start, stop, errors.
log = logging.getLogger("zc.async.events")
#: For every job, poll and thread.
tracelog = logging.getLogger("zc.async.trace")

#: Exceptions that no policy may swallow: they end a thread or a process.
EXPLOSIVE_ERRORS = zc.twist.EXPLOSIVE_ERRORS


class DatabaseClosedError(SystemExit):
    """The database of a worker thread was closed, so the thread has nothing left to do."""

    def __str__(self) -> str:
        return "its database was closed"


#: The database is out of reach; the only remedy is to try again later. Checked before the transient
#: errors, because these are transient errors too.
DISCONNECTED_ERRORS: tuple[type[BaseException], ...] = (
    ZEO.Exceptions.ClientDisconnected,
    OutOfReachError,
)

#: The transaction conflicted with another one; a new try can succeed.
TRANSIENT_ERRORS: tuple[type[BaseException], ...] = (
    transaction.interfaces.TransientError,
    ZODB.POSException.ConflictError,
)

#: Retry policies are asked about these as about conflicts. They include doomed transactions, and
#: those that had failed before.
TRANSACTION_ERRORS: tuple[type[BaseException], ...] = (
    transaction.interfaces.TransactionError,
    *TRANSIENT_ERRORS,
)

#: Seconds that `try_five_times` waits for a database that is out of reach: first, step, most.
DISCONNECTED_BACKOFF = (5, 5, 60)

#: The message of `persistent` for an oid that the connection knows already.
_SAME_OID = "A different object already has the same oid"

#: From the message of RelStorage for one that has a record already: it looks for an older one.
_NO_SERIAL = "'expect_tid_int': 0,"

_BY_NAME = (types.FunctionType, types.BuiltinFunctionType, type)


def is_of_used_oid(error: BaseException | None) -> bool:
    """Whether a new object could not be stored because another object has its oid.

    A restarted ZEO server does not know which oids its clients have fetched and not used yet, and
    gives them out again; see `zc.async_.storing.oids`. The next try uses others.
    """
    if isinstance(error, ZODB.POSException.ConflictError):
        return bool(error.serials) and error.serials[-1] == z64
    if isinstance(error, ZODB.POSException.StorageError):
        return _NO_SERIAL in str(error)
    return isinstance(error, ValueError) and _SAME_OID in str(error)


def database_name(obj: persistent.Persistent) -> str:
    """The name of the database of `obj`, '?' if it is in none."""
    jar = obj._p_jar
    return "?" if jar is None else jar.db().database_name


def custom_repr(obj: object) -> str:
    """A repr with oid and database for persistent objects, and dotted names for callables.

    It is shortened, in one line, and never raises: see `zc.twist.showing`.
    """
    return new_showing().text(obj)


def new_showing() -> showing.Showing:
    """Make a `Showing` for several values together, each shown as by `custom_repr`."""
    return showing.Showing(_short_form)


def _short_form(obj: object) -> str | None:
    if isinstance(obj, persistent.Persistent):
        kind = type(obj)
        if obj._p_oid is None:
            return f"{kind.__module__}.{kind.__name__} (oid ?, db ?)"
        oid = u64(obj._p_oid)
        return f"{kind.__module__}.{kind.__name__} (oid {oid}, db {database_name(obj)!r})"
    if isinstance(obj, _BY_NAME):
        return f"{obj.__module__}.{obj.__qualname__}"
    return None


for _logger in (log, tracelog):
    _logger.addFilter(ShownArguments())


def log_once_committed(
    obj: persistent.Persistent, level: int, text: str, *arguments: object
) -> None:
    """Log a change of `obj` to `log`, once the transaction of its connection has committed.

    A transaction that conflicts changes nothing, and its next try may act differently. Logs at once
    if `obj` is in no database.
    """
    jar = obj._p_jar
    if jar is None:
        log.log(level, text, *arguments)
        return
    jar.transaction_manager.get().addAfterCommitHook(
        lambda committed: log.log(level, text, *arguments) if committed else None
    )


def first_database(connection: Any) -> Any:
    """The database of a group by which a connection was opened, or the one that led to it.

    The connections to the other databases of the group stay with it, also in its pool. So whoever
    wants another connection to one of them opens this database, too: opened by itself, the other
    one would take connections out of their groups, and a later user would have objects of two
    groups in one transaction.
    """
    # A connection that joins a group is added to the mapping of the one that leads to it.
    return next(iter(connection.connections.values())).db()


def connection_of(context: Any) -> Any:
    """The connection of a persistent object, or `context` itself.

    LookupError if it has none, and `ClosedDatabaseError` if its database was closed.
    """
    connection = context
    if not IConnection.providedBy(context):
        connection = IConnection(context, None) or zc.twist.connection(context)
    if connection is None:
        raise LookupError(f"{showing.show(context)} is in no database: add it to one first")
    check_is_open(connection.db())
    return connection


def told(error: BaseException) -> str:
    """The class of an error, and its text if it has any."""
    name = dotted_name(type(error))
    text = showing.text_of(error)
    return f"{name}: {text}" if text else name


def dt_to_long(moment: datetime.datetime) -> int:
    """An integer for a datetime: smaller for later times. A naive datetime is in UTC.

    Keys of polls and of completed jobs are made so, to sort the newest first.
    """
    return zc.async_.clock.LATEST - zc.async_.clock.to_microseconds(moment)


def long_to_dt(key: int) -> datetime.datetime:
    """The datetime of a key, in UTC and without a time zone. The opposite of `dt_to_long`."""
    return zc.async_.clock.to_datetime(zc.async_.clock.LATEST - key).replace(tzinfo=None)


def check_size(owner: str, value: Any) -> None:
    """Raise ValueError for what cannot be the size of an agent or a quota; `owner` names it."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(
            f"the size of {owner} is an integer of at least 0, not {showing.show(value)}"
        )


def dotted_name(obj: Any) -> str:
    """The dotted name of a global function or class."""
    return f"{obj.__module__}.{obj.__qualname__}"


def never_fail(call: Callable[[], Any], identifier: str, tm: Any) -> Any:
    """Call until it succeeds, with aborts in between; see `try_five_times`.

    Raises only exceptions that end a thread or process, and `ReassignedError`.
    """
    return _persist(call, identifier, tm, None)


def try_until_reachable(
    call: Callable[[], Any], identifier: str, tm: Any = transaction.manager
) -> Any:
    """Call, and call again after each transient error. Other errors are raised.

    `tm`: the transaction manager, by default this thread's.
    """
    return _persist(call, identifier, tm, 1 << 30)


def try_five_times(call: Callable[[], Any], identifier: str, tm: Any, commit: bool = True) -> Any:
    """Call and commit, and try again up to five times over transient errors.

    `call` takes no arguments; `identifier` names it in log records; `tm` is the transaction
    manager. Waits without limit for a database that is out of reach. With `commit` false nothing is
    committed. Returns the result of `call`, or raises its last error.
    """

    def call_and_commit() -> Any:
        result = call()
        if commit:
            tm.commit()
        return result

    return _persist(call_and_commit, identifier, tm, 5)


#: The `close` of a database that was closed.
_closed_again = getattr(sys.modules[ZODB.DB.__module__], "noop", None)


def is_closed(database: Any) -> bool:
    """Whether `ZODB.DB.close` of a database was called."""
    if not isinstance(database, ZODB.DB):
        return False
    # A close first gives the database a `close` that does nothing. Then it takes the resources of
    # the connections away. At the end the database has no storage.
    begun = _closed_again is not None and vars(database).get("close") is _closed_again
    return begun or not hasattr(database, "_mvcc_storage")


def check_is_open(database: Any) -> None:
    """Raise `ClosedDatabaseError` for a database that was closed."""
    if is_closed(database):
        raise ClosedDatabaseError(
            f"the database {database.database_name!r} is closed: open it anew, and close it only "
            "after zc.async_.configure.stop()"
        )


class _Work(threading.local):
    database: Any = None


_work = _Work()


def work_on(database: Any) -> None:
    """Make this thread stop retrying once a database is closed.

    The functions here then raise `DatabaseClosedError`.
    """
    _work.database = database


def _end_if_closed() -> None:
    if _work.database is not None and is_closed(_work.database):
        raise DatabaseClosedError


def _pause(seconds: float) -> None:
    """Wait; raise if the database of this thread is closed meanwhile."""
    if _work.database is None:
        time.sleep(seconds)
        return
    while seconds > 0:
        _end_if_closed()
        time.sleep(min(seconds, 1))
        seconds -= 1
    _end_if_closed()


def _persist(call: Callable[[], Any], identifier: str, tm: Any, tries: int | None) -> Any:
    count = 0
    first, step, most = DISCONNECTED_BACKOFF
    backoff = first
    while True:
        try:
            return call()
        except EXPLOSIVE_ERRORS:
            tm.abort()
            raise
        except DISCONNECTED_ERRORS:
            _end_if_closed()
            log.warning("%s: database out of reach, next try in %d s", identifier, backoff)
            tm.abort()
            _pause(backoff)
            backoff = min(most, backoff + step)
        except TRANSIENT_ERRORS:
            count += 1
            _end_if_closed()
            tm.abort()
            if tries is not None and count >= tries:
                log.error("%s: gave up after %d tries", identifier, count, exc_info=True)
                raise
        except Exception as error:
            _end_if_closed()
            tm.abort()
            if tries is not None or isinstance(error, ReassignedError):
                raise
            log.critical("%s: error, next try in %d s", identifier, backoff, exc_info=True)
            _pause(backoff)
            backoff = min(most, backoff + step)
