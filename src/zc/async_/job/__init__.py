"""What a job is: a call with its arguments, conditions and callbacks, and how jobs are composed.

A job has itself run by `zc.async_.running`. It tells its queue of edits, and imports nothing of
queues and agents.
"""

from typing import TYPE_CHECKING, Any

from zc.async_.job import checks, composition, mainprogram, sidecar, yielding
from zc.async_.job.composition import (
    Parts,
    Progress,
    Tally,
    collect,
    parallel_part_ended,
    run_parallel,
    run_serial,
    serial_part_ended,
)
from zc.async_.job.conditions import as_quota_names, check_quota_names
from zc.async_.job.ids import find
from zc.async_.job.job import (
    Job,
    NeverRetry,
    RetryCommonForever,
    RetryCommonFourTimes,
    as_job,
    parallel,
    serial,
)
from zc.async_.job.labels import COROUTINE, as_labels
from zc.async_.job.order import (
    AFTER_ALL,
    GroupKey,
    Refusal,
    SortKey,
    deadline_key,
    effective_of,
    entry_key_part,
    entry_of,
    entry_of_deadline,
    entry_of_later,
    later_key,
    postponed,
    rank_of,
    sort_key,
    time_of,
)
from zc.async_.job.proxies import (
    CallbackProxy,
    ConditionalCallbackProxy,
    SuccessFailureCallbackProxy,
    is_failure,
    success_or_failure,
)
from zc.async_.job.record import FIRST_NUMBER
from zc.async_.job.sidecar import Sidecar
from zc.async_.storing import record_as

__all__ = [
    "AFTER_ALL",
    "COROUTINE",
    "FIRST_NUMBER",
    "CallbackProxy",
    "ConditionalCallbackProxy",
    "GroupKey",
    "Job",
    "NeverRetry",
    "Parts",
    "Progress",
    "Refusal",
    "RetryCommonForever",
    "RetryCommonFourTimes",
    "Sidecar",
    "SortKey",
    "SuccessFailureCallbackProxy",
    "Tally",
    "as_job",
    "as_labels",
    "as_quota_names",
    "check_quota_names",
    "checks",
    "collect",
    "composition",
    "deadline_key",
    "effective_of",
    "entry_key_part",
    "entry_of",
    "entry_of_deadline",
    "entry_of_later",
    "find",
    "is_failure",
    "later_key",
    "mainprogram",
    "parallel",
    "parallel_part_ended",
    "postponed",
    "rank_of",
    "run_parallel",
    "run_serial",
    "serial",
    "serial_part_ended",
    "sidecar",
    "sort_key",
    "success_or_failure",
    "time_of",
    "yielding",
]

# What databases know by name. A name that is here once stays.
record_as(
    __name__,
    CallbackProxy,
    ConditionalCallbackProxy,
    Job,
    Parts,
    Progress,
    Sidecar,
    SuccessFailureCallbackProxy,
    Tally,
    as_job,
    collect,
    is_failure,
    parallel,
    parallel_part_ended,
    run_parallel,
    run_serial,
    serial,
    serial_part_ended,
    success_or_failure,
)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """What only records of old databases name here."""
        from zc.async_.job.legacy import find as find_legacy

        return find_legacy(__name__, name)
