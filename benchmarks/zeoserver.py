"""A ZEO server in a process of its own. Run by path, so that it needs nothing of this package.

    python zeoserver.py HOST:PORT FILE [FOLDER]

With FOLDER, and Python's options -I and -S, modules come from there and from the standard library
alone. The first line printed says whether the server could import zc.async.
"""

import importlib
import os
import signal
import sys
import threading


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


def main(address: str, file: str, *folders: str) -> None:
    """Serve a FileStorage until the standard input ends."""
    sys.path[:0] = folders
    import ZEO.runzeo

    # After ZEO's import, which must not be what makes the other fail.
    print("knows zc.async" if _knows_zc_async() else "knows no zc.async", flush=True)
    threading.Thread(target=_end_with_input, daemon=True).start()
    ZEO.runzeo.main(["-a", address, "-f", file])


if __name__ == "__main__":
    main(*sys.argv[1:])
