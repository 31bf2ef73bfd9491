"""The fixtures that the package offers to pytest."""

import importlib.metadata
import os
import subprocess
import sys

import pytest

TESTS = """\
import os
import threading

import pytest
import transaction
import zope.component

seen = []


def double(number):
    return 2 * number


def check_is_clean():
    assert [t.name for t in threading.enumerate() if "zc.async" in t.name] == []


def test_nothing_is_imported_or_made_before_a_fixture_is_used():
    import sys

    assert "zc.async_.process" not in sys.modules
    assert not os.path.exists("uuid.txt")


@pytest.mark.parametrize("number", [1, 2])
def test_a_job_is_run(zc_async_db, zc_async_dispatcher, number):
    from zc.async_.interfaces import IQueue
    from zc.async_.testing import wait_for_result

    connection = zc_async_db.open()
    job = IQueue(connection).call(double, number)
    transaction.commit()
    assert wait_for_result(job) == 2 * number
    assert zc_async_dispatcher.activated
    transaction.abort()
    connection.close()


def test_all_is_as_before():
    check_is_clean()
    registry = zope.component.getGlobalSiteManager()
    assert not list(registry.registeredAdapters())
    assert not list(registry.registeredUtilities())
    assert not list(registry.registeredHandlers())
    assert not os.path.exists("uuid.txt")


class TestAnotherDatabase:
    @pytest.fixture
    def zc_async_db(self, tmp_path):
        import ZODB
        from ZODB.FileStorage import FileStorage

        db = ZODB.DB(FileStorage(str(tmp_path / "Data.fs")))
        yield db
        db.close()

    def test_it_is_the_one_that_is_served(self, zc_async_db, zc_async_dispatcher):
        assert zc_async_dispatcher.db is zc_async_db


def test_what_the_application_registered_stays(zc_async_configured, zc_async_dispatcher):
    seen.append(True)


@pytest.fixture
def zc_async_configured():
    import zc.async_.configure

    zc.async_.configure.base()


def test_it_has_stayed():
    from zc.async_.interfaces import IUUID

    assert seen
    assert zope.component.queryUtility(IUUID) is not None
"""


@pytest.mark.slow
def test_a_dispatcher_runs_jobs_and_nothing_is_left(tmp_path):
    folder = tmp_path / "application"
    folder.mkdir()
    (folder / "test_application.py").write_text(TESTS)
    environment = {key: value for key, value in os.environ.items() if key != "ZC_ASYNC_UUID"}
    options = "-q -p no:zc_async -p zc.async_.pytestplugin -p no:cacheprovider --rootdir ."
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", *options.split(), "."],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 passed" in done.stdout


def test_pytest_finds_the_fixtures_by_itself():
    (plugin,) = importlib.metadata.entry_points(group="pytest11", name="zc_async")
    assert plugin.value == "zc.async_.pytestplugin"
    assert plugin.load().zc_async_db
