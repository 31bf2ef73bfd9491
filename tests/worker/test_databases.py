"""Which errors of databases are waited for, and which are the user's."""

import concurrent.futures
import sqlite3
from typing import ClassVar

import pytest
import ZEO.Exceptions
from ZEO.ClientStorage import ClientStorage
from ZODB.FileStorage import FileStorage
from ZODB.MappingStorage import MappingStorage

from tests.zeoservers import server
from zc.async_.worker import SettingsError, databases
from zc.async_.worker.databases import is_out_of_reach


def refused(*uris):
    with pytest.raises(SettingsError) as caught:
        databases.open_all(uris, pytest.fail)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_databases_are_opened_as_a_group(tmp_path):
    database = databases.open_all(
        (f"file://{tmp_path}/a.fs", f"file://{tmp_path}/b.fs?database_name=async"), pytest.fail
    )
    assert sorted(database.databases) == ["async", "unnamed"]
    assert database.database_name == "unnamed"
    assert database.databases["async"].storage.getName() == f"{tmp_path}/b.fs"
    for one in list(database.databases.values()):
        one.close()


def test_two_databases_of_one_name_are_refused(tmp_path):
    uris = f"file://{tmp_path}/a.fs?database_name=x", f"file://{tmp_path}/b.fs?database_name=x"
    assert "b.fs?database_name=x is named 'x', as the one before: give" in refused(*uris)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("data.fs", "nothing here can open the database data.fs: give a URI, such as zeo://"),
        ("nix://a", "install the package for the scheme nix:"),
        ("file:a", "cannot make sense of the URI file:a of a database (ValueError: "),
        ("zeo://localhost:1?wait_timout=3", "Unrecognized database keyword(s): wait_timout"),
        ("zeo://localhost:1?wait_timeout=x", "cannot make sense of the URI"),
        ("file:///nowhere/at/all.fs", "cannot open the database file:///nowhere/at/all.fs: File"),
    ],
)
def test_uris_that_make_no_sense(uri, message):
    assert message in refused(uri)


def test_a_file_that_another_process_has(tmp_path):
    storage = FileStorage(str(tmp_path / "Data.fs"))
    message = refused(f"file://{tmp_path}/Data.fs")
    storage.close()
    assert "Data.fs is in use by another process" in message
    assert "zeo://HOST:PORT" in message


class Wrapped(Exception):
    """As drivers of storages have them."""


def wrapped(cause):
    error = Wrapped("sorry")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "waits"),
    [
        (ZEO.Exceptions.ClientDisconnected("timed out"), True),
        (ConnectionRefusedError(111, "Connection refused"), True),
        (sqlite3.OperationalError("could not connect to server: Connection refused"), True),
        (sqlite3.InterfaceError("connection already closed"), True),
        (wrapped(sqlite3.OperationalError("server closed the connection unexpectedly")), True),
        (sqlite3.OperationalError('FATAL: password authentication failed for user "me"'), False),
        (sqlite3.OperationalError('FATAL: database "shop" does not exist'), False),
        (sqlite3.ProgrammingError("syntax error"), False),
        (wrapped(ValueError("no")), False),
        (OSError(2, "No such file"), False),
        (None, False),
    ],
)
def test_what_is_waited_for(error, waits):
    assert is_out_of_reach(error) is waits


def test_a_database_out_of_reach_is_waited_for_and_told_of(tmp_path, monkeypatch):
    monkeypatch.setattr(databases, "PAUSES", (0.01, 0, 0.01))
    told = []
    attempts = []

    def factory():
        attempts.append(1)
        if len(attempts) < 4:
            raise ZEO.Exceptions.ClientDisconnected("timed out")
        return FileStorage(str(tmp_path / "Data.fs"))

    monkeypatch.setattr(databases, "_resolve", lambda uri: (factory, {}))
    databases.open_all(("zeo://me:secret@host",), told.append).close()
    text = "the database zeo://me:***@host is out of reach: ClientDisconnected: timed out"
    assert told == [text] * 3


class Losing(ClientStorage):
    """A client that loses its connection with the first question of a database.

    The question is written just after the loss, before the loop has handled that.
    """

    lost: list[str] = []

    def loadBefore(self, oid, tid):
        if not self.lost:
            self.lost.append("connection")
            written = concurrent.futures.Future()
            self._server.client.loop.call_soon_threadsafe(self.lose, written)
            written.result()
        return super().loadBefore(oid, tid)

    def lose(self, written):
        protocol = self._server.client.protocol
        try:
            protocol.sm_protocol.transport.close()
            protocol.write_message(b"a question")
        except Exception as error:
            written.set_exception(error)
        else:
            written.set_result(None)


class Refusing(MappingStorage):
    """A storage that is out of reach when a database looks for its root, the first two times."""

    errors: ClassVar = []

    def loadBefore(self, oid, tid):
        if self.errors:
            raise self.errors.pop()
        return super().loadBefore(oid, tid)


@pytest.mark.parametrize("name", ["unnamed", "jobs"])
def test_a_database_that_is_out_of_reach_when_it_looks_for_its_root_is_tried_again(
    monkeypatch, name
):
    monkeypatch.setattr(databases, "PAUSES", (0.01, 0, 0.01))
    monkeypatch.setattr(Refusing, "errors", [ZEO.Exceptions.ClientDisconnected("lost")] * 2)
    options = {} if name == "unnamed" else {"database_name": name}
    monkeypatch.setattr(databases, "_resolve", lambda uri: (Refusing, options))
    told = []
    database = databases.open_all(("zeo://host",), told.append)
    assert (database.database_name, database.databases) == (name, {name: database})
    assert Refusing.errors == []
    assert len(told) == 2
    database.close()


def test_a_connection_that_is_lost_while_the_database_is_opened_is_made_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(databases, "PAUSES", (0.01, 0, 0.01))
    monkeypatch.setattr(Losing, "lost", [])
    with server(tmp_path) as running:
        monkeypatch.setattr(
            databases, "_resolve", lambda uri: (lambda: Losing(running.address), {})
        )
        told = []
        databases.open_all(("zeo://host",), told.append).close()
    assert Losing.lost == ["connection"]
    # The client may have connected again before the database asked.
    assert all("the database zeo://host is out of reach: " in text for text in told)
