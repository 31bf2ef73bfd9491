"""Functional tests: the pages by zope.testbrowser and by Chromium, and real processes."""

import os
import signal
import tempfile

# The identity of this process is read when zc.async is imported. It is no file in the working
# directory.
_folder = tempfile.TemporaryDirectory(prefix="reports-ftests-")
os.environ.setdefault("ZC_ASYNC_UUID", os.path.join(_folder.name, "uuid.txt"))

# A shell has the commands that it runs in the background ignore it, and these their processes.
signal.signal(signal.SIGINT, signal.default_int_handler)
