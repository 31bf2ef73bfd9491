"""Choosers of agents that let others act, raise, wait or end their thread, and a filter.

Agents keep functions by name, so they can be imported here.
"""

from tests.dispatcher import work

#: What `choose_and_raise` raises, one a call.
errors = []


def choose_with_hook(agent):
    """Claim, and let another party act before that is committed."""
    job = agent.queue.claim()
    if job is not None:
        work.call_hook()
    return job


def choose_after_hook(agent):
    """Let another party act, and claim."""
    work.call_hook()
    return agent.queue.claim()


def choose_and_raise(agent):
    """Raise the next of `errors`; claim when there are none."""
    if errors:
        raise errors.pop(0)
    return agent.queue.claim()


def choose_and_wait(agent):
    """Wait in the poll until the gate is open, and claim."""
    work.happened.append("poll")
    work.gate.wait(60)
    return agent.queue.claim()


def choose_and_leave(agent):
    """End the thread of the poll, the first time; then claim."""
    work.leave()
    return agent.queue.claim()


def claim_and_return_none(agent):
    """Claim, and say that there was nothing."""
    agent.queue.claim()


def refuse(job):
    """A filter that takes no job."""
    return False
