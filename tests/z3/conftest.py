"""Sites with users in a database, and dispatchers that know nothing of them."""

import pytest
import zope.component.hooks
import zope.interface
import zope.location.interfaces

from tests.dispatcher.conftest import *  # noqa: F403
from tests.z3 import world


@pytest.fixture(autouse=True)
def nowhere(clean_process):
    """The thread of each test begins and ends in no site and without an interaction."""
    zope.component.hooks.setHooks()
    world.happened.clear()
    world.to_raise.clear()
    world.deferreds.clear()
    yield
    found = world.context()
    world.leave()
    zope.component.hooks.resetHooks()
    assert found == world.NOWHERE


@pytest.fixture
def site(client):
    """A site with three users, in the database of the queue."""
    site = client.root["site"] = world.Site("news", "anna", "bert", "cleo")
    client.manager.commit()
    return site


@pytest.fixture
def root_folder(client):
    """The root of an application."""
    folder = client.root["application"] = world.Folder()
    zope.interface.alsoProvides(folder, zope.location.interfaces.IRoot)
    client.manager.commit()
    return folder


@pytest.fixture
def keep(client):
    """Stores a job that is to be called by hand."""

    def keep(job):
        client.root["job"] = job
        client.manager.commit()
        return job

    return keep


@pytest.fixture
def run(put, completed):
    """Puts a job, and returns its result."""

    def run(job):
        completed(put(job))
        return job.result

    return run
