"""Servers of web applications in processes of their own, and what they answer."""

import contextlib
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path

import pytest
import ZODB
from ZODB.FileStorage import FileStorage

from zc.async_.interfaces import COMPLETED, KEY

HERE = Path(__file__).parent

#: Real seconds that a process is given to start, to run a job, and to end.
PATIENCE = 120


class Server:
    """A process that serves an application."""

    #: The user of requests, as jobs see him.
    user = "admin"
    #: In the folder: what configures the process, and the database.
    conf_name = "zope.conf"
    database_name = "main.fs"

    def __init__(self, python, folder):
        """`python`: that of an environment with Zope; `folder`: what belongs to the application."""
        self.python = python
        self.folder = folder
        self.conf = folder / self.conf_name
        self.output = folder.with_suffix(".log")
        self.output.touch()
        self.environment = {
            key: value for key, value in os.environ.items() if not key.startswith("ZC_ASYNC_")
        }
        self.environment["ZC_ASYNC_UUID"] = str(folder / "uuid.txt")
        self.environment["PYTHONPATH"] = str(HERE)
        self.process = None
        self._seen = 0

    def arguments(self):
        """What starts the process."""
        raise NotImplementedError

    def add_to_conf(self, text):
        """Add something to zope.conf."""
        with self.conf.open("a", encoding="utf-8") as file:
            file.write("\n" + text)

    def start(self, **environment):
        """Start the process, and wait until it serves."""
        found = self.start_and_wait_for(r"Serving on (http://[\d.]+:\d+)", **environment)
        self.address = found[1]

    def start_in_vain(self):
        """Start the process, which ends by itself; return its exit code."""
        self._launch({})
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.close()

    def start_and_wait_for(self, pattern, **environment):
        """Start the process, and wait until it has printed something; return the match."""
        self._launch(environment)
        return self.wait_for(lambda: re.search(pattern, self.printed()))

    def _launch(self, environment):
        self._seen = len(self.output.read_bytes())
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                self.arguments(),
                env={**self.environment, **environment},
                stdout=output,
                stderr=output,
            )

    def printed(self):
        """What this process has printed."""
        return self.output.read_bytes()[self._seen :].decode("utf-8", "replace")

    def wait_for(self, look):
        """Wait until something is so, while the process runs."""
        end = time.monotonic() + PATIENCE
        while not (seen := look()):
            has_ended = self.process is not None and self.process.poll() is not None
            if has_ended or time.monotonic() > end:
                pytest.fail(self.printed())
            time.sleep(0.05)
        return seen

    def get(self, path, user="admin:secret"):
        """What the server answers; its status instead if that is an error."""
        request = urllib.request.Request(f"{self.address}/{path}")
        if user is not None:
            request.add_header("Authorization", "Basic " + b64encode(user.encode()).decode())
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:
                return response.read().decode()
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    def told(self, job_id):
        """The status of a job and its result, as text with a bar between them."""
        return self.get(f"site/@@result?id={job_id}")

    def wait_for_status(self, job_id, status):
        """Wait until a job has a status; return what is told of it then."""
        return self.wait_for(lambda: (told := self.told(job_id)).startswith(status) and told)

    def result(self, job_id):
        """The result of a job, once it has ended."""
        return self.wait_for_status(job_id, COMPLETED).partition("|")[2]

    def stop(self, number=signal.SIGTERM):
        """Have the process end as a supervisor does; return its exit code."""
        process, self.process = self.process, None
        process.send_signal(number)
        try:
            return process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def look(self, look):
        """What a function finds in the queue, while no process has the database."""
        storage = FileStorage(str(self.folder / self.database_name), read_only=True)
        with contextlib.closing(ZODB.DB(storage)) as database, database.transaction() as connection:
            return look(connection.root()[KEY][""])

    def active(self):
        """Of each dispatcher that the database knows, whether it is active in the queue there."""
        return self.look(
            lambda queue: [bool(each.activated) for each in queue.dispatchers.values()]
        )

    def close(self):
        """End whatever runs."""
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()


#: The site of an instance of Zope.
SITE_ZCML = """\
<configure xmlns="http://namespaces.zope.org/zope" xmlns:five="http://namespaces.zope.org/five">
  <include package="Zope2.App" />
  <five:loadProducts file="meta.zcml"/>
  <five:loadProducts />
  <five:loadProductsOverrides />
  <include package="zc.async" file="{policy}" />
  <include package="application" />
</configure>
"""


class Instance(Server):
    """An instance of Zope, under its WSGI server."""

    conf_name = "etc/zope.conf"
    database_name = "var/Data.fs"

    def __init__(self, python, folder):
        super().__init__(python, folder)
        self.command("mkwsgiinstance", "-d", str(folder), "-u", "admin:secret")
        self.configure("basic_dispatcher_policy.zcml")
        ini = folder / "etc" / "zope.ini"
        # The system chooses the port.
        ini.write_text(ini.read_text("utf-8").replace("port = 8080", "port = 0"), "utf-8")

    def arguments(self):
        return [str(self.python.parent / "runwsgi"), str(self.folder / "etc" / "zope.ini")]

    def configure(self, policy):
        """Have the site include a policy."""
        (self.folder / "etc" / "site.zcml").write_text(SITE_ZCML.format(policy=policy), "utf-8")

    def command(self, name, *arguments, told=None, **environment):
        """Run a command of the environment to its end; return what it prints.

        `told`: what it finds at its standard input.
        """
        done = subprocess.run(
            [str(self.python.parent / name), *arguments],
            env={**self.environment, **environment},
            input=told,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout

    def run(self, code, **environment):
        """Run a script with `zconsole run`, with `app` as the root; return the lines it prints."""
        script = self.folder / "script.py"
        script.write_text(code, "utf-8")
        return self.command(
            "zconsole", "run", str(self.conf), str(script), **environment
        ).splitlines()

    def debug(self, statements, **environment):
        """Type statements in a session of `zconsole debug`; return the lines that it prints."""
        told = "".join(f"{statement}\n" for statement in statements)
        printed = self.command("zconsole", "debug", str(self.conf), told=told, **environment)
        first, *rest = printed.splitlines()
        assert "Starting debugger" in first
        return rest


#: What zope.app.wsgi is told.
ZOPE_CONF = """\
site-definition {site}
<zodb main>
  <filestorage>
    path {folder}/main.fs
  </filestorage>
</zodb>
<eventlog>
  <logfile>
    path STDERR
  </logfile>
</eventlog>
"""


class Site(Server):
    """A site of zope.app.wsgi, under waitress."""

    user = "wsgi.admin"

    def __init__(self, python, folder):
        super().__init__(python, folder)
        folder.mkdir()
        site = HERE / "wsgi_application" / "site.zcml"
        self.conf.write_text(ZOPE_CONF.format(site=site, folder=folder), "utf-8")

    def arguments(self):
        return [str(self.python), "-m", "wsgi_application.serve", str(self.conf)]


class Worker(Server):
    """`zc-async worker` for the site of another server."""

    def __init__(self, server, conf, *arguments):
        super().__init__(server.python, server.folder)
        self.output = server.folder.with_suffix(".worker.log")
        self.output.touch()
        self._arguments = [*("--zope-conf", conf), *("--state", server.folder / "state")]
        self._arguments += arguments

    def arguments(self):
        return [str(self.python), *("-m", "zc.async_", "worker"), *map(str, self._arguments)]
