"""An application that has retry policies of its own, by rules in tuples.

It fetches pages from servers, which are sometimes busy.
"""

import persistent
import pytest
import transaction
import zope.component
from ZODB.POSException import ConflictError

import zc.async_
from zc.async_.interfaces import IJob, IRetryPolicy
from zc.async_.job import Job, RetryCommonForever, RetryCommonFourTimes
from zc.twist import Failure


class Busy(Exception):
    """A server asks to come again."""


class Gone(Exception):
    """There is nothing any more."""


#: What the next tries raise.
troubles = []


@pytest.fixture(autouse=True)
def no_troubles():
    troubles.clear()


class Page(persistent.Persistent):
    """What was fetched."""

    text = None

    def fetch(self):
        self.text = "changed by a try"
        if troubles:
            raise troubles.pop(0)
        self.text = "the page"
        return self.text


class RetryFetching(RetryCommonFourTimes):
    """Has a rule more than the usual ones, and looks at what happened."""

    internal_exceptions = (
        # Exceptions, key, most tries, seconds before the first new try, more for each, at most.
        ((Busy,), "busy", 4, 0, 0, 0),
        *RetryCommonFourTimes.internal_exceptions,
    )
    log_every = 1
    asked = 0

    def jobError(self, failure, data_cache):
        self.asked += 1
        return super().jobError(failure, data_cache)


class RetryByOccasion(RetryCommonForever):
    """Follows other rules at its first failure than later."""

    patient = (((Busy, Gone), "first", None, 0, 0, 0),)
    strict = (((Busy,), "later", 3, 0, 0, 0),)

    def jobError(self, failure, data_cache):
        exceptions = self.strict if "first" in data_cache else self.patient
        return self._process(failure, data_cache, exceptions)

    def _process(self, failure, data_cache, exceptions):
        answer = super()._process(failure, data_cache, exceptions)
        data_cache["answers"] = (*data_cache.get("answers", ()), bool(answer))
        return answer


@pytest.fixture
def page(connection):
    page = connection.root()["page"] = Page()
    transaction.commit()
    return page


def test_a_busy_server_is_asked_again(queue, page, wait_for):
    troubles.extend([Busy("1"), Busy("2"), ConflictError(), Busy("3")])
    job = queue.put(page.fetch, retry_policy_factory=RetryFetching)
    assert wait_for(job) == ["the page"]
    assert page.text == "the page"
    policy = job.getRetryPolicy()
    assert policy is job.getRetryPolicy()
    assert (policy.data["busy"], policy.data["transaction_error"], policy.asked) == (3, 1, 4)
    last = policy.data["last_busy"]
    assert isinstance(last, Failure)
    assert last.check(Busy)
    assert last.getErrorMessage() == "3"


def test_one_that_stays_busy_is_given_up(queue, page, wait_for):
    troubles.extend(Busy(str(number)) for number in range(4))
    job = queue.put(page.fetch, retry_policy_factory=RetryFetching)
    (result,) = wait_for(job)
    assert result.check(Busy)
    assert page.text is None
    assert job.getRetryPolicy().data["busy"] == 4


def test_rules_can_differ_by_occasion(queue, page, wait_for):
    troubles.extend([Gone(), Busy(), Gone()])
    job = queue.put(page.fetch, retry_policy_factory=RetryByOccasion)
    (result,) = wait_for(job)
    assert result.check(Gone)
    data = job.getRetryPolicy().data
    assert data["answers"] == (True, True, False)
    assert data["last_first"].check(Gone)
    assert data["last_later"].check(Busy)


def test_a_policy_may_be_an_adapter_with_a_name(queue, page, wait_for):
    zope.component.provideAdapter(RetryFetching, (IJob,), IRetryPolicy, "fetching")
    troubles.append(Busy())
    job = Job(page.fetch)
    job.retry_policy_factory = "fetching"
    assert wait_for(queue.put(job)) == ["the page"]
    assert job.getRetryPolicy().asked == 1


def note_policy(page, result):
    """A callback, which has a policy of its own."""
    policy = zc.async_.local.getJob().getRetryPolicy()
    policy.noted = "in the callback"
    if troubles:
        raise troubles.pop(0)
    return result


def test_what_a_callback_notes_in_its_policy_stays(queue, page, wait_for):
    job = queue.put(page.fetch)
    callback = job.addCallback(Job(note_policy, page), retry_policy_factory=RetryFetching)
    assert wait_for(job, callback) == ["the page", "the page"]
    assert callback.getRetryPolicy().noted == "in the callback"
