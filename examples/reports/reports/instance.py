"""A place where the site runs: a folder with its databases, and the processes that use it."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

#: Seconds that a process is given to start, and to end.
PATIENCE = 60


class StartError(Exception):
    """A process has ended instead of starting."""


class Instance:
    """A folder, and its configuration files, which are made from the templates in `etc`."""

    def __init__(self, folder: Path, pause: float = 0.4) -> None:
        """`pause`: seconds that each of the twelve steps of a report takes."""
        self.folder = folder.absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._values = {
            "site": Path(__file__).with_name("site.zcml"),
            "folder": self.folder,
            "pause": pause,
        }

    def configure(self, name: str, **values: object) -> str:
        """Write a configuration file. Returns its path."""
        template = Path(__file__).parent / "etc" / f"{name}.conf.in"
        file = self.folder / f"{name}.conf"
        # ZConfig replaces what follows a "$".
        values = {k: str(v).replace("$", "$$") for k, v in {**self._values, **values}.items()}
        file.write_text(template.read_text("utf-8") % values, "utf-8")
        return str(file)

    def environment(self, process: str) -> dict[str, str]:
        """What a process of this instance has in its environment: an identity of its own."""
        return {"ZC_ASYNC_UUID": str(self.folder / f"{process}.uuid")}


class Cluster(Instance):
    """An instance whose databases are in a ZEO server, for any number of processes."""

    def __init__(self, folder: Path, pause: float = 0.4) -> None:
        """As `Instance`."""
        super().__init__(folder, pause)
        self.zeo = f"127.0.0.1:{free_port()}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start_zeo_server(self) -> None:
        """Start the server of the databases."""
        conf = self.configure("zeo", zeo=self.zeo)
        self._start("zeo", "ZEO.runzeo", "-C", conf)

    def start_web_process(self, port: int) -> str:
        """Start the process that serves pages, and wait until it does. Returns its address."""
        self._start("web", "reports.serve", self._conf(), str(port))
        # It makes the site in a new database: workers come after that.
        return self._wait_for("web", "Serving on ").split()[-1]

    def start_worker(self, name: str) -> None:
        """Start a process that runs jobs, and wait until it does."""
        self._start(name, "reports.worker", self._conf(), ZC_ASYNC_DISPATCHER="on")
        self._wait_for(name, "Working")

    def stop(self) -> None:
        """Stop all processes, the server of the databases last."""
        for process in list(self.processes.values())[::-1]:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()

    def output(self, name: str) -> str:
        """What a process has printed since it was started."""
        return self._log(name).read_text("utf-8", "replace")

    def _conf(self) -> str:
        return self.configure("zeo-client", zeo=self.zeo)

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _start(self, name: str, module: str, *arguments: str, **environment: str) -> None:
        with self._log(name).open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                env={**os.environ, **self.environment(name), **environment},
                stdout=log,
                stderr=log,
                # A Ctrl-C of the terminal is for whoever stops them in the right order.
                start_new_session=True,
            )

    def _wait_for(self, name: str, text: str) -> str:
        """Wait until a process prints a line that begins with a text; return the line."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for line in self.output(name).splitlines():
                if line.startswith(text):
                    return line
            # Without the server it would wait in vain.
            for needed in ("zeo", name):
                if self.processes[needed].poll() is not None:
                    raise self._start_error(needed, "has ended")
            time.sleep(0.05)
        raise self._start_error(name, f"has not started in {PATIENCE} seconds")

    def _start_error(self, name: str, what: str) -> StartError:
        last_line = self.output(name).strip().rpartition("\n")[2]
        return StartError(f"The process {name!r} {what}: {last_line}\nSee {self._log(name)}")


def free_port() -> int:
    """A port of this machine that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
