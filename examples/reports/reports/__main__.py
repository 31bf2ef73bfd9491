"""Starts the application: `python -m reports --help`."""

import argparse
import os
import signal
import sys
import time
from pathlib import Path

from reports.instance import Cluster, Instance, StartError


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m reports", description=__doc__)
    parser.add_argument(
        "--zeo",
        action="store_true",
        help="a ZEO server, one web process and two workers; else a single process does it all",
    )
    parser.add_argument("--port", type=int, default=8080, help="of the pages (default: 8080)")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("var"),
        help="where databases, logs and configuration files are (default: var)",
    )
    options = parser.parse_args()
    try:
        if options.zeo:
            run_cluster(Cluster(options.folder), options.port)
        else:
            run_alone(Instance(options.folder), options.port)
    except (StartError, OSError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        pass


def run_alone(instance: Instance, port: int) -> None:
    """Serve pages and run jobs in this process."""
    conf = instance.configure("standalone")
    # Before zc.async is imported, which looks for it then.
    os.environ.update(instance.environment("standalone"))
    import reports.serve

    reports.serve.main(conf, port)


def run_cluster(cluster: Cluster, port: int) -> None:
    """Run four processes until this one is stopped."""
    # Supervisors stop a process by SIGTERM. Then this one has to stop the others, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        cluster.start_zeo_server()
        address = cluster.start_web_process(port)
        cluster.start_worker("worker-1")
        cluster.start_worker("worker-2")
        for name, process in cluster.processes.items():
            print(f"{name}: process {process.pid}, log in {cluster.folder}/{name}.log")
        print(f"Serving on {address} - Ctrl-C stops all of them.", flush=True)
        while True:
            # In pieces: a signal that comes just when one begins is heard after it.
            time.sleep(1)
    finally:
        cluster.stop()


if __name__ == "__main__":
    main()
