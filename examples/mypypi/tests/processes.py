"""What tests of real processes do with them."""

import json
import os
import re
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
from collections import namedtuple

import transaction
import ZEO
import zope.testbrowser.browser
from tests.portal import PASSWORD

from mypypi_demo.processes import Site
from zc.async_.interfaces import ACTIVE, ASSIGNED, KEY, PENDING
from zc.async_.testing import wait_until

#: Seconds that something may take between processes, on a busy machine.
PATIENCE = 120

#: Whether the present turn of a chain runs, and its number.
Chain = namedtuple("Chain", "is_running turn")


class Processes(Site):
    """A site whose index is looked at each second, and what a test asks it."""

    def __init__(self, folder):
        # A fetch that hangs is not to end by itself while a test kills its process.
        super().__init__(folder, interval="1s", timeout="5m")

    # By HTTP.

    def home(self, number):
        return f"{self.instances[number - 1].address}/mypypi"

    def browser(self, number, login):
        """A browser at an instance, in which a person has logged in, who may be new."""
        browser = zope.testbrowser.browser.Browser()
        browser.raiseHttpErrors = False
        for way in ("join", "login"):
            browser.open(f"{self.home(number)}/{way}")
            browser.getControl("Name").value = login
            browser.getControl("Password").value = PASSWORD
            browser.getControl({"join": "Join", "login": "Log in"}[way], index=-1).click()
            if "Log out" in browser.contents:
                break
        return browser

    def look_up(self, browser, name):
        """Go to a package, of which the index has told. Returns its name."""
        home = browser.url.partition("/mypypi")[0] + "/mypypi"
        browser.open(f"{home}/packages/find?name={name}")
        if "Ask the index for it" in browser.contents:
            browser.getControl("Ask the index for it").click()
        self.wait_for(browser, f"/packages/{name}", "Releases")
        return name

    def wait_for(self, browser, path, text):
        """Wait until a page shows a text."""
        home = browser.url.partition("/mypypi")[0] + "/mypypi"

        def shows():
            browser.open(home + path)
            return text in browser.contents

        self.wait_until(shows)

    def wait_until(self, look):
        wait_until(look, PATIENCE, "it never came to that")

    # The index.

    def publish(self, name):
        self._control("publish", name=name)

    def misbehave(self, kind, path=""):
        """Have the index misbehave in one way; as usual if `kind` is empty."""
        self._control("behave", kind=kind, path=path)

    def _control(self, what, **fields):
        form = urllib.parse.urlencode(fields).encode()
        urllib.request.urlopen(f"{self.index.address}/control/{what}", form, timeout=PATIENCE)

    def requests(self):
        """The paths that the index was asked for."""
        url = f"{self.index.address}/control/requests"
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return json.load(answer)["requests"]

    # The database.

    def ask(self, question):
        """Have the application of the database answer."""
        db = ZEO.DB(("127.0.0.1", self.zeo_port), wait_timeout=PATIENCE)
        connection = db.open(transaction.TransactionManager())
        try:
            return question(connection.root()["Application"]["mypypi"])
        finally:
            connection.transaction_manager.abort()
            connection.close()
            db.close()

    def queue(self, application):
        return application._p_jar.root()[KEY][""]

    def worker_of(self, name, page=None):
        """Wait until a package, or page of one, is being fetched; the index of the instance."""

        def ask(application):
            package = application["packages"][name]
            job = package.job if page is None else package[page].job
            if job.status != ACTIVE or job.agent is None:
                return None
            return str(job.agent.parent.UUID)

        found = []

        def look():
            found[:] = [self.ask(ask)]
            return found[0] is not None

        self.wait_until(look)
        return self.uuids().index(found[0])

    def uuids(self):
        """The identities of the instances."""
        return [
            (self.folder / f"{instance.name}.uuid").read_text("utf-8").split()[0]
            for instance in self.instances
        ]

    def chain(self):
        def ask(application):
            follower = application.follower
            return Chain(follower.job.status == ACTIVE, follower.turn)

        return self.ask(ask)

    def turns(self):
        """How many chains there are: of each there is one turn, which waits or is under way."""

        def ask(application):
            queue = self.queue(application)
            jobs = list(queue)
            for agents in queue.dispatchers.values():
                for agent in agents.values():
                    jobs.extend(agent)
            # The books of an agent also have the turns that are over.
            turns = {job for job in jobs if job.status in (PENDING, ASSIGNED, ACTIVE)}
            turns = {job for job in turns if "look_at_index" in repr(job)}
            if application.follower.is_going_on:
                turns.add(application.follower.job)
            return len(turns)

        return self.ask(ask)

    # Processes.

    def ask_port(self, index, line):
        """What an instance answers at the port for operators."""
        conf = (self.folder / f"{self.instances[index].name}.conf").read_text("utf-8")
        port = int(re.search(r"  port (\d+)", conf)[1])
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
            client.sendall(f"{line}\n".encode())
            return client.makefile().read()

    def debug(self, script):
        """Run a script at the prompt for the database; return what it prints."""
        command = [sys.executable, "-m", "mypypi.debug", "instance1.conf", str(script)]
        environment = {name: value for name, value in os.environ.items() if "ASYNC" not in name}
        return subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        ).stdout

    def restart(self, index):
        """Start an instance again."""
        self.instances[index].start()
        self.instances[index].wait()
