"""Servers of web applications in processes of their own, and what they answer."""

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

HERE = Path(__file__).parent

#: Real seconds that a process is given to start, to run a job, and to end.
PATIENCE = 120


class Server:
    """A process that serves an application."""

    def __init__(self, python, folder):
        """`python`: that of an environment with Zope; `folder`: what belongs to the application."""
        self.python = python
        self.folder = folder
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

    def start(self, **environment):
        """Start the process, and wait until it serves."""
        found = self.start_and_wait_for(r"Serving on (http://[\d.]+:\d+)", **environment)
        self.address = found[1]

    def start_and_wait_for(self, pattern, **environment):
        """Start the process, and wait until it has printed something; return the match."""
        self._seen = len(self.output.read_bytes())
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                self.arguments(),
                env={**self.environment, **environment},
                stdout=output,
                stderr=output,
            )
        return self.wait_for(lambda: re.search(pattern, self.printed()))

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

    def result(self, job_id):
        """The result of a job, once it has ended."""
        path = f"site/@@result?id={job_id}"
        self.wait_for(lambda: "completed" in str(self.get(path)))
        return self.get(path).partition("|")[2]

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

    def close(self):
        """End whatever runs."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


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

    def add_to_conf(self, text):
        """Add something to zope.conf."""
        with (self.folder / "etc" / "zope.conf").open("a", encoding="utf-8") as file:
            file.write("\n" + text)

    def command(self, name, *arguments, **environment):
        """Run a command of the environment to its end; return what it prints."""
        done = subprocess.run(
            [str(self.python.parent / name), *arguments],
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def console(self, code, **environment):
        """Run a script with `zconsole`, with `app` as the root; return the lines it prints."""
        script = self.folder / "script.py"
        script.write_text(code, "utf-8")
        conf = str(self.folder / "etc" / "zope.conf")
        return self.command("zconsole", "run", conf, str(script), **environment).splitlines()


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

    def __init__(self, python, folder):
        super().__init__(python, folder)
        folder.mkdir()
        site = HERE / "wsgi_application" / "site.zcml"
        (folder / "zope.conf").write_text(ZOPE_CONF.format(site=site, folder=folder), "utf-8")

    def arguments(self):
        return [
            str(self.python),
            *("-m", "wsgi_application.serve"),
            str(self.folder / "zope.conf"),
        ]
