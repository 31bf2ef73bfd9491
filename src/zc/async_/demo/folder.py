"""The folder of an instance. This imports no module that needs the identity kept in it."""

import contextlib
import os
import tempfile
from collections.abc import Iterator

from zc.async_.demo import DemoError
from zc.async_.demo.files import display

#: The file of the database.
DATABASE = "demo.fs"
#: The log of the dispatcher, mostly errors.
LOG = "events.log"
#: The file with the identity of the dispatcher.
UUID = "uuid.txt"
#: The folder with the identities of worker processes.
WORKERS = "workers"

#: The environment variable that tells `zc.async_.process.instanceuuid` the path of the identity.
_UUID_VARIABLE = "ZC_ASYNC_UUID"


@contextlib.contextmanager
def instance_folder(path: str | None) -> Iterator[str]:
    """The real path of an instance's folder, made if it is missing; a temporary one for None.

    Inside of the context, the process has the identity kept in the folder. Raises DemoError for a
    folder that belongs to something else or cannot be made.
    """
    if path is None:
        with _temporary() as real, _identity(real):
            yield real
        return
    real = os.path.realpath(path)
    try:
        os.makedirs(real, exist_ok=True)
        names = os.listdir(real)
    except OSError as error:
        raise DemoError(
            f"cannot make or read the instance {display(path)}: {error.strerror}", 2
        ) from None
    if DATABASE not in names and any(not _is_ours(name) for name in names):
        raise not_an_instance(path)
    with _identity(real):
        yield real


def not_an_instance(path: str) -> DemoError:
    """The error for a folder that belongs to something else."""
    return DemoError(
        f"{display(path)} is no instance of the demo: name another folder, or one that does not "
        "exist",
        2,
    )


def _is_ours(name: str) -> bool:
    """Whether this may be left over from an instance that was killed before it had a database."""
    return name.startswith((DATABASE, LOG, UUID, WORKERS, ".uuid-"))


@contextlib.contextmanager
def _temporary() -> Iterator[str]:
    try:
        folder = tempfile.TemporaryDirectory(prefix="zc-async-demo-", ignore_cleanup_errors=True)
    except OSError as error:
        raise DemoError(
            f"cannot make a temporary folder ({error.strerror}): name one with --instance"
        ) from None
    with folder as path:
        yield os.path.realpath(path)


@contextlib.contextmanager
def _identity(folder: str) -> Iterator[None]:
    """Set the path of the identity to the folder: each instance needs its own."""
    previous = os.environ.get(_UUID_VARIABLE)
    os.environ[_UUID_VARIABLE] = os.path.join(folder, UUID)
    try:
        yield
    finally:
        if previous is None:
            del os.environ[_UUID_VARIABLE]
        else:
            os.environ[_UUID_VARIABLE] = previous
