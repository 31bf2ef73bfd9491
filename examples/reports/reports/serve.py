"""The web process: `python -m reports.serve zope.conf PORT` (0: a free one).

It is reached from this machine only: the sample has passwords that everybody knows.
"""

import logging
import socket
import sys

import waitress
import zc.lockfile
import zope.app.wsgi


def main(conf: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM. Raises SystemExit with what is to be told."""
    try:
        listening = socket.create_server(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        sys.exit(f"Port {port} cannot be had ({error}): choose another one by --port.")
    try:
        application = zope.app.wsgi.getWSGIApplication(conf)
    except zc.lockfile.LockError as error:
        sys.exit(f"Another process has these databases open: stop it, or give --folder. ({error})")
    # A page, its style and its script are asked for at once: no reason to warn.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    server = waitress.create_server(application, sockets=[listening])
    print(f"Serving on http://127.0.0.1:{listening.getsockname()[1]}/", flush=True)
    server.run()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
