"""What `setUp` and `tearDown` enclose."""

import pytest
from ZODB.POSException import ConflictError

from tests.unit import calls
from zc.async_.interfaces import COMPLETED, NEW


class Breaks(calls.LoggedJob):
    """Fails where it is told to."""

    breaks = ()

    def setUp(self):
        super().setUp()
        if "setUp" in self.breaks:
            raise ValueError("setUp failed")
        return "info"

    def tearDown(self, setup_info):
        super().tearDown(setup_info)
        if "tearDown" in self.breaks:
            raise ValueError("tearDown failed")


def logged(client, class_, *args):
    job = class_(*args)
    client.root["job"] = job
    client.commit()
    return job


def test_set_up_and_tear_down_enclose_the_call(client, happened):
    logged(client, calls.LoggedJob, calls.happen, "call")()
    assert happened == ["setUp", ("call",), ("tearDown", "info")]


class Looks(calls.LoggedJob):
    """Looks in `tearDown` at what others see."""

    def tearDown(self, setup_info):
        calls.elsewhere.begin()
        calls.happened.append(str(calls.elsewhere.mine(self).status))


def test_tear_down_comes_after_the_commit(client, elsewhere, happened):
    logged(client, Looks, calls.nothing)()
    assert happened == ["setUp", str(COMPLETED)]


def test_tear_down_comes_after_the_abort_of_a_failure(client, log, happened):
    job = logged(client, Remembers, log.note_and_fail)
    job()
    assert happened == ["setUp", ("entries", ())]
    assert job.result.check(ValueError)


class Remembers(calls.LoggedJob):
    """Tells in `tearDown` of the object of its method."""

    def tearDown(self, setup_info):
        calls.happened.append(("entries", self.stored_callable[0].entries))


def test_each_try_has_its_set_up_and_tear_down(client, happened, to_raise):
    to_raise += [ConflictError(), ConflictError()]
    logged(client, calls.LoggedJob, calls.raise_next)()
    assert happened == ["setUp", (), ("tearDown", "info")] * 3


def test_each_failing_commit_has_its_tear_down(client, happened, failing_commits):
    job = logged(client, calls.LoggedJob, calls.happen)
    failing_commits(ConflictError())
    job()
    assert happened == ["setUp", (), ("tearDown", "info")] * 2


def test_callbacks_come_after_tear_down(client, happened):
    job = logged(client, calls.LoggedJob, calls.nothing)
    job.addCallback(calls.happen)
    client.commit()
    job()
    assert happened == ["setUp", ("tearDown", "info"), (None,)]


def test_a_failing_set_up_fails_the_job_without_a_call(client, happened, answers):
    job = Breaks(calls.happen, "call")
    job.breaks = ("setUp",)
    job.retry_policy_factory = calls.Policy
    answers(True, False)
    client.add("job", job)
    assert job().getErrorMessage() == "setUp failed"
    one = ["setUp", ("tearDown", None), ("jobError", ValueError)]
    assert happened == one + one
    assert job.status == COMPLETED


def test_a_failing_tear_down_is_logged_and_changes_nothing(client, happened, caplog):
    job = Breaks(calls.happen, "call")
    job.breaks = ("tearDown",)
    job.addCallback(calls.happen)
    client.add("job", job)
    assert job() is None
    assert job.status == COMPLETED
    assert happened == ["setUp", ("call",), ("tearDown", "info"), (None,)]
    assert [r.levelname for r in caplog.records if "tearDown" in r.getMessage()] == ["CRITICAL"]


class Ends(calls.LoggedJob):
    def tearDown(self, setup_info):
        raise SystemExit


def test_tear_down_may_end_the_thread(client, happened):
    with pytest.raises(SystemExit):
        logged(client, Ends, calls.nothing)()


@pytest.mark.parametrize("error", [SystemExit(), KeyboardInterrupt()])
def test_tear_down_is_called_when_the_thread_ends(client, happened, to_raise, error):
    to_raise.append(error)
    with pytest.raises(type(error)):
        logged(client, calls.LoggedJob, calls.raise_next)()
    assert happened == ["setUp", (), ("tearDown", "info")]


def test_tear_down_is_called_when_the_commit_ends_the_thread(client, happened, failing_commits):
    job = logged(client, calls.LoggedJob, calls.happen)
    failing_commits(SystemExit())
    with pytest.raises(SystemExit):
        job()
    assert happened == ["setUp", (), ("tearDown", "info")]
    assert job.status == NEW
