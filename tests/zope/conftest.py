"""Real Zopes in processes of their own: their Python is another one than that of the tests."""

import os
from pathlib import Path

import pytest

from tests.zope.servers import Instance, Site

#: Names the Python of an environment that has Zope, zope.app.wsgi and this package.
PYTHON = "ZC_ASYNC_TEST_ZOPE"


@pytest.fixture(scope="session")
def python():
    """The Python of the environment with Zope."""
    if not os.environ.get(PYTHON):
        pytest.skip(f"{PYTHON} names no Python of an environment with Zope")
    return Path(os.environ[PYTHON]).absolute()


@pytest.fixture
def instance(python, tmp_path):
    """A new instance of Zope."""
    instance = Instance(python, tmp_path / "instance")
    yield instance
    instance.close()


@pytest.fixture(params=["Zope", "zope.app.wsgi"])
def server(request, python, tmp_path):
    """A new server of either kind."""
    kind = Instance if request.param == "Zope" else Site
    server = kind(python, tmp_path / "served")
    yield server
    server.close()
