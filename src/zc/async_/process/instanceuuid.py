"""The identity of this software instance, kept in a file.

Every queue knows a dispatcher by this UUID, so it has to outlive the process. The file is read, or
made, when somebody asks for `UUID`, and not before: processes import this package that have no
identity and may write nowhere, such as a ZEO server that merges changes. See `getUUID`.
"""

import contextlib
import os
import tempfile
import uuid
from typing import Any

import zope.interface

import zc.async_.interfaces
from zc.twist.showing import show

#: The environment variable that holds the path of the file.
ENVIRONMENT_VARIABLE = "ZC_ASYNC_UUID"

#: The file's name, in the working directory, if the environment variable is not set.
DEFAULT_NAME = "uuid.txt"

_EXPLANATION = f"""\
------------------------------------------------------------------------
The first line names this software instance for zc.async, which made this
file.  A dispatcher registers itself in the database under this value, and
each instance that runs one needs a value of its own.  Do not copy this
file to another instance, and keep it when the software is restarted or
upgraded: jobs that were interrupted are found again by it.

The file is looked for, and made if it is missing, where the environment
variable {ENVIRONMENT_VARIABLE} says.  Tools that run daemons (zdaemon,
supervisor, systemd, containers) can set it.  Without it the file is
{DEFAULT_NAME} in the directory in which the process was started.

To give this instance a new identity, stop it, delete this file, and start
it again.
"""

# Any UUID may be registered as the utility, for example one made by a test. The class is declared,
# not this instance: UUIDs take no attributes, and an instance of a subclass would be pickled as
# such.
zope.interface.classImplements(uuid.UUID, zc.async_.interfaces.IUUID)


class UUIDFileError(zc.async_.interfaces.AsyncError, RuntimeError):
    """The UUID file can be neither used nor made.

    Attributes:
        path: the path of the file.
    """

    def __init__(self, path: str, problem: str, remedy: str) -> None:
        super().__init__(path, problem, remedy)
        self.path = path
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"zc.async UUID file {self.path!r} {self.problem}. {self.remedy}"


def uuid_path() -> str:
    """Return the absolute path of the UUID file according to the present environment."""
    return os.path.abspath(os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT_NAME)


def getUUID() -> uuid.UUID:
    """Return the UUID in the file that the environment names; make the file if it is missing.

    Processes that find it missing at the same time agree on one value.

    Raises:
        UUIDFileError: the file cannot be read, made or parsed; the message says what to do.
    """
    return _get(uuid_path())


def _get(path: str) -> uuid.UUID:
    try:
        return _read(path)
    except FileNotFoundError:
        _create(path)
    try:
        return _read(path)
    except FileNotFoundError as error:
        raise UUIDFileError(
            path,
            "is gone again as soon as it is made, or a link that leads nowhere",
            "Remove the link, or see to it that nothing deletes the file.",
        ) from error


def _read(path: str) -> uuid.UUID:
    """Return the UUID in the first line of a file.

    Raises:
        FileNotFoundError: there is no such file.
        UUIDFileError: it cannot be read or parsed.
    """
    try:
        with open(path, encoding="utf-8") as file:
            line = file.readline(200).strip()
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise UUIDFileError(
            path,
            f"cannot be read ({error})",
            "Make it a text file that this process may read, or set the environment variable"
            f" {ENVIRONMENT_VARIABLE} to the path of one.",
        ) from error
    try:
        return uuid.UUID(line)
    except ValueError:
        raise UUIDFileError(
            path,
            f"has no UUID in its first line, which is {show(line)}",
            "Put the instance's UUID back there, or delete the file to get a new identity.",
        ) from None


def _create(path: str) -> None:
    """Make the file with a new UUID, unless another process makes it first.

    Raises:
        UUIDFileError: it cannot be written.
    """
    text = f"{uuid.uuid4()}\n{_EXPLANATION}"
    try:
        _write_whole(path, text.encode("utf-8"))
    except FileExistsError:
        pass  # another process was faster
    except OSError as error:
        raise UUIDFileError(
            path,
            f"does not exist and cannot be made ({error})",
            f"Set the environment variable {ENVIRONMENT_VARIABLE} to a path in a folder that exists"
            " and that this process may write to, or, where everything is read-only, to a file that"
            " was made beforehand with a UUID as its first line, another for each instance.",
        ) from error


def _write_whole(path: str, content: bytes) -> None:
    """Make a file so that nobody sees it half-written.

    Raises:
        FileExistsError: the file exists already.
        OSError: it cannot be made.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=".uuid-", dir=os.path.dirname(path))
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp lets only the owner read; processes of another user may share the instance.
        os.chmod(temporary, 0o644)
        _link(temporary, path, content)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def _link(temporary: str, path: str, content: bytes) -> None:
    """Give a finished file its name. Unlike a rename, this never replaces another file.

    Raises:
        FileExistsError: the name is taken.
        OSError: the file cannot be made.
    """
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links. One write, but a reader might still see an empty file.
        with open(path, "xb", buffering=0) as file:
            file.write(content)


#: The path of the file; it stays valid when the process changes its directory.
UUID_PATH = uuid_path()

#: The identity of this instance.
UUID: uuid.UUID


def __getattr__(name: str) -> Any:
    """Get `UUID`, the first time. Raises UUIDFileError."""
    if name != "UUID":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Threads that come at once find the same.
    value = globals()[name] = _get(UUID_PATH)
    return value
