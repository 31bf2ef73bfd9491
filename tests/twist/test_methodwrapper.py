"""Bound special methods of types written in C."""

import BTrees.OOBTree
import zope.component.globalregistry
import zope.interface

import zc.twist


def test_a_bound_special_method_is_of_the_type():
    tree = BTrees.OOBTree.OOBTree()
    assert isinstance(tree.__setitem__, zc.twist.METHOD_WRAPPER_TYPE)
    assert isinstance([].__len__, zc.twist.METHOD_WRAPPER_TYPE)
    assert not isinstance(tree.update, zc.twist.METHOD_WRAPPER_TYPE)


def test_get_self_returns_the_object_it_is_bound_to():
    tree = BTrees.OOBTree.OOBTree()
    assert zc.twist.get_self(tree.__setitem__) is tree


def test_an_adapter_can_be_registered_for_the_type():
    class IAdapted(zope.interface.Interface):
        pass

    components = zope.component.globalregistry.BaseGlobalComponents("test")
    components.registerAdapter(
        zc.twist.get_self, required=(zc.twist.METHOD_WRAPPER_TYPE,), provided=IAdapted
    )
    numbers = [1, 2]
    assert components.queryAdapter(numbers.__len__, IAdapted) is numbers
