"""A real Zope in processes of its own: its Python is another one than that of the tests."""

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

#: Names the Python of an environment that has Zope and this package. `make test-all` makes one.
PYTHON = "ZC_ASYNC_TEST_ZOPE"

HERE = Path(__file__).parent

#: Real seconds that a server is given to start, to run a job, and to end.
PATIENCE = 120

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


@pytest.fixture(scope="session")
def python():
    """The Python of the environment with Zope."""
    if not os.environ.get(PYTHON):
        pytest.skip(f"{PYTHON} names no Python that has Zope")
    return Path(os.environ[PYTHON]).absolute()


class Instance:
    """An instance of Zope in a folder, and the server that runs it."""

    def __init__(self, python, folder):
        self.bin = python.parent
        self.folder = folder
        self.output = folder.with_suffix(".log")
        self.environment = {
            key: value for key, value in os.environ.items() if not key.startswith("ZC_ASYNC_")
        }
        self.environment["ZC_ASYNC_UUID"] = str(folder / "uuid.txt")
        self.environment["PYTHONPATH"] = str(HERE)
        self.server = None
        self.command("mkwsgiinstance", "-d", str(folder), "-u", "admin:secret")
        self.configure("basic_dispatcher_policy.zcml")
        # The system chooses a port.
        self.change("zope.ini", "port = 8080", "port = 0")

    def change(self, name, old, new):
        """Change a file of the configuration."""
        path = self.folder / "etc" / name
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new), "utf-8")

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
            [str(self.bin / name), *arguments],
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def console(self, code, **environment):
        """Run a script with `zconsole`, with `app` as the root."""
        script = self.folder / "script.py"
        script.write_text(code, "utf-8")
        conf = str(self.folder / "etc" / "zope.conf")
        return self.command("zconsole", "run", conf, str(script), **environment).strip()

    def start(self, **environment):
        """Start the server, and wait until it serves."""
        self.output.touch()
        self._seen = len(self.output.read_bytes())
        with self.output.open("ab") as output:
            self.server = subprocess.Popen(
                [str(self.bin / "runwsgi"), str(self.folder / "etc" / "zope.ini")],
                env={**self.environment, **environment},
                stdout=output,
                stderr=output,
            )
        self.address = self.wait_for(self._address)

    def _address(self):
        found = re.findall(rb"Serving on (http://[\d.]+:\d+)", self._new_output())
        return found[-1].decode() if found else None

    def _new_output(self):
        """What this server has printed."""
        return self.output.read_bytes()[self._seen :]

    def wait_for(self, look):
        """Wait until something is so, and the server runs."""
        end = time.monotonic() + PATIENCE
        while not (seen := look()):
            has_ended = self.server is not None and self.server.poll() is not None
            if has_ended or time.monotonic() > end:
                pytest.fail(self.output.read_text("utf-8", "replace"))
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

    def stop(self):
        """Have the server end as a supervisor does; return its exit code."""
        server, self.server = self.server, None
        server.send_signal(signal.SIGTERM)
        try:
            return server.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
            raise

    def close(self):
        """End whatever runs."""
        if self.server is not None:
            self.server.kill()
            self.server.wait()


@pytest.fixture
def instance(python, tmp_path):
    """A new instance."""
    instance = Instance(python, tmp_path / "instance")
    yield instance
    instance.close()
