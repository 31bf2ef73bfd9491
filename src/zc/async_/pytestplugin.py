"""Fixtures for pytest: a database with a queue, and a dispatcher that runs its jobs.

pytest finds them by itself where this package is installed::

    def test_a_report(zc_async_db, zc_async_dispatcher):
        with zc_async_db.transaction() as connection:
            job = IQueue(connection).put(make_report, 2026)
        ...

To have them for the database of your application, define a fixture `zc_async_db` of your own that
yields a `ZODB.DB`. Nothing of the library is imported before a fixture is used.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def zc_async_db() -> Iterator[Any]:
    """A database in memory (`ZODB.DB`), empty but for what the test puts there; it is closed."""
    import ZODB

    db = ZODB.DB(None)
    try:
        yield db
    finally:
        db.close()


@pytest.fixture
def zc_async_dispatcher(
    zc_async_db: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """A dispatcher (`IDispatcher`) that runs the jobs of `zc_async_db`, as in a functional test.

    What the library needs is registered for the test, unless it is. See `zc.async_.ftesting`.
    """
    with pytest.MonkeyPatch.context() as environment:
        if not os.environ.get("ZC_ASYNC_UUID"):
            # Read when the library is imported: no file in the working directory, please.
            folder = tmp_path_factory.mktemp("zc-async")
            environment.setenv("ZC_ASYNC_UUID", str(folder / "uuid.txt"))
        import zc.async_.dispatcher
        import zc.async_.ftesting

    with _configured():
        try:
            connection = zc_async_db.open()
            try:
                zc.async_.ftesting.setUp(connection)
            finally:
                connection.close()
            yield zc.async_.dispatcher.get()
        finally:
            zc.async_.ftesting.tearDown()


@contextlib.contextmanager
def _configured() -> Iterator[None]:
    """Have the basic configuration, and take away afterwards what was not there."""
    import zope.component

    import zc.async_.configure
    from zc.async_.interfaces import IUUID

    if zope.component.queryUtility(IUUID) is not None:
        yield
        return
    registry = zope.component.getGlobalSiteManager()
    adapters = set(registry.registeredAdapters())
    utilities = set(registry.registeredUtilities())
    zc.async_.configure.base()
    # What the test registers stays, as it would without this fixture.
    adapters = set(registry.registeredAdapters()) - adapters
    utilities = set(registry.registeredUtilities()) - utilities
    try:
        yield
    finally:
        for adapter in adapters:
            registry.unregisterAdapter(
                adapter.factory, adapter.required, adapter.provided, adapter.name
            )
        for utility in utilities:
            registry.unregisterUtility(utility.component, utility.provided, utility.name)
