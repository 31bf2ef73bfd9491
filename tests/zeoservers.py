"""ZEO servers for tests. To import what a server needs takes longer than most tests.

So all servers are forks of one process, `tests.zeoforks`, which the first one starts. They write to
their files, and do not wait for the disk.
"""

import atexit
import contextlib
import os
import tempfile
from pathlib import Path

from benchmarks.children import child, said
from benchmarks.storages import Server, add_queue, free_port


class _Forks:
    """The process that forks, once a test needs it. It ends with this one."""

    def __init__(self):
        self._stack = contextlib.ExitStack()
        self._process = None

    def _start(self):
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="zc.async-"))
        self._log = Path(folder) / "log"
        # What is measured runs elsewhere.
        plain = {name: os.environ[name] for name in os.environ if not name.startswith("COVERAGE")}
        self._process = self._stack.enter_context(child(["-m", "tests.zeoforks"], self._log, plain))
        atexit.register(self._stack.close)

    def ask(self, *words):
        """Have it do something; return its answer."""
        if self._process is None:
            self._start()
        print(*words, sep="\t", file=self._process.stdin, flush=True)
        return said(self._process, self._log)


_forks = _Forks()


@contextlib.contextmanager
def empty_server(folder):
    """A server of a new FileStorage in a folder: a `benchmarks.storages.Server`."""
    address = "127.0.0.1", free_port()
    log = folder / "zeo.log"
    answer = _forks.ask("start", ":".join(map(str, address)), folder / "Data.fs", log)
    if not answer.isdigit():
        raise RuntimeError(f"{answer}:\n{log.read_text()}")
    try:
        yield Server(address)
    finally:
        _forks.ask("stop", answer)


@contextlib.contextmanager
def server(folder):
    """As `empty_server`, with a queue."""
    with empty_server(folder) as running:
        with running.database() as database:
            add_queue(database)
        yield running
