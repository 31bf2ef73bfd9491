"""What is promised, row by row: see the comment at each test."""

import pytest

from tests.dispatcher import work
from tests.dispatcher.conftest import *  # noqa: F403
from tests.races.parties import Dispatcher
from zc.async_.interfaces import COMPLETED
from zc.async_.job import Job


@pytest.fixture
def parties(database):
    """Makes dispatchers whose every step is made by hand; they are closed in the end."""
    made = []

    def parties(**options):
        made.append(Dispatcher(database, **options))
        return made[-1]

    yield parties
    for dispatcher in made:
        dispatcher.close()


# "Callbacks: exactly once each in the database."


def test_two_dispatchers_that_resume_the_callbacks_of_a_job_perform_each_once(
    client, put, parties
):
    dispatcher, sibling = parties(), parties()
    job = put(Job(work.answer))
    dispatcher.work()
    client.manager.begin()
    # Two late callbacks, and so two jobs of the system that perform what is left.
    for callback in (client.root["counter"].increase_with_hook, client.root["log"].note):
        job.addCallback(callback)
        client.manager.commit()
    claimed = dispatcher.claim()
    assert len(claimed) == 2
    work.hooks.append(sibling_runs(sibling, claimed[1]))
    dispatcher.run(claimed[0])

    client.manager.begin()
    assert [callback.status for callback in job.callbacks] == [COMPLETED] * 2
    assert client.root["counter"].count == 1
    assert client.root["log"].entries == ((42,),)


def sibling_runs(sibling, claimed):
    return lambda: sibling.run(claimed)
