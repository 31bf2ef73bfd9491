"""Values that cannot be stored, or not by the connection that a job has."""

import threading

import persistent
import pytest
import transaction
import ZODB
import zodbpickle.pickle
from BTrees.OOBTree import OOBTree
from persistent.mapping import PersistentMapping
from ZODB.POSException import InvalidObjectReference

import zc.async_
from tests.dispatcher import work
from zc.async_.interfaces import NEW
from zc.async_.job import Job, RetryCommonFourTimes, parallel, serial
from zc.async_.storing.storable import UnstorableError

#: Objects that a job of a test returns.
returned = []


@pytest.fixture(autouse=True)
def nothing_returned():
    """No object is left from another test."""
    returned.clear()
    yield
    returned.clear()


class Box(persistent.Persistent):
    """Holds something, in a record of its own."""

    def __init__(self, content):
        self.content = content

    def content_of(self):
        return self.content


class Raising:
    """Raises when it is pickled."""

    def __reduce_ex__(self, protocol):
        raise ZeroDivisionError("no pickle of this")


def lock():
    return threading.Lock()


def in_list():
    return [{"deep": lock()}]


def in_persistent_object():
    return Box(lock())


def in_mapping():
    return PersistentMapping(key=lock())


def in_tree():
    return OOBTree({"key": lock()})


def in_tree_of_boxes():
    return OOBTree({"key": Box([Box(lock())])})


def from_test():
    return returned[0]


def in_box_from_test():
    return Box(returned[0])


def echo(*args, **kwargs):
    return "called"


SHALLOW = [lock, in_list, Raising]
HIDDEN = [in_persistent_object, in_mapping, in_tree, in_tree_of_boxes]


# -- what is put


@pytest.mark.parametrize("make", SHALLOW)
@pytest.mark.parametrize(
    ("job", "name"),
    [
        pytest.param(lambda value: Job(echo, 1, value), "argument 1", id="an argument"),
        pytest.param(lambda value: Job(echo, key=value), "argument 'key'", id="by keyword"),
        pytest.param(lambda value: Job(Caller(value)), "the callable", id="the callable"),
        pytest.param(lambda value: Job(Caller(value).call), "the callable", id="a method"),
    ],
)
def test_put_refuses_what_cannot_be_stored_and_names_it(
    dispatcher, client, goes_on, make, job, name
):
    with pytest.raises(UnstorableError, match=f"{name} .* cannot be stored: .*(lock|no pickle)"):
        client.queue.put(job(make()))
    # What was put otherwise in this transaction is put.
    put = client.queue.put(echo)
    client.manager.commit()
    goes_on()
    assert put.result == "called"


class Caller:
    """Holds something, and can be called."""

    def __init__(self, content):
        self.content = content

    def __call__(self):
        return self.content

    call = __call__


def test_put_names_the_type_of_a_callable_that_cannot_be_stored(dispatcher, client):
    with pytest.raises(UnstorableError, match="Caller"):
        client.queue.put(Caller(lock()))


@pytest.mark.parametrize("make", HIDDEN)
def test_what_put_does_not_look_into_makes_the_commit_fail_and_nothing_is_put(
    dispatcher, client, goes_on, make
):
    job = client.queue.put(Job(echo, make(), key=make()))
    with pytest.raises(TypeError, match=r"cannot pickle '_thread.lock' object"):
        client.manager.commit()
    client.manager.abort()
    assert job._p_jar is None
    goes_on()


def test_a_method_of_a_new_object_that_cannot_be_stored_makes_the_commit_fail(
    dispatcher, client, goes_on
):
    client.queue.put(Box(lock()).content_of)
    with pytest.raises(TypeError, match=r"cannot pickle '_thread.lock' object"):
        client.manager.commit()
    client.manager.abort()
    goes_on()


#: What is done with a job, and what the error names.
LATE = [
    pytest.param(lambda job, value: job.args.append(value), "argument 1", id="an argument"),
    pytest.param(lambda job, value: job.args.__setitem__(0, value), "argument 0", id="changed"),
    pytest.param(
        lambda job, value: job.args.__setitem__(slice(0, 1), [value]), "argument", id="a slice"
    ),
    pytest.param(lambda job, value: setattr(job, "args", [value]), "argument 0", id="all"),
    pytest.param(
        lambda job, value: job.kwargs.__setitem__("key", value), "argument 'key'", id="by keyword"
    ),
    pytest.param(lambda job, value: job.kwargs.update(key=value), "argument 'key'", id="an update"),
    pytest.param(
        lambda job, value: setattr(job, "kwargs", {"key": value}), "argument 'key'", id="keywords"
    ),
    pytest.param(lambda job, value: job.bind(value), "argument 0", id="bind"),
    pytest.param(
        lambda job, value: setattr(job, "callable", Caller(value)), "the callable", id="callable"
    ),
    pytest.param(
        lambda job, value: job.annotations.__setitem__("key", value),
        "annotation 'key'",
        id="an annotation",
    ),
    pytest.param(
        lambda job, value: job.annotations.__setitem__(Caller(value), 1),
        "the name .* of an annotation",
        id="its name",
    ),
    pytest.param(
        lambda job, value: job.addCallback(Job(echo, value)), "argument 0", id="a callback"
    ),
    pytest.param(
        lambda job, value: job.addCallbacks(failure=Caller(value)), "the callable", id="for failure"
    ),
    pytest.param(
        lambda job, value: job.addCallback(echo).addCallback(Caller(value)),
        "the callable",
        id="behind a callback",
    ),
    pytest.param(
        lambda job, value: job.addCallbacks(success=echo).addCallback(Caller(value)),
        "the callable",
        id="behind a proxy",
    ),
    pytest.param(
        lambda job, value: job.args.append(Job(echo, key=value)), "argument 'key'", id="a job"
    ),
    pytest.param(
        lambda job, value: setattr(job, "retry_policy_factory", Caller(value)),
        "the retry_policy_factory",
        id="a policy",
    ),
]


@pytest.mark.parametrize(("change", "name"), LATE)
def test_a_job_that_was_put_refuses_it_at_once_too(dispatcher, client, goes_on, change, name):
    job = client.queue.put(Job(echo, 1))
    with pytest.raises(UnstorableError, match=f"{name} .*cannot be stored: .*lock"):
        change(job, lock())
    client.manager.commit()
    goes_on()
    assert job.result == "called"


@pytest.mark.parametrize(("change", "name"), LATE)
def test_what_was_done_with_a_job_before_is_seen_by_put(dispatcher, client, goes_on, change, name):
    job = Job(echo, 1)
    change(job, lock())
    with pytest.raises(UnstorableError, match=f"{name} .*cannot be stored: .*lock"):
        client.queue.put(job)
    client.manager.commit()
    goes_on()


@pytest.mark.parametrize("compose", [serial, parallel])
def test_put_looks_into_the_parts_of_a_composed_job(client, compose):
    with pytest.raises(UnstorableError, match=r"argument 0 .*lock"):
        client.queue.put(compose(echo, compose(echo, Job(echo, lock()))))
    with pytest.raises(UnstorableError, match=r"the callable .*lambda"):
        client.queue.put(compose(echo, postprocess=lambda *jobs: None))


def test_jobs_that_refer_to_each_other_are_looked_into_once(client):
    job, other = Job(echo), Job(echo)
    job.args.append(other)
    other.args.append(job)
    other.kwargs["key"] = other
    job.addCallback(Job(echo, job))
    client.queue.put(job)
    client.manager.commit()
    assert job._p_jar is other._p_jar is client.connection


class Local:
    """Has a method and a class, which a database cannot refer to by name."""

    def method(self):
        """Do nothing."""

    class Nested:
        """Is not at the top of its module."""

    class Record(persistent.Persistent):
        """Neither is this."""


#: Python's own pickle takes the first two; a database none of them.
BY_QUALIFIED_NAME = pytest.mark.parametrize(
    "make", [lambda: Local.method, lambda: [Local.Nested], Local.Record], ids=["m", "c", "r"]
)


@BY_QUALIFIED_NAME
def test_what_a_database_cannot_refer_to_is_refused_as_by_its_commit(client, make):
    client.root["it"] = make()
    with pytest.raises((TypeError, zodbpickle.pickle.PicklingError)):
        client.manager.commit()
    client.manager.abort()
    with pytest.raises(UnstorableError, match=r"argument 0 .*Local"):
        client.queue.put(Job(echo, make()))


@BY_QUALIFIED_NAME
def test_a_result_of_that_kind_fails_the_job_at_once(dispatcher, client, completed, goes_on, make):
    returned.append(make())
    job = client.queue.put(from_test)
    client.manager.commit()
    completed(job)
    assert job.result.check(UnstorableError)
    goes_on()


def test_put_refuses_a_callback_that_cannot_be_stored_and_names_it(client):
    job = Job(echo)
    job.addCallback(lambda result: None)
    with pytest.raises(UnstorableError, match="lambda"):
        client.queue.put(job)


def test_a_policy_factory_that_cannot_be_stored_is_refused(dispatcher, client, goes_on):
    with pytest.raises(UnstorableError, match="the retry_policy_factory"):
        client.queue.put(echo, retry_policy_factory=lambda job: None)
    client.manager.abort()
    goes_on()


@pytest.mark.parametrize(
    "wrap", [Job, lambda value: Job(echo, value)], ids=["callable", "argument"]
)
def test_an_object_of_another_database_makes_the_commit_fail_and_nothing_is_put(
    dispatcher, client, goes_on, stranger, wrap
):
    client.queue.put(wrap(stranger.root()["box"].content_of))
    with pytest.raises(InvalidObjectReference, match=r"foreign database connection.*Box"):
        client.manager.commit()
    client.manager.abort()
    goes_on()


@pytest.fixture
def stranger():
    """A connection to a database that has nothing to do with the other."""
    database = ZODB.DB(None)
    connection = database.open(transaction.TransactionManager())
    connection.root()["box"] = Box("content")
    connection.transaction_manager.commit()
    yield connection
    connection.transaction_manager.abort()
    connection.close()
    database.close()


# -- what a job returns


@pytest.mark.parametrize("make", [*SHALLOW, *HIDDEN])
def test_a_result_that_cannot_be_stored_fails_the_job_and_what_it_did_is_undone(
    dispatcher, client, put, failed, errors_told, make
):
    job = put(Job(count_and_return, make))
    failure = failed(job, TypeError)
    text = failure.getErrorMessage()
    assert "lock" in text or "Raising" in text
    assert client.root["counter"].count == 0
    assert work.happened[0] == "increase"
    assert f"{job!r} failed:" in errors_told()


def count_and_return(make):
    zc.async_.local.getJob()._p_jar.root()["counter"].increase()
    return make()


@pytest.mark.parametrize("call", [from_test, in_box_from_test])
def test_a_result_of_another_connection_fails_the_job(
    dispatcher, client, put, failed, errors_told, call
):
    returned.append(client.root["counter"])
    job = put(call)
    failure = failed(job, Exception)
    assert "tests.dispatcher.work.Counter" in failure.getErrorMessage()
    assert f"{job!r} failed:" in errors_told()


@pytest.mark.parametrize("call", [from_test, in_box_from_test])
def test_a_result_of_another_database_fails_the_job(
    dispatcher, client, put, failed, errors_told, stranger, call
):
    returned.append(stranger.root()["box"])
    job = put(call)
    failure = failed(job, Exception)
    assert "Box" in failure.getErrorMessage()
    assert f"{job!r} failed:" in errors_told()


# -- what a job leaves elsewhere


def annotate():
    """Leave something in the job itself."""
    zc.async_.local.getJob().annotations["lock"] = lock()


def annotate_live():
    """Have something committed at once."""
    zc.async_.local.setLiveAnnotation("lock", lock())


def add_to_root():
    """Leave something in the database."""
    zc.async_.local.getJob()._p_jar.root()["lock"] = lock()


def add_callback():
    zc.async_.local.getJob().addCallback(lambda result: None)


def put_lambda():
    zc.async_.local.getQueue().put(lambda: None)


def put_hidden():
    zc.async_.local.getQueue().put(Job(echo, Box(lock())))


@pytest.mark.parametrize(
    "call", [annotate, annotate_live, add_to_root, add_callback, put_lambda, put_hidden]
)
def test_a_job_that_leaves_something_that_cannot_be_stored_fails(
    dispatcher, client, put, failed, errors_told, call
):
    job = put(call)
    failure = failed(job, Exception)
    text = failure.getErrorMessage()
    assert "lock" in text or "lambda" in text or "'function'" in text
    assert f"{job!r} failed:" in errors_told()
    assert "lock" not in client.root
    assert dict(job.annotations) == {}
    assert job.callbacks == ()


def test_a_callback_that_leaves_something_that_cannot_be_stored_fails_under_the_usual_policy(
    dispatcher, client, completed, goes_on
):
    """Under that of callbacks it would be tried for ever: so says its contract."""
    job = client.queue.put(echo)
    callback = job.addCallback(add_to_root_too, retry_policy_factory=RetryCommonFourTimes)
    job.addCallback(client.root["log"].note)
    client.manager.commit()
    completed(job)
    assert "lock" in callback.result.getErrorMessage()
    assert client.root["log"].entries == (("called",),)
    goes_on()


def add_to_root_too(result):
    add_to_root()


# -- a job that is in no database


def test_a_job_whose_put_was_aborted_is_not_run(dispatcher, client, goes_on):
    job = client.queue.put(work.answer)
    client.manager.abort()
    goes_on()
    assert job._p_jar is None
    assert work.happened == ["answer"]


def test_a_job_that_is_called_in_no_database_commits_nothing_and_is_in_no_queue(
    dispatcher, client, goes_on
):
    job = Job(work.answer)
    assert job.status == NEW
    assert job() == 42
    goes_on()
