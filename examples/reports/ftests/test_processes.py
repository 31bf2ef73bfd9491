"""Real processes: the application as its commands start it, and workers that are killed."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import transaction
import ZODB
from ZEO.ClientStorage import ClientStorage

import zc.async_
from ftests.case import PATIENCE, wait_until
from ftests.client import Client
from reports.instance import Cluster, free_port


def in_new_folder(test: unittest.TestCase) -> Path:
    """A folder that is there until a test has ended."""
    return Path(test.enterContext(tempfile.TemporaryDirectory(prefix="reports-")))


@contextlib.contextmanager
def site(cluster: Cluster) -> Iterator[Any]:
    """What is in the databases of a cluster, for a client of its own."""
    databases: dict[str, ZODB.DB] = {}
    host, port = cluster.zeo.split(":")
    for name in ("main", "async"):
        storage = ClientStorage((host, int(port)), storage=name)
        ZODB.DB(storage, databases=databases, database_name=name)
    connection = databases["main"].open(manager := transaction.TransactionManager())
    try:
        yield connection.root()["Application"]["reports"]
    finally:
        manager.abort()
        connection.close()
        for database in databases.values():
            database.close()


def worker_of(report: Any, cluster: Cluster) -> str:
    """The name of the process that makes a report."""
    uuid = str(zc.async_.find(report, report.job_id).agent.parent.UUID)
    (name,) = [p.stem for p in cluster.folder.glob("worker-*.uuid") if uuid in p.read_text("utf-8")]
    return name


class TestCluster(unittest.TestCase):
    """A ZEO server, a web process, two workers."""

    def setUp(self) -> None:
        """Start them."""
        # The steps are so long that a report is still being made when its worker is killed.
        self.cluster = Cluster(in_new_folder(self), pause=1)
        self.addCleanup(self.cluster.stop)
        self.cluster.start_zeo_server()
        address = self.cluster.start_web_process(0)
        self.cluster.start_worker("worker-1")
        self.cluster.start_worker("worker-2")
        self.client = Client(address, "alice")

    def test_a_report_whose_worker_is_killed_is_made_by_the_other_one_once(self) -> None:
        self.client.ask(2025, "region")
        wait_until(lambda: any(percent > 0 for percent in self.client.percent()))
        with site(self.cluster) as before:
            (report,) = before["alice"].values()
            claims = zc.async_.find(report, report.job_id).claim_token
            self.cluster.processes[worker_of(report, self.cluster)].kill()
        self.client.wait_for_states("finished")
        assert self.client.mail() == 1
        with site(self.cluster) as after:
            (report,) = after["alice"].values()
            assert len(report.rows) == 5
            (mail,) = after["alice"].outbox.newest_first()
            assert mail.subject == "Sales of 2025 by region"
            # It was not done yet: another process claimed the job, and did it anew.
            assert zc.async_.find(report, report.job_id).claim_token > claims

    def test_workers_that_are_asked_to_end_give_back_what_they_do(self) -> None:
        self.client.ask(2025, "region")
        wait_until(self.client.percent)
        for name in ("worker-1", "worker-2"):
            process = self.cluster.processes.pop(name)
            process.terminate()
            assert process.wait(PATIENCE) == -signal.SIGTERM
        assert self.client.states() != ["finished"]
        assert self.client.mail() == 0
        self.cluster.start_worker("worker-1")
        self.client.wait_for_states("finished")
        assert self.client.mail() == 1


class TestCommand(unittest.TestCase):
    """`python -m reports`."""

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start it; it is ended."""
        process = subprocess.Popen(
            [sys.executable, "-m", "reports", *arguments],
            env={k: v for k, v in os.environ.items() if not k.startswith("ZC_ASYNC_")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.enterContext(process)
        self.addCleanup(process.kill)
        return process

    def serve(self, *arguments: str) -> tuple[subprocess.Popen[str], str]:
        """Start it, and wait until it serves. Returns its address, too."""
        process = self.start(*arguments)
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"Serving on (http://\S+)", line):
                return process, found[1]
        raise AssertionError("it has ended")

    def test_one_process_makes_reports_and_goes_on_where_it_was(self) -> None:
        folder = str(in_new_folder(self))
        process, address = self.serve("--folder", folder, "--port", "0")
        client = Client(address, "bob")
        client.ask(2024, "month")
        client.wait_for_states("finished")
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        process, address = self.serve("--folder", folder, "--port", "0")
        client = Client(address, "bob")
        assert client.states() == ["finished"]
        assert client.mail() == 1
        process.terminate()
        assert process.wait(PATIENCE) in (0, -signal.SIGTERM)

    def test_four_processes_make_reports_and_all_end_with_the_command(self) -> None:
        folder = str(in_new_folder(self))
        arguments = ("--zeo", "--folder", folder, "--port", str(free_port()))
        process, address = self.serve(*arguments)
        client = Client(address, "bob")
        client.ask(2024, "month")
        client.wait_for_states("finished")
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        with pytest.raises(urllib.error.URLError):
            Client(address, "bob")

    def test_a_port_or_a_folder_that_is_in_use_is_told_of_without_a_traceback(self) -> None:
        folder = str(in_new_folder(self))
        self.serve("--folder", folder, "--port", "0")
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = str(server.getsockname()[1])
            for arguments in (("--port", port), ("--port", port, "--zeo")):
                other = str(in_new_folder(self))
                text, _nothing = self.start("--folder", other, *arguments).communicate()
                assert f"Port {port} cannot be had" in text
                assert "Traceback" not in text
        text, _nothing = self.start("--folder", folder, "--port", "99999").communicate()
        assert "Port 99999 cannot be had" in text
        assert "Traceback" not in text
        for more, told in (((), "Another process has these databases open"), (("--zeo",), "'zeo'")):
            process = self.start("--folder", folder, "--port", "0", *more)
            text, _nothing = process.communicate(timeout=PATIENCE)
            assert process.returncode == 1
            assert told in text
            assert "Traceback" not in text
