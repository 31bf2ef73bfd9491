"""Asking the retry policy of a job that failed or could not commit.

Between two tries of a job all its changes are undone. Changes that a policy made to itself are not:
they are held here, and stored with the end of the job.
"""

from typing import Any

import persistent

from zc.async_ import utils
from zc.async_.running import answers
from zc.async_.running.answers import Meaning
from zc.async_.running.contract import RunnableJob
from zc.async_.running.retry import RetryCommonForever, RetryCommonFourTimes
from zc.async_.storing import storable


class Asking:
    """The retry policy during one run of a job, and what it remembers. For one thread."""

    def __init__(self, job: RunnableJob, manager: Any) -> None:
        self._job = job
        self._manager = manager
        #: See `zc.async_.interfaces.IRetryPolicy`.
        self.data_cache: dict[str, Any] = {}
        #: The policy, once it was asked.
        self._policy: Any = None
        #: What its parts held when it had been asked.
        self._contents: list[tuple[Any, dict[Any, Any]]] = []
        #: Whether the policy raised. Then it is not asked to note anything.
        self._is_broken = False
        #: The policy that is asked instead of one that raised, with its `data_cache`.
        self._usual: Any = None
        self._usual_cache: dict[str, Any] = {}

    @property
    def has_news(self) -> bool:
        """Whether the policy has something to store with the end of the job."""
        return self._policy is not None and not self._is_broken

    def is_at_most_once(self) -> bool:
        """Whether the policy wants the start committed, so that after a crash it is known."""
        try:
            return bool(getattr(self._job.look_at_policy(), "at_most_once", False))
        except utils.EXPLOSIVE_ERRORS:
            raise
        except Exception:
            # The policy is asked again when there is something to decide; then its error is logged.
            return False

    def ask(self, method: str, failure: Any) -> Meaning:
        """The answer of the policy to a failure; `method`: 'jobError' or 'commitError'."""
        answer = self._ask(method, failure)
        if answer is not False and self._is_too_late(answer):
            utils.log.info("%r is not tried again: its begin_by has passed", self._job)
            return False
        return answer

    def _is_too_late(self, answer: Meaning) -> bool:
        def look() -> bool:
            return answers.is_too_late(self._job, answer)

        return bool(utils.try_until_reachable(look, "looking when a job must begin", self._manager))

    def _ask(self, method: str, failure: Any) -> Meaning:
        job = self._job
        policy = None
        try:
            # The database may be out of reach, which says nothing about the policy.
            policy = utils.try_until_reachable(self._get, "loading a retry policy", self._manager)
            try:
                answer = getattr(policy, method)(failure, self.data_cache)
            finally:
                self._contents = [(part, _contents_of(part)) for part in _parts(policy)]
            return answers.meaning(answer)
        except utils.EXPLOSIVE_ERRORS:
            raise
        except Exception:
            self._is_broken = True
            is_at_most_once = getattr(policy, "at_most_once", False)
            transient = failure.check(*utils.DISCONNECTED_ERRORS, *utils.TRANSACTION_ERRORS)
            if is_at_most_once or not transient:
                utils.log.critical("retry policy of %r raised: the job fails", job, exc_info=True)
                return False
            utils.log.critical(
                "retry policy of %r raised: the usual one answers", job, exc_info=True
            )
            return self._ask_usual(method, failure)

    def _ask_usual(self, method: str, failure: Any) -> Meaning:
        """The answer of the default policy, for a failure that says nothing about the job."""
        if self._usual is None:
            is_callback = self._job.is_callback()
            self._usual = (RetryCommonForever if is_callback else RetryCommonFourTimes)(self._job)
        answer = getattr(self._usual, method)(failure, self._usual_cache)
        return answers.meaning(answer)

    def _get(self) -> Any:
        """The policy, as it was when it was last asked."""
        self._job._p_activate()
        if self._policy is None:
            self._policy = self._job.getRetryPolicy()
        for part in _parts(self._policy):
            if isinstance(part, persistent.Persistent):
                part._p_activate()
        for part, contents in self._contents:
            _restore(part, contents)
        return self._policy

    def note_at_end(self) -> None:
        """As `note`; `updateData` is called only if the policy has put something into its cache."""
        self.note(bool(self.data_cache))

    def note(self, with_data: bool = True) -> None:
        """Store the policy with the job; the job goes on without it if that fails.

        `with_data`: whether `updateData` is called.
        """
        if not self.has_news:
            return
        job = self._job
        try:
            policy = self._get()
            if with_data:
                policy.updateData(self.data_cache)
            if job._p_jar is not None:
                storable.check_new("the retry policy", policy, job._p_jar)
        except utils.EXPLOSIVE_ERRORS + utils.DISCONNECTED_ERRORS + utils.TRANSIENT_ERRORS:
            raise
        except Exception:
            utils.log.critical("retry policy of %r cannot note its data", job, exc_info=True)
            for part in _parts(self._policy):
                if isinstance(part, persistent.Persistent):
                    part._p_invalidate()
            return
        job.keep_policy(policy)


def _parts(policy: Any) -> list[Any]:
    """The parts of a policy: itself, and its `data`, if that is a mapping."""
    data = getattr(policy, "data", None)
    return [policy, data] if _is_mapping(data) else [policy]


def _is_mapping(part: Any) -> bool:
    return all(hasattr(part, name) for name in ("items", "__setitem__", "__delitem__"))


def _contents_of(part: Any) -> dict[Any, Any]:
    return dict(part.items() if _is_mapping(part) else getattr(part, "__dict__", {}))


def _restore(part: Any, contents: dict[Any, Any]) -> None:
    """Give a part of a policy the contents that it had, whatever was aborted since."""
    present = _contents_of(part)
    if present == contents:
        return
    if _is_mapping(part):
        for key in present.keys() - contents.keys():
            del part[key]
        for key, value in contents.items():
            if key not in present or present[key] != value:
                part[key] = value
        return
    part.__dict__.clear()
    part.__dict__.update(contents)
    if isinstance(part, persistent.Persistent):
        part._p_changed = True
