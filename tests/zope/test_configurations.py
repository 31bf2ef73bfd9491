"""The configuration files of the documents of 1.5, as they stand."""

import json
import signal
import socket
from pathlib import Path

import pytest

from tests.zope.servers import HERE, Server

pytestmark = pytest.mark.slow


def free_port():
    """A port that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Configured(Server):
    """A process that a configuration file configures."""

    def __init__(self, python, folder, name, way):
        super().__init__(python, folder)
        folder.mkdir()
        self.way = way
        self.port = free_port()
        values = {
            "site_zcml_file": folder / "site.zcml",
            "main_storage_path": folder / "main.fs",
            "async_storage_path": folder / "async.fs",
            "monitor_port": self.port,
            "event_log": folder / "z3.log",
            "async_event_log": folder / "async.log",
            "async_trace_log": folder / "async_trace.log",
        }
        texts = Path(HERE / "configurations")
        conf = (texts / f"{name}.conf").read_text("utf-8") % values
        self.conf.write_text(conf, "utf-8")
        (folder / "site.zcml").write_text((texts / f"{name}.zcml").read_text("utf-8"), "utf-8")

    def arguments(self):
        program = HERE / "by_configuration.py"
        return [str(self.python), str(program), self.way, str(self.conf)]


@pytest.fixture
def configured(python, tmp_path):
    """Starts a process; it is ended."""
    made = []

    def start(name, way):
        made.append(Configured(python, tmp_path / "site", name, way))
        made[0].start_and_wait_for("result")
        return made[0]

    yield start
    for process in made:
        process.close()


@pytest.mark.parametrize("way", ["appsetup", "wsgi"])
@pytest.mark.parametrize("name", ["basic", "multidb"])
def test_they_run_jobs_answer_on_the_monitor_port_and_end_at_sigint(configured, name, way):
    process = configured(name, way)
    assert "result 42" in process.printed()
    with socket.create_connection(("127.0.0.1", process.port)) as client:
        client.sendall(b"async status\n")
        status = json.loads(client.makefile().read())
    assert status["status"] == "RUNNING"
    assert status["uuid"] in (process.folder / "uuid.txt").read_text("utf-8")
    assert process.stop(signal.SIGINT) == 0
    assert "left False False" in process.printed()
    assert "activated" in (process.folder / "async.log").read_text("utf-8")
