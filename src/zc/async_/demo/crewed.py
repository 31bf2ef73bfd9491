"""This process has a ZEO server, and processes that are started for it do the jobs.

If this one is killed, the server is gone with it, and the others notice and end at once.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import ZEO.ClientStorage
import ZEO.StorageServer
import ZODB
import zope.interface

from zc.async_.demo import DemoError
from zc.async_.demo.files import display
from zc.async_.demo.folder import LOG, WORKERS
from zc.async_.demo.place import CACHE_SIZE, IPlace
from zc.async_.demo.storage import Storage
from zc.async_.worker import pythonpath

#: The most characters in the path of a socket, on any system.
LONGEST_SOCKET = 90


@zope.interface.implementer(IPlace)
class Crewed:
    """See `IPlace`."""

    def __init__(self, storage: Storage, instance: str, processes: int) -> None:
        """Start the server, and open the database. Raises OSError."""
        self.storage = storage
        self._instance = instance
        self._processes = processes
        self._crew: subprocess.Popen[bytes] | None = None
        self._stack = contextlib.ExitStack()
        # Only this user can get at a socket in that folder.
        folder = self._stack.enter_context(_socket_folder())
        self._address = os.path.join(folder, "zeo")
        self._server = ZEO.StorageServer.StorageServer(self._address, {"1": storage})
        self._server.start_thread()
        client = ZEO.ClientStorage.ClientStorage(self._address)
        self.database = ZODB.DB(client, cache_size=CACHE_SIZE)

    def register(self, queue: Any) -> None:
        """See `IPlace`."""

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """See `IPlace`."""
        uri = f"zeo://{self._address}?connection_cache_size={CACHE_SIZE}"
        state = os.path.join(self._instance, WORKERS)
        with open(os.path.join(self._instance, LOG), "ab") as log:
            self._crew = subprocess.Popen(
                [
                    *(sys.executable, "-m", "zc.async_.demo.crew"),
                    *(uri, str(self._processes), state),
                ],
                env=pythonpath.environment(),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                # Ctrl-C is for this process.
                start_new_session=True,
            )
        with self._crew:
            try:
                yield
            finally:
                if self.storage.error is None:
                    self._crew.terminate()
                    self._crew.wait()
                # Else the end of its input ends it: nothing can be committed any more.

    def check(self) -> None:
        """See `IPlace`."""
        if self._crew is not None and self._crew.poll() is not None:
            raise DemoError(
                f"the worker processes have ended: {LOG} in {display(self._instance)} says why"
            )

    def close(self) -> None:
        """See `IPlace`."""
        self.database.close()
        self._server.close()
        self._stack.close()


def _socket_folder() -> Any:
    folder = tempfile.TemporaryDirectory(prefix="zc-async-demo-zeo-")
    if len(folder.name) <= LONGEST_SOCKET:
        return folder
    folder.cleanup()
    return tempfile.TemporaryDirectory(prefix="zc-async-demo-zeo-", dir="/tmp")
