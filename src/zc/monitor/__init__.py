"""A line protocol for operators and scripts to look into a running process.

Each line names a command and gives it words as arguments::

    $ echo help | nc 127.0.0.1 9991

Commands are utilities for `zc.monitor.interfaces.IMonitorPlugin`, found by their names.
`register_basics` registers those of this package, `start` opens a port. The connection is closed
after the answer, which suits scripts; the command `interactive` keeps it open.

Anybody who can reach the port can do whatever the commands do. So it is opened on the loopback
interface unless another address is given. It must not be reachable from other networks.
"""

from zc.monitor.basics import help, interactive, quit
from zc.monitor.registration import register, register_basics
from zc.monitor.server import Address, addresses, start, stop

__all__ = [
    "Address",
    "addresses",
    "help",
    "interactive",
    "quit",
    "register",
    "register_basics",
    "start",
    "stop",
]
