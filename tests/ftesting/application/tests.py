"""Tests that pass, one that fails, and one that has an error: all leave the process as it was."""

import unittest

import transaction
import ZODB

import zc.async_.ftesting
from application.layers import ApplicationLayer, JobsLayer
from zc.async_.interfaces import IQueue
from zc.async_.testing import wait_for_result


def take_order(application):
    application["orders"] += 1
    return application["orders"]


class TestsOfALayer(unittest.TestCase):
    """`setUp` and `tearDown` of `zc.async_.ftesting` are in the layer."""

    layer = JobsLayer

    def take_order(self):
        connection = self.layer.connection
        transaction.begin()
        job = IQueue(connection).call(take_order, connection.root()["Application"])
        transaction.commit()
        return wait_for_result(job)

    def test_jobs_are_run(self):
        assert [self.take_order(), self.take_order()] == [8, 9]

    def test_what_others_have_done_is_not_there(self):
        assert self.take_order() == 8

    def test_one_fails(self):
        order = self.take_order()
        self.fail(f"order {order}, on purpose")

    def test_one_has_an_error(self):
        self.take_order()
        raise ZeroDivisionError("on purpose")


class TestsThatSetUpThemselves(unittest.TestCase):
    """zope.testrunner reports threads that the test itself has left."""

    layer = ApplicationLayer

    def setUp(self):
        self.database = ZODB.DB(None)
        self.connection = self.database.open()
        zc.async_.ftesting.setUp(self.connection)

    def tearDown(self):
        zc.async_.ftesting.tearDown()
        transaction.abort()
        self.connection.close()
        self.database.close()

    def test_jobs_are_run(self):
        transaction.begin()
        job = IQueue(self.connection).call(take_order, {"orders": 1})
        transaction.commit()
        assert wait_for_result(job) == 2

    def test_one_fails(self):
        self.fail("on purpose")
