"""The process whose forks are the ZEO servers of `tests.zeoservers`.

It reads a command a line, and prints a line when it is done.
"""

import os
import signal
import sys
import threading
import time

import ZEO.runzeo  # noqa: F401
from ZODB.FileStorage.FileStorage import FileStorage

import zc.async_.dispatcher  # noqa: F401  (all that the merging of changes may import)
from benchmarks import zeoserver

#: Seconds that a server is given to end by itself.
PATIENCE = 10

# By far most of the time of a commit is that of the disk.
sys.modules[FileStorage.__module__].fsync = None


def start(life, address, file, log):
    """Fork a server; it prints its process id when it answers. It ends with `life`, a pipe."""
    if os.fork():
        return
    try:
        os.close(life[1])
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT), 2)
        threading.Thread(target=_end_with, args=(life[0],), daemon=True).start()
        zeoserver.serve(address, file, lambda: print(os.getpid(), flush=True))
    except BaseException as error:
        if not isinstance(error, SystemExit) or error.code:
            print(f"the server ended: {error!r}", flush=True)
    finally:
        # Nothing of the process that was forked is to be tidied up here.
        os._exit(0)


def _end_with(pipe):
    os.read(pipe, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def stop(number):
    """End a server."""
    process = int(number)
    os.kill(process, signal.SIGTERM)
    end = time.monotonic() + PATIENCE
    while not os.waitpid(process, os.WNOHANG)[0]:
        if time.monotonic() > end:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            break
        time.sleep(0.002)
    print("stopped", flush=True)


def main():
    """Do what the lines of the standard input say."""
    life = os.pipe()
    for line in sys.stdin:
        command, *words = line.rstrip("\n").split("\t")
        if command == "start":
            start(life, *words)
        else:
            stop(*words)


if __name__ == "__main__":
    main()
