"""Callback proxies: one callback for a good result, another for a failure."""

from collections.abc import Iterator
from typing import Any

import persistent
import zope.interface

import zc.async_.growing
import zc.async_.interfaces
import zc.async_.sidecar
import zc.async_.storable
import zc.twist
from zc.async_.interfaces import COMPLETED, NEW
from zc.twist.showing import show


def performed(callback: Any) -> bool:
    """Whether a callback has had its turn. (It may have put itself back, or wait for another.)"""
    return bool(callback.status != NEW)


def pass_through(result: Any) -> Any:
    """Stands for the callback that a proxy does not have, so that those behind get the result."""
    return result


@zope.interface.implementer(zc.async_.interfaces.ICallbackProxy)
class CallbackProxy(persistent.Persistent):
    """See `zc.async_.interfaces.ICallbackProxy`."""

    parent: Any = None
    job: Any = None
    _passed = False
    #: Whether it got something to call so late that a job of the system was put for it.
    _on_its_own = False
    #: With log level and policy; see `zc.async_.growing`.
    _callbacks: tuple[tuple[Any, int | None, Any], ...] = ()
    _further_callbacks: Any = None

    def __init__(self, success: Any = None, failure: Any = None) -> None:
        for job in (success, failure):
            if job is not None:
                job._set_up_as_callback(self, None, None)
        self.success = success
        self.failure = failure

    @property
    def status(self) -> str:
        """See `zc.async_.interfaces.IAbstractJob`."""
        if self.job is not None:
            return str(self.job.status)
        return COMPLETED if self._passed else NEW

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
        if self.job is not None or self._passed:
            return self.job
        chosen = self.failure if isinstance(result, zc.twist.Failure) else self.success
        if chosen is None:
            if not self._callbacks:
                self._passed = True
                return None
            chosen = self.parent._new_job(pass_through)
            chosen._set_up_as_callback(self, None, None)
        for callback, level, factory in self._all_callbacks():
            callback.parent = None
            chosen.addCallback(callback, level, factory)
        self._callbacks = ()
        if self._further_callbacks is not None:
            self._further_callbacks = None
        self.job = chosen
        return chosen

    def addCallbacks(
        self,
        success: Any = None,
        failure: Any = None,
        failure_log_level: int | None = None,
        retry_policy_factory: Any = None,
    ) -> "CallbackProxy":
        """See `zc.async_.interfaces.IAbstractJob`."""
        make = self._job_maker()
        proxy = CallbackProxy(
            None if success is None else make(success), None if failure is None else make(failure)
        )
        self.addCallback(proxy, failure_log_level, retry_policy_factory)
        return proxy

    def addCallback(
        self,
        callback: Any,
        failure_log_level: int | None = None,
        retry_policy_factory: Any = None,
    ) -> Any:
        """See `zc.async_.interfaces.IAbstractJob`."""
        if self.job is not None:
            return self.job.addCallback(callback, failure_log_level, retry_policy_factory)
        if not isinstance(callback, CallbackProxy):
            callback = self._job_maker()(callback)
        zc.async_.storable.check_late_callback(self, callback)
        if self._passed:
            self._choose_late(callback, failure_log_level, retry_policy_factory)
            return callback
        callback._set_up_as_callback(self, failure_log_level, retry_policy_factory)
        self._callbacks, self._further_callbacks = zc.async_.growing.extended(
            self._callbacks,
            self._further_callbacks,
            (callback, failure_log_level, retry_policy_factory),
        )
        self._p_changed = True
        return callback

    def _all_callbacks(self) -> Iterator[tuple[Any, int | None, Any]]:
        """What is to be added to the job that is chosen."""
        return zc.async_.growing.items(self._callbacks, self._further_callbacks)

    def _job_maker(self) -> Any:
        if self.parent is None:
            raise zc.async_.interfaces.BadStatusError(
                "a proxy gets callbacks once it is one itself"
            )
        return self.parent._new_job

    def _choose_late(self, callback: Any, level: int | None, factory: Any) -> None:
        """Nothing was to be called, and now there is something behind it."""
        self._passed = False
        callback._set_up_as_callback(self, level, factory)
        self._callbacks = ((callback, level, factory),)
        owner = self._owner()
        if owner._p_jar is not None:
            # As with callbacks that are added to a job late.
            owner._p_jar.readCurrent(owner)
        if owner.status == COMPLETED:
            self._on_its_own = True
            owner._start_callbacks()
        else:
            # Whoever performs the callbacks comes back to this one.
            zc.async_.sidecar.need(owner).renewed += 1

    def _new_job(self, item: Any, *args: Any) -> Any:
        return self.parent._new_job(item, *args)

    def _owner(self) -> Any:
        owner = self.parent
        while isinstance(owner, CallbackProxy):
            owner = owner.parent
        return owner

    def _set_up_as_callback(
        self, parent: Any, failure_log_level: int | None, retry_policy_factory: Any
    ) -> None:
        if self.parent is not None:
            raise zc.async_.interfaces.BadStatusError(f"{show(self)} is in use already")
        self.parent = parent
        for job in (self.success, self.failure):
            if job is not None:
                job.failure_log_level = failure_log_level or job.failure_log_level
                if retry_policy_factory is not None:
                    job.retry_policy_factory = retry_policy_factory
