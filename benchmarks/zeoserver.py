"""A ZEO server in a process of its own. Run by path, so that it needs nothing of this package.

    python zeoserver.py HOST:PORT FILE [FOLDER]

With FOLDER, and Python's options -I and -S, modules come from there and from the standard library
alone. The first line is printed when the server answers, and says whether it could import zc.async.
"""

import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable


def _end_with_input() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _knows_zc_async() -> bool:
    for name in ("zc.async_", "zc.async"):
        try:
            importlib.import_module(name)
        except ImportError:
            continue
        return True
    return False


def serve(address: str, file: str, call_when_ready: Callable[[], None]) -> None:
    """Serve a FileStorage until SIGTERM. For the main thread."""
    import ZEO.runzeo

    class Server(ZEO.runzeo.ZEOServer):
        """One that is told to end between what it does for its clients, not in the midst of it.

        Else it may be ended where a FileStorage has noted how long the file is, and not yet what a
        transaction wrote: the index that is saved then leads to older revisions for ever. Or where
        it resolves a conflict, which takes the end for an error, and goes on.
        """

        def loop_forever(self) -> None:
            self.server.acceptor.event_loop.add_signal_handler(signal.SIGTERM, self.handle_sigterm)
            # Not before: a client that finds nobody tries again after a second or two.
            call_when_ready()
            super().loop_forever()

    options = ZEO.runzeo.ZEOOptions()
    options.realize(["-a", address, "-f", file])
    Server(options).main()


def main(address: str, file: str, *folders: str) -> None:
    """Serve a FileStorage until the standard input ends."""
    sys.path[:0] = folders
    importlib.import_module("ZEO.runzeo")
    # After ZEO's import, which must not be what makes the other fail.
    line = "knows zc.async" if _knows_zc_async() else "knows no zc.async"
    threading.Thread(target=_end_with_input, daemon=True).start()
    serve(address, file, lambda: print(line, flush=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
