"""A page for operators: what there is in the queues of a database, and what can be done about it.

It uses what `zc.async_.interfaces` says and no more. A job is found again by its oid, which the
page has in its forms. Each function works in the transaction of the connection and does not commit.
"""

import html
import uuid

from ZODB.utils import p64, u64

import zc.twist
from zc.async_.interfaces import COMPLETED, KEY, PENDING, IFilterAgent
from zc.async_.job import Job

#: How many jobs of a kind are shown.
MOST = 20


# -- the page


def page(connection):
    """The page, as HTML."""
    queues = connection.root().get(KEY, {})
    return "\n".join(["<h1>Jobs</h1>", *(_queue(queues[name]) for name in sorted(queues))])


def detail(connection, oid):
    """One job, as a row of a table."""
    return _row(_job(connection, oid))


def _queue(queue):
    parts = [f"<h2>Queue {html.escape(queue.__name__ or '(default)')}: {len(queue)} waiting</h2>"]
    parts.append(_table("waiting", queue[:MOST]))
    parts += [_quota(queue.quotas[name]) for name in queue.quotas]
    for key in queue.dispatchers:
        parts += _dispatcher(queue.dispatchers[key])
    return "\n".join(parts)


def _quota(quota):
    first = f", first {_call(quota[0])}" if quota else ""
    full = ", full" if quota.filled else ""
    return f"<p>Quota {html.escape(quota.name)}: {len(quota)} of {quota.size}{first}{full}</p>"


def _dispatcher(agents):
    state = "active" if agents.activated else "stopped"
    yield f"<h3>Dispatcher {agents.UUID}: {state}</h3>"
    for name, agent in sorted(agents.items()):
        yield f"<h4>Agent {html.escape(name)}, {_kind(agent)}: {_load(agent)}</h4>"
        yield _table("at work", list(agent))
        yield _table("completed", list(agent.completed)[:MOST])


def _kind(agent):
    if not IFilterAgent.providedBy(agent):
        return f"chooser {agent.chooser.__name__}"
    return "all jobs" if agent.filter is None else f"filter {agent.filter.__name__}"


def _load(agent):
    return f"{len(agent)} of {agent.size}" if agent else "idle"


def _table(kind, jobs):
    rows = "\n".join(_row(job) for job in jobs)
    return f'<table class="{kind}">\n{rows}\n</table>' if jobs else ""


def _row(job):
    cells = [str(oid_of(job)), job.status.default, _call(job), _result(job)]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _call(job):
    return html.escape(repr(job))


def _result(job):
    if isinstance(job.result, zc.twist.Failure):
        return html.escape(job.result.getErrorMessage())
    if isinstance(job.result, Job):
        return f"waits for {oid_of(job.result)}"
    return "" if job.status == PENDING else html.escape(repr(job.result))


# -- what its buttons do


def oid_of(job):
    """What the page calls a job (int)."""
    return u64(job._p_oid)


def _job(connection, oid):
    return connection.get(p64(oid))


def delete(connection, oid):
    """Delete a job: one that waits leaves its queue, and any other one that goes on fails."""
    job = _job(connection, oid)
    if job.status == PENDING:
        job.queue.remove(job)
    elif job.status != COMPLETED:
        job.fail()


def repeat(connection, oid):
    """Put a job anew that has ended, and return the new one."""
    old = _job(connection, oid)
    new = Job(old.callable, *old.args, **old.kwargs)
    new.quota_names = old.quota_names
    return old.queue.put(new, retry_policy_factory=old.retry_policy_factory)


def hurry(connection, oid):
    """Have a job that waits for a date begin at once, before others."""
    job = _job(connection, oid)
    job.begin_after = None
    job.priority += 1


def forget_completed(connection, queue_name):
    """Forget the jobs that have completed."""
    for agents in connection.root()[KEY][queue_name].dispatchers.values():
        for agent in agents.values():
            agent.completed.clear()


def resize(connection, queue_name, dispatcher, agent_name, size):
    """Have an agent run so many jobs at once; 0 pauses it."""
    dispatchers = connection.root()[KEY][queue_name].dispatchers
    dispatchers[uuid.UUID(dispatcher)][agent_name].size = size


def bury(connection, queue_name, dispatcher):
    """Hand back the jobs of a dispatcher whose machine is gone, and forget it."""
    dispatchers = connection.root()[KEY][queue_name].dispatchers
    key = uuid.UUID(dispatcher)
    if dispatchers[key].activated:
        dispatchers[key].deactivate()
    dispatchers.unregister(key)


def delete_queue(connection, name):
    """Delete a queue, with the jobs that wait there; return it."""
    return connection.root()[KEY].pop(name)
