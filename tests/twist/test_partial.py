"""Calls on persistent objects from threads that have no connection."""

import operator
import threading

import persistent
import persistent.mapping
import pytest
import transaction
import transaction.interfaces
import twisted.internet.defer
import ZEO.Exceptions
import ZODB.POSException

import zc.twist
from zc.twist.partial import ATTEMPTS


class Counter(persistent.Persistent):
    """Counts, and makes objects that are in the database or not."""

    value = 0
    child = None
    __parent__ = None

    def increase(self, by=1):
        self.value += by
        return self.value

    def make_child(self):
        self.child = Counter()
        return self.child

    def make_orphan(self):
        return Counter()

    def __add(self, other):
        return self.value + other.value

    def get_private(self):
        return self.__add

    def __call__(self, by):
        return self.increase(by)


def call_in_thread(call, *args, **kwargs):
    """Call in another thread; return the result or raise what was raised."""
    outcome = []

    def run():
        try:
            outcome.append((call(*args, **kwargs), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    result, error = outcome[0]
    if error is not None:
        raise error
    return result


@pytest.fixture
def db():
    """A new database with two counters in its root."""
    database = ZODB.DB(None)
    with database.transaction() as jar:
        jar.root()["counter"] = Counter()
        jar.root()["other"] = Counter()
    yield database
    database.close()


@pytest.fixture
def root(db):
    """The root as a connection of the test's own sees it."""
    jar = db.open(transaction_manager=transaction.TransactionManager())
    yield jar.root()
    jar.transaction_manager.abort()
    jar.close()


def sync(root):
    """Let the connection of `root` see what was committed."""
    root._p_jar.transaction_manager.begin()


def test_a_method_is_called_in_another_thread_and_its_change_committed(root):
    partial = zc.twist.Partial(root["counter"].increase, 3)
    assert call_in_thread(partial) == 3
    sync(root)
    assert root["counter"].value == 3


def test_the_object_called_is_not_the_one_of_the_callers_connection(root):
    def identity(counter):
        return id(counter)

    partial = zc.twist.Partial(identity, root["counter"])
    assert call_in_thread(partial) != id(root["counter"])


def test_persistent_arguments_are_those_of_the_calls_own_connection(root):
    def same_connection(one, other, third):
        return one._p_jar is other._p_jar is third._p_jar

    partial = zc.twist.Partial(same_connection, root["counter"], third=root["counter"])
    assert call_in_thread(partial, root["other"]) is True


def test_later_arguments_follow_the_kept_ones_and_later_keywords_win(root):
    def collect(counter, *args, **kwargs):
        return args, kwargs

    partial = zc.twist.Partial(collect, root["counter"], 1, kept=1, changed=1)
    assert partial(2, changed=2, added=2) == ((1, 2), {"kept": 1, "changed": 2, "added": 2})


def test_a_method_written_in_c_is_called_on_the_loaded_object(root):
    partial = zc.twist.Partial(root.__setitem__, "key", 1)
    call_in_thread(partial)
    tree = root["counter"]
    sync(root)
    assert root["key"] == 1
    assert tree is root["counter"]


def test_special_and_built_in_methods_of_trees_are_called(db, root):
    import BTrees.OOBTree

    root["tree"] = BTrees.OOBTree.OOBTree()
    root._p_jar.transaction_manager.commit()
    call_in_thread(zc.twist.Partial(root["tree"].__setitem__, "a", 1))
    call_in_thread(zc.twist.Partial(root["tree"].update, {"b": 2}))
    sync(root)
    assert dict(root["tree"]) == {"a": 1, "b": 2}


def test_a_private_method_is_called(root):
    partial = zc.twist.Partial(root["counter"].get_private(), root["other"])
    assert call_in_thread(partial) == 0


def test_a_persistent_object_that_can_be_called_is_called(root):
    assert call_in_thread(zc.twist.Partial(root["counter"], 2)) == 2


def test_a_persistent_result_in_the_database_comes_back_as_a_reference(root):
    reference = call_in_thread(zc.twist.Partial(root["counter"].make_child))
    assert isinstance(reference, zc.twist.Reference)
    later = zc.twist.Partial(operator.methodcaller("increase", 7), reference)
    assert call_in_thread(later) == 7
    sync(root)
    assert root["counter"].child.value == 7
    assert reference == zc.twist.Reference(root["counter"].child)


def test_a_reference_can_be_what_is_called(root):
    partial = zc.twist.Partial(zc.twist.Reference(root["counter"]), 5)
    assert partial() == 5


def test_a_persistent_result_outside_the_database_comes_back_as_it_is(root):
    result = zc.twist.Partial(root["counter"].make_orphan)()
    assert isinstance(result, Counter)
    assert result._p_jar is None


def test_a_persistent_class_is_no_object_in_the_database(root):
    def instance_of(counter, class_):
        return isinstance(counter, class_), class_

    assert zc.twist.Partial(instance_of, root["counter"], Counter)() == (True, Counter)


class Conflicting:
    """Raises the given errors, one a call, then counts."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.calls = 0
        self.jars = []

    def __call__(self, counter):
        self.calls += 1
        self.jars.append(counter._p_jar)
        counter.increase()
        if self.errors:
            raise self.errors.pop()
        return counter.value


def test_a_conflict_makes_the_call_happen_again_without_the_changes_of_the_attempt(root):
    conflicting = Conflicting(*[ZODB.POSException.ConflictError() for _ in range(ATTEMPTS - 1)])
    assert zc.twist.Partial(conflicting, root["counter"])() == 1
    assert conflicting.calls == ATTEMPTS
    sync(root)
    assert root["counter"].value == 1


def test_a_real_conflict_at_the_commit_makes_the_call_happen_again(root):
    entered = []

    def interfere(counter):
        if not entered:
            entered.append(True)
            call_in_thread(zc.twist.Partial(root["counter"].increase, 10))
        return counter.increase()

    assert zc.twist.Partial(interfere, root["counter"])() == 11
    sync(root)
    assert root["counter"].value == 11


def test_after_the_last_attempt_the_conflict_is_raised(root):
    errors = [ZODB.POSException.ConflictError() for _ in range(ATTEMPTS)]
    conflicting = Conflicting(*errors)
    with pytest.raises(ZODB.POSException.ConflictError) as caught:
        zc.twist.Partial(conflicting, root["counter"])()
    assert caught.value is errors[0]
    assert conflicting.calls == ATTEMPTS
    sync(root)
    assert root["counter"].value == 0


@pytest.mark.parametrize("error", [ValueError("no"), ZEO.Exceptions.ClientDisconnected("gone")])
def test_other_errors_abort_and_are_raised_at_once(root, error):
    conflicting = Conflicting(error)
    with pytest.raises(type(error)) as caught:
        zc.twist.Partial(conflicting, root["counter"])()
    assert caught.value is error
    assert conflicting.calls == 1
    sync(root)
    assert root["counter"].value == 0


@pytest.mark.parametrize("errors", [[], [ValueError("no")]])
def test_the_connection_is_closed_whatever_happens(root, errors):
    conflicting = Conflicting(*errors)
    partial = zc.twist.Partial(conflicting, root["counter"])
    try:
        partial()
    except ValueError:
        assert errors is not None
    assert [jar.opened for jar in conflicting.jars] == [None]


def test_the_transaction_is_not_the_threads(root):
    def managers(counter):
        return counter._p_jar.transaction_manager is transaction.manager

    with transaction.manager:
        mine = transaction.get()
        assert zc.twist.Partial(managers, root["counter"])() is False
        assert transaction.get() is mine


def test_a_deferred_can_have_one_as_its_callback(root):
    deferred = twisted.internet.defer.Deferred()
    deferred.addCallback(zc.twist.Partial(root["counter"].increase))
    results = []
    deferred.addCallback(results.append)
    call_in_thread(deferred.callback, 4)
    assert results == [4]


def test_a_new_object_with_a_parent_is_added_to_the_parents_connection(root):
    new = Counter()
    new.__parent__ = root["counter"]
    partial = zc.twist.Partial(new.increase)
    root["new"] = new
    root._p_jar.transaction_manager.commit()
    assert call_in_thread(partial) == 1


def test_an_object_that_is_not_committed_yet_is_missing(root):
    root["new"] = Counter()
    root._p_jar.add(root["new"])
    partial = zc.twist.Partial(root["new"].increase)
    with pytest.raises(ZODB.POSException.POSKeyError):
        call_in_thread(partial)


def test_objects_of_several_databases_are_each_loaded_from_their_own():
    databases = {}
    one = ZODB.DB(None, databases=databases, database_name="one")
    two = ZODB.DB(None, databases=databases, database_name="two")
    jar = one.open(transaction_manager=transaction.TransactionManager())
    jar.root()["counter"] = Counter()
    jar.get_connection("two").root()["counter"] = Counter()
    jar.transaction_manager.commit()

    def add(here, there):
        there.increase(2)
        return here._p_jar.db().database_name, there._p_jar.db().database_name

    there = jar.get_connection("two").root()["counter"]
    partial = zc.twist.Partial(add, jar.root()["counter"], there)
    assert call_in_thread(partial) == ("one", "two")
    jar.transaction_manager.begin()
    assert there.value == 2
    jar.close()
    one.close()
    two.close()


def test_an_object_without_a_connection_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match="Counter object has no database connection"):
        zc.twist.Partial(Counter().increase)


def test_a_call_that_names_no_database_is_refused():
    with pytest.raises(ValueError, match="nothing in this call is in a database"):
        zc.twist.Partial(operator.mul, 21, 2)


def test_what_cannot_be_called_is_refused(root):
    with pytest.raises(TypeError, match="cannot be called"):
        zc.twist.Partial(42, root["counter"])


def test_references_are_equal_if_they_are_to_one_object(db, root):
    one, same = zc.twist.Reference(root["counter"]), zc.twist.Reference(root["counter"])
    other = zc.twist.Reference(root["other"])
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert one != "counter"
    assert repr(one) == f"<zc.twist.Reference {int.from_bytes(one.oid, 'big'):#x} in 'unnamed'>"
