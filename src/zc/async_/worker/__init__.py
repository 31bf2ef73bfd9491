"""`zc-async worker`: processes that run jobs, and a supervisor that keeps them running.

The supervisor opens no database and imports nothing of the application. From the arguments on:

- `command`, `arguments`, `keys`, `values`, `uris`, `settings`: what the user wants.
- `supervisor`: signals, and the reactor. `crew`: all workers together, as they come up, are
  replaced one by one and end. `slot`: one of them, through the lives of its processes. `backoff`:
  how long to wait after a death.
- `spawning`, `messages`: the processes, and what they and the supervisor say to each other.
- `statefolder`: identities and locks. `notify`: what systemd is told. `pythonpath`: where the
  processes find their modules.

In the process of a worker:

- `child`, `life`: from its start to its end. `channel`: its end of the connection with the
  supervisor.
- `databases`, `zopeconf`, `functions`: what belongs to the application. `agents`: which jobs it
  takes.
- `dispatching`: its dispatcher. `vitals`: the signs of life.
"""

from zc.async_.interfaces import AsyncError


class WorkerError(AsyncError):
    """The command cannot go on; the message is for people, and names the remedy.

    Attributes:
        status: the exit status of the process: 1 if something failed, 2 if the request cannot be
            carried out.
    """

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


class SettingsError(WorkerError):
    """An argument, or something in the configuration file, is wrong."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 2)
