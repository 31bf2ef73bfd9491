"""How much is measured."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Scale:
    """Sizes of the measures; see the one that uses it."""

    #: Seconds of each stretch of commits that is counted.
    stretch: float
    #: Jobs put in one transaction, and how many such transactions.
    batch: int
    batches: int
    #: Jobs to drain.
    drain: int
    #: Jobs put alone, each after the one before has ended.
    lone: int
    #: Minutes, as the dispatcher sees them, of doing nothing.
    idle_minutes: int
    #: Queues of a dispatcher with nothing to do, and seconds of looking at it.
    queues: int
    idle_seconds: float
    #: Jobs that each of the concurrent threads puts.
    puts: int
    #: Jobs that wait behind a full quota: few and many.
    few_blocked: int
    many_blocked: int
    #: Claims timed with each of them.
    claims: int
    #: Parts of a large parallel job.
    parts: int
    #: Callbacks of one job: few and many.
    few_callbacks: int
    many_callbacks: int
    #: Jobs that wait while one looks at the first.
    waiting: int
    #: Quotas with a job each, to be run.
    quotas: int
    #: Quotas for which jobs wait while claims and polls are timed: few and many.
    few_quotas: int
    many_quotas: int
    #: Darts that each of some jobs throws to find out what pi is.
    darts: int


FULL = Scale(
    stretch=1.0,
    batch=1000,
    batches=5,
    drain=5000,
    lone=200,
    idle_minutes=6,
    queues=300,
    idle_seconds=32,
    puts=150,
    few_blocked=100,
    many_blocked=100_000,
    claims=200,
    parts=5000,
    few_callbacks=250,
    many_callbacks=2000,
    waiting=50_000,
    quotas=2000,
    few_quotas=100,
    many_quotas=100_000,
    darts=4_000_000,
)

QUICK = Scale(
    stretch=0.05,
    batch=50,
    batches=1,
    drain=40,
    lone=5,
    idle_minutes=1,
    queues=10,
    idle_seconds=1,
    puts=5,
    few_blocked=10,
    many_blocked=600,
    claims=5,
    parts=40,
    few_callbacks=10,
    many_callbacks=40,
    waiting=600,
    quotas=40,
    few_quotas=20,
    many_quotas=600,
    darts=20_000,
)
