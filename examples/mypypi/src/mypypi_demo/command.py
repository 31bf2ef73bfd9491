"""Everything, by one command: `mypypi-demo`, or `python -m mypypi_demo.command`."""

import argparse
import signal
import sys
import time
from pathlib import Path

from mypypi_demo.processes import Process, Site, is_free

_TEXT = """
My PyPI runs, in two instances:  {first}/mypypi
                                 {second}/mypypi
The package index they follow:   {index}/
To manage the site, log in as    manager, password {password}
Data and logs are in             {folder}

Press Ctrl-C to end all of it. The next time it goes on where it was.
"""


def main() -> None:
    """Start all, and end all at a signal."""
    parser = argparse.ArgumentParser(description="Run My PyPI, and a package index for it.")
    parser.add_argument("--folder", type=Path, default=Path("var"), help="for data and logs")
    parser.add_argument("--port", type=int, default=8080, help="of one instance; the other: + 1")
    parser.add_argument("--index-port", type=int, default=8070, help="of the package index")
    arguments = parser.parse_args()
    ports = (arguments.port, arguments.port + 1)
    for port in (*ports, arguments.index_port):
        if not is_free(port):
            sys.exit(f"Port {port} is in use. Give others by --port and --index-port.")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(0))
    site = Site(arguments.folder, ports, arguments.index_port)
    try:
        print("Starting …", flush=True)
        site.start()
        first, second = site.instances
        values = {"index": site.index.address, "password": site.password, "folder": site.folder}
        print(_TEXT.format(first=first.address, second=second.address, **values), flush=True)
        watch(site)
    except KeyboardInterrupt:
        print("\nEnding …")
    except RuntimeError as error:
        sys.exit(str(error))
    finally:
        site.stop()


def watch(site: Site) -> None:
    """Start a process again that has ended: kill one, and see the other do its jobs."""
    while True:
        time.sleep(0.5)
        for process in site.processes:
            if not process.runs:
                restart(process)


def restart(process: Process) -> None:
    """Start a process again, and say so."""
    print(f"{process.name} has ended ({process.code}), and is started again.", flush=True)
    # If it ends at once, it is not to be started without a pause.
    time.sleep(1)
    process.start()


if __name__ == "__main__":
    main()
