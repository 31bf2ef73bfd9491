"""A process that runs jobs and serves no pages: `python -m reports.worker zope.conf`.

Its environment has ZC_ASYNC_DISPATCHER=on, and ZC_ASYNC_UUID names a file of its own.
"""

import contextlib
import sys
import time

import zope.app.wsgi


def main(conf: str) -> None:
    """Work until SIGINT or SIGTERM."""
    # Opens the databases. That starts the dispatcher, in a thread, as the policy in ZCML says.
    zope.app.wsgi.config(conf)
    print("Working", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(1)


if __name__ == "__main__":
    main(sys.argv[1])
