"""What several tests of the demo need: folders of made-up files, and ways to run the command."""

import contextlib
import os
import random
import re
import resource
import subprocess
import sys
import time

import zc.async_.cli

#: More seconds than a process takes on the slowest machine.
PATIENCE = 120

_VOCABULARY = [f"{first}{second}" for first in ("al", "be", "ga", "de") for second in range(100)]


def make_files(folder, count, seed=1):
    """Make `count` text files in `folder`, of which some are good hits for "thread pool"."""
    source = random.Random(seed)
    folder.mkdir(exist_ok=True)
    for number in range(count):
        words = source.choices(_VOCABULARY, k=source.randint(5, 120))
        if number % 10 == 0:
            words += ["thread", "pool"] * source.randint(1, 9)
        (folder / f"file{number:04}.txt").write_text(" ".join(words))
    return folder


def demo(*arguments):
    """Run `zc-async demo` in this process; return the exit status."""
    return zc.async_.cli.main(["demo", *map(str, arguments)])


@contextlib.contextmanager
def file_limit(limit):
    """No file that this process writes may have more bytes meanwhile; None: it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft if limit is None else limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def start(*arguments, limit=None):
    """Start `zc-async demo` as a process of its own; its files may have `limit` bytes."""
    # The tools that measure coverage write when all is over.
    code = f"""if True:
        import sys
        import zc.async_.cli
        from tests.demo.tools import file_limit
        with file_limit({limit}):
            status = zc.async_.cli.main()
        sys.exit(status)
        """
    return subprocess.Popen(
        [sys.executable, "-c", code, "demo", *map(str, arguments)],
        cwd=os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_size(process, path, size):
    """Wait until the file has that size; return whether the process still runs."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(FileNotFoundError):
            if os.path.getsize(path) >= size:
                return process.poll() is None
        time.sleep(0.001)
    return False


def what_counts(output):
    """The lines of an output that do not depend on how a run went, from the first figure on."""
    output = re.sub(r", [\d,]+ written", "", output)
    # Not before: a demonstration that is gone on with, or is complete, begins with other words.
    first = re.search(r"^files +[\d,]+ ", output, re.MULTILINE)
    lines = output[first.start() :].splitlines()
    return [line for line in lines if not line.startswith(("jobs", "retries"))]


def figure(output, name):
    """The number at the start of a line of the report."""
    found = re.search(rf"^{name} +([\d,]+)", output, re.MULTILINE)
    return int(found[1].replace(",", ""))
