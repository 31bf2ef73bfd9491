"""Jobs that ended well, for tests that spoil what came of them."""

import datetime
import random

import zc.async_.testing
from tests.processes import queue_of
from tests.races.parties import Dispatcher
from tests.torture import kinds, places, verdict, work
from tests.torture.putting import prepare


def count_both(first, second, path, number):
    """What `work.wait_between` does."""
    work.count(first, path, number)
    work.count(second, path, number)


class Torn:
    """What is judged, and somebody who does the jobs."""

    def __init__(self, database, effects):
        self.effects = effects
        self.dispatcher = Dispatcher(database)
        self.manager = self.dispatcher.manager
        self.connection = self.dispatcher.connection
        prepare(self.connection, 1)
        agent = self.dispatcher.queue.dispatchers[self.dispatcher.uuid]["main"]
        agent.labels = {label for needs in places.NEEDS for label in needs}
        self.manager.commit()
        self.records = self.connection.root()[work.ROOT]["records"][0]

    def put(self):
        shared = self.connection.root()[work.ROOT]["shared"]
        place = kinds.Place(str(self.effects), shared, random.Random(1))
        for number, kind in enumerate(kinds.KINDS):
            record = self.records[number] = kinds.make(kind, place, number)
            if record.job.is_coroutine:
                # Nobody has a reactor here.
                record.job.callable = count_both
            queue_of(self.connection).put(record.job)
        self.manager.commit()

    def work(self):
        later = zc.async_.testing.BEGINNING + datetime.timedelta(seconds=10)
        self.dispatcher.work()
        zc.async_.testing.set_now(later)
        self.dispatcher.work()
        self.manager.begin()

    def record(self, kind):
        return next(record for record in self.records.values() if record.kind == kind)

    def problems(self, acknowledged=()):
        found = verdict.judge(self.connection, self.effects, set(acknowledged))
        return [(kind, fault.problem) for kind, fault in found]

    def close(self):
        self.dispatcher.close()
