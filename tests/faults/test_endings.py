"""Jobs that end more than themselves: their thread, their stack, their memory."""

import asyncio
import ctypes
import sys
import threading

import pytest
import transaction

import zc.async_
from tests.dispatcher import work
from zc.async_.interfaces import AbortedError, AsyncError
from zc.async_.job import Job, NeverRetry

#: Threads that jobs have started.
threads = []


@pytest.fixture(autouse=True)
def no_threads():
    """The threads of a test end with it."""
    threads.clear()
    yield
    work.gate.set()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def end_with(name):
    """Change the database and end the thread, always."""
    zc.async_.local.getJob()._p_jar.root()["counter"].increase()
    raise {"SystemExit": SystemExit, "KeyboardInterrupt": KeyboardInterrupt}.get(
        name, GeneratorExit
    )


def end_by_sys_exit():
    zc.async_.local.getJob()._p_jar.root()["counter"].increase()
    sys.exit(3)


def end_from_outside():
    """Have the interpreter raise SystemExit somewhere in this thread."""
    zc.async_.local.getJob()._p_jar.root()["counter"].increase()
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(threading.get_ident()), ctypes.py_object(SystemExit)
    )
    for _ in range(1_000_000):
        pass
    return "never"


def end_with_cancellation():
    """As `asyncio.run` does if its task is cancelled."""
    zc.async_.local.getJob()._p_jar.root()["counter"].increase()
    raise asyncio.CancelledError("of no Exception")


ENDS = [
    *(Job(end_with, name) for name in ("SystemExit", "KeyboardInterrupt", "GeneratorExit")),
    Job(end_by_sys_exit),
    Job(end_from_outside),
]
IDS = ["SystemExit", "KeyboardInterrupt", "GeneratorExit", "sys.exit", "from outside"]


@pytest.mark.parametrize("end", ENDS, ids=IDS)
def test_a_job_that_always_ends_its_thread_is_aborted_at_the_tenth_time(
    dispatcher, client, put, failed, errors_told, end
):
    job = put(Job(end.callable, *end.args))
    failed(job, AbortedError)
    assert work.happened[:10] == ["increase"] * 10
    assert work.happened[10:] == ["answer"]
    assert client.root["counter"].count == 0
    assert f"{job!r} ended its thread with" in errors_told()
    assert f"{job!r} failed:" in errors_told()


@pytest.mark.parametrize("end", ENDS, ids=IDS)
def test_a_job_that_is_never_retried_ends_its_thread_once(dispatcher, client, put, failed, end):
    job = put(Job(end.callable, *end.args), retry_policy_factory=NeverRetry)
    failed(job, AbortedError)
    assert work.happened == ["increase", "answer"]
    assert client.root["counter"].count == 0


def test_an_error_that_is_no_exception_is_the_end_of_the_job_and_not_of_its_thread(
    dispatcher, client, put, soon, errors_told
):
    job = put(end_with_cancellation)
    soon(job)
    assert job.result.check(AbortedError, asyncio.CancelledError)
    assert client.root["counter"].count == 0
    assert "CancelledError" in errors_told()


# -- stack and memory


def recurse(depth=0):
    return recurse(depth + 1) + 1


def recurse_in_repr():
    class Deep:
        def __repr__(self):
            return repr(self)

    deep = Deep()
    raise ValueError(deep)


def deep_list():
    result = []
    for _ in range(100_000):
        result = [result]
    return result


def want_too_much():
    return bytes(1 << 62)


def raise_memory_error():
    raise MemoryError("none left")


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (recurse, RecursionError),
        (recurse_in_repr, ValueError),
        (want_too_much, MemoryError),
        (raise_memory_error, MemoryError),
    ],
)
def test_a_job_that_uses_up_stack_or_memory_fails(
    dispatcher, put, failed, errors_told, call, error
):
    job = put(call)
    assert failed(job, error).getTraceback()
    assert f"{job!r} failed:" in errors_told()


def test_the_failure_of_a_recursion_without_end_is_of_bounded_size(
    dispatcher, size_of, put, completed
):
    job = put(recurse)
    completed(job)
    assert size_of(job) < 200_000


def test_a_result_that_is_too_deep_to_be_stored_fails_the_job(dispatcher, put, failed, errors_told):
    job = put(deep_list)
    failure = failed(job, TypeError, RecursionError)
    assert "recursion" in failure.getErrorMessage()
    assert f"{job!r} failed:" in errors_told()


# -- tricks with threads


def leave_a_thread_behind():
    threads.append(threading.Thread(target=work.gate.wait, args=(60,)))
    threads[-1].start()
    return "left behind"


def join_itself():
    threading.current_thread().join()


def use_connection_in_another_thread():
    """Change the database in a thread that ends before the job."""
    root = zc.async_.local.getJob()._p_jar.root()
    thread = threading.Thread(target=root["counter"].increase)
    thread.start()
    thread.join()
    return root["counter"].count


def ask_in_another_thread():
    """Ask for the job where none runs."""
    errors = []

    def ask():
        errors.append(zc.async_.local.getJob())
        try:
            zc.async_.local.getQueue()
        except AttributeError as error:
            errors.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    return errors


def close_connection():
    zc.async_.local.getJob()._p_jar.close()
    return "closed"


def commit_and_close_connection():
    jar = zc.async_.local.getJob()._p_jar
    jar.root()["counter"].increase()
    jar.transaction_manager.commit()
    jar.close()
    return "closed"


def change_and_close_connection():
    jar = zc.async_.local.getJob()._p_jar
    jar.root()["counter"].increase()
    jar.close()


def rename_thread():
    threading.current_thread().name = "renamed"
    return "renamed"


@pytest.mark.parametrize(
    ("call", "result"),
    [
        (leave_a_thread_behind, "left behind"),
        (use_connection_in_another_thread, 1),
        (
            ask_in_another_thread,
            [None, "no job runs in this thread: call this from the code of a job"],
        ),
        (rename_thread, "renamed"),
    ],
)
def test_other_threads_of_a_job_are_its_own_business(
    dispatcher, put, completed, goes_on, call, result
):
    job = put(call)
    completed(job)
    assert job.result == result
    goes_on()


def test_a_job_that_waits_for_its_own_thread_fails(dispatcher, put, failed):
    assert failed(put(join_itself), RuntimeError)


def test_a_job_that_closes_its_connection_with_changes_fails(dispatcher, client, put, failed):
    failed(put(change_and_close_connection), Exception)
    assert client.root["counter"].count == 0


def test_a_job_cannot_close_its_connection(dispatcher, client, put, failed, completed):
    jobs = [put(call) for call in (close_connection, commit_and_close_connection) * 3]
    others = [put(work.answer) for _ in range(4)]
    for job in jobs:
        failed(job, AsyncError)
        assert "do not close it" in job.result.getErrorMessage()
    completed(*others)
    # What a job committed by itself stays.
    assert client.root["counter"].count == 3


def close_other_connection():
    connection = zc.async_.local.getJob()._p_jar.db().open(transaction.TransactionManager())
    connection.close()
    return "closed"


def test_a_job_may_close_connections_of_its_own(dispatcher, put, completed, goes_on):
    job = put(close_other_connection)
    completed(job)
    assert job.result == "closed"
    goes_on()
