"""Callback proxies: one callback for a good result, another for a failure."""

from collections.abc import Callable, Iterator
from typing import Any

import persistent
import zope.interface

import zc.async_.interfaces
import zc.twist
from zc.async_ import utils
from zc.async_.interfaces import COMPLETED, NEW
from zc.async_.job import checks, mainprogram, sidecar
from zc.async_.running import owner_of, pass_through
from zc.async_.storing import Located, callables, growing, originals
from zc.twist.showing import show


def is_failure(result: Any) -> bool:
    """Whether the result of a job is a failure."""
    return isinstance(result, zc.twist.Failure)


def success_or_failure(success: Any, failure: Any, result: Any) -> Any:
    """Call one of two callables with a result, as `addCallbacks` has it done.

    `success` is for a good one, `failure` for a Failure; where that is None, returns the result.
    """
    chosen = failure if is_failure(result) else success
    return result if chosen is None else chosen(result)


def _as_job(item: Any) -> Any:
    return None if item is None else zc.async_.interfaces.IJob(item)


class TakesCallbacks:
    """What jobs and proxies have in common: callbacks can be added to them."""

    def as_job(self, item: Any) -> Any:
        """`item` as a job."""
        raise NotImplementedError

    def addCallback(
        self,
        callback: Any,
        failure_log_level: int | None = None,
        retry_policy_factory: Any = None,
    ) -> Any:
        """See `zc.async_.interfaces.IAbstractJob`."""
        raise NotImplementedError

    def addCallbacks(
        self,
        success: Any = None,
        failure: Any = None,
        failure_log_level: int | None = None,
        retry_policy_factory: Any = None,
    ) -> "CallbackProxy":
        """See `zc.async_.interfaces.IAbstractJob`."""
        proxy = CallbackProxy.of(self.as_job, success, failure)
        self.addCallback(proxy, failure_log_level, retry_policy_factory)
        return proxy


@zope.interface.implementer(zc.async_.interfaces.ICallbackProxy)
class ConditionalCallbackProxy(TakesCallbacks, Located, persistent.Persistent):
    """Chooses among any number of callbacks; see `zc.async_.interfaces.ICallbackProxy`.

    Each of `conditionals` is a pair: a callable that takes the result and says whether it fits, and
    the job to call then. The first that fits is called; if none does, `default`, a job or None. A
    condition that raises does not fit, and its error is logged.
    """

    job: Any = None
    is_passed = False
    #: Whether it got something to call so late that a job of the system was put for it.
    runs_on_its_own = False
    #: With log level and policy; see `zc.async_.storing.growing`.
    early_callbacks: tuple[tuple[Any, int | None, Any], ...] = ()
    further_early_callbacks: Any = None

    def __init__(self, default: Any = None, *conditionals: tuple[Any, Any]) -> None:
        self._default = _as_job(default)
        self._conditionals = tuple(
            (callables.to_stored(condition), _as_job(job)) for condition, job in conditionals
        )
        self._set_up_choices()

    def __setstate__(self, state: Any) -> None:
        originals.refuse(self, state, "conditionals")
        super().__setstate__(state)

    @property
    def default(self) -> Any:
        """The job that is called if no condition fits, or None."""
        return self._default

    @property
    def conditionals(self) -> tuple[tuple[Any, Any], ...]:
        """Pairs of a condition and a job."""
        from_stored = callables.from_stored
        return tuple((from_stored(condition), job) for condition, job in self._conditionals)

    @property
    def success(self) -> Any:
        """The job for a good result; None if it depends on the conditions."""
        return None

    @property
    def failure(self) -> Any:
        """The job for a Failure; None if it depends on the conditions."""
        return None

    def choices(self) -> list[Any]:
        """The jobs that may be called."""
        jobs = [self._default, *(job for _condition, job in self._conditionals)]
        return [job for job in jobs if job is not None]

    def _choice(self, result: Any) -> Any:
        for condition, job in self._conditionals:
            if self._fits(condition, result):
                return job
        return self._default

    def _fits(self, condition: callables.Stored, result: Any) -> bool:
        try:
            return bool(callables.from_stored(condition)(result))
        except utils.EXPLOSIVE_ERRORS + utils.DISCONNECTED_ERRORS + utils.TRANSIENT_ERRORS:
            raise
        except Exception:
            # Asking again would be in vain, and the callbacks after this one wait.
            utils.log.critical(
                "condition %s of a callback of %r raised: it is taken as a no",
                callables.stored_repr(condition),
                owner_of(self),
                exc_info=True,
            )
            return False

    def _set_up_choices(self) -> None:
        for job in self.choices():
            job.set_up_as_callback(self, None, None)

    @property
    def status(self) -> str:
        """See `zc.async_.interfaces.IAbstractJob`."""
        if self.job is not None:
            return str(self.job.status)
        return COMPLETED if self.is_passed else NEW

    @property
    def result(self) -> Any:
        """See `zc.async_.interfaces.IAbstractJob`."""
        return None if self.job is None else self.job.result

    @property
    def queue(self) -> Any:
        """The queue of the job that this is a callback of, or None."""
        return None if self.parent is None else self.parent.queue

    def getJob(self, result: Any) -> Any:
        """See `zc.async_.interfaces.ICallbackProxy`.

        Returns None if there is nothing to call.
        """
        if self.job is not None or self.is_passed:
            return self.job
        chosen = self._choice(result)
        if chosen is None:
            if not self.early_callbacks:
                self.is_passed = True
                return None
            chosen = self.parent.make_job(pass_through)
            chosen.set_up_as_callback(self, None, None)
        for callback, level, factory in self.all_callbacks():
            callback.parent = None
            chosen.addCallback(callback, level, factory)
        self.early_callbacks = ()
        if self.further_early_callbacks is not None:
            self.further_early_callbacks = None
        self.job = chosen
        return chosen

    def addCallback(
        self,
        callback: Any,
        failure_log_level: int | None = None,
        retry_policy_factory: Any = None,
    ) -> Any:
        """See `zc.async_.interfaces.IAbstractJob`."""
        if self.job is not None:
            return self.job.addCallback(callback, failure_log_level, retry_policy_factory)
        if not isinstance(callback, ConditionalCallbackProxy):
            callback = self.as_job(callback)
        checks.check_late_callback(self, callback)
        mainprogram.warn_of_callback(callback)
        if self.is_passed:
            self._choose_late(callback, failure_log_level, retry_policy_factory)
            return callback
        callback.set_up_as_callback(self, failure_log_level, retry_policy_factory)
        self.early_callbacks, self.further_early_callbacks = growing.extended(
            self.early_callbacks,
            self.further_early_callbacks,
            (callback, failure_log_level, retry_policy_factory),
        )
        self._p_changed = True
        return callback

    def all_callbacks(self) -> Iterator[tuple[Any, int | None, Any]]:
        """What is to be added to the job that is chosen."""
        return growing.items(self.early_callbacks, self.further_early_callbacks)

    def as_job(self, item: Any) -> Any:
        """`item` as a job, as the job makes one that this is a callback of."""
        if self.parent is None:
            raise zc.async_.interfaces.BadStatusError(
                "a proxy gets callbacks once it is one itself"
            )
        return self.parent.make_job(item)

    def _choose_late(self, callback: Any, level: int | None, factory: Any) -> None:
        """Take a callback although the proxy had nothing to call, and had its turn."""
        self.is_passed = False
        callback.set_up_as_callback(self, level, factory)
        self.early_callbacks = ((callback, level, factory),)
        owner = owner_of(self)
        if owner._p_jar is not None:
            # As for callbacks that are added to a job late.
            owner._p_jar.readCurrent(owner)
        if owner.status == COMPLETED:
            self.runs_on_its_own = True
            owner.start_callbacks()
        else:
            # Whoever performs the callbacks comes back to this one.
            sidecar.need(owner).renewed += 1

    def make_job(self, item: Any, *args: Any) -> Any:
        """A job of `item`, as the job makes it that this is a callback of."""
        return self.parent.make_job(item, *args)

    def set_up_as_callback(
        self, parent: Any, failure_log_level: int | None, retry_policy_factory: Any
    ) -> None:
        """Become a callback of `parent`; BadStatusError if it is one already."""
        if self.parent is not None:
            raise zc.async_.interfaces.BadStatusError(f"{show(self)} is in use already")
        self.parent = parent
        for job in self.choices():
            job.failure_log_level = failure_log_level or job.failure_log_level
            if retry_policy_factory is not None:
                job.retry_policy_factory = retry_policy_factory


class CallbackProxy(ConditionalCallbackProxy):
    """One callback for a good result and one for a Failure."""

    # Attributes, since records have them.
    success: Any = None
    failure: Any = None

    def __init__(self, success: Any = None, failure: Any = None) -> None:
        self.success = _as_job(success)
        self.failure = _as_job(failure)
        self._set_up_choices()

    @classmethod
    def of(cls, make: Callable[[Any], Any], success: Any, failure: Any) -> "CallbackProxy":
        """A proxy of two jobs that `make` makes of the arguments; None stays None."""
        return cls(
            None if success is None else make(success), None if failure is None else make(failure)
        )

    @property
    def default(self) -> Any:
        """The same as `success`."""
        return self.success

    @property
    def conditionals(self) -> tuple[tuple[Any, Any], ...]:
        """The one condition: whether the result is a Failure."""
        return ((is_failure, self.failure),)

    def choices(self) -> list[Any]:
        """The jobs that may be chosen."""
        return [job for job in (self.success, self.failure) if job is not None]

    def _choice(self, result: Any) -> Any:
        return self.failure if is_failure(result) else self.success


#: The historic name.
SuccessFailureCallbackProxy = CallbackProxy
