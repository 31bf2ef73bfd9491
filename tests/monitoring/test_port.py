"""The commands over the line protocol, in a process that runs jobs."""

import json
import operator
import socket
import subprocess
import sys
import textwrap

import pytest
import transaction

import zc.async_.configure
import zc.async_.monitor
import zc.async_.monitordb
import zc.async_.testing
import zc.monitor
from zc.async_.interfaces import IQueue

#: Real seconds that anything is given.
PATIENCE = 90


@pytest.fixture
def address(db):
    """The port of a process with a dispatcher."""
    zc.async_.configure.base()
    zc.async_.configure.start(db)
    zc.monitor.register_basics()
    zc.async_.monitor.register()
    zc.async_.monitordb.register()
    yield zc.monitor.start(0)
    zc.monitor.stop()
    zc.async_.configure.stop()


def ask(address, lines):
    """What the server writes until it closes the connection."""
    with socket.create_connection(address, PATIENCE) as client:
        client.sendall(lines if isinstance(lines, bytes) else lines.encode())
        pieces = []
        while piece := client.recv(1 << 16):
            pieces.append(piece)
        return b"".join(pieces).decode()


def test_a_process_answers_as_the_documents_have_it(address, db, identity):
    connection = db.open()
    queue = IQueue(connection)
    jobs = [queue.call(operator.mul, number, 2) for number in range(3)]
    failing = queue.call(operator.truediv, 1, 0)
    transaction.commit()
    for job in (*jobs, failing):
        zc.async_.testing.wait_for_result(job)
    overview = ask(address, "help\n")
    assert "  async -- Monitor zc.async activity in this process.\n" in overview
    assert "  asyncdb -- Monitor and introspect zc.async activity in the database.\n" in overview
    answer = ask(address, "async status\n")
    assert answer.startswith("{\n")
    assert answer.endswith("\n}\n")
    assert json.loads(answer)["status"] == "RUNNING"
    assert ask(address, "async UUID\n") == f"{identity}\n"
    assert json.loads(ask(address, "asyncdb UUIDs\n")) == [str(identity)]
    assert json.loads(ask(address, "asyncdb count completed uuid:THIS\n")) == 4
    assert json.loads(ask(address, "asyncdb count failed callable:truediv\n")) == 1
    assert ask(address, "asyncdb lastcompleted\n").startswith("{\n")
    assert "Help for asyncdb:\n\nMonitor and introspect" in ask(address, "help asyncdb\n")
    transaction.abort()
    connection.close()


def test_an_interactive_session(address):
    lines = "interactive\nasync dance\nasyncdb count pending\n\nquit\n"
    assert ask(address, lines).splitlines()[1:] == [
        "[Unknown tool name for this command: dance]",
        "[The tools are: UUID, help, job, jobs, jobstats, poll, polls, status, utcnow]",
        "0",
        "0",
        "Goodbye.",
    ]


@pytest.mark.parametrize(
    "line",
    [b"async \xff\xfe\n", b"asyncdb count " + b"x" * 60_000 + b"\n", b"asyncdb job \x00\x01\n"],
)
def test_garbage_is_answered_with_words(address, line, caplog):
    answer = ask(address, line)
    assert answer.startswith("[")
    assert answer.endswith("]\n")
    assert "Traceback" not in answer
    assert not caplog.records


def test_a_process_needs_no_more_than_the_documents_say(tmp_path):
    code = """
        import zope.component
        import zc.monitor
        import zc.monitor.interfaces
        import importlib
        monitor = importlib.import_module("zc.async.monitor")
        monitordb = importlib.import_module("zc.async.monitordb")
        for f in (zc.monitor.interactive, zc.monitor.quit, zc.monitor.help,
                  getattr(monitor, "async"), monitordb.asyncdb):
            zope.component.provideUtility(f, zc.monitor.interfaces.IMonitorPlugin, f.__name__)
        print(sorted(name for name, _plugin in zope.component.getUtilitiesFor(
            zc.monitor.interfaces.IMonitorPlugin)))
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=PATIENCE,
    )
    assert done.stdout == "['async', 'asyncdb', 'help', 'interactive', 'quit']\n", done.stderr
