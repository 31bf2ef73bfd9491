"""A test that leaves its dispatcher behind."""

import unittest

import ZODB

import zc.async_.ftesting
from application.layers import ApplicationLayer


class TestThatLeavesThreads(unittest.TestCase):
    layer = ApplicationLayer

    def test_without_a_tear_down(self):
        database = ZODB.DB(None)
        zc.async_.ftesting.setUp(database.open())
        # The dispatcher has to stop before the database is closed.
        self.database = database
