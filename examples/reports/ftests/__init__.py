"""Functional tests: the pages by zope.testbrowser and by Chromium, and real processes."""

import os
import tempfile

# Read when zc.async is imported: the identity of this process, not a file in the working directory.
os.environ.setdefault(
    "ZC_ASYNC_UUID", os.path.join(tempfile.mkdtemp(prefix="reports-ftests-"), "uuid.txt")
)
