"""Failures that can always be stored and loaded.

Twisted's own Failure keeps the live exception and the frames through which it passed. Stored with a
job, such a failure breaks the commit if the exception, or an object to which it refers, cannot be
pickled. In the cache of a connection it keeps the frames' local variables alive. A `Failure` of
this module has text and a private copy of the exception from the start.
"""

import copyreg
import inspect
import io
import pickle
from typing import Any, TextIO

import persistent
import twisted.python.failure
import twisted.python.log
from twisted.python.reflect import qual, safe_str

from zc.twist import showing

#: An entry of a traceback: function, file, line, and (name, text) of the local variables. The last
#: is where Twisted's functions expect global variables; it is always empty.
Frame = tuple[str, str, int, tuple[tuple[str, str], ...], tuple[()]]

#: An exception that led to another: its frames, the line that names it, and the sentence (`CAUSE`
#: or `CONTEXT`) that introduces the next.
Link = tuple[tuple[Frame, ...], str, str]

#: How many characters of an exception's text are kept. An exception with more is kept only as text.
MAX_TEXT = 20_000

#: How many exceptions of a chain are kept: the nearest ones.
MAX_CHAIN = 10

#: Exceptions that no code may swallow: they end a thread or a process.
EXPLOSIVE_ERRORS = (SystemExit, KeyboardInterrupt, GeneratorExit)

CAUSE = "The above exception was the direct cause of the following exception:"
CONTEXT = "During handling of the above exception, another exception occurred:"

#: Prefixes of class names in older records, and the present prefixes.
_MOVED = (
    ("exceptions.", "builtins."),
    ("__builtin__.", "builtins."),
    ("zc.async.", "zc.async_."),
)


class StandInError(Exception):
    """Stands in for an exception that cannot be stored, or that can no longer be loaded.

    Attributes:
        type_name: the dotted name of the exception's class.
        text: the `str` of the exception.
    """

    # Records name classes by their public module, not by their file.
    __module__ = "zc.twist"

    def __init__(self, type_name: str, text: str) -> None:
        super().__init__(type_name, text)
        self.type_name = type_name
        self.text = text

    def __str__(self) -> str:
        return self.text


class Failure(twisted.python.failure.Failure):
    """A failure that is independent of the thread, connection and process where it happened.

    It is made like Twisted's: `Failure()` while an exception is handled, or `Failure(exception)`.
    The exception is copied by pickling it. So neither its traceback nor its `__cause__` stays
    alive, and the original is not changed. An exception that does not survive this unchanged is
    replaced by a `StandInError`. `check` and `trap` use the dotted names of the exception's class
    and its bases, which are always kept.

    Attributes:
        value: the copy of the exception, or its stand-in.
        type: the class of `value`.
        parents: dotted names of the exception's class and its bases, the class first.
        frames: the traceback's entries, see `Frame`, oldest first.
        chain: exceptions that led to this one, see `Link`, oldest first.
        captureVars: whether `frames` have the local variables.
        tb: None, always.
    """

    __module__ = "zc.twist"

    captureVars = False
    chain: tuple[Link, ...]
    count = 0
    tb = None

    def __init__(
        self,
        exc_value: Any = None,
        exc_type: Any = None,
        exc_tb: Any = None,
        captureVars: bool = False,
    ) -> None:
        """Make a failure of an exception.

        Args:
            exc_value: the exception, or another failure; by default the exception being handled.
            exc_type: its class, if that is not the class of `exc_value`.
            exc_tb: its traceback, if not the exception's own.
            captureVars: keep the text of every frame's local variables, as `showing` cuts and masks
                it, unless its `SHOW_VARIABLES` is false. Slow.

        Raises:
            twisted.python.failure.NoCurrentExceptionError: no exception is being handled, and none
                was given.
        """
        super().__init__(exc_value, exc_type, exc_tb, captureVars and showing.SHOW_VARIABLES)
        # The base class copies the attributes of another failure; those of this class are clean.
        if "chain" not in self.__dict__:
            self._let_go()

    def _let_go(self) -> None:
        """Replace live objects by text and copies."""
        value = self.value
        names = _names_of(self.type) if inspect.isclass(self.type) else self.parents
        self.parents = [safe_str(name) for name in names]
        self.frames = _plain_frames(self)
        self.chain = _chain_of(value)
        self.value = _copy(value, self.type_name)
        self.type = type(self.value)
        self.tb = None
        self.pickled = 1

    @property
    def type_name(self) -> str:
        """The dotted name of the exception's class, even if `type` is a stand-in."""
        name: str = self.parents[0]
        return name

    def check(self, *errorTypes: Any) -> Any:
        """Return the first of `errorTypes` of which the exception is an instance, or None.

        Args:
            errorTypes: exception classes or their dotted names. Classes are compared by name, so a
                class that was reloaded still matches.
        """
        for error in errorTypes:
            name = _name_today(error) if isinstance(error, str) else _name_of(error)
            if name in self.parents:
                return error
        return None

    def cleanFailure(self) -> None:
        """Drop the frames that `value` got when it was raised; the rest is clean anyway."""
        value: Any = self.value
        value.__traceback__ = None

    def printTraceback(
        self, file: TextIO | None = None, elideFrameworkCode: Any = False, detail: str = "default"
    ) -> None:
        """Write the traceback.

        Args:
            file: where to write; by default Twisted's log.
            elideFrameworkCode: ignored, as by Twisted.
            detail: `brief`, `default`, or `verbose`, which includes the local variables if they
                were captured.

        Raises:
            ValueError: `detail` is none of these.
        """
        text = _BY_DETAIL.get(detail)
        if text is None:
            raise ValueError(f"detail must be one of {', '.join(_BY_DETAIL)}, not {detail!r}")
        out: Any = twisted.python.log.logerr if file is None else file
        out.write(text(self))

    def __repr__(self) -> str:
        return f"<{qual(type(self))} {self.type_name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        # Twisted's method makes an instance of its own class.
        return copyreg.__newobj__, (type(self),), self.__getstate__()  # type: ignore[attr-defined]

    def __getstate__(self) -> dict[str, Any]:
        """Return the record of this failure.

        The exception is a separate pickle within it. If its class is lost or changes, only the
        exception cannot be loaded; the job with this failure as its result still can.
        """
        state: dict[str, Any] = {
            "frames": self.frames,
            "parents": self.parents,
            "text": self.getErrorMessage(),
        }
        if not isinstance(self.value, StandInError):
            state["value"] = _dump(self.value)
        if self.captureVars:
            state["captureVars"] = True
        if self.chain:
            state["chain"] = self.chain
        return state

    def __setstate__(self, state: Any) -> None:
        """Restore from a record of this class or of the zc.twist of Python 2."""
        self.parents = [_name_today(_text(name)) for name in state["parents"]]
        self.captureVars = bool(state.get("captureVars"))
        self.chain = state.get("chain", ())
        if "text" in state:
            self.frames = state["frames"]
            value = _load(state.get("value"))
            text = state["text"]
        else:
            self.frames = tuple(_old_frame(frame) for frame in state["frames"])
            value = state["value"]
            text = _text_of_broken(value)
        if not isinstance(value, BaseException):
            value = StandInError(self.type_name, text)
        self.value = value
        self.type = type(value)
        self.pickled = 1


def sanitize(failure: twisted.python.failure.Failure) -> Failure:
    """Return `failure`, or a `Failure` of it that can be stored if it is Twisted's own."""
    return failure if isinstance(failure, Failure) else Failure(failure)


# -- making -------------------------------------------------------------------------------------


def _names_of(class_: type) -> list[str]:
    """Return the dotted names of a class and its bases, as Twisted spells them."""
    return [_name_of(base) for base in inspect.getmro(class_)]


def _name_of(class_: type) -> str:
    # A class made by calling `type` may have no module.
    return qual(class_) if isinstance(class_.__module__, str) else class_.__name__


def _plain_frames(failure: twisted.python.failure.Failure) -> tuple[Frame, ...]:
    """Return the frames of a failure with text for local variables and without global ones.

    The globals of every module on the way should not be stored, and show too much.
    """
    if not (failure.captureVars and showing.SHOW_VARIABLES):
        return tuple((*frame[:3], (), ()) for frame in failure.frames)
    variables = _Variables(bool(failure.pickled))
    # The innermost frame tells most, so it is the first to use the limited time and space.
    frames = [(*frame[:3], variables.of(frame[3]), ()) for frame in reversed(failure.frames)]
    return tuple(reversed(frames))


class _Variables:
    """Makes the texts of the variables of all frames of one failure."""

    def __init__(self, are_text: bool) -> None:
        """`are_text`: the failure was cleaned or loaded before."""
        self._are_text = are_text
        self._showing = showing.Showing()
        self._left = showing.MAX_FAILURE_LENGTH

    def of(self, variables: Any) -> tuple[tuple[str, str], ...]:
        """Names and texts; the last one is "..." if there was no space for the rest."""
        found: list[tuple[str, str]] = []
        for name, value in variables:
            if self._left <= 0:
                found.append((showing.CUT, showing.CUT))
                break
            text = self._text(name, value)
            found.append((showing.cut(name), text))
            self._left -= len(name) + len(text)
        return tuple(found)

    def _text(self, name: str, value: Any) -> str:
        length = min(showing.MAX_LENGTH, max(self._left, len(showing.CUT)))
        if showing.is_masked(name):
            return showing.MASK
        if self._are_text:
            return showing.cut(safe_str(value), length)
        return self._showing.text(value, length)


def _chain_of(value: Any) -> tuple[Link, ...]:
    """Return the exceptions that led to `value`, chosen as the interpreter does."""
    links: list[Link] = []
    seen = {id(value)}
    while len(links) < MAX_CHAIN:
        earlier, sentence = getattr(value, "__cause__", None), CAUSE
        if earlier is None and not getattr(value, "__suppress_context__", True):
            earlier, sentence = value.__context__, CONTEXT
        if earlier is None or id(earlier) in seen:
            break
        seen.add(id(earlier))
        line = f"{_name_of(type(earlier))}: {showing.text_of(earlier)}"
        links.append((_plain_frames(twisted.python.failure.Failure(earlier)), line, sentence))
        value = earlier
    return tuple(reversed(links))


class _ExceptionPickler(pickle.Pickler):
    """Pickles all objects except persistent ones.

    A persistent object within an exception would be stored as a reference, perhaps of another
    connection or to an object of the transaction that failed.
    """

    def reducer_override(self, obj: Any) -> Any:
        """Refuse persistent objects; leave the rest to the pickler."""
        if isinstance(obj, persistent.Persistent):
            raise pickle.PicklingError(f"{type(obj)} is persistent")
        return NotImplemented


def _dump(value: Any) -> bytes | None:
    """Return a pickle of an exception, or None if there cannot be one."""
    file = io.BytesIO()
    try:
        _ExceptionPickler(file, 3).dump(value)
    except Exception:  # an application's __reduce__ may raise anything
        return None
    return file.getvalue()


def _load(data: bytes | None) -> Any:
    """Return the exception of a pickle, or None if it cannot be loaded."""
    if data is None:
        return None
    try:
        return pickle.loads(data)
    except Exception:  # a class that is gone, an __init__ that needs other arguments
        return None


def _copy(value: Any, type_name: str) -> BaseException:
    """Return a copy of an exception, or its stand-in.

    The text has to be the same too: an `__init__` that makes its message from its argument would
    extend the message at every loading.
    """
    text = safe_str(value)
    if len(text) > MAX_TEXT:
        return StandInError(type_name, text[:MAX_TEXT] + " ...")
    copy = _load(_dump(value))
    if isinstance(copy, BaseException) and safe_str(copy) == text:
        return copy
    return StandInError(type_name, text)


# -- loading records of older versions ----------------------------------------------------------


def _text(value: Any) -> str:
    """Return text; non-ASCII strings of Python 2 come as bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else safe_str(value)


def _name_today(name: str) -> str:
    """Return the present name of the class that an older record calls `name`."""
    for old, new in _MOVED:
        if name.startswith(old):
            return new + name[len(old) :]
    return name


def _old_frame(frame: Any) -> Frame:
    """Return a frame of an older record in the present form."""
    function, filename, line, variables, _ = frame
    texts = tuple((_text(name), _text(value)) for name, value in variables)
    return _text(function), _text(filename), line, texts, ()


def _text_of_broken(value: Any) -> str:
    """Return the remaining text of an exception that was loaded without its class."""
    return ", ".join(_text(arg) for arg in getattr(value, "__Broken_newargs__", ()))


# -- printing -----------------------------------------------------------------------------------


def _frames_text(frames: Any, detail: str) -> str:
    """Return the text of a traceback's entries."""
    out = io.StringIO()
    twisted.python.failure.format_frames(frames, out.write, detail)
    return out.getvalue()


def _brief(failure: Failure) -> str:
    """Return a line for the exception and one for each frame."""
    head = "Traceback" if failure.frames else "Traceback (failure with no frames)"
    frames = _frames_text(failure.frames, "brief")
    return f"{head}: {failure.type_name}: {failure.getErrorMessage()}\n{frames}"


def _default(failure: Failure) -> str:
    """Return the traceback as the interpreter shows it, with the exceptions that led to it."""
    last = f"{failure.type_name}: {failure.getErrorMessage()}"
    parts = []
    for frames, line, sentence in (*failure.chain, (failure.frames, last, "")):
        body = _frames_text(frames, "default")
        parts.append(f"Traceback (most recent call last):\n{body}{line}\n")
        if sentence:
            parts.append(f"\n{sentence}\n\n")
    return "".join(parts)


def _verbose(failure: Failure) -> str:
    """Return the frames with their local variables, and the shortened text of the exception."""
    detail = "verbose" if failure.captureVars else "verbose-vars-not-captured"
    # Indented, or a text could look like another record of the log.
    message = showing.text_of(failure.getErrorMessage()).replace("\n", "\n    ")
    return (
        f"*--- Failure #{failure.count} (pickled) ---\n"
        f"{_frames_text(failure.frames, detail)}"
        f"{failure.type_name}: {message}\n"
        f"*--- End of Failure #{failure.count} ---\n"
    )


_BY_DETAIL = {"brief": _brief, "default": _default, "verbose": _verbose}
