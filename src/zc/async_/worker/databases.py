"""Opens the databases of a worker: those that URIs name.

A database that is out of reach is waited for; anything else that is wrong is an error.
"""

import contextlib
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import zc.lockfile
import ZODB

import zc.async_.zeo
from zc.async_ import utils
from zc.async_.worker import SettingsError
from zc.async_.worker.functions import told
from zc.async_.worker.uris import shown

#: Seconds between two attempts: the first, step and longest pause.
PAUSES = (1.0, 1.0, 10.0)

#: Seconds after which an attempt that goes on is told of.
LONG = 3.0

#: The errors of database drivers (PEP 249) that may pass by themselves, by the names of their
#: classes, and what is in their texts if they do not.
_DRIVER_ERRORS = ("OperationalError", "InterfaceError")
_HOPELESS = re.compile(
    r"authentication failed|no password supplied|does not exist|unknown database|access denied",
    re.IGNORECASE,
)

_log = logging.getLogger("zc.async.worker")


def open_all(uris: tuple[str, ...], waiting: Callable[[str], None]) -> Any:
    """Open databases, as a group; return the first.

    `waiting`: called with a text, in any thread, if a database is out of reach. Raises
    SettingsError.
    """
    databases: dict[str, Any] = {}
    try:
        opened = [_open(uri, databases, waiting) for uri in uris]
    except SettingsError:
        for database in list(databases.values()):
            database.close()
        raise
    return opened[0]


def _open(uri: str, databases: dict[str, Any], waiting: Callable[[str], None]) -> Any:
    factory, options = _resolve(uri)
    name = options.get("database_name", "unnamed")
    if name in databases:
        raise SettingsError(
            f"the database {shown(uri)} is named {name!r}, as the one before: give it another name "
            "by database_name=NAME in the query of the URI"
        )
    pause, step, longest = PAUSES
    while True:
        try:
            with _telling(lambda: waiting(f"for the database {shown(uri)}")):
                return _try(factory, {**options, "database_name": name, "databases": databases})
        except SettingsError:
            raise
        except utils.TRANSIENT_ERRORS + utils.DISCONNECTED_ERRORS as error:
            # Also a conflict: another worker makes the root of a new database.
            problem = error
        except Exception as error:
            if not is_out_of_reach(error):
                raise SettingsError(_problem(uri, error)) from error
            problem = error
        if is_out_of_reach(problem):
            waiting(f"the database {shown(uri)} is out of reach: {told(problem)}")
        time.sleep(pause)
        pause = min(longest, pause + step)


def _resolve(uri: str) -> tuple[Callable[[], Any], dict[str, Any]]:
    import zodburi

    try:
        try:
            factory, options = zodburi.resolve_uri(uri)
        except zodburi.NoResolverForScheme:
            factory, options = zodburi.resolve_uri(_as_libraries_name_it(uri))
    except zodburi.NoResolverForScheme:
        scheme = uri.partition(":")[0] if ":" in uri else ""
        raise SettingsError(
            f"nothing here can open the database {shown(uri)}: "
            + (
                f"install the package for the scheme {scheme}:, such as RelStorage for postgresql:"
                if scheme
                else "give a URI, such as zeo://HOST:PORT, file:///PATH or postgresql://..."
            )
        ) from None
    except Exception as error:
        raise SettingsError(
            f"cannot make sense of the URI {shown(uri)} of a database ({told(error)}): see the "
            "documentation of zodburi, or of the package of its scheme"
        ) from error
    return factory, options


def _as_libraries_name_it(uri: str) -> str:
    """A URI of PostgreSQL, as its clients write it, with the scheme that RelStorage has."""
    scheme, colon, rest = uri.partition(":")
    return f"postgres{colon}{rest}" if scheme == "postgresql" else uri


def _try(factory: Callable[[], Any], options: dict[str, Any]) -> Any:
    storage = factory()
    # The database may lose its connection while it is opened.
    zc.async_.zeo.watch_storage(storage)
    try:
        return ZODB.DB(storage, **options)
    except BaseException:
        # It enters the group first, and then looks for its root: the next attempt needs the name.
        options["databases"].pop(options["database_name"], None)
        with contextlib.suppress(Exception):
            storage.close()
        raise


def _problem(uri: str, error: Exception) -> str:
    if isinstance(error, zc.lockfile.LockError):
        return (
            f"the database {shown(uri)} is in use by another process, and one process only can "
            "have it: end that, or have a ZEO server (runzeo) serve it and give zeo://HOST:PORT"
        )
    return f"cannot open the database {shown(uri)}: {told(error)}"


def is_out_of_reach(error: BaseException | None) -> bool:
    """Whether an error says that a database cannot be reached now, and may be later."""
    while error is not None:
        if isinstance(error, (*utils.DISCONNECTED_ERRORS, ConnectionError)):
            return True
        names = {kind.__name__ for kind in type(error).__mro__}
        if not names.isdisjoint(_DRIVER_ERRORS):
            return _HOPELESS.search(str(error)) is None
        error = error.__cause__ or error.__context__
    return False


@contextlib.contextmanager
def _telling(tell: Callable[[], None]) -> Iterator[None]:
    """Call `tell`, in another thread, if what is done meanwhile takes long."""
    timer = threading.Timer(LONG, tell)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
