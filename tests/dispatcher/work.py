"""What the jobs of these tests call. Jobs keep functions by name, so they can be imported here."""

import threading

import persistent
import transaction
from twisted.internet.defer import Deferred

from zc.async_ import local
from zc.async_.job import Job, parallel

#: Holds `wait` and `Counter.increase_at_the_gate` back while it is clear.
gate = threading.Event()

#: What jobs did, whatever became of their transactions.
happened = []

#: Deferreds that jobs returned and nobody fired yet.
deferreds = []

#: What `ask` calls, once.
hooks = []


def reset():
    """Forget what happened, and close the gate."""
    gate.clear()
    happened.clear()
    deferreds.clear()
    hooks.clear()


def call_hook():
    """Let another party act, once."""
    if hooks:
        hooks.pop()()


class Counter(persistent.Persistent):
    """Counts what took effect in the database."""

    count = 0

    def increase(self):
        self.count += 1
        happened.append("increase")
        return self.count

    def increase_and_wait(self):
        """Count, and wait at the gate before that is committed."""
        self.increase()
        gate.wait(60)
        return self.count

    def increase_with_hook(self, *args):
        """Count, and let another party act before that is committed."""
        self.increase()
        call_hook()
        return self.count

    def increase_and_commit(self):
        """Count, let another party act, and commit."""
        self.increase()
        call_hook()
        transaction.commit()
        happened.append("committed")


class Log(persistent.Persistent):
    """Remembers, in the transaction of the caller, what it was told."""

    entries = ()

    def note(self, *args):
        self.entries += (args,)


def add_records(database):
    """Put a counter and a log into a database."""
    with database.transaction() as connection:
        connection.root()["counter"] = Counter()
        connection.root()["log"] = Log()


def answer():
    happened.append("answer")
    return 42


def add(*jobs):
    """The sum of the results of jobs."""
    return sum(job.result for job in jobs)


def fail(*args):
    raise ValueError("it failed")


def wait(*args):
    """Wait until the gate is open."""
    happened.append("wait")
    gate.wait(60)
    return "waited"


def leave(*args):
    """End the thread, the first time."""
    happened.append("leave")
    if happened.count("leave") == 1:
        raise SystemExit
    return "stayed"


def thread_id(*args):
    return threading.get_ident()


def dispatcher_of(*args):
    """The UUID of the dispatcher that runs this."""
    return str(local.getDispatcher().UUID)


def surroundings():
    """What `local` says."""
    return local.getAgentName(), local.getDispatcher().UUID, local.getReactor() is not None


def defer():
    """Return a Deferred that the test fires."""
    deferred = Deferred()
    deferreds.append(deferred)
    happened.append("defer")
    return deferred


async def await_deferred():
    """A coroutine that waits for a Deferred that the test fires."""
    return (await defer()) + 1


def ask_annotation():
    """Wait for an answer that never comes."""
    local.setLiveAnnotation("begun", True)
    result = local.getLiveAnnotation("answer", default="none", timeout=60, poll=50)
    happened.append(("asked", result))
    return result


def return_parallel():
    """A job that waits for a parallel job."""
    return local.getQueue().put(parallel(answer, answer, postprocess=add))


def return_job(*args):
    """A job that waits for another."""
    return local.getQueue().put(Job(answer))
