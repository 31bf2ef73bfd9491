"""Retry policies: what becomes of a job that failed, could not commit or was interrupted."""

import datetime
import logging
from collections.abc import Mapping
from typing import Any

import persistent
import twisted.python.failure
import zope.component
import zope.interface
from BTrees.OOBTree import OOBTree

import zc.async_.interfaces
from zc.async_ import utils
from zc.async_.interfaces import Answer
from zc.twist import sanitize
from zc.twist.showing import show

#: Exceptions, key for counting, most tries (None: no limit), and the back-off in seconds: before
#: the first new try, added for each further one, at most.
ErrorRule = tuple[tuple[type[BaseException], ...], str, int | None, float, float, float]

#: Tries that do not count because they met an oid that was given twice. ZEO gives oids by the
#: hundred.
MOST_USED_OIDS = 1_000

DISCONNECTED: ErrorRule = (utils.DISCONNECTED_ERRORS, "zeo_disconnected", None, 5, 5, 60)


class _Policy(persistent.Persistent):
    """What the shipped policies share; subclasses are made by changing the class attributes.

    Counts are kept in `data`, under the keys of the rules and 'interruptions'; the last failure of
    each kind under 'last_' and the key.
    """

    #: Rules for errors of the job's code, the first that fits holds.
    internal_exceptions: tuple[ErrorRule, ...] = (DISCONNECTED,)
    #: Rules for errors of the commit.
    transaction_exceptions: tuple[ErrorRule, ...] = (DISCONNECTED,)
    #: Interruptions after which the job is still tried again; None: always.
    max_interruptions: int | None = None
    #: Every how many tries one is logged.
    log_every = 5

    def __init__(self, job: Any) -> None:
        self.parent = self.__parent__ = job
        self.data = OOBTree()

    def jobError(self, failure: Any, data_cache: dict[str, Any]) -> Answer:
        """See `zc.async_.interfaces.IRetryPolicy`."""
        return self._process(failure, data_cache, self.internal_exceptions)

    def commitError(self, failure: Any, data_cache: dict[str, Any]) -> Answer:
        """See `zc.async_.interfaces.IRetryPolicy`."""
        return self._process(failure, data_cache, self.transaction_exceptions)

    def _process(
        self, failure: Any, data_cache: dict[str, Any], exceptions: tuple[ErrorRule, ...]
    ) -> Answer:
        """Answer by the first of the rules that fits the failure; False if none does.

        For subclasses that have rules for other occasions, or do more at each.
        """
        if self._met_used_oid(failure, data_cache):
            return True
        for errors, key, most, first, step, longest in exceptions:
            if not failure.check(*errors):
                continue
            # What earlier runs counted was stored when the job was put off.
            count = data_cache.get(key, self.data.get(key, 0)) + 1
            data_cache[key] = count
            data_cache[f"last_{key}"] = failure
            if most is not None and count >= most:
                utils.log.info("%s: gave up after %d %s errors", self._job_repr(), count, key)
                return False
            backoff = min(longest, first + step * (count - 1))
            if count % self.log_every == 1 or self.log_every == 1:
                self._log_retry(key, count, backoff, failure)
            # No worker waits: the job does, in its queue.
            return datetime.timedelta(seconds=backoff) if backoff else True
        return False

    def _met_used_oid(self, failure: Any, data_cache: dict[str, Any]) -> bool:
        """Whether the failure tells nothing of the job, but of a server that was killed."""
        if not utils.is_of_used_oid(failure.value):
            return False
        count = data_cache.get("used_oid", self.data.get("used_oid", 0)) + 1
        data_cache["used_oid"] = count
        return bool(count <= MOST_USED_OIDS)

    def _log_retry(self, key: str, count: int, backoff: float, failure: Any) -> None:
        level = logging.CRITICAL if key == "other" else logging.WARNING
        utils.log.log(
            level,
            "%s: %s error %d, next try in %g s: %s",
            self._job_repr(),
            key,
            count,
            backoff,
            failure.getErrorMessage(),
        )

    def interrupted(self) -> Answer:
        """See `zc.async_.interfaces.IRetryPolicy`."""
        count = self.data["interruptions"] = self.data.get("interruptions", 0) + 1
        if self.max_interruptions is not None and count > self.max_interruptions:
            utils.log.info("%s: gave up after %d interruptions", self._job_repr(), count)
            return False
        if count % self.log_every == 1 or self.log_every == 1:
            utils.log.warning("%s: interrupted %d times, next try now", self._job_repr(), count)
        return True

    def updateData(self, data_cache: dict[str, Any]) -> None:
        """See `zc.async_.interfaces.IRetryPolicy`."""
        for key, value in data_cache.items():
            if isinstance(value, twisted.python.failure.Failure):
                value = sanitize(value)
            if self.data.get(key) != value:
                self.data[key] = value

    def _job_repr(self) -> str:
        return show(self.parent)


@zope.component.adapter(zc.async_.interfaces.IJob)
@zope.interface.implementer(zc.async_.interfaces.IRetryPolicy)
class RetryCommonFourTimes(_Policy):
    """For transactional jobs, and the default for those put into a queue.

    Tries five times over transaction errors, nine times more after interruptions, and for ever
    while the database is out of reach.
    """

    internal_exceptions = (
        DISCONNECTED,
        (utils.TRANSACTION_ERRORS, "transaction_error", 5, 0, 0, 0),
    )
    transaction_exceptions = internal_exceptions
    max_interruptions = 9


@zope.component.adapter(zc.async_.interfaces.IJob)
@zope.interface.implementer(zc.async_.interfaces.IRetryPolicy)
class RetryCommonForever(_Policy):
    """For jobs that must take effect, and the default for callbacks.

    Tries without end over transaction errors, interruptions, a database out of reach, and every
    error of the commit.
    """

    internal_exceptions: tuple[ErrorRule, ...] = (
        DISCONNECTED,
        (utils.TRANSACTION_ERRORS, "transaction_error", None, 0, 0, 0),
    )
    transaction_exceptions: tuple[ErrorRule, ...] = (
        *internal_exceptions,
        ((Exception,), "other", None, 0, 1, 60),
    )


class RetrySystem(RetryCommonForever):
    """For what the system itself puts into a queue: nobody else would go on with it."""

    internal_exceptions = RetryCommonForever.transaction_exceptions


@zope.component.adapter(zc.async_.interfaces.IJob)
@zope.interface.implementer(zc.async_.interfaces.IRetryPolicy)
class NeverRetry:
    """For jobs that must not run twice, such as those with effects outside the database."""

    #: Whether the start of a callback is committed before, so that it is known after a crash.
    at_most_once = True

    def __init__(self, job: Any) -> None:
        self.parent = self.__parent__ = job

    @property
    def data(self) -> Mapping[str, Any]:
        """Nothing is counted."""
        return {}

    def jobError(self, failure: Any, data_cache: dict[str, Any]) -> Answer:
        """See `zc.async_.interfaces.IRetryPolicy`."""
        return False

    def commitError(self, failure: Any, data_cache: dict[str, Any]) -> Answer:
        """See `zc.async_.interfaces.IRetryPolicy`."""
        return False

    def interrupted(self) -> Answer:
        """See `zc.async_.interfaces.IRetryPolicy`."""
        return False

    def updateData(self, data_cache: dict[str, Any]) -> None:
        """See `zc.async_.interfaces.IRetryPolicy`."""
