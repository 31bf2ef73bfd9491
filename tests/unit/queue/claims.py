"""Claims that take nothing but read what is new, filters for them, and examples for Hypothesis."""

import contextlib
import datetime

import hypothesis
import ZODB
from ZODB.DemoStorage import DemoStorage

from tests.unit import calls
from zc.async_.interfaces import COMPLETED
from zc.async_.interfaces import TimeoutError as BeginByPassedError

HOUR = datetime.timedelta(hours=1)


def timed_out(job):
    """Whether a job has failed since it had not begun in time."""
    return job.status == COMPLETED and job.result.check(BeginByPassedError)


def refuse(job):
    """A filter that takes no job."""
    return False


def accept(job):
    """A filter that takes every job."""
    return True


def claim_nothing(client):
    """One claim as far as it goes, which takes no job."""
    assert client.claim(refuse) is None


def to_backlog(client):
    """Commit; have all waiting jobs read from the lanes, and none handed out."""
    client.commit()
    more = True
    while more:
        client.begin()
        with client.queue.claiming() as claim:
            more = claim.more
        client.commit()


def examples(count):
    """Has Hypothesis try so many examples, all with the fixtures that the test was given."""
    return hypothesis.settings(max_examples=count)


@contextlib.contextmanager
def two_clients():
    """Two clients of a database in memory that has an empty queue."""
    database = ZODB.DB(DemoStorage())
    clients = [calls.Client(database), calls.Client(database)]
    try:
        calls.make_queue(clients[0])
        yield clients
    finally:
        for client in clients:
            client.close()
        database.close()


def turns(draw, clients, rounds, most_steps):
    """The turns that clients have: each with all jobs so far, as it sees them, and some steps.

    What a client adds to the jobs or takes from them in its turn is so for the next; it commits.
    """
    jobs = []
    for _round in range(rounds):
        client = draw.choice(clients)
        client.begin()
        jobs = [client.mine(job) for job in jobs]
        yield client, jobs, range(draw.randrange(most_steps))
        client.commit()
