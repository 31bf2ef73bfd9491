"""From a persistent object to its connection and transaction manager."""

import persistent
import persistent.interfaces
import persistent.mapping
import pytest
import transaction
import transaction.interfaces
import ZODB.interfaces
import zope.component
import zope.component.testing
import zope.interface
import zope.interface.verify
from zope.configuration import xmlconfig

import zc.twist


class Located(persistent.Persistent):
    """A persistent object with a parent."""

    def __init__(self, parent=None):
        self.__parent__ = parent


@pytest.fixture
def components():
    """An empty component registry, emptied again afterwards."""
    zope.component.testing.setUp()
    yield
    zope.component.testing.tearDown()


@pytest.fixture
def jar():
    """An open connection to a new database."""
    db = ZODB.DB(None)
    yield db.open(transaction_manager=transaction.TransactionManager())
    db.close()


def test_a_stored_object_leads_to_its_connection(jar):
    assert zc.twist.connection(jar.root()) is jar


def test_a_new_object_leads_to_the_connection_of_its_nearest_stored_parent(jar):
    child = Located(Located(jar.root()))
    assert zc.twist.connection(child) is jar


def test_an_object_without_a_connection_has_none():
    assert zc.twist.connection(Located()) is None
    assert zc.twist.transactionManager(Located()) is None


def test_a_ring_of_parents_comes_to_an_end():
    one = Located()
    one.__parent__ = Located(one)
    assert zc.twist.connection(one) is None


def test_an_object_and_a_connection_lead_to_the_transaction_manager(jar):
    manager = jar.transaction_manager
    assert zc.twist.transactionManager(jar.root()) is manager
    assert zc.twist.transactionManager(Located(jar.root())) is manager
    assert zc.twist.transactionManager(jar) is manager


def test_an_attribute_of_the_same_name_does_not_mislead(jar):
    located = Located(jar.root())
    located.transaction_manager = "something else"
    assert zc.twist.transactionManager(located) is jar.transaction_manager


def test_the_adapters_say_what_they_adapt_and_provide():
    for adapter, provided in [
        (zc.twist.connection, ZODB.interfaces.IConnection),
        (zc.twist.transactionManager, transaction.interfaces.ITransactionManager),
    ]:
        assert zope.component.adaptedBy(adapter) == (persistent.interfaces.IPersistent,)
        assert list(zope.interface.implementedBy(adapter)) == [provided]


@pytest.mark.usefixtures("components")
def test_the_adapters_can_be_registered_in_python(jar):
    zope.component.provideAdapter(zc.twist.connection)
    zope.component.provideAdapter(zc.twist.transactionManager)
    zope.component.provideAdapter(
        zc.twist.transactionManager, adapts=(ZODB.interfaces.IConnection,)
    )
    mapping = persistent.mapping.PersistentMapping()
    jar.root()["mapping"] = mapping
    jar.add(mapping)
    assert ZODB.interfaces.IConnection(mapping) is jar
    manager = transaction.interfaces.ITransactionManager(mapping)
    assert manager is jar.transaction_manager
    assert transaction.interfaces.ITransactionManager(jar) is manager


@pytest.mark.usefixtures("components")
def test_an_object_without_a_connection_cannot_be_adapted():
    zope.component.provideAdapter(zc.twist.connection)
    with pytest.raises(TypeError, match="Could not adapt"):
        ZODB.interfaces.IConnection(Located())


@pytest.mark.usefixtures("components")
def test_the_adapters_can_be_registered_in_zcml(jar):
    xmlconfig.string(
        """
        <configure xmlns="http://namespaces.zope.org/zope">
          <include package="zope.component" file="meta.zcml" />
          <adapter factory="zc.twist.connection" />
          <adapter factory="zc.twist.transactionManager" />
          <adapter factory="zc.twist.transactionManager" for="ZODB.interfaces.IConnection" />
        </configure>
        """
    )
    assert ZODB.interfaces.IConnection(jar.root()) is jar
    manager = jar.transaction_manager
    assert transaction.interfaces.ITransactionManager(jar.root()) is manager
    assert transaction.interfaces.ITransactionManager(jar) is manager
