"""Running what a test has as the text of a program."""

import os
import subprocess
import sys
import textwrap


def run_program(folder, text):
    """Run a program in a process of its own, which works in a folder and may import what we can.

    Warnings are errors there. Returns the process, which has ended, with its output as text.
    """
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(text)],
        cwd=folder,
        env={
            **os.environ,
            "ZC_ASYNC_UUID": str(folder / "uuid.txt"),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
