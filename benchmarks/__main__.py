"""Runs the benchmarks; see `benchmarks.run`."""

import os
import signal
import sys
import tempfile
from pathlib import Path


def main() -> int:
    """Run in a temporary folder, which goes away however the run ends."""
    # So that `with` blocks end databases and processes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="zc-async-bench-") as folder:
        # Read when zc.async_ is imported; by default it would make a file in the working directory.
        os.environ["ZC_ASYNC_UUID"] = str(Path(folder) / "uuid.txt")
        import benchmarks.run

        try:
            return benchmarks.run.main(Path(folder))
        except KeyboardInterrupt:
            return 130


if __name__ == "__main__":
    sys.exit(main())
