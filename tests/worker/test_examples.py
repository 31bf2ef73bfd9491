"""Each file of examples/worker starts the thing that it is for, and is what the document shows."""

import configparser
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from benchmarks import storages
from benchmarks.children import ROOT, child, said
from benchmarks.storages import SERVER, Server
from tests.races.parties import Client
from tests.worker.supervisors import PATIENCE
from zc.async_.interfaces import COMPLETED, KEY
from zc.async_.job import Job
from zc.async_.worker import settings

EXAMPLES = ROOT / "examples" / "worker"
FILES = sorted(path.name for path in EXAMPLES.iterdir() if path.suffix != ".pyc")
DOCUMENT = ROOT / "docs" / "workers.rst"

#: Where commands such as `zc-async` and `supervisord` are.
BIN = Path(os.environ.get("ZC_ASYNC_TEST_BIN", Path(sys.executable).parent))


def test_the_document_shows_the_files_as_they_are():
    shown = DOCUMENT.read_text("utf-8")
    for name in FILES:
        text = textwrap.indent((EXAMPLES / name).read_text("utf-8"), "    ")
        assert text in shown, name


def test_the_settings_of_the_example_are_settings(tmp_path):
    found = settings.read({}, str(EXAMPLES / "worker.toml"))
    assert (found.processes, found.threads, found.queues) == (2, 5, ("", "mail"))
    assert [agent.name for agent in found.agents] == ["main", "letters"]


class Place:
    """A folder with the example, as the application has it, and a port."""

    def __init__(self, folder):
        self.folder = folder
        self.port = storages.free_port()
        for name in FILES:
            text = (EXAMPLES / name).read_text("utf-8")
            text = text.replace("8100", str(self.port)).replace("/srv/shop/bin", str(BIN))
            (folder / name).write_text(text.replace("/srv/shop", str(folder)))
        self.environment = {
            **os.environ,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        }

    def run(self, *command, check=True):
        """Run a command to its end; return what it prints."""
        done = subprocess.run(
            list(map(str, command)),
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def wait_until(self, look):
        end = time.monotonic() + PATIENCE
        while not (found := look()):
            if time.monotonic() > end:
                pytest.fail("\n".join(path.read_text() for path in self.folder.glob("*.log")))
            time.sleep(0.05)
        return found

    def said(self):
        """What the workers have said."""
        path = self.folder / "workers.log"
        return path.read_text() if path.exists() else ""

    def wait_for(self, text, count=1):
        self.wait_until(lambda: self.said().count(text) >= count)

    def server(self):
        """A ZEO server at the port."""
        return child(
            [str(SERVER), f"localhost:{self.port}", str(self.folder / "Data.fs")],
            self.folder / "zeo.log",
        )

    def result_of_a_job(self):
        """What a worker makes of a job in each queue; and the monitor of a worker answers."""
        with Server(("localhost", self.port)).database() as database:
            client = Client(database)
            queues = client.root[KEY]
            # Jobs name the module as the workers know it.
            jobs = [queues[name].put(_job()) for name in ("", "mail")]
            client.manager.commit()

            def ended():
                client.manager.begin()
                return all(job.status == COMPLETED for job in jobs)

            self.wait_until(ended)
            results = [job.result for job in jobs]
            client.close()
        return results

    def ask(self, state, line):
        """Ask the port for operators of a worker."""
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(state / "worker-1.monitor"))
            asking.sendall(line.encode() + b"\n")
            return asking.makefile().read()


def _job():
    import shop

    return Job(shop.send_letter, "Sir or Madam")


LETTERS = ["Dear Sir or Madam"] * 2


@pytest.fixture
def place(tmp_path, monkeypatch, base):
    """The example."""
    place = Place(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield place
    sys.modules.pop("shop", None)


@pytest.mark.slow
def test_supervisord_runs_the_server_and_the_workers(place):
    place.run("supervisord", "-c", "supervisord.conf")
    control = ("supervisorctl", "-c", "supervisord.conf")
    try:
        place.wait_for("all workers are up")
        assert place.result_of_a_job() == LETTERS
        assert '"status": "RUNNING"' in place.ask(place.folder / "state", "async status")
        place.run(*control, "signal", "HUP", "workers")
        place.wait_for("worker 2 is up", 2)
        assert place.run(*control, "stop", "workers") == "workers: stopped\n"
        assert "worker 1 has ended" in place.said()
        # One that is killed is started again, and waits for what it left.
        place.run(*control, "start", "workers")
        place.wait_for("all workers are up", 2)
        place.run(*control, "signal", "KILL", "workers")
        place.wait_for("all workers are up", 3)
        assert place.result_of_a_job() == LETTERS
    finally:
        place.run(*control, "shutdown")
        place.wait_until(lambda: not (place.folder / "supervisord.pid").exists())
    assert "Traceback" not in place.said()


@pytest.mark.slow
def test_supervisord_does_not_try_again_if_the_settings_are_wrong(place):
    (place.folder / "worker.toml").write_text("nonsense")
    place.run("supervisord", "-c", "supervisord.conf")
    control = ("supervisorctl", "-c", "supervisord.conf")
    try:
        place.wait_for("is no TOML")
        status = lambda: place.run(*control, "status", "workers", check=False)  # noqa: E731
        place.wait_until(lambda: "EXITED" in status() or "FATAL" in status())
    finally:
        place.run(*control, "shutdown")
        place.wait_until(lambda: not (place.folder / "supervisord.pid").exists())


@pytest.mark.slow
def test_zdaemon_runs_the_workers(place):
    control = ("zdaemon", "-C", "zdaemon.conf")
    with place.server() as server:
        said(server, place.folder / "zeo.log")
        place.run(*control, "start")
        try:
            place.wait_for("all workers are up")
            assert place.result_of_a_job() == LETTERS
            assert "program running" in place.run(*control, "status")
            place.run(*control, "kill", "HUP")
            place.wait_for("worker 2 is up", 2)
        finally:
            assert "daemon process stopped" in place.run(*control, "stop")
        assert "worker 1 has ended" in place.said()
    assert "Traceback" not in place.said()


UNIT = "shop-workers.service"


def test_systemd_finds_nothing_wrong_with_the_unit(place):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze, of systemd, is not installed")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(place.folder / UNIT)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    about_it = [line for line in (done.stdout + done.stderr).splitlines() if "shop" in line]
    assert about_it == []
    # And would find it.
    text = (place.folder / UNIT).read_text().replace("KillMode=mixed", "KillMode=softly")
    (place.folder / UNIT).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(place.folder / UNIT)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert "softly" in done.stdout + done.stderr


@pytest.mark.slow
def test_the_unit_runs_the_workers_as_systemd_does(place, tmp_path):
    """With its commands, its environment, and somebody who listens at the notify socket."""
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str
    unit.read(place.folder / UNIT)
    service = unit["Service"]
    assert service["Type"] == "notify"
    assert service["KillMode"] == "mixed"
    assert service["WatchdogSec"] == "5min"
    state = tmp_path / service["StateDirectory"]
    state.mkdir()
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening,
        place.server() as server,
        (place.folder / "workers.log").open("wb") as output,
    ):
        said(server, place.folder / "zeo.log")
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(PATIENCE)

        def heard(text):
            while not listening.recv(10_000).decode().startswith(text):
                pass

        main = subprocess.Popen(
            shlex.split(service["ExecStart"]),
            cwd=service["WorkingDirectory"],
            env={
                **place.environment,
                "NOTIFY_SOCKET": str(tmp_path / "notify"),
                # A tenth of what it says: the test is not to last so long.
                "WATCHDOG_USEC": str(5 * 60 * 1_000_000 // 10),
                "STATE_DIRECTORY": str(state),
            },
            stdout=output,
            stderr=output,
        )
        try:
            heard("READY=1")
            assert place.result_of_a_job() == LETTERS
            place.run(*shlex.split(service["ExecReload"].replace("$MAINPID", str(main.pid))))
            heard("RELOADING=1")
            heard("READY=1")
            heard("WATCHDOG=1")
            main.send_signal(signal.SIGTERM)
            heard("STOPPING=1")
            assert main.wait(int(service["TimeoutStopSec"])) == 0
        finally:
            main.kill()
            main.wait()
    assert sorted(path.name for path in state.glob("*.uuid")) == ["worker-1.uuid", "worker-2.uuid"]
    assert "Traceback" not in place.said()
