"""What this wing asks of a job: the names of its record and the steps of its life.

`zc.async_.job.Job` has them all; nothing of `zc.async_.job` is imported here. A job that is run is
called by its thread alone, in the transaction manager of its connection. Times are in microseconds
since the epoch.
"""

from collections.abc import Iterator
from typing import Any, Protocol

from zc.async_.running.answers import At


class RunnableJob(Protocol):
    """A job, as those see it who run it."""

    # Of persistent objects.
    _p_jar: Any
    _p_oid: Any
    _p_serial: Any
    _p_changed: Any

    def _p_activate(self) -> None: ...

    # -- what it calls

    @property
    def callable(self) -> Any:
        """What to call. `MissingCallableError` if that is not here."""

    @property
    def stored_args(self) -> list[Any]:
        """The positional arguments; not to be changed."""

    @property
    def stored_kwargs(self) -> dict[str, Any]:
        """The named arguments; not to be changed."""

    def keep_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Have a later call by another thread get these besides."""

    @property
    def is_coroutine(self) -> bool:
        """Whether it calls a coroutine function, by its record."""

    def detached_call(self, call: Any) -> tuple[Any, list[Any], dict[str, Any]]:
        """What `call`, its callable, is for another thread, with its arguments and keywords."""

    def setUp(self) -> Any:
        """See `zc.async_.interfaces.IJob`."""

    def tearDown(self, setup_info: Any) -> None:
        """See `zc.async_.interfaces.IJob`."""

    def leave_thread(self) -> None:
        """Leave nothing in the thread, whatever setUp and tearDown did. Raises nothing."""

    # -- where it is

    @property
    def status(self) -> str:
        """One of the statuses of `zc.async_.interfaces`."""

    @property
    def queue(self) -> Any:
        """The queue that it is in, or that its agent serves; None if there is none."""

    @property
    def parent(self) -> Any:
        """Its queue, its agent, or what it is a callback of."""

    @property
    def is_of_system(self) -> bool:
        """Whether the library made it for its own work."""

    @property
    def entry_key(self) -> int:
        """When it was put into its queue the last time."""

    @property
    def arrival_key(self) -> int | None:
        """When it was put the first time, if that is not `entry_key`."""

    @property
    def claim_token(self) -> int:
        """Goes up whenever the job is taken from a worker: see `fence_off`."""

    @property
    def start_moment(self) -> int | None:
        """When it started."""

    @property
    def runner_claim(self) -> tuple[bytes, str, int] | None:
        """The claim of the job in whose thread this one, a callback, has committed its start."""

    @property
    def part_of_tally(self) -> Any:
        """Not None if it is a part of a parallel job."""

    @property
    def left_callbacks(self) -> bool:
        """Whether its callbacks were left for later."""

    def is_callback(self) -> bool:
        """Whether it is treated as a callback."""

    def is_suspended(self) -> bool:
        """Whether no thread is at it, though it goes on."""

    def waits_for_result(self) -> bool:
        """Whether it waits for the result of another job."""

    def runner_lives(self) -> bool:
        """Whether the thread that began this callback still has its job."""

    def deadline_moment(self) -> int | None:
        """The time by which it must have begun."""

    # -- its retry policy

    @property
    def retry_policy_factory(self) -> Any:
        """What makes its policy, the name of an adapter, or None."""

    def getRetryPolicy(self) -> Any:
        """See `zc.async_.interfaces.IJob`."""

    def look_at_policy(self) -> Any:
        """The same; it is not kept for that."""

    def keep_policy(self, policy: Any) -> None:
        """Keep a policy that was asked."""

    @property
    def missing_code(self) -> tuple[int, int] | None:
        """Since when, and how often in vain, somebody looked for its code."""

    def note_missing_code(self, missing: tuple[int, int] | None) -> None:
        """Set `missing_code`."""

    # -- steps: see `zc.async_.job.life`

    def activate_unclaimed(self, now: int, runner: tuple[bytes, str, int] | None) -> None:
        """It starts without a claim."""

    def provide_sidecar(self) -> None:
        """Have a place for what others write while it runs."""

    def fence_off(self) -> None:
        """Have its worker commit nothing more."""

    def renew(self) -> None:
        """It is a callback that will be tried again."""

    def end_with(self, result: Any) -> None:
        """It ends with a result."""

    def fail(self, error: Any = None) -> None:
        """It ends with a failure, and its callbacks are begun."""

    def end_as_failed(self, error: Any = None) -> None:
        """It ends with a failure."""

    def complete(self) -> None:
        """Its callbacks have been performed."""

    def undo_end(self) -> None:
        """It is active again."""

    def undo_completion(self) -> None:
        """One of its callbacks has to be performed once more."""

    def noteEnd(self) -> None:
        """It is a part of a parallel job, which is told of its end."""

    def note_receipts(self, database_names: tuple[str, ...]) -> None:
        """Set `receipt_databases`."""

    @property
    def receipt_databases(self) -> tuple[str, ...]:
        """The names of the databases in which there are receipts of its end."""

    @property
    def result(self) -> Any:
        """Its result; while it waits for another job, that one."""

    # -- waiting for another job

    @property
    def returned_job(self) -> Any:
        """A job that it returned, and is going to wait for."""

    def note_returned(self, inner: Any) -> None:
        """Set `returned_job`."""

    def join_returned_job(self) -> None:
        """Wait for `returned_job`, or end with its result."""

    def wait_for_job(self, inner: Any) -> None:
        """Wait for a job."""

    def take_result_of(self, inner: Any) -> None:
        """End with the result of a completed job."""

    # -- its callbacks

    @property
    def callbacks(self) -> tuple[Any, ...]:
        """Jobs, and proxies that choose one."""

    def callbacks_from(self, position: int) -> Iterator[Any]:
        """The callbacks without the first `position` ones."""

    def renewed_callbacks(self) -> int:
        """How often one that had been done with got something to call."""

    def perform_as_callback(self, result: Any) -> None:
        """Be called as a callback."""

    def handleCallbackInterrupt(self) -> Any:
        """See `zc.async_.interfaces.IJob`."""

    def resumeCallbacks(self) -> None:
        """See `zc.async_.interfaces.IJob`."""

    def go_on_with_callbacks_at(self, when: At, left: bool) -> None:
        """Have any dispatcher go on with its callbacks at `when`."""

    # -- for people

    def effective_log_level(self) -> int:
        """The level at which its failure is logged."""
