"""The process of a worker: `python -m zc.async_.worker.child NUMBER SOCKET LOCK`.

A supervisor starts it. NUMBER is that of the worker. SOCKET and LOCK are descriptors: of the
connection with the supervisor, and of the lock of the slot, which lasts as long as this process.
"""

import contextlib
import os
import signal
import sys

import twisted.internet.main

from zc.async_.worker import functions, messages
from zc.async_.worker.channel import Channel
from zc.async_.worker.settings import Settings
from zc.async_.worker.supervisor import Reactor

#: Threads of the reactor: one polls, and the application may use others.
REACTOR_THREADS = 20


def main(number: int, descriptor: int, lock: int) -> int:
    """Work for a supervisor; return the exit status."""
    # Who means all supervisors, by the name of the program, means no worker.
    signal.signal(signal.SIGHUP, lambda _number, _frame: None)
    channel = Channel(descriptor)
    _keep(lock)
    message = channel.receive()
    if message is None:
        return 1
    settings = Settings.from_plain(message["settings"])
    reactor = Reactor()
    reactor.suggestThreadPoolSize(REACTOR_THREADS)
    # Before the application can import another: what it has the reactor do is to be done.
    twisted.internet.main.installReactor(reactor)
    try:
        # Not earlier: this may find that there is no identity.
        from zc.async_.worker import life
    except Exception as error:
        channel.say(messages.FAILED, text=functions.told_to_people(error), again=False)
        return 2
    return life.Worker(number, settings, channel, reactor).run()


def _keep(lock: int) -> None:
    """Hold the lock for this process, and not for those that its jobs start."""
    os.set_inheritable(lock, False)

    def close() -> None:
        with contextlib.suppress(OSError):
            os.close(lock)

    os.register_at_fork(after_in_child=close)


if __name__ == "__main__":
    try:
        status = main(*map(int, sys.argv[1:]))
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)
