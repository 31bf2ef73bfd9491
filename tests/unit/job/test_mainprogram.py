"""Functions and classes of the main program, which other processes may not find."""

import logging
import subprocess
import sys
import textwrap
import types
import warnings

import persistent
import pytest

from tests.unit import calls
from zc.async_.interfaces import COMPLETED
from zc.async_.job import Job, NeverRetry, parallel
from zc.async_.job.mainprogram import MainProgramWarning
from zc.async_.threadlocal import local

MESSAGE = (
    "the job needs {0} of __main__, the main program, and a process that runs another program "
    "waits for it, for a day, and then fails the job. Put it into a module and import it from "
    "there (from MODULE import {1}). If each process that runs jobs runs this very program, filter "
    "this warning: warnings.simplefilter('ignore', zc.async_.job.mainprogram.MainProgramWarning)"
)


@pytest.fixture
def main(monkeypatch):
    """A main program with some functions and classes."""
    code = """
        import persistent
        import zc.async_.job

        def work(*args):
            return "done"

        class Account(persistent.Persistent):
            def pay(self):
                pass

        class Kind:
            pass

        class Policy(zc.async_.job.NeverRetry):
            pass

        class OwnJob(zc.async_.job.Job):
            pass
        """
    module = types.ModuleType("__main__")
    module.__dict__.update(__spec__=None)
    exec(textwrap.dedent(code), module.__dict__)
    monkeypatch.setitem(sys.modules, "__main__", module)
    return module


NEEDS = {
    "the callable": (lambda main: Job(main.work), "work"),
    "a method of an object": (lambda main: Job(main.Account().pay), "Account"),
    "an argument": (lambda main: Job(calls.echo, main.work), "work"),
    "an instance as an argument": (lambda main: Job(calls.echo, a=main.Kind()), "Kind"),
    "a class of jobs": (lambda main: main.OwnJob(calls.nothing), "OwnJob"),
    "a part": (lambda main: parallel(calls.nothing, main.work), "work"),
}


@pytest.mark.parametrize("need", NEEDS)
def test_a_job_that_needs_something_of_the_main_program_is_warned_of(client, main, need):
    make, name = NEEDS[need]
    with pytest.warns(MainProgramWarning) as caught:
        client.put(make(main))
    (warning,) = caught
    assert str(warning.message) == MESSAGE.format(name, name)


def test_so_are_a_retry_policy_and_a_callback(client, main):
    with pytest.warns(MainProgramWarning) as caught:
        client.put(calls.nothing, retry_policy_factory=main.Policy)
    job = Job(calls.nothing)
    last = job.addCallbacks(success=calls.echo).addCallback(calls.echo)
    with pytest.warns(MainProgramWarning) as more:
        last.addCallback(main.work)
    client.put(job)
    needed = [str(warning.message).split()[3] for warning in (*caught, *more)]
    assert needed == ["Policy", "work"]


@pytest.mark.parametrize("committed", [False, True])
def test_so_is_a_callback_that_is_added_after_the_put(client, main, committed):
    job = client.queue.put(calls.nothing)
    proxy = job.addCallbacks(success=calls.echo)
    last = proxy.addCallback(calls.echo)
    if committed:
        client.commit()
    for owner in (job, proxy, last):
        with pytest.warns(MainProgramWarning) as caught:
            owner.addCallback(main.work)
        with pytest.warns(MainProgramWarning) as more:
            owner.addCallbacks(failure=main.work)
        for warning in (*caught, *more):
            assert warning.filename == __file__
        assert (len(caught), len(more)) == (1, 1)


def test_the_warning_names_the_line_that_put(queue, main):
    with pytest.warns(MainProgramWarning) as caught:
        queue.put(main.work)
    with pytest.warns(MainProgramWarning) as called:
        queue.call(main.work, 1)
    assert caught[0].filename == called[0].filename == __file__


def test_a_module_that_is_run_by_its_name_is_to_be_imported_by_that(client, main, monkeypatch):
    spec = types.SimpleNamespace(name="shop.jobs")
    monkeypatch.setattr(main, "__spec__", spec)
    with pytest.warns(MainProgramWarning) as caught:
        client.put(main.work)
    assert "Import it by the name of its module (from shop.jobs import work)." in str(
        caught[0].message
    )


def test_a_job_that_is_its_own_argument_is_warned_of_once(client, main):
    job = Job(main.work)
    job.args.append(job)
    job.args.append(Job(calls.echo, job))
    with pytest.warns(MainProgramWarning) as caught:
        client.put(job)
    assert len(caught) == 1


def test_who_knows_better_filters_it_and_the_job_is_put(queue, main):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", MainProgramWarning)
        job = queue.put(main.work)
    assert list(queue) == [job]


def test_nothing_is_said_of_functions_of_modules(client, main):
    client.put(calls.nothing)
    client.put(parallel(calls.nothing, Job(calls.echo, NeverRetry, persistent.Persistent())))
    client.put(len, retry_policy_factory=NeverRetry)
    client.put(len, retry_policy_factory="")
    client.put(client.queue.quotas.create)
    client.put(Job(divmod, 7, 2), retry_policy_factory="__main__")


def test_nothing_is_said_of_what_a_running_job_puts(queue, main, monkeypatch):
    monkeypatch.setattr(local, "claimed", (b"12345678", "unnamed", 1))
    queue.put(main.work)


PROGRAM = """
    import logging, warnings, sys
    import transaction, ZODB.FileStorage
    import zc.async_.configure, zc.async_.testing
    from zc.async_.interfaces import IQueue

    def work():
        return 42

    logging.basicConfig(level=logging.WARNING)
    db = ZODB.DB(ZODB.FileStorage.FileStorage(sys.argv[1]))
    zc.async_.configure.base()
    zc.async_.configure.start(db, poll_interval=0.5)
    connection = db.open()
    job = IQueue(connection).put(work)
    transaction.commit()
    print(zc.async_.testing.wait_for_result(job, 20))
    transaction.abort()
    zc.async_.configure.stop()
    connection.close()
    db.close()
    """


@pytest.mark.parametrize("way", ["script", "module", "filtered"])
def test_a_program_that_runs_its_own_functions_is_warned_once_and_works(tmp_path, way):
    program = tmp_path / "shop.py"
    program.write_text(textwrap.dedent(PROGRAM))
    start = ["-m", "shop"] if way == "module" else [str(program)]
    if way == "filtered":
        # Errors, but for this one.
        start = ["-W", "error", *start]
        ignore = "from zc.async_.job.mainprogram import MainProgramWarning as W\n"
        ignore += "import warnings; warnings.simplefilter('ignore', W)\n"
        program.write_text(ignore + program.read_text())
    done = subprocess.run(
        [sys.executable, *start, str(tmp_path / "Data.fs")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
    )
    assert done.stdout == "42\n"
    if way == "filtered":
        assert done.stderr == ""
        return
    line, code = done.stderr.splitlines()
    assert "shop.py:15: MainProgramWarning: the job needs work of __main__" in line
    assert ("(from shop import work)" in line) == (way == "module")
    assert code.strip() == "job = IQueue(connection).put(work)"


def test_jobs_of_the_library_are_not_warned_of_again(client, main, caplog):
    caplog.set_level(logging.WARNING)
    with pytest.warns(MainProgramWarning):
        job = client.put(main.OwnJob(calls.nothing))
    client.commit()
    client.queue.claim()
    job.addCallback(calls.nothing)
    job._parent = client.queue
    job.start_callbacks()
    client.commit()
    assert job.status != COMPLETED
