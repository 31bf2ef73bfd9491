"""README.rst and the documents of docs/ do what they say."""

import doctest
import logging
import os
import pathlib
import pprint
import re
import sys
import types

import persistent
import pytest
import transaction
import ZODB
import ZODB.FileStorage
import zope.component

import zc.async_.clock
import zc.async_.configure
import zc.async_.dispatcher
import zc.async_.testing
import zc.twist
from zc.async_.agent import Agent
from zc.async_.interfaces import KEY
from zc.async_.job import Job
from zc.async_.queue import Queue, Queues, getDefaultQueue
from zc.async_.storing import callables

#: What each document has fail, on purpose.
FAILURES = {
    "README.rst": ["_operator.truediv"],
    "docs/configuration.rst": [],
    "docs/testing.rst": [],
    "docs/monitoring.rst": ["_operator.truediv"],
    "docs/usage.rst": ["shop.divide", "shop.divide", "shop.send_invoice"],
}

ROOT = pathlib.Path(__file__).parent.parent
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The names of a document: a module that jobs can import from."""
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType("shop")
    monkeypatch.setitem(sys.modules, "shop", module)
    module.__dict__.update(
        os=os, persistent=persistent, pprint=pprint, transaction=transaction, zope=zope
    )
    yield module
    transaction.abort()


def run_document(path, module):
    """Run the examples of a document as one session."""
    parser = doctest.DocTestParser()
    text = (ROOT / path).read_text(encoding="utf-8")
    test = parser.get_doctest(text, module.__dict__, path, str(ROOT / path), 0)
    # The examples see each other's names, and so do jobs, by way of the module.
    test.globs = module.__dict__
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    output = []
    results = runner.run(test, out=output.append, clear_globs=False)
    assert results.attempted > 0
    assert not results.failed, "".join(output)


def look_at_what_came_of_it(path, caplog):
    """See that nothing failed and nothing was logged but what the document speaks of."""
    failed = sorted(
        callables.stored_repr(job.stored_callable)
        for job in stored_jobs("Data.fs")
        if isinstance(job.result, zc.twist.Failure)
    )
    logged = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert failed == sorted(FAILURES[path])
    assert len(logged) == len(failed), logged
    for name in failed:
        assert sum(f"``{name}(" in message and "failed" in message for message in logged) == (
            failed.count(name)
        ), logged


def stored_jobs(path):
    """All jobs of a database, callbacks too; the name of its file."""
    database = ZODB.DB(ZODB.FileStorage.FileStorage(path))
    with database.transaction() as connection:
        following = None
        while True:
            oid, _tid, _data, following = database.storage.record_iternext(following)
            found = connection.get(oid)
            if isinstance(found, Job):
                yield found
            if following is None:
                break
    database.close()


def test_the_readme_does_what_it_says(module, caplog):
    run_document("README.rst", module)
    look_at_what_came_of_it("README.rst", caplog)


def test_the_configuration_document_does_what_it_says(module, caplog):
    module.wait_until = lambda look: zc.async_.testing.waiting.wait_until(
        lambda: (transaction.begin(), look())[1], 6, "not seen"
    )
    run_document("docs/configuration.rst", module)
    look_at_what_came_of_it("docs/configuration.rst", caplog)


def test_the_testing_document_does_what_it_says(module, caplog):
    run_document("docs/testing.rst", module)
    look_at_what_came_of_it("docs/testing.rst", caplog)


def test_the_monitoring_document_does_what_it_says(module, caplog):
    run_document("docs/monitoring.rst", module)
    look_at_what_came_of_it("docs/monitoring.rst", caplog)


def test_the_usage_document_does_what_it_says(module, caplog):
    zc.async_.configure.base()
    zope.component.provideAdapter(getDefaultQueue)
    reactor = zc.async_.testing.Reactor()
    reactor.start()
    database = ZODB.DB(ZODB.FileStorage.FileStorage("Data.fs"))
    connection = database.open()
    queues = connection.root()[KEY] = Queues()
    queue = queues[""] = Queue()
    transaction.commit()
    dispatcher = zc.async_.dispatcher.Dispatcher(database, reactor)
    dispatcher.activate()
    reactor.time_flies(1)
    transaction.begin()
    queue.dispatchers[dispatcher.UUID]["main"] = Agent()
    transaction.commit()
    module.__dict__.update(zc=zc, connection=connection, run=reactor.wait_for, reactor=reactor)
    try:
        run_document("docs/usage.rst", module)
    finally:
        zc.async_.testing.tear_down_dispatcher(dispatcher)
        transaction.abort()
        connection.close()
        database.close()
    look_at_what_came_of_it("docs/usage.rst", caplog)


def test_the_tests_that_the_readme_names_exist():
    named = re.findall(r"``(tests/[\w/]+\.py)::(\w+)``", (ROOT / "README.rst").read_text("utf-8"))
    assert len(named) > 20
    for path, name in named:
        assert f"\ndef {name}(" in (ROOT / path).read_text("utf-8"), (path, name)
