"""Databases of the original are refused, with words, until they are brought over.

`records/zc.async-1.5.4-converted.fs` was written by zc.async 1.5.4 on Python 2.7, which was killed,
and then converted by `zodbupdate --convert-py3 --encoding latin1 --pack`, where this release was
installed. Its root has ten jobs of all kinds, and "demo", an object of the application.
"""

import logging
import pathlib
import shutil

import pytest
import transaction
import ZODB
from ZODB.FileStorage import FileStorage
from ZODB.utils import p64

import zc.async_.configure
import zc.async_.dispatcher
import zc.async_.testing
from tests.dispatcher import work
from zc.async_.dispatcher import Dispatcher
from zc.async_.interfaces import COMPLETED, KEY, NEW, IQueue
from zc.async_.job import FIRST_NUMBER, Job
from zc.async_.storing.originals import NotBroughtOverError

ORIGINAL = pathlib.Path(__file__).parents[2] / "records" / "zc.async-1.5.4-converted.fs"

#: One record of each class that is stored under a name that means a class of ours.
OIDS = {
    "Queues": 1,
    "Queue": 4,
    "Quotas": 7,
    "Dispatchers": 9,
    "DispatcherAgents": 14,
    "Agent": 18,
    "Quota": 31,
    "Job": 32,
    "CallbackProxy": 48,
}
SAYS = r"written by zc\.async 1, and has not been brought over .* zc\.async 1 complete or remove"


@pytest.fixture
def original(tmp_path):
    """A database of the original."""
    zc.async_.configure.base()
    path = tmp_path / "original.fs"
    shutil.copy(ORIGINAL, path)
    database = ZODB.DB(FileStorage(str(path)))
    yield database
    zc.async_.configure.stop()
    transaction.abort()
    database.close()


@pytest.fixture
def unchanged(original):
    """Sees to it that nothing is written."""
    before = original.lastTransaction()
    yield
    assert original.lastTransaction() == before


@pytest.mark.parametrize(("name", "oid"), OIDS.items(), ids=OIDS)
def test_a_record_of_the_original_is_refused_in_words(original, unchanged, name, oid):
    with original.transaction() as connection:
        record = connection.get(p64(oid))
        assert type(record).__name__ == name
        with pytest.raises(NotBroughtOverError, match=rf"{name} \(oid {oid}, db '.*{SAYS}"):
            record._p_activate()


def test_no_job_of_the_original_tells_a_status_but_each_can_be_shown(original, unchanged):
    with original.transaction() as connection:
        jobs = [one for one in connection.root().values() if isinstance(one, Job)]
        assert len(jobs) == 10
        for job in jobs:
            for attribute in ("status", "result", "callable", "parent"):
                with pytest.raises(NotBroughtOverError, match=SAYS):
                    getattr(job, attribute)
            with pytest.raises(NotBroughtOverError, match=SAYS):
                job.args = []
            assert repr(job).startswith("<zc.async_.job.Job (oid ")


def test_neither_start_nor_the_adapter_to_queues_takes_a_database_of_the_original(
    original, unchanged
):
    with pytest.raises(NotBroughtOverError, match=SAYS):
        zc.async_.configure.start(original)
    assert zc.async_.dispatcher.get() is None
    with (
        original.transaction() as connection,
        pytest.raises(NotBroughtOverError, match=SAYS),
    ):
        IQueue(connection)


def test_a_dispatcher_says_what_keeps_it_from_polling(original, unchanged, caplog):
    caplog.set_level(logging.CRITICAL, "zc.async.events")
    reactor = zc.async_.testing.Reactor()
    reactor.start()
    dispatcher = Dispatcher(original, reactor)
    dispatcher.activate()
    reactor.time_flies(0)
    assert "written by zc.async 1, and has not been brought over" in caplog.text
    zc.async_.testing.tear_down_dispatcher(dispatcher)
    reactor.stop()


def test_once_the_root_is_rid_of_it_queues_are_made_anew(original):
    with original.transaction() as connection:
        root = connection.root()
        for name in [name for name in root if name != "demo"]:
            del root[name]
    zc.async_.configure.start(original)
    connection = original.open()
    job = IQueue(connection).put(work.answer)
    transaction.commit()
    assert zc.async_.testing.wait_for_result(job) == 42
    assert set(connection.root()) == {"demo", KEY}


# -- numbers of statuses


@pytest.mark.parametrize("number", range(6))
def test_a_job_of_an_older_version_of_this_release_has_its_status(db, number):
    job = Job(work.answer)
    with db.transaction() as connection:
        connection.root()["job"] = job
        # It counted from 0.
        job._status_id = number
    with db.transaction() as connection:
        again = connection.root()["job"]
        again._p_deactivate()
        assert again._status_id == FIRST_NUMBER + number
        assert not again._p_changed
        assert (again.status == NEW) == (number == 0)
        assert (again.status == COMPLETED) == (number == 5)


def test_no_number_of_the_original_means_a_status():
    job = Job(work.answer)
    for number in range(4):
        job._status_id = number
        with pytest.raises(KeyError):
            job.status  # noqa: B018


class WithSlots(Job):
    """Its state is a pair, since it has attributes of two kinds."""

    __slots__ = ("extra",)


def test_a_job_of_an_older_version_whose_class_has_slots_has_its_status(db):
    job = WithSlots(work.answer)
    job.extra, job._status_id = "more", 5
    with db.transaction() as connection:
        connection.root()["job"] = job
    with db.transaction() as connection:
        again = connection.root()["job"]
        again._p_deactivate()
        assert (again.status, again.extra) == (COMPLETED, "more")
