"""Polls made by hand, and what happens between them: time passes, and workers complete jobs."""

import datetime

import zc.async_.clock
from zc.async_.dispatcher.plans import Plan
from zc.async_.dispatcher.polling import Poller
from zc.async_.dispatcher.wakeup import Listener
from zc.async_.testing import virtualtime


class PollerByHand:
    """A poller, and the plan that its dispatcher would make."""

    def __init__(self, database, uuid_, labels=()):
        self.woken = []
        self.uuid = uuid_
        self.listener = Listener(lambda: self.woken.append(1))
        self.poller = Poller(database, uuid_, self.listener, labels)

    def poll(self, busy=None, lost=(), completed=None, held=None, poll_interval=0, held_of=None):
        """One poll; by default all workers are idle."""
        plan = Plan(busy or {}, set(lost), completed or {}, held, poll_interval, held_of or {})
        return self.poller.poll(plan)

    def poll_all(self):
        """Poll until all is done; return what was claimed."""
        jobs = []
        while True:
            outcome = self.poll()
            jobs += outcome.jobs
            if outcome.again is None:
                return jobs

    def close(self):
        self.poller.close()


def later(**interval):
    """Let pinned time pass, by the arguments of a timedelta."""
    virtualtime.let_pass(zc.async_.clock.interval_microseconds(datetime.timedelta(**interval)))


def key(job):
    """What polls tell of a job."""
    return job._p_oid, "unnamed"


def complete(client, job):
    """Have a claimed job complete, as a worker would."""
    client.manager.begin()
    job.end_with(42)
    client.manager.commit()
