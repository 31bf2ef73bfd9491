"""The undo log of an application tells what each transaction of the library was."""

import functools

import pytest
import transaction
import ZODB

import zc.async_.running.notes
from tests.dispatcher import work
from zc.async_ import local
from zc.async_.interfaces import DatabaseOpened
from zc.async_.job import Job
from zc.async_.running import receipts
from zc.async_.subscribers import QueueInstaller


def answer(*args):
    """Change something."""
    local.getJob().annotations["answered"] = True


def commit_in_between(counter):
    """Commit twice, with notes of its own and without, and return."""
    counter.increase()
    transaction.get().note("the first half")
    transaction.commit()
    counter.increase()
    transaction.commit()
    counter.increase()


def annotate():
    """Set a live annotation."""
    local.setLiveAnnotation("so", "far")


class Sometimes:
    """Raises a conflict once."""

    tries = 0


def conflict_once(counter):
    """Be tried twice."""
    counter.increase()
    Sometimes.tries += 1
    if Sometimes.tries == 1:
        raise ZODB.POSException.ConflictError


HERE = f"zc.async: {__name__}."


@pytest.fixture
def notes(database):
    """The notes of the transactions since the fixture was made, the oldest first."""
    before = sum(1 for _record in database.storage.iterator())

    def notes():
        records = list(database.storage.iterator())[before:]
        return [record.description.decode() for record in records]

    return notes


def test_a_job_is_noted_by_its_callable(notes, dispatcher, put, completed):
    job = put(answer)
    completed(job)
    assert f"{HERE}answer" in notes()
    assert "zc.async: claim" in notes()
    assert "zc.async: activation" in notes()


def test_every_transaction_that_a_job_commits_itself_is_noted_and_keeps_its_own_notes(
    notes, dispatcher, client, put, completed
):
    job = put(Job(commit_in_between, client.root["counter"]))
    completed(job)
    text = f"{HERE}commit_in_between"
    ours = [note for note in notes() if text in note]
    assert ours == [f"the first half\n{text}", text, text]


def test_a_job_that_is_tried_again_is_noted(notes, dispatcher, client, put, completed):
    Sometimes.tries = 0
    job = put(Job(conflict_once, client.root["counter"]))
    completed(job)
    assert Sometimes.tries == 2
    assert notes().count(f"{HERE}conflict_once") == 1


def test_a_callback_is_noted_by_its_own_callable(notes, dispatcher, client, put, completed):
    job = Job(answer)
    job.addCallback(Job(client.root["log"].note))
    put(job)
    completed(job)
    assert "zc.async: tests.dispatcher.work.Log.note" in notes()


def test_a_live_annotation_is_noted(notes, dispatcher, put, completed):
    completed(put(annotate))
    assert any(note.startswith("zc.async: live annotation") for note in notes())


def test_a_job_that_is_called_by_hand_is_noted(notes, client):
    job = client.root["job"] = Job(answer)
    job.addCallback(answer)
    client.manager.commit()
    client.manager.begin()
    job()
    assert notes()[1:] == [f"{HERE}answer"] * 3
    client.root["counter"].increase()
    client.manager.commit()
    assert notes()[-1] == ""


def test_the_ends_of_dispatchers_and_pings_are_noted(notes, dispatcher, reactor):
    reactor.time_flies(60)
    dispatcher.deactivate()
    assert "zc.async: ping" in notes()
    assert notes()[-1] == "zc.async: deactivation"


def test_what_is_installed_is_noted(base):
    database = ZODB.DB(None)
    QueueInstaller()(DatabaseOpened(database))
    receipts.install(database)
    notes = [record.description for record in database.storage.iterator()]
    assert notes[1:] == [b"zc.async: installing queues", b"zc.async: installing receipts"]
    database.close()


def test_a_note_leaves_room_for_the_applications(client):
    client.root["counter"].increase()
    client.manager.get().note("x" * 65_500)
    zc.async_.running.notes.add(client.manager.get(), "claim")
    client.manager.commit()


@pytest.mark.parametrize(
    ("callable", "name"),
    [
        (len, "builtins.len"),
        (int, "builtins.int"),
        (work.Counter().increase, "tests.dispatcher.work.Counter.increase"),
        (str.upper, "builtins.str.upper"),
        ([].append, "builtins.list.append"),
        (functools.partial(len, ()), "functools.partial"),
        (work.Counter.increase, "tests.dispatcher.work.Counter.increase"),
    ],
)
def test_callables_are_noted_by_their_dotted_names(callable, name):
    assert zc.async_.running.notes.name_of(Job(callable)) == name
