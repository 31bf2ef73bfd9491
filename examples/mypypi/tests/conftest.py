"""The application in this process, with a dispatcher, and a real index that it follows."""

import os
import signal
import tempfile
from pathlib import Path

# Read when zc.async is imported: no file in the working directory, please.
_folder = tempfile.TemporaryDirectory()
os.environ["ZC_ASYNC_UUID"] = str(Path(_folder.name) / "uuid.txt")

# A shell has the commands that it runs in the background ignore it, and these their processes.
signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest  # noqa: E402
import transaction  # noqa: E402
from tests.portal import Portal, configure  # noqa: E402
from zope.app.wsgi.testlayer import BrowserLayer  # noqa: E402

import mypypi  # noqa: E402
import zc.async_.ftesting  # noqa: E402
from mypypi import jobs  # noqa: E402
from mypypi.errors import Unreachable  # noqa: E402
from mypypi_demo.indexserver import IndexServer  # noqa: E402


@pytest.fixture
def index():
    """An index of packages, which the configuration names."""
    server = IndexServer()
    server.start()
    configure(server.address)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def layer():
    """The configuration of the application, and a database in which it was made."""
    configure("http://127.0.0.1:1")
    layer = BrowserLayer(mypypi, "ftesting.zcml", allowTearDown=True)
    layer.setUp()
    yield layer
    layer.tearDown()


@pytest.fixture
def portal(layer, index, monkeypatch):
    """The application in a database of its own, whose jobs are run."""
    # A test waits for no index, as a job does.
    rule = ((Unreachable,), "unreachable", 4, 0, 0, 0)
    rules = (rule, *jobs.RetryCommonFourTimes.internal_exceptions)
    monkeypatch.setattr(jobs.AskAgain, "internal_exceptions", rules)
    layer.testSetUp()
    try:
        zc.async_.ftesting.setUp(layer.getRootFolder())
        transaction.begin()
        yield Portal(layer)
    finally:
        transaction.abort()
        # What a test had the index do must not keep a worker.
        index.behave()
        zc.async_.ftesting.tearDown()
        layer.testTearDown()


@pytest.fixture(scope="session")
def processes(tmp_path_factory):
    """All processes of a site; a test that ends one starts it again."""
    from tests.processes import Processes

    site = Processes(tmp_path_factory.mktemp("site"))
    try:
        site.start()
        yield site
    finally:
        site.stop()
