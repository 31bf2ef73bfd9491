"""The processes of a site: a ZEO server, instances, and the index that they follow."""

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import mypypi

#: Seconds that a process is given to start, and to end.
PATIENCE = 120

_SITE = Path(mypypi.__file__).with_name("site.zcml")

_ZEO_CONF = """\
<zeo>
  address 127.0.0.1:{port}
</zeo>
<filestorage 1>
  path {folder}/Data.fs
</filestorage>
<eventlog>
  <logfile>
    path STDERR
    format %(asctime)s %(message)s
  </logfile>
</eventlog>
"""

_ZOPE_CONF = """\
site-definition {site}

<zodb>
  <zeoclient>
    server 127.0.0.1:{zeo}
  </zeoclient>
</zodb>

<eventlog>
  <logfile>
    path STDERR
    format %(asctime)s %(levelname)s %(name)s %(message)s
  </logfile>
</eventlog>

<product-config zc.async>
  # A stop waits so long for what is being fetched.
  grace-period 5s
</product-config>

<product-config zc.z3monitor>
  # Operators ask the process by it: echo async status | nc 127.0.0.1 {monitor}
  port {monitor}
</product-config>

<product-config mypypi>
  index {index}
  interval {interval}
  timeout {timeout}
  manager-password {password}
</product-config>
"""


class Process:
    """A process of its own, whose output goes into a log."""

    def __init__(self, name: str, folder: Path, *arguments: str, **environment: str) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._arguments = [sys.executable, *arguments]
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1", **environment}
        self._process: subprocess.Popen | None = None
        self._seen = 0
        #: Where it serves, without a slash at the end, once `wait` has returned.
        self.address = ""

    def start(self) -> None:
        """Start it; `wait` until it serves."""
        self.log.touch(mode=0o600)
        self._seen = self.log.stat().st_size
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._arguments,
                env=self._environment,
                stdout=log,
                stderr=log,
                cwd=self.log.parent,
                # Ctrl-C is for the command, which ends its processes in order.
                start_new_session=True,
            )

    def wait(self, pattern: str = r"Serving on (http://[\d.]+:\d+)") -> None:
        """Wait until it has printed something. Raises RuntimeError, with its output, if it ends."""
        end = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.printed())):
            if not self.runs or time.monotonic() > end:
                raise RuntimeError(f"{self.name} does not start:\n{self.printed()[-5000:]}")
            time.sleep(0.05)
        self.address = found[1] if found.groups() else ""

    def printed(self) -> str:
        """What it has printed since its last start."""
        return self.log.read_bytes()[self._seen :].decode("utf-8", "replace")

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return None if self._process is None else self._process.poll()

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it by a signal, if it runs, and wait until it has ended."""
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(PATIENCE)
        finally:
            self._process.kill()
            self._process.wait()


class Site:
    """All processes, in a folder that keeps their data and their logs."""

    def __init__(
        self,
        folder: Path,
        ports: tuple[int, int] = (0, 0),
        index_port: int = 0,
        interval: str = "5s",
        timeout: str = "10s",
    ) -> None:
        """Ports that are 0 are chosen by the system. `interval`, `timeout`: see `configuration`."""
        self.folder = folder = folder.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        self._values = {"site": _SITE, "interval": interval, "timeout": timeout}
        self._values["password"] = self.password = _kept(folder / "manager.txt")
        self.zeo_port = free_port()
        conf = folder / "zeo.conf"
        conf.write_text(_ZEO_CONF.format(port=self.zeo_port, folder=folder), "utf-8")
        self.index = Process(
            "index",
            folder,
            *("-m", "mypypi_demo.indexserver", "--port", str(index_port)),
            *("--file", str(folder / "index.json")),
        )
        self.zeo = Process("zeo", folder, "-m", "ZEO.runzeo", "-C", str(conf))
        self.instances = [
            Process(
                f"instance{number}",
                folder,
                *("-m", "mypypi.serve", str(folder / f"instance{number}.conf")),
                *("--port", str(port)),
                # Each has an identity of its own, which outlives it.
                ZC_ASYNC_UUID=str(folder / f"instance{number}.uuid"),
            )
            for number, port in enumerate(ports, 1)
        ]

    @property
    def processes(self) -> list[Process]:
        return [self.index, self.zeo, *self.instances]

    def start(self) -> None:
        """Start all, and wait until all serve."""
        self.index.start()
        self.zeo.start()
        self.index.wait()
        self.zeo.wait("listening on")
        for instance in self.instances:
            self._configure(instance)
            # The first one makes the database.
            instance.start()
            instance.wait()

    def _configure(self, instance: Process) -> None:
        conf = self.folder / f"{instance.name}.conf"
        # There is a password in it.
        conf.touch(mode=0o600)
        values = {**self._values, "zeo": self.zeo_port, "index": self.index.address}
        conf.write_text(_ZOPE_CONF.format(monitor=free_port(), **values), "utf-8")

    def stop(self) -> None:
        """End all: those last that others need."""
        for process in reversed(self.processes):
            process.stop()


def free_port() -> int:
    """A port of the loopback interface that nobody uses at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def is_free(port: int) -> bool:
    """Whether a port of the loopback interface can be used."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def _kept(path: Path) -> str:
    """A password, which is made up the first time, and kept in a file for this user only."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(9), "utf-8")
    return path.read_text("utf-8")
