"""Connections of psycopg2 whose errors say what they mean for a transaction.

RelStorage lets errors of psycopg2 pass, as they are, from wherever it loads or stores. Jobs of an
application may use psycopg2 for databases of their own, whose errors mean nothing to this library.
So the connections of RelStorage raise errors of their own kinds. They are psycopg2's as well, of
the class by which RelStorage knows that a connection is lost.

To be imported only where psycopg2 is.
"""

import itertools
import os
from typing import Any

import psycopg2
import psycopg2.extensions
from transaction.interfaces import TransientError
from ZODB.POSException import StorageError

from zc.async_.interfaces import OutOfReachError
from zc.async_.relstorage.errors import Meaning, meaning_of

#: What a connection is told if neither its DSN nor the environment says otherwise. The waits are as
#: long as for ZEO: seconds for a connection; seconds of silence after which the other system is
#: asked, and between the questions; questions without an answer. And milliseconds after which what
#: was sent has to have arrived.
PATIENCE = {
    "connect_timeout": "10",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}

#: The version of libpq that knows all of these.
_KNOWN_SINCE = 12_00_00

_numbers = itertools.count(1)


class _Error(psycopg2.OperationalError):
    """An error with the code of the one that it replaces."""

    def __init__(self, text: str = "", code: str | None = None) -> None:
        super().__init__(text)
        self._code = code

    def __reduce__(self) -> Any:
        return type(self), (str(self), self._code)

    @property
    def pgcode(self) -> str | None:  # type: ignore[override,unused-ignore]
        """The code, None if it was not the server's own error."""
        return self._code


class RefusedError(_Error, StorageError):
    """The server is in trouble."""


class LostError(_Error, OutOfReachError):
    """The server is out of reach."""


class ConflictingError(_Error, TransientError):
    """The transaction got in the way of another one."""


def _is_lost(connection: Any, error: Exception) -> bool:
    """Whether a connection cannot be used any more."""
    # An error of just this class has no code of the server, and came instead of an answer: psycopg2
    # has not noticed yet that the connection has ended.
    return bool(connection.closed) or type(error) is psycopg2.DatabaseError


def _translated(error: Exception, is_lost: bool, commits: bool = False) -> Exception:
    code = getattr(error, "pgcode", None)
    meaning = meaning_of(code, is_lost, commits)
    if meaning is Meaning.OTHER or isinstance(error, _Error):
        return error
    # In one line, as it is logged.
    return _KINDS[meaning](" ".join(str(error).split()), code)


_KINDS: dict[Meaning, type[_Error]] = {
    Meaning.OUT_OF_REACH: LostError,
    Meaning.CONFLICT: ConflictingError,
    Meaning.REFUSAL: RefusedError,
}


class Cursor(psycopg2.extensions.cursor):
    """A cursor whose errors say what they mean."""

    def execute(self, query: Any, vars: Any = None) -> None:
        """As psycopg2's."""
        try:
            super().execute(query, vars)
        except psycopg2.Error as error:
            commits = isinstance(query, str) and "COMMIT;" in query
            raise self._translated(error, commits) from error

    def executemany(self, query: Any, vars_list: Any) -> None:
        """As psycopg2's."""
        try:
            super().executemany(query, vars_list)
        except psycopg2.Error as error:
            raise self._translated(error) from error

    def copy_expert(self, sql: Any, file: Any, size: int = 8192) -> None:
        """As psycopg2's."""
        try:
            super().copy_expert(sql, file, size)
        except psycopg2.Error as error:
            raise self._translated(error) from error

    def _translated(self, error: Exception, commits: bool = False) -> Exception:
        return _translated(error, _is_lost(self.connection, error), commits)


def connection_class(base: Any) -> Any:
    """A class of connections whose errors say what they mean. `base`: the one of RelStorage."""

    class Connection(base):
        """See `connection_class`."""

        def __init__(self, dsn: str, *args: Any, **kwargs: Any) -> None:
            try:
                super().__init__(patient(dsn), *args, **kwargs)
            except psycopg2.OperationalError as error:
                raise _translated(error, is_lost=True) from error
            self.cursor_factory = Cursor
            #: No other connection of this process has it. (psycopg2 uses objects again.)
            self.number = next(_numbers)

        def commit(self) -> None:
            try:
                super().commit()
            except psycopg2.Error as error:
                raise _translated(error, _is_lost(self, error), commits=True) from error

        def rollback(self) -> None:
            try:
                super().rollback()
            except psycopg2.Error as error:
                raise _translated(error, _is_lost(self, error)) from error

    return Connection


def patient(dsn: str) -> str:
    """A DSN with what it does not say itself of `PATIENCE`."""
    given = psycopg2.extensions.parse_dsn(dsn)
    if "service" in given or psycopg2.extensions.libpq_version() < _KNOWN_SINCE:
        return dsn
    known = dict(PATIENCE)
    if "PGCONNECT_TIMEOUT" in os.environ:
        del known["connect_timeout"]
    made: str = psycopg2.extensions.make_dsn(dsn, **{**known, **given})
    return made
