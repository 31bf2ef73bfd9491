"""Jobs: attributes, statuses, and what they remember."""

import datetime
import operator
import uuid

import pytest
import zope.component
import zope.interface

from tests.unit import calls
from zc.async_ import interfaces, utils
from zc.async_ import job as job_module
from zc.async_.interfaces import (
    ACTIVE,
    ASSIGNED,
    CALLBACKS,
    COMPLETED,
    IUUID,
    KEY,
    NEW,
    PENDING,
    BadStatusError,
    IJob,
)
from zc.async_.job import Job, as_job
from zc.async_.queue import Queue
from zc.async_.running.retry import NeverRetry, RetryCommonForever, RetryCommonFourTimes
from zc.async_.storing.callables import to_stored

HOUR = datetime.timedelta(hours=1)

COUNTER = CALLABLE = calls.Counter()


def set_status(job, status):
    job._set_status(status)
    return job


# -- making


def test_a_fresh_job_is_new_and_knows_its_call():
    job = Job(calls.echo, 1, 2, key="value")
    assert job.status == NEW
    assert job.callable is calls.echo
    assert job.args == [1, 2]
    assert job.kwargs == {"key": "value"}


def test_a_fresh_job_has_nothing_else():
    job = Job(calls.nothing)
    for name in (
        "parent",
        "queue",
        "agent",
        "result",
        "begin_after",
        "begin_by",
        "assignerUUID",
        "active_start",
        "active_end",
        "initial_callbacks_end",
        "failure_log_level",
        "retry_policy_factory",
    ):
        assert getattr(job, name) is None, name
    assert job.args == []
    assert job.kwargs == {}
    assert job.annotations == {}
    assert job.callbacks == ()
    assert job.quota_names == ()
    assert job.priority == 0
    assert job.needs == ()


def test_every_name_can_be_a_keyword_argument():
    job = Job(calls.echo, self=1, callable=2, args=3, job=4)
    assert job.kwargs == {"self": 1, "callable": 2, "args": 3, "job": 4}
    assert job() == ((), {"self": 1, "callable": 2, "args": 3, "job": 4})


def test_calls_add_their_arguments_after_those_of_the_job():
    job = Job(calls.echo, 1, a=2, b=3)
    assert job(4, b=5, c=6) == ((1, 4), {"a": 2, "b": 5, "c": 6})


def test_bind_puts_arguments_before_those_of_the_job():
    job = Job(calls.echo, 1, a=2, b=3)
    assert job.bind(4, 5, b=6) is job
    assert job.args == [4, 5, 1]
    assert job.kwargs == {"a": 2, "b": 6}
    assert job.bind() is job
    assert job.args == [4, 5, 1]


def test_bind_of_the_class_makes_a_job_whose_callable_gets_it(client):
    job = Job.bind(calls.echo, 1, a=2)
    assert job.args == [job, 1]
    client.queue.put(job)
    client.commit()
    client.claim()
    (first, *rest), keywords = job()
    assert first is job
    assert (rest, keywords) == ([1], {"a": 2})


def test_bind_of_a_subclass_makes_a_job_of_it():
    class Kind(Job):
        pass

    assert type(Kind.bind(calls.echo)) is Kind


@pytest.mark.parametrize(
    ("make", "root", "name"),
    [
        pytest.param(lambda: calls.echo, calls.echo, None, id="a function"),
        pytest.param(lambda: operator.mul, operator.mul, None, id="a built-in function"),
        pytest.param(lambda: COUNTER.increase, COUNTER, "increase", id="a method"),
        pytest.param(lambda: CALLABLE, CALLABLE, None, id="an object that can be called"),
    ],
)
def test_a_job_tells_what_its_callable_is_made_of(make, root, name):
    job = Job(make())
    assert job._callable_root is root
    assert job._callable_name == name
    for attribute in ("_callable_root", "_callable_name", "key"):
        with pytest.raises(AttributeError):
            setattr(job, attribute, "another")


def test_the_keys_of_completed_jobs_sort_the_newest_first(client, clock):
    first, second = client.put(calls.nothing), client.put(calls.nothing)
    keys = []
    for job in (first, second):
        assert job.key is None
        clock.advance(seconds=1)
        client.claim()
        job()
        keys.append(job.key)
    assert keys[0] > keys[1]
    assert utils.long_to_dt(second.key) == second.initial_callbacks_end.replace(tzinfo=None)


def test_a_job_takes_little_room(client):
    job = client.put(calls.nothing)
    data, _serial = client.connection.db().storage.load(job._p_oid)
    assert len(data) < 400


def test_the_callable_can_be_set_before_the_job_starts():
    job = Job(calls.nothing)
    job.callable = calls.echo
    assert job(1) == ((1,), {})


# -- attributes in the database


def test_all_attributes_are_the_same_for_another_connection(client, other, clock):
    instance = uuid.UUID(int=9)
    zope.component.provideUtility(instance, IUUID)
    client.queue.quotas.create("a")
    client.queue.quotas.create("b")
    job = Job(calls.echo, 1, [2], key={"a": 1})
    job.quota_names = ["b", "a"]
    job.annotations["note"] = "text"
    callback = job.addCallback(calls.nothing)
    client.queue.put(
        job,
        clock.after(hours=1),
        HOUR / 2,
        failure_log_level=10,
        retry_policy_factory=NeverRetry,
        priority=-3,
    )
    client.commit()
    other.begin()
    there = other.mine(job)
    assert there.callable is calls.echo
    assert there.args == [1, [2]]
    assert there.kwargs == {"key": {"a": 1}}
    assert there.annotations == {"note": "text"}
    assert there.callbacks == (other.mine(callback),)
    assert there.status == PENDING
    assert there.parent == there.queue == other.queue
    assert there.agent is None
    assert there.begin_after == clock.after(hours=1)
    assert there.begin_by == HOUR / 2
    assert there.quota_names == ("b", "a")
    assert there.priority == -3
    assert there.assignerUUID == instance
    assert there.failure_log_level == 10
    assert there.retry_policy_factory is NeverRetry
    assert there.result is None


def test_the_result_and_the_times_are_the_same_for_another_connection(client, other, clock, agent):
    job = client.put(calls.add)
    callback = job.addCallback(calls.nothing)
    client.commit()
    clock.advance(seconds=1)
    calls.run_next(agent)
    other.begin()
    there = other.mine(job)
    assert there.status == COMPLETED
    assert there.result == 0
    assert there.active_start == there.active_end == there.initial_callbacks_end == clock.now
    assert there.agent == other.mine(agent)
    assert there.queue == other.queue
    assert other.mine(callback).status == COMPLETED


def test_the_end_of_the_callbacks_is_the_end_of_a_job_without_callbacks(client, clock):
    job = client.put(calls.nothing)
    client.claim()()
    assert job.initial_callbacks_end == job.active_end == clock.now


def test_a_job_in_an_agent_has_a_queue_and_an_agent(client, agent):
    job = client.put(calls.nothing)
    assert job.agent is None
    agent.claimJob()
    assert job.agent is agent
    assert job.queue is client.queue


def test_a_callback_has_the_queue_and_agent_of_its_job(client, agent):
    job = client.put(calls.nothing)
    callback = job.addCallback(calls.nothing)
    deeper = callback.addCallback(calls.nothing)
    assert deeper.queue is client.queue
    assert deeper.agent is None
    agent.claimJob()
    assert deeper.queue is client.queue
    assert deeper.agent is agent


def test_the_parent_has_its_zope_name_too():
    job = Job(calls.nothing)
    job.parent = "the parent"
    assert job.__parent__ == "the parent"


# -- statuses


def test_statuses_follow_the_life_of_a_job(client, agent, clock):
    job = Job(calls.nothing)
    assert job.status == NEW
    client.put(job)
    assert job.status == PENDING
    agent.claimJob()
    client.commit()
    assert job.status == ASSIGNED
    job.activate_at(clock.time)
    assert job.status == ACTIVE
    job.addCallback(calls.nothing)
    job.end_with(1)
    assert job.status == CALLBACKS
    client.commit()
    job.resumeCallbacks()
    assert job.status == COMPLETED


def test_the_code_of_a_job_finds_it_active(client, agent):
    job = client.put(calls.status_here)
    calls.run_next(agent)
    assert job.result == str(ACTIVE)


@pytest.mark.parametrize("status", [NEW, PENDING, ASSIGNED])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("begin_after", datetime.datetime(2030, 1, 2, tzinfo=datetime.UTC)),
        ("begin_by", HOUR),
        ("priority", 5),
        ("quota_names", ("a",)),
        ("needs", ("gpu",)),
        ("callable", calls.add),
    ],
)
def test_settings_can_be_changed_until_the_job_starts(client, agent, status, name, value):
    client.queue.quotas.create("a")
    job = Job(calls.nothing)
    if status != NEW:
        client.put(job)
    if status == ASSIGNED:
        assert agent.claimJob() is job
    setattr(job, name, value)
    assert getattr(job, name) == value


@pytest.mark.parametrize("status", [ACTIVE, CALLBACKS, COMPLETED])
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda job: setattr(job, "begin_after", None), id="begin_after"),
        pytest.param(lambda job: setattr(job, "begin_by", HOUR), id="begin_by"),
        pytest.param(lambda job: setattr(job, "priority", 5), id="priority"),
        pytest.param(lambda job: setattr(job, "quota_names", ()), id="quota_names"),
        pytest.param(lambda job: setattr(job, "needs", ()), id="needs"),
        pytest.param(lambda job: setattr(job, "callable", calls.add), id="callable"),
        pytest.param(lambda job: job.bind(1), id="bind"),
        pytest.param(lambda job: Queue().put(job), id="put"),
        pytest.param(lambda job: job(), id="call"),
    ],
)
def test_a_job_that_started_refuses_what_comes_too_late(status, change):
    job = set_status(Job(calls.nothing), status)
    with pytest.raises(BadStatusError):
        change(job)
    assert job.status == status


@pytest.mark.parametrize("status", [PENDING, ACTIVE, CALLBACKS, COMPLETED])
def test_a_job_that_is_not_free_cannot_be_called(status, happened):
    job = set_status(Job(calls.happen), status)
    with pytest.raises(BadStatusError, match="called once"):
        job()
    assert happened == []


@pytest.mark.parametrize("status", [CALLBACKS, COMPLETED])
def test_a_job_that_ended_cannot_fail(status):
    with pytest.raises(BadStatusError, match="ended already"):
        set_status(Job(calls.nothing), status).fail()


def test_a_bad_status_is_a_value_error_that_shows_the_job():
    job = Job(calls.nothing)
    job()
    with pytest.raises(ValueError, match=r"tests\.unit\.calls\.nothing\(\)"):
        job()


def test_a_duration_is_not_negative():
    job = Job(calls.nothing)
    with pytest.raises(ValueError, match="at least 0"):
        job.begin_by = -HOUR
    job.begin_by = HOUR
    job.begin_by = None
    assert job.begin_by is None


def test_times_are_datetimes_and_durations_timedeltas(client):
    job = Job(calls.nothing)
    with pytest.raises(TypeError, match="begin_by is a timedelta, not 5"):
        job.begin_by = 5
    with pytest.raises(TypeError, match=r"begin_after is a datetime.*call\(callable, 5\)"):
        # What somebody means to be an argument of the call.
        client.queue.put(calls.nothing, 5)
    assert len(client.queue) == 0


def test_quota_names_are_a_sequence_of_names():
    job = Job(calls.nothing)
    with pytest.raises(TypeError, match="not the string"):
        job.quota_names = "a"
    job.quota_names = (name for name in "ab")
    assert job.quota_names == ("a", "b")


def test_a_priority_is_an_integer():
    job = Job(calls.nothing)
    with pytest.raises(TypeError, match="integer"):
        job.priority = 1.5
    job.priority = -7
    assert job.priority == -7


@pytest.mark.parametrize(
    "factory",
    [None, "name", NeverRetry, calls.Policy, calls.Nested.of_class],
    ids=["None", "a name", "a policy", "a class", "a method"],
)
def test_policies_are_given_by_factory_or_name(client, other, factory):
    job = Job(calls.nothing)
    job.retry_policy_factory = factory
    client.add("job", job)
    assert job.retry_policy_factory == factory
    other.begin()
    assert other.root["job"].retry_policy_factory == factory


# -- failing


def test_fail_ends_a_job_with_the_error(caplog):
    job = Job(calls.nothing)
    job.fail(ValueError("out of ideas"))
    assert job.status == COMPLETED
    assert job.result.check(ValueError)
    assert job.result.getErrorMessage() == "out of ideas"
    assert "out of ideas" in caplog.text


def test_by_default_a_job_that_is_failed_ends_with_a_timeout():
    job = Job(calls.nothing)
    job.fail()
    assert job.result.check(interfaces.TimeoutError)


def test_a_waiting_job_that_fails_leaves_its_queue(client, clock):
    for in_backlog in (False, True):
        job = client.put(calls.nothing, begin_by=HOUR)
        if in_backlog:
            client.claim(calls.fail)
        job.fail()
        client.commit()
        assert job.status == COMPLETED
        assert job.queue is client.queue
        assert len(client.queue) == 0
        assert client.claim() is None
    clock.advance(hours=2)
    assert client.claim() is None
    assert job.result.check(interfaces.TimeoutError)


def test_the_failure_goes_to_the_callbacks(happened):
    job = Job(calls.nothing)
    job.addCallbacks(failure=calls.happen)
    job.fail()
    assert job.status == COMPLETED
    assert happened[0][0].check(interfaces.TimeoutError)


def test_the_callbacks_of_a_job_in_a_queue_are_performed_by_a_dispatcher(client, agent, happened):
    job = client.put(calls.nothing)
    job.addCallback(calls.happen)
    job.fail()
    client.commit()
    assert job.status == CALLBACKS
    assert happened == []
    agent.size = 0
    calls.run_all(agent)
    assert job.status == COMPLETED
    assert len(happened) == 1


def test_a_job_that_is_failed_gets_a_new_token(client, agent):
    job = client.put(calls.nothing)
    agent.claimJob()
    token = job.claim_token
    job.fail()
    assert job.claim_token != token


# -- subclasses


class Titled(Job):
    """A job with attributes of its own."""

    title = "untitled"

    def __init__(self, title, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.title = title


class Own(Job):
    """A job whose callable is a method of the job."""

    def __init__(self, *args):
        super().__init__(self.work, *args)

    def work(self, *args):
        return [type(self).__name__, self.status, *args]


class WithProperty(Job):
    """A job whose callable is a property."""

    def __init__(self, *args):
        self.args = args

    @property
    def callable(self):
        return self._work

    def _work(self, *args):
        return ["property", *args]


class WithMethod(Job):
    """A job whose callable is redefined as a method."""

    def __init__(self, *args):
        self.args = args

    def callable(self, *args):
        if args == ("fail",):
            raise ValueError("it failed")
        return ["method", *args]


def test_a_subclass_has_attributes_of_its_own(client, other):
    job = client.put(Titled("a title", calls.add, 1, 2))
    other.begin()
    there = other.mine(job)
    assert type(there) is Titled
    assert there.title == "a title"
    there.title = "another"
    other.commit()
    assert client.claim().title == "another"
    assert job() == 3


@pytest.mark.parametrize(
    ("make", "result"),
    [(Own, ["Own", ACTIVE, 1]), (WithProperty, ["property", 1]), (WithMethod, ["method", 1])],
)
def test_the_callable_can_be_a_method_or_property_of_the_job(client, connect, make, result):
    client.put(make(1))
    job = connect().claim()
    assert job() == result
    assert job.status == COMPLETED


def test_a_job_without_a_stored_callable_can_fail(client, caplog):
    job = client.put(WithMethod("fail"))
    client.claim()()
    assert job.status == COMPLETED
    assert job.result.check(ValueError)
    assert "it failed" in caplog.text


# -- adaptation


def test_a_job_is_its_own_job():
    job = Job(calls.nothing)
    assert as_job(job) is job
    assert as_job(calls.nothing).callable is calls.nothing


class Order:
    """Something that has an adapter to a job."""


def process(order):
    return "processed"


@zope.component.adapter(Order)
@zope.interface.implementer(IJob)
def order_job(order):
    return Job(process, 1)


def test_what_has_an_adapter_to_a_job_can_be_put(queue):
    zope.component.provideAdapter(order_job)
    job = queue.put(Order())
    assert job.callable is process
    assert job.args == [1]


def test_adapted_callables_can_be_callbacks():
    zope.component.provideAdapter(order_job)
    callback = Job(calls.nothing).addCallback(Order())
    assert callback.callable is process


# -- for people


def test_a_job_shows_its_call():
    job = Job(calls.echo, 1, "text", calls.add, key=[2], also=None)
    assert repr(job) == (
        "<zc.async_.job.Job (oid ?, db ?) "
        "``tests.unit.calls.echo(1, 'text', tests.unit.calls.add, also=None, key=[2])``>"
    )


def test_a_stored_job_shows_its_oid(client):
    counter = client.add("counter", calls.Counter())
    job = client.put(Job(counter.increase, 2))
    number = int.from_bytes(job._p_oid, "big")
    other_number = int.from_bytes(counter._p_oid, "big")
    assert repr(job) == (
        f"<zc.async_.job.Job (oid {number}, db 'unnamed') "
        f"``tests.unit.calls.Counter (oid {other_number}, db 'unnamed') :increase(2)``>"
    )


def test_keyword_arguments_of_any_kind_are_shown():
    assert "(a=1, b='x')" in repr(Job(calls.echo, b="x", a=1))


class NoCallable(Job):
    def __init__(self):
        pass


@pytest.mark.parametrize(
    ("make", "text"),
    [
        pytest.param(NoCallable, "NoCallable", id="no callable"),
        pytest.param(lambda: Job(calls.echo, calls.BadRepr()), "BadRepr", id="a bad argument"),
    ],
)
def test_a_repr_never_fails(make, text):
    assert text in repr(make())


# -- the module


def test_the_historic_names_of_the_module_are_there():
    assert job_module.RetryCommonForever is RetryCommonForever
    assert job_module.RetryCommonFourTimes is RetryCommonFourTimes
    assert job_module.NeverRetry is NeverRetry
    for name in job_module.__all__:
        assert hasattr(job_module, name)


def test_a_job_of_a_module_function_refers_to_no_other_record(client):
    assert to_stored(calls.echo) == "tests.unit.calls:echo"


def test_jobs_of_several_queues_know_theirs(client):
    second = client.root[KEY]["second"] = Queue()
    client.commit()
    job = second.put(calls.nothing)
    assert job.queue is second
    assert job.queue.name == "second"


class Checked(Job):
    """A job whose class has more to do when the callable is set."""

    @property
    def callable(self):
        return Job.callable.fget(self)

    @callable.setter
    def callable(self, value):
        if value is calls.happen:
            raise ValueError("not this one")
        Job.callable.fset(self, value)


def test_a_subclass_may_have_a_callable_of_its_own():
    assert Checked(calls.nothing).callable is calls.nothing
    with pytest.raises(ValueError, match="not this one"):
        Checked(calls.happen)
