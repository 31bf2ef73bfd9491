"""A job of `zc.async_.z3` in a process as applications start it, and on a real reactor."""

import pytest
import transaction
import zope.interface
import zope.location.interfaces
from zope.component.hooks import getSite

import zc.async_.configure
import zc.async_.job
import zc.async_.testing
from tests.dispatcher.conftest import PATIENCE
from tests.z3 import world
from tests.z3.world import NOWHERE, context, made
from zc.async_.interfaces import IQueue


@pytest.fixture
def application(db):
    """What is at the root of a database, in the connection and transaction of the thread."""
    zc.async_.configure.base()
    zc.async_.configure.start(db)
    connection = db.open()
    application = connection.root()["application"] = world.Folder()
    zope.interface.alsoProvides(application, zope.location.interfaces.IRoot)
    transaction.commit()
    yield application
    zc.async_.configure.stop()
    transaction.abort()
    connection.close()


async def look_twice():
    """Wait for what the reactor brings, between two looks."""
    first = context(), getSite().notes
    reactor = world.local.getReactor() if world.local.dispatcher else None
    assert reactor is None, "this is no worker's thread"
    deferred = world.Deferred()
    world.deferreds.append(deferred)
    value = await deferred
    return first, value, (context(), getSite().notes)


def test_jobs_callbacks_and_coroutines_have_their_context(application):
    site = application.add("news", world.Site("news", "anna", "bert"))
    queue = IQueue(application)
    jobs = [queue.put(made(site, ["anna"], site.note, number)) for number in range(3)]
    plain = [queue.put(zc.async_.job.Job(world.look)) for _number in range(10)]
    callback = jobs[0].addCallback(made(site, ["bert"], world.look))
    waiting = queue.put(made(site, ["bert"], look_twice))
    transaction.commit()
    for number, job in enumerate(jobs):
        result = zc.async_.testing.wait_for_result(job, PATIENCE)
        assert result == (("news", ("anna",)), number)
    assert [zc.async_.testing.wait_for_result(job, PATIENCE) for job in plain] == [NOWHERE] * 10
    assert zc.async_.testing.wait_for_result(callback, PATIENCE) == ("news", ("bert",))
    zc.async_.testing.wait_until(lambda: world.deferreds, PATIENCE, "the coroutine does not wait")
    dispatcher = zc.async_.dispatcher.get()
    dispatcher.reactor.callFromThread(world.deferreds.pop().callback, "fired")
    first, value, second = zc.async_.testing.wait_for_result(waiting, PATIENCE)
    assert value == "fired"
    assert first[0] == second[0] == ("news", ("bert",))
    assert len(second[1]) == 3
    in_reactor = []
    dispatcher.reactor.callFromThread(lambda: in_reactor.append(context()))
    zc.async_.testing.wait_until(lambda: in_reactor, PATIENCE, "the reactor does not answer")
    assert in_reactor == [NOWHERE]
    assert context() == NOWHERE
