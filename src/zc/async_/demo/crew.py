"""The supervisor of a demo's workers: `python -m zc.async_.demo.crew URI PROCESSES STATE`.

It ends with its standard input, and kills its workers: then the demo was killed, and the database
is gone. SIGTERM has them end their jobs.
"""

import logging
import sys
import time

from zc.async_.demo.place import GRACE
from zc.async_.worker import WorkerError, logs, notify
from zc.async_.worker.settings import Settings
from zc.async_.worker.supervisor import Supervisor

#: How many jobs a process runs at the same time: one waits for the disk or the server while the
#: other computes.
THREADS = 2

#: Seconds in which a supervisor that was left by a demo that was killed has certainly ended.
PATIENCE = 10


def main(uri: str, processes: str, state: str) -> int:
    """Keep the workers; return the exit status."""
    settings = Settings(
        db=(uri,),
        processes=int(processes),
        threads=THREADS,
        queues=("",),
        state=state,
        grace=GRACE,
        poll_interval=1.0,
        log_level="warning",
    )
    logs.start("supervisor", settings.log_level)
    try:
        supervisor = _supervisor(settings)
        supervisor.follow(sys.stdin.fileno())
        return supervisor.run()
    except WorkerError as error:
        logging.getLogger("zc.async.worker").error("%s", error)
        return error.status


def _supervisor(settings: Settings) -> Supervisor:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return Supervisor(settings, lambda: settings, notify.Notifier({}))
        except WorkerError as error:
            if error.status != 1 or time.monotonic() > end:
                raise
            time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
