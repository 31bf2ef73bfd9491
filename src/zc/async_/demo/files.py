"""Finds the files to index, and splits them into batches."""

import os
import stat
import sysconfig
from collections.abc import Callable, Container, Iterator
from typing import NamedTuple

from zc.async_.demo import DemoError

#: Suffixes, in lower case, of the files that are indexed.
SUFFIXES = (".md", ".py", ".pyi", ".pyw", ".rest", ".rst", ".text", ".txt")

#: Folders that lie in the standard library but do not belong to it.
INSTALLED_PACKAGES = ("dist-packages", "site-packages")

#: The most files whose words one job merges, and the most bytes of them, unless one file has more.
#: A merge writes each leaf of the index that has one of its words again, and frequent words are in
#: all files. For the standard library (1,900 files, 32 MB), merges of 16 files wrote 230 MB, of 64
#: 110 MB, of 256 54 MB, and of 512 39 MB in half the time of 16. Larger batches would gain little,
#: and repeating one after an interruption would take seconds.
BATCH_FILES = 250
BATCH_BYTES = 4_000_000


class Listing(NamedTuple):
    """The files to index."""

    #: The paths below the folder, sorted, and the sizes in bytes.
    files: list[tuple[str, int]]
    #: How many folders could not be read.
    unreadable_folders: int


def standard_library() -> str:
    """Return the folder of the standard library of this Python."""
    return sysconfig.get_paths()["stdlib"]


def check_folder(folder: str) -> None:
    """Raise DemoError unless `folder` is a folder whose files can be listed."""
    try:
        os.scandir(folder).close()
    except FileNotFoundError:
        raise DemoError(f"there is no folder {display(folder)}", 2) from None
    except NotADirectoryError:
        raise DemoError(f"{display(folder)} is no folder", 2) from None
    except OSError as error:
        raise DemoError(f"cannot read the folder {display(folder)}: {error.strerror}", 2) from None


def list_files(
    folder: str,
    excluded_names: Container[str],
    excluded_folder: str,
    check: Callable[[], None],
) -> Listing:
    """List the files to index.

    `excluded_names`: names of folders to leave out. `excluded_folder`: a real path to leave out.
    `check` is called again and again, and may raise. Raises DemoError if there is no file.
    """
    errors: list[OSError] = []
    found: list[tuple[str, int]] = []
    for parent, folders, names in os.walk(folder, onerror=errors.append):
        check()
        folders[:] = [
            name
            for name in folders
            if name not in excluded_names
            and os.path.realpath(os.path.join(parent, name)) != excluded_folder
        ]
        for name in names:
            if name.lower().endswith(SUFFIXES):
                found += _listed(folder, os.path.join(parent, name))
    if not found:
        raise DemoError(
            f"{display(folder)} holds no text, Python or ReST file (*{', *'.join(SUFFIXES)})", 2
        )
    return Listing(sorted(found), len(errors))


def _listed(folder: str, path: str) -> Iterator[tuple[str, int]]:
    """The path below `folder` and the size, unless it is a pipe or another special file."""
    relative = os.path.relpath(path, folder)
    try:
        status = os.stat(path)
    except OSError:
        # Its job will report the problem and count the file.
        yield relative, 0
    else:
        if stat.S_ISREG(status.st_mode):
            yield relative, status.st_size


def split(files: list[tuple[str, int]]) -> Iterator[tuple[str, ...]]:
    """Yield the paths in batches; see `BATCH_FILES`."""
    batch: list[str] = []
    total = 0
    for path, size in files:
        if batch and (len(batch) == BATCH_FILES or total + size > BATCH_BYTES):
            yield tuple(batch)
            batch, total = [], 0
        batch.append(path)
        total += size
    if batch:
        yield tuple(batch)


def display(path: str) -> str:
    """The path for people: quoted and escaped if it has characters that cannot be printed."""
    return path if path.isprintable() else ascii(path)
