"""What happens to a job: its tries, retry policies, callbacks, interruptions and receipts.

A job calls what is here, and is known here by `IJob` and the names of its record
(`zc.async_.job.record`): nothing of `zc.async_.job` is imported.
"""

from zc.async_.running import (
    awaiting,
    callback_runs,
    interruptions,
    notes,
    participants,
    receipts,
    reporting,
    retry,
    steps,
    tries,
)
from zc.async_.running.answers import At
from zc.async_.running.awaiting import CannotWaitError
from zc.async_.running.chains import owner_of, pass_through, performed
from zc.async_.running.holding import ConnectionClosedError
from zc.async_.running.participants import Objection, TwoConnectionsError
from zc.async_.running.policies import make_policy
from zc.async_.running.receipts import Receipts
from zc.async_.running.retry import (
    NeverRetry,
    RetryCommonForever,
    RetryCommonFourTimes,
    RetrySystem,
)
from zc.async_.running.returned import InvalidEndError
from zc.async_.storing import record_as

__all__ = [
    "At",
    "CannotWaitError",
    "ConnectionClosedError",
    "InvalidEndError",
    "NeverRetry",
    "Objection",
    "Receipts",
    "RetryCommonForever",
    "RetryCommonFourTimes",
    "RetrySystem",
    "TwoConnectionsError",
    "awaiting",
    "callback_runs",
    "interruptions",
    "make_policy",
    "notes",
    "owner_of",
    "participants",
    "pass_through",
    "performed",
    "receipts",
    "reporting",
    "retry",
    "steps",
    "tries",
]

# What databases know by name, results that are failures among them. A name that is here once stays.
record_as(
    __name__,
    At,
    CannotWaitError,
    ConnectionClosedError,
    InvalidEndError,
    TwoConnectionsError,
    NeverRetry,
    Receipts,
    RetryCommonForever,
    RetryCommonFourTimes,
    RetrySystem,
)
