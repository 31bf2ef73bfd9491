"""What the jobs of these tests call, and how the tests use databases.

Jobs keep functions and classes by name, so those are here, where they can be imported.
"""

import contextlib

import persistent
import transaction
import zope.interface
from ZODB.POSException import ConflictError

import zc.async_.clock
import zc.async_.running.tries
from tests.participants import Participant
from zc.async_.agent import Agent
from zc.async_.interfaces import KEY, IRetryPolicy
from zc.async_.job import Job
from zc.async_.queue import Queue, Queues
from zc.async_.threadlocal import local

# -- functions


def nothing():
    """Return None."""


def add(*numbers):
    return sum(numbers)


def echo(*args, **kwargs):
    return args, kwargs


def fail(*args):
    raise ValueError("it failed")


def identity(value):
    return value


def make_generator(*args):
    """Return what no database can store."""
    return (i for i in ())


class Nested:
    """Has callables that are not at the top of their module."""

    def __init__(self, value=None):
        self.value = value

    @staticmethod
    def static(value):
        return ["static", value]

    @classmethod
    def of_class(cls, value):
        return [cls.__name__, value]


class BadRepr:
    """Cannot be shown."""

    def __repr__(self):
        raise RuntimeError("no repr")


class Counter(persistent.Persistent):
    """A persistent object with methods."""

    count = 0

    def increase(self, by=1):
        self.count += by
        return self.count

    def increase_and_fail(self):
        self.count += 1
        raise ValueError("it failed")

    def __call__(self, by=1):
        return self.increase(by)


class Log(persistent.Persistent):
    """Remembers, in the transaction of the caller, what it was told."""

    def __init__(self):
        self.entries = ()

    def note(self, *args):
        self.entries += (args,)

    def note_and_fail(self, *args):
        self.note(*args)
        raise ValueError("it failed")


def status_here():
    return str(local.getJob().status)


#: What functions did, whatever became of their transactions. A fixture empties it.
happened = []


def happen(*args):
    happened.append(args)


def happen_and_fail(*args):
    happened.append(args)
    raise ValueError("it failed")


#: A second connection, for what jobs do that no test can do itself. A fixture sets it.
elsewhere = None


#: Exceptions that `raise_next` raises, one a call. A fixture empties it.
to_raise = []


def raise_next(*args):
    """Raise the next exception of `to_raise`; return how many calls there were once it is empty."""
    happened.append(args)
    if to_raise:
        raise to_raise.pop(0)
    return len(happened)


def note_and_raise_next(log):
    log.note("text")
    raise_next()


def _transaction():
    return local.getJob()._p_jar.transaction_manager.get()


def commit_next():
    """As `raise_next`, but have the commit raise it."""
    happened.append(())
    if to_raise:
        _transaction().join(Participant(to_raise.pop(0), "tpc_begin"))


def doom():
    happened.append(())
    _transaction().doom()


def go_on_after_conflict():
    """Take no notice of a commit that failed."""
    happened.append(())
    _transaction().join(Participant(ConflictError("of a commit of its own"), "tpc_begin"))
    with contextlib.suppress(ConflictError):
        _transaction().commit()


# -- jobs and policies


def add_chain(job, count):
    """Add callbacks to a job, each behind the one before; return the last."""
    for _number in range(count):
        job = job.addCallback(identity)
    return job


class LoggedJob(Job):
    """Tells of `setUp` and `tearDown`."""

    def setUp(self):
        happened.append("setUp")
        return "info"

    def tearDown(self, setup_info):
        happened.append(("tearDown", setup_info))


@zope.interface.implementer(IRetryPolicy)
class Policy:
    """Answers what `answers` says, at last False."""

    answers = []

    def __init__(self, job):
        self.parent = job

    def _answer(self, *event):
        happened.append(event)
        answer = self.answers.pop(0) if self.answers else False
        if isinstance(answer, Exception):
            raise answer
        return answer

    def jobError(self, failure, data_cache):
        return self._answer("jobError", failure.type)

    def commitError(self, failure, data_cache):
        return self._answer("commitError", failure.type)

    def interrupted(self):
        return self._answer("interrupted")

    def updateData(self, data_cache):
        happened.append(("updateData", dict(data_cache)))


# -- databases


class Client:
    """A connection with a transaction manager of its own."""

    def __init__(self, database):
        self.manager = transaction.TransactionManager()
        self.connection = database.open(self.manager)
        self.begin = self.manager.begin
        self.commit = self.manager.commit
        self.abort = self.manager.abort

    @property
    def root(self):
        return self.connection.root()

    @property
    def queue(self):
        return self.root[KEY][""]

    def mine(self, obj):
        """The object of another connection, as this one has it."""
        return self.connection.get(obj._p_oid)

    def put(self, *args, **kwargs):
        """Put and commit."""
        job = self.queue.put(*args, **kwargs)
        self.commit()
        return job

    def add(self, name, obj):
        """Add an object to the root, and commit."""
        self.root[name] = obj
        self.commit()
        return obj

    def add_job(self, *args, **kwargs):
        """Add a job that is in no queue to the root, and commit."""
        return self.add(f"job {len(self.root)}", Job(*args, **kwargs))

    def claim(self, *args):
        """Claim as this connection sees the database after a `begin`, and commit."""
        self.begin()
        job = self.queue.claim(*args)
        self.commit()
        return job

    def claim_all(self):
        """Claim until there is nothing to claim, in one transaction."""
        self.begin()
        jobs = list(iter(self.queue.claim, None))
        self.commit()
        return jobs

    def agent(self, uuid, *args, name="main", **kwargs):
        """Add an agent of the active dispatcher of that UUID, which is made if necessary."""
        self.begin()
        dispatchers = self.queue.dispatchers
        if uuid not in dispatchers:
            dispatchers.register(uuid)
            dispatchers[uuid].activate()
        agent = dispatchers[uuid][name] = Agent(*args, **kwargs)
        self.commit()
        return agent

    def close(self):
        self.manager.abort()
        if self.connection.opened:
            self.connection.close()


def lane_keys(client):
    """The keys of the lanes of the queue, as they are now."""
    client.begin()
    return set(client.queue.lanes)


def make_queue(client):
    """Put a queue where it belongs."""
    queues = client.root[KEY] = Queues()
    queues[""] = Queue()
    client.commit()


def policy_job(agent, callable, *args):
    """Put a job with `Policy`, and have an agent claim it; commit, and return it."""
    manager = agent._p_jar.transaction_manager
    agent.queue.put(Job(callable, *args), retry_policy_factory=Policy)
    manager.commit()
    manager.begin()
    job = agent.claimJob()
    manager.commit()
    return job


def claim_active(agent):
    """Have an agent claim a job and make it active, as a poll does; commit, and return it."""
    job = agent.claimJob()
    job.activate_at(zc.async_.clock.microseconds())
    agent._p_jar.transaction_manager.commit()
    return job


def run_claimed(job):
    """Run a claimed job as its worker does; return the Deferred that it waits for, or None."""
    return zc.async_.running.tries.run_claimed(job, job.claim_token)


def run_in_worker(agent):
    """Claim and run a job as a dispatcher and its worker do; return it as it is then."""
    job = claim_active(agent)
    run_claimed(job)
    agent._p_jar.transaction_manager.begin()
    return job


def run_next(agent):
    """Have an agent whose dispatcher lives claim a job, and call it; return it, or None."""
    agent._p_jar.transaction_manager.begin()
    agent.queue.dispatchers.ping(agent.parent.UUID)
    job = agent.claimJob()
    agent._p_jar.transaction_manager.commit()
    if job is not None:
        job()
    return job


def run_all(agent):
    """Run jobs, those of the system too, until there are none to be claimed; return them."""
    done = []
    while True:
        job = run_next(agent.parent.system_agent) or run_next(agent)
        if job is None:
            return done
        done.append(job)
