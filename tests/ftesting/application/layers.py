"""Layers: the application is set up once, and each test has a database and a dispatcher."""

import os
import tempfile
import threading

import transaction
import ZODB
import zope.testing.cleanup
from persistent.mapping import PersistentMapping
from ZODB.DemoStorage import DemoStorage
from ZODB.FileStorage import FileStorage
from zope.configuration import xmlconfig

import application
import zc.async_.ftesting


class ApplicationLayer:
    """The components of the application, and a file that has its database."""

    @classmethod
    def setUp(cls):
        xmlconfig.file("ftesting.zcml", application)
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = os.path.join(cls.folder.name, "Data.fs")
        database = ZODB.DB(FileStorage(cls.path))
        with database.transaction() as connection:
            connection.root()["Application"] = PersistentMapping({"orders": 7})
        database.close()

    @classmethod
    def tearDown(cls):
        cls.folder.cleanup()
        zope.testing.cleanup.cleanUp()


class JobsLayer(ApplicationLayer):
    """Each test changes a database of its own, and has its jobs run."""

    @classmethod
    def setUp(cls):
        cls.threads = threading.enumerate()

    @classmethod
    def tearDown(cls):
        left = [thread.name for thread in threading.enumerate() if thread not in cls.threads]
        print(f"threads that are left: {left}")

    @classmethod
    def testSetUp(cls):
        base = FileStorage(ApplicationLayer.path, read_only=True)
        cls.database = ZODB.DB(DemoStorage(base=base))
        cls.connection = cls.database.open()
        zc.async_.ftesting.setUp(cls.connection)

    @classmethod
    def testTearDown(cls):
        zc.async_.ftesting.tearDown()
        transaction.abort()
        cls.connection.close()
        cls.database.close()
