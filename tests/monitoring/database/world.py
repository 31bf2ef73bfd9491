"""Jobs in any state, made as an agent does, step by step."""

from ZODB.utils import u64

from tests.unit import calls
from zc.async_.job import Job


class World:
    """Brings jobs into any state, as an agent does."""

    def __init__(self, client, agent, clock):
        self.client = client
        self.agent = agent
        self.clock = clock

    def pending(self, callable=calls.nothing, *args, **options):
        return self.client.put(Job(callable, *args), **options)

    def assigned(self, callable=calls.nothing, *args, agent=None):
        job = self.pending(callable, *args)
        claimed = (self.agent if agent is None else agent).claimJob()
        assert claimed is job
        self.client.commit()
        return job

    def active(self, callable=calls.nothing, *args, agent=None):
        job = self.assigned(callable, *args, agent=agent)
        job.activate_at(self.clock.time)
        self.client.commit()
        return job

    def callbacks(self, callable=calls.nothing, *args):
        job = self.active(callable, *args)
        job.addCallback(calls.identity)
        job.end_with(None)
        self.client.commit()
        return job

    def completed(self, callable=calls.nothing, *args, agent=None):
        agent = self.agent if agent is None else agent
        job = self.pending(callable, *args)
        assert calls.run_next(agent) is job
        agent.keep_books()
        self.client.commit()
        return job


def shown(*jobs):
    """Jobs as they are told of."""
    return [[u64(job._p_oid), "unnamed"] for job in jobs]
