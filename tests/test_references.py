"""References that do not lead where they say are found."""

import contextlib
import datetime
import uuid
import weakref

import persistent
import pytest
import transaction
import ZODB.FileStorage
from persistent.mapping import PersistentMapping
from persistent.wref import WeakRef
from ZODB.Connection import TransactionMetaData
from ZODB.utils import load_current, oid_repr

import zc.async_.testing
from tests.processes import Entry
from tests.references import wrong_references
from tests.zeoservers import server
from zc.async_.job import Job

JOB = "zc.async_.job.Job"
ENTRY = "tests.processes.Entry"
MAPPING = "persistent.mapping.PersistentMapping"


class Valued(persistent.Persistent):
    """Has values whose pickles call something."""

    def __init__(self):
        self.values = [datetime.timedelta(1), uuid.uuid4(), {1, 2}, frozenset("a"), weakref.ref]
        self.text = zc.async_.testing.BEGINNING


@pytest.fixture(params=["file", "client"])
def database(request, tmp_path):
    """A database in a FileStorage, or on a ZEO server."""
    if request.param == "file":
        storage = ZODB.FileStorage.FileStorage(str(tmp_path / "Data.fs"))
        with contextlib.closing(ZODB.DB(storage)) as database:
            yield database
    else:
        with server(tmp_path) as running, running.database() as database:
            yield database


@pytest.fixture
def root(database):
    manager = transaction.TransactionManager()
    connection = database.open(manager)
    root = connection.root()
    root["entry"] = Entry()
    root["job"] = Job(print, Entry(), Valued())
    root["more"] = PersistentMapping(entry=root["entry"])
    manager.commit()
    yield root
    manager.abort()
    connection.close()


def spoil(database, obj, other):
    """Store at the oid of one object what is stored of another one."""
    storage = database.storage
    data, _serial = load_current(storage, other._p_oid)
    _old, serial = load_current(storage, obj._p_oid)
    meta = TransactionMetaData()
    storage.tpc_begin(meta)
    storage.store(obj._p_oid, serial, data, "", meta)
    storage.tpc_vote(meta)
    storage.tpc_finish(meta)


def test_a_sound_database_has_no_wrong_reference(database, root):
    assert wrong_references(database.storage) == []


def test_a_reference_to_an_object_of_another_class_is_told_by_whoever_refers(database, root):
    spoil(database, root["job"], root["entry"])
    told = f"{oid_repr(root._p_oid)} persistent.mapping.PersistentMapping refers to "
    told += f"{oid_repr(root['job']._p_oid)} as {JOB}: there is {ENTRY}"
    assert wrong_references(database.storage) == [told]


def test_each_reference_to_it_is_told(database, root):
    spoil(database, root["entry"], root["job"])
    assert len(wrong_references(database.storage)) == 2


def test_a_reference_to_what_is_not_there_is_told(database, root):
    lost = root["lost"] = Entry()
    root._p_jar.add(lost)
    # It is referred to, and not stored.
    lost._p_oid, lost._p_jar = b"\0\0\0\0\0\1\0\0", root._p_jar
    root._p_jar._added.clear()
    root._p_jar._registered_objects = [root]
    root._p_jar.transaction_manager.commit()
    assert wrong_references(database.storage) == [
        f"{oid_repr(root._p_oid)} {MAPPING} refers to 0x010000 as {ENTRY}: there is nothing"
    ]


def test_weak_references_may_lead_nowhere(database, root):
    root["weak"] = WeakRef(root["entry"])
    root._p_jar.transaction_manager.commit()
    del root["entry"], root["more"]
    root._p_jar.transaction_manager.commit()
    database.pack()
    assert wrong_references(database.storage) == []
