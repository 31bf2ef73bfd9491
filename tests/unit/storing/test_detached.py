"""Objects that belong to no connection stand for those of a database, and say so."""

import collections
import sys

import pytest
import transaction
from BTrees.OOBTree import OOBTree
from persistent.mapping import PersistentMapping
from persistent.wref import WeakRef

from zc.async_.interfaces import DetachedObjectError
from zc.async_.storing import detached


@pytest.fixture
def connection(db):
    connection = db.open()
    yield connection
    transaction.abort()
    connection.close()


@pytest.fixture
def stored(connection):
    """Makes an object that is in the database, and is not loaded."""

    def stored(kind=PersistentMapping):
        found = connection.root()[kind.__name__] = kind()
        transaction.commit()
        found._p_deactivate()
        return found

    return stored


@pytest.mark.parametrize("kind", [PersistentMapping, OOBTree])
def test_nobody_looks_into_one_or_changes_it(stored, kind):
    found = stored(kind)
    stand_in = detached.detach(found)
    assert type(stand_in) is kind
    assert detached.is_detached(stand_in)
    assert not detached.is_detached(found)
    with pytest.raises(DetachedObjectError, match="in_worker"):
        len(stand_in)
    with pytest.raises(DetachedObjectError):
        stand_in["key"] = 1
    # Nor was the object loaded.
    assert found._p_state == -1


def test_a_copy_has_them_at_any_depth_and_once(stored):
    found = stored()
    value = {"a": [found, (found, "text")], found._p_oid: {1, 2}}
    copy = detached.copied(value)
    assert copy["a"][1][1] == "text"
    assert copy[found._p_oid] == {1, 2}
    assert copy["a"] is not value["a"]
    assert [detached.is_detached(one) for one in (copy["a"][0], copy["a"][1][0])] == [True, True]


def test_what_was_detached_is_attached_again(stored, connection):
    found = stored()
    new = PersistentMapping()
    value = [found, {"one": (found, new)}, frozenset(["text"])]
    there = detached.detach(value)
    assert detached.is_detached(there[1]["one"][0])
    # What is in no database is nobody's.
    assert there[1]["one"][1] is new
    back = detached.attach(there, connection)
    assert back == value
    assert back[0] is back[1]["one"][0] is found


@pytest.mark.parametrize("pass_on", [detached.copied, detached.detach])
def test_so_is_what_a_weak_reference_leads_to(stored, connection, pass_on):
    found = stored()
    (reference,) = pass_on([WeakRef(found)])
    assert detached.is_detached(reference())
    (back,) = detached.attach([reference], connection)
    assert back() is found
    # It can be stored.
    connection.root()["weak"] = [back]
    transaction.commit()


@pytest.mark.parametrize("pass_on", [detached.copied, detached.detach])
def test_a_weak_reference_to_nothing_stays_one(stored, connection, pass_on):
    gone = WeakRef(stored())
    del gone._v_ob
    gone.oid = b"\0\0\0\0\1\0\0\0"
    (reference,) = pass_on([gone])
    assert reference() is None
    (back,) = detached.attach([reference], connection)
    assert back() is None


Pair = collections.namedtuple("Pair", "first second")


class Stack(list):
    """A list with an attribute."""

    name = ""


def test_so_it_is_in_containers_of_derived_classes(stored, connection):
    found = stored()
    stack = Stack([found])
    stack.name = "name"
    value = [
        Pair(found, 2),
        collections.OrderedDict(one=found),
        collections.defaultdict(list, one=found),
        stack,
        sys.version_info,
    ]
    there = detached.detach(value)
    for one in (there[0].first, there[1]["one"], there[2]["one"], there[3][0]):
        assert detached.is_detached(one)
    back = detached.attach(there, connection)
    assert back == value
    assert [type(one) for one in back] == [type(one) for one in value]
    assert back[2]["two"] == []
    assert back[3].name == "name"


def test_so_it_is_among_the_arguments_of_errors(stored):
    error = detached.detach(KeyError(stored()))
    assert detached.is_detached(error.args[0])


def test_cycles_are_kept(stored):
    value = [stored(), {}]
    value[1]["all"] = value
    there = detached.detach(value)
    assert there[1]["all"] is there
    assert detached.is_detached(there[0])


def test_objects_of_other_connections_are_those_of_this_one(stored, connection, db):
    """As arguments that a coroutine had before it began."""
    found = stored()
    manager = transaction.TransactionManager()
    other = db.open(manager)
    theirs = other.root()["PersistentMapping"]
    assert detached.attach([theirs], connection) == [found]
    assert detached.attach(theirs, other) is theirs
    other.close()
