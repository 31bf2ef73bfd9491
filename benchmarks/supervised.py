"""Workers as `zc-async worker` has them.

    python -m benchmarks.supervised HOST PORT PROCESSES THREADS STATE

keeps workers for a ZEO server until the standard input ends.
"""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.children import child, said
from benchmarks.storages import Server
from zc.async_.worker import logs, notify
from zc.async_.worker.settings import Settings
from zc.async_.worker.supervisor import Supervisor


@contextlib.contextmanager
def supervised(server: Server, folder: Path, processes: int, threads: int) -> Iterator[None]:
    """So many workers, once they are up."""
    log = folder / "supervisor.log"
    options = [*map(str, server.address), str(processes), str(threads), str(folder / "state")]
    with child(["-m", "benchmarks.supervised", *options], log) as process:
        said(process, log)
        yield
        # Warnings and errors are news.
        sys.stderr.write(log.read_text())


class _Supervisor(Supervisor):
    def up(self) -> None:
        """Tell the parent."""
        super().up()
        print("up", flush=True)


def main(host: str, port: str, processes: str, threads: str, state: str) -> int:
    """Keep the workers."""
    settings = Settings(
        db=(f"zeo://{host}:{port}",),
        processes=int(processes),
        threads=int(threads),
        state=state,
        log_level="warning",
    )
    logs.start("supervisor", settings.log_level)
    supervisor = _Supervisor(settings, lambda: settings, notify.Notifier({}))
    supervisor.follow(sys.stdin.fileno())
    return supervisor.run()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
