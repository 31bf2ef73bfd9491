"""What is broken, when and for how long."""

import collections
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from tests.torture.postgres import BREAKAGES as POSTGRES_BREAKAGES
from tests.torture.processes import DEATH, ZEO_BREAKAGES
from tests.torture.proxy import Proxy

#: Names of the targets that are no workers.
SERVER, CLIENTS = "server", "clients"

#: What nobody did: the machine stood still. See `tests.torture.stalls`.
STALL = "stall"

#: Nor this: a worker was started, for the first time or by a supervisor. It is busy with imports
#: while its jobs begin.
START = "start"

#: What can be done to somebody: shortest and longest duration (seconds), and weight.
Kinds = Mapping[str, tuple[float, float, int]]

WORKER_BREAKAGES = {
    "kill": (0.0, 0.0, 16),
    "kill for long": (DEATH, 2 * DEATH, 4),
    "suspend for long": (1.2 * DEATH, 2 * DEATH, 3),
    "suspend for short": (0.1, 0.8 * DEATH, 1),
    "terminate": (0.0, 1.0, 3),
}
CONNECTION_BREAKAGES = {
    "cut": (0.0, 0.0, 2),
    "hold replies": (0.005, 0.1, 2),
    "lose reply to commit": (0.05, 0.2, 6),
    "close port": (0.5, 1.5 * DEATH, 2),
    "hold for long": (1.2 * DEATH, 2 * DEATH, 1),
}
#: What can be done to a server of either kind.
SERVER_BREAKAGES = {**ZEO_BREAKAGES, **POSTGRES_BREAKAGES}

#: How often each target's turn comes, those of workers aside.
WEIGHTS = {SERVER: 5, CLIENTS: 1}
WORKER_WEIGHT = 6

#: Seconds that a target is left alone after it was broken, so that it comes to do something.
RECOVERY = 2.0


class Breakage(NamedTuple):
    """Something to be broken."""

    #: Seconds from the beginning, and how long it is to last.
    at: float
    seconds: float
    kind: str
    target: str


class Outage(NamedTuple):
    """Something that was broken."""

    kind: str
    target: str
    #: By the wall clock, in seconds.
    began: float
    ended: float


def plan(
    seed: int,
    seconds: float,
    count: int,
    targets: Mapping[str, Kinds],
    without: Iterable[str] = (),
) -> list[Breakage]:
    """What to break in so many seconds: as many things as wanted, or as many as can be.

    `targets`: what can be done to each. `without`: kinds that are left out.
    """
    chance = random.Random(seed)
    kinds_of = {
        name: {kind: span for kind, span in kinds.items() if kind not in without}
        for name, kinds in targets.items()
    }
    weights = {name: WEIGHTS.get(name, WORKER_WEIGHT) for name, kinds in kinds_of.items() if kinds}
    if not weights:
        return []
    free_at = dict.fromkeys(weights, 0.0)
    planned = []
    for at in sorted(chance.uniform(0.5, seconds) for _breakage in range(count)):
        free = [target for target in weights if free_at[target] <= at]
        if free:
            (target,) = chance.choices(free, [weights[name] for name in free])
        else:
            # Somewhat later, then.
            target = min(free_at, key=lambda name: free_at[name])
            at = free_at[target]
            if at >= seconds:
                break
        kinds = kinds_of[target]
        (kind,) = chance.choices(list(kinds), [weight for _s, _l, weight in kinds.values()])
        shortest, longest, _weight = kinds[kind]
        planned.append(Breakage(at, chance.uniform(shortest, longest), kind, target))
        free_at[target] = at + planned[-1].seconds + RECOVERY
    return sorted(planned)


class Breaker:
    """Breaks what is planned, each target in a thread of its own, and mends all in the end."""

    def __init__(self, server: Any, workers: dict[str, Any], proxies: dict[str, Proxy]) -> None:
        """`server`: a `StorageServer` or a `PostgresServer`. `workers`: `Worker` or `Crew`."""
        self._server = server
        self._workers = workers
        self._proxies = proxies
        self._ending = threading.Event()
        self._began = threading.Event()
        self._threads: list[threading.Thread] = []
        #: Kept by whoever works at the server or at all connections.
        self._network = threading.Lock()
        #: How often what was broken. Each thread has keys of its own.
        self.done: collections.Counter[str] = collections.Counter()
        self._counting = threading.Lock()
        #: What was broken when.
        self.outages: list[Outage] = []
        #: What could not be done, and why.
        self.problems: list[str] = []
        self._actions: dict[str, Callable[[str, float], None]] = {
            "kill": self._kill,
            "kill for long": self._kill,
            "suspend for long": self._suspend,
            "suspend for short": self._suspend,
            "terminate": self._terminate,
            "kill supervisor": self._kill,
            "suspend supervisor": self._suspend,
            "restart supervisor": self._terminate,
            "reload": self._reload,
            "kill one": self._kill_one,
            "suspend one": self._suspend_one,
            "cut": self._cut,
            "hold replies": self._hold_replies,
            "lose reply to commit": self._lose_reply,
            "close port": self._close_port,
            "hold for long": self._hold,
            "kill server": self._kill_server,
            "restart server": self._restart_server,
            "suspend server": self._suspend_server,
            "disk full": self._fill_disk,
            "end backends": self._end_backends,
            "lock commits": self._lock_commits,
            "lock objects": self._lock_objects,
        }

    def start(self, planned: list[Breakage], clock: Callable[[], float]) -> None:
        """Begin. `clock` tells the seconds from the beginning."""
        for target in {breakage.target for breakage in planned}:
            mine = [breakage for breakage in planned if breakage.target == target]
            thread = threading.Thread(
                target=self._work, args=(mine, clock), name=f"breaker of {target}", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Mend all, and break no more."""
        self._ending.set()
        for thread in self._threads:
            thread.join()
        for worker in self._workers.values():
            self._mend(worker)

    def _work(self, planned: list[Breakage], clock: Callable[[], float]) -> None:
        for at, seconds, kind, target in planned:
            if self._ending.wait(max(0, at - clock())):
                return
            began = time.time()
            try:
                self._mend(self._workers.get(target))
                self._actions[kind](target, seconds)
            except Exception as error:
                self.problems.append(f"{kind} of {target}: {error!r}")
                continue
            finally:
                self.outages.append(Outage(kind, target, began, time.time()))
            with self._counting:
                self.done[kind] += 1

    def _mend(self, worker: Any) -> None:
        """Start a worker that ended though nobody asked it to."""
        if worker is not None and worker.ended is not None:
            self.problems.append(worker.how_it_ended())
            worker.leave()
            worker.start()

    # -- workers

    def _kill(self, target: str, seconds: float) -> None:
        worker = self._workers[target]
        worker.kill()
        self._ending.wait(seconds)
        worker.start()

    def _suspend(self, target: str, seconds: float) -> None:
        worker = self._workers[target]
        worker.suspend()
        self._ending.wait(seconds)
        worker.resume()

    def _terminate(self, target: str, seconds: float) -> None:
        worker = self._workers[target]
        try:
            worker.terminate()
        finally:
            self._ending.wait(seconds)
            worker.start()

    # -- workers of a supervisor

    def _reload(self, target: str, seconds: float) -> None:
        self._workers[target].reload()

    def _kill_one(self, target: str, seconds: float) -> None:
        self._workers[target].kill_one()

    def _suspend_one(self, target: str, seconds: float) -> None:
        with self._workers[target].one_suspended():
            self._ending.wait(seconds)

    # -- connections

    def _cut(self, target: str, seconds: float) -> None:
        self._proxies[target].cut()

    def _hold_replies(self, target: str, seconds: float) -> None:
        """What is committed meanwhile is committed, and its committer never hears of it."""
        self._proxies[target].hold_replies()
        self._ending.wait(seconds)
        self._proxies[target].cut()

    def _lose_reply(self, target: str, seconds: float) -> None:
        """Somebody will not hear that his commit succeeded."""
        proxy = self._proxies[target]
        proxy.hold_replies_from(self._server.commit_word)
        proxy.sprung.wait(RECOVERY)
        self._ending.wait(seconds)
        proxy.cut()

    def _close_port(self, target: str, seconds: float) -> None:
        self._proxies[target].close()
        self._ending.wait(seconds)
        with self._network:
            self._proxies[target].open()

    def _hold(self, target: str, seconds: float) -> None:
        self._proxies[target].hold()
        self._ending.wait(seconds)
        with self._network:
            self._proxies[target].open()

    # -- the server

    def _kill_server(self, target: str, seconds: float) -> None:
        self._start_server_anew(self._server.kill, seconds)

    def _restart_server(self, target: str, seconds: float) -> None:
        """As an operator does: the server closes its storage, and knows nothing of its clients."""
        self._start_server_anew(self._server.terminate, seconds)

    def _start_server_anew(self, end: Callable[[], None], seconds: float) -> None:
        with self._network:
            hidden = list(self._proxies.values()) if self._server.is_to_be_hidden else []
            for proxy in hidden:
                proxy.close()
            end()
            self._ending.wait(seconds)
            self._server.start()
            for proxy in hidden:
                proxy.open()

    def _suspend_server(self, target: str, seconds: float) -> None:
        """What is committed when this ends may be given up long since."""
        self._server.suspend()
        self._ending.wait(seconds)
        self._server.resume()

    def _end_backends(self, target: str, seconds: float) -> None:
        """As an operator does, or a network between the server and some of its clients."""
        self._server.end_backends()

    def _lock_commits(self, target: str, seconds: float) -> None:
        """What is committed waits meanwhile, so that its clients may be gone when it is done."""
        self._server.lock_commits(self._ending, seconds)

    def _lock_objects(self, target: str, seconds: float) -> None:
        """Whoever changes one of them waits, and gives up after a while."""
        self._server.lock_objects(self._ending, seconds)

    def _fill_disk(self, target: str, seconds: float) -> None:
        self._server.fill_disk()
        self._ending.wait(seconds)
        self._server.clear_disk()
