"""Has child processes find the modules that this process finds.

A script of zc.buildout puts the folders of its packages into ``sys.path`` itself: the interpreter
that it runs with does not know them, and so a child would not.
"""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Mapping


def environment(present: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables for a child: those of this process, with ``PYTHONPATH`` as it has to be.

    That is left alone if a plain interpreter finds everything. For any thread.
    """
    found = dict(present)
    folders = _unknown_folders()
    if folders:
        found["PYTHONPATH"] = os.pathsep.join(filter(None, (*folders, found.get("PYTHONPATH"))))
    return found


@functools.cache
def _unknown_folders() -> tuple[str, ...]:
    """What is in the path of this process and not in that of a plain interpreter."""
    code = "import json, sys; print(json.dumps(sys.path))"
    plain = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # The folder of the script, or the working directory, is no place of packages.
    first = {"", os.getcwd(), os.path.dirname(os.path.abspath(sys.argv[0]))}
    known = first.union(json.loads(plain.stdout))
    return tuple(path for path in sys.path if path not in known)
