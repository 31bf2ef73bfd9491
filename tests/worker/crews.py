"""A crew in virtual time, whose processes are doubles that do nothing by themselves."""

import math

import zope.interface
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from zc.async_.worker import messages
from zc.async_.worker.crew import Crew, ICrewListener
from zc.async_.worker.settings import Settings
from zc.async_.worker.slot import IListener, IWorkerProcess, SlotTakenError, State


@zope.interface.implementer(IWorkerProcess)
class Process:
    """Remembers what it was told; the test says what it does."""

    _pids = iter(range(100, 10**9))

    def __init__(self, number, settings, listener):
        verifyObject(IListener, listener)
        self.number = number
        self.settings = settings
        self.pid = next(self._pids)
        #: What it was told: seconds, "terminate" and "kill".
        self.told = []
        self.alive = True
        self._listener = listener

    def drain(self, seconds):
        assert self.alive
        self.told.append(seconds)

    def terminate(self):
        assert self.alive
        self.told.append("terminate")

    def kill(self):
        assert self.alive
        self.told.append("kill")

    # -- what the test has it do

    def say(self, say, **values):
        assert self.alive
        self._listener.said({"say": say, **values})

    def ready(self):
        self.say(messages.READY)

    def is_alive(self, jobs=0, memory=None, silence=0.0):
        self.say(messages.ALIVE, jobs=jobs, memory=memory, silence=silence)

    def fail(self, text, again=False):
        self.say(messages.FAILED, text=text, again=again)
        self.end(2)

    def end(self, status=0):
        assert self.alive
        self.alive = False
        self._listener.ended(status)


@zope.interface.implementer(ICrewListener)
class Events:
    """Remembers what became of a crew."""

    def __init__(self):
        self.seen = []
        self.statuses = []

    def up(self):
        self.seen.append("up")

    def reloaded(self):
        self.seen.append("reloaded")

    def status(self, text):
        self.statuses.append(text)

    def gave_up(self, text, status):
        self.seen.append(("gave up", text, status))

    def ended(self):
        self.seen.append("ended")


class Stage:
    """A crew, its clock and all its processes."""

    def __init__(self, **settings):
        self.clock = Clock()
        # Not zero: a time like any other.
        self.clock.advance(1000)
        self.events = Events()
        self.processes = []
        #: Slots in which an earlier process is still alive.
        self.taken = set()
        #: What a start raises.
        self.error = None
        self.crew = Crew(self.settings(**settings), self.clock, self._spawn, self.events)

    def settings(self, **values):
        return Settings(**{"db": ("zeo://localhost",), "processes": 4, "state": "/state", **values})

    def _spawn(self, number, settings, listener):
        if number in self.taken:
            raise SlotTakenError(" (process 7)")
        if self.error is not None:
            raise self.error
        assert number not in self.living()
        process = Process(number, settings, listener)
        verifyObject(IWorkerProcess, process)
        self.processes.append(process)
        return process

    def living(self):
        """The processes that are alive, by number."""
        found = {process.number: process for process in self.processes if process.alive}
        assert len(found) == sum(process.alive for process in self.processes)
        return found

    def __getitem__(self, number):
        return self.living()[number]

    def up(self):
        """Have all that were started come up."""
        self.crew.begin()
        for process in list(self.living().values()):
            process.ready()
        return self

    def states(self):
        return [slot.state for slot in self.crew.slots]

    def working(self):
        """How many are up, and were told nothing."""
        return self.states().count(State.UP)

    def draining(self):
        """The numbers and times of those that were told to end."""
        return {
            process.number: process.told[-1]
            for process in self.living().values()
            if process.told and isinstance(process.told[-1], int | float)
        }

    def pass_time(self, seconds, alive=True):
        """Let time pass, in which the living say that they are."""
        while seconds > 0:
            step = min(seconds, 1.0)
            self.clock.advance(step)
            seconds -= step
            for process in list(self.living().values()) if alive else ():
                process.is_alive()


WITHOUT_LIMIT = math.inf
