"""Jobs that end their process."""

import os

from tests.processes import write_line


def die_always(path):
    """End the process at once: nothing is cleaned up."""
    write_line(path, os.getpid())
    os._exit(7)
