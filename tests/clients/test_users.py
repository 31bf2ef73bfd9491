"""An application whose jobs open a connection of their own, and act there as another user.

A job knows where a document is and who asked for the change. It finds the document as the
application does that serves requests, by a path from the root, and commits what the user did.
"""

import contextlib
import threading

import persistent
import pytest
import transaction
from persistent.mapping import PersistentMapping

import zc.async_
from zc.async_.job import Job


class ForbiddenError(Exception):
    """The user of this thread may not do that."""


class _Present(threading.local):
    user = None


present = _Present()


@contextlib.contextmanager
def acting_as(user):
    """Be a user in this thread."""
    before, present.user = present.user, user
    try:
        yield
    finally:
        present.user = before


class Document(persistent.Persistent):
    """Belongs to somebody, and knows who has changed it."""

    def __init__(self, owner):
        self.owner = owner
        self.changes = ()

    def change(self, text):
        if present.user != self.owner:
            raise ForbiddenError(present.user)
        self.changes += ((present.user, text),)
        return len(self.changes)


def execute_as(user, path, method, *args):
    """What a job calls: find an object by a connection of its own, and call a method of it."""
    database = zc.async_.local.getJob()._p_jar.db()
    transaction.begin()
    connection = database.open()
    try:
        with acting_as(user):
            found = connection.root()
            for name in path:
                found = found[name]
            result = getattr(found, method)(*args)
            transaction.commit()
    except BaseException:
        transaction.abort()
        raise
    finally:
        connection.close()
    return result


def put_as(queue, user, path, method, *args):
    """What a request does."""
    return queue.put(Job(execute_as, user, path, method, *args))


@pytest.fixture
def document(connection):
    documents = connection.root()["documents"] = PersistentMapping()
    documents["news"] = Document("anna")
    transaction.commit()
    return documents["news"]


NEWS = ("documents", "news")


def test_a_job_acts_as_the_user_who_asked_for_it(queue, document, wait_for):
    with acting_as("bert"):
        job = put_as(queue, "anna", NEWS, "change", "by a job")
    assert wait_for(job) == [1]
    assert document.changes == (("anna", "by a job"),)
    assert present.user is None


def test_who_may_not_do_it_gets_a_failure_and_nothing_is_changed(queue, document, wait_for):
    job = put_as(queue, "bert", NEWS, "change", "by a job")
    (failure,) = wait_for(job)
    assert failure.check(ForbiddenError)
    assert failure.getErrorMessage() == "bert"
    assert document.changes == ()


def test_many_of_them_take_effect_once_each(queue, document, wait_for):
    """They conflict over the document: its changes are one record.

    So few that none can lose to others as often as a job is tried.
    """
    jobs = [put_as(queue, "anna", NEWS, "change", number) for number in range(4)]
    wait_for(*jobs)
    assert sorted(document.changes) == [("anna", number) for number in range(4)]
    assert sorted(job.result for job in jobs) == [1, 2, 3, 4]


def test_a_callback_acts_as_a_user_too(queue, document, wait_for):
    job = put_as(queue, "anna", NEWS, "change", "first")
    callback = job.addCallback(Job(execute_as, "anna", NEWS, "change"))
    assert wait_for(job, callback) == [1, 2]
    assert document.changes == (("anna", "first"), ("anna", 1))
