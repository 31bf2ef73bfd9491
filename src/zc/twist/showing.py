"""Shows values in log records, in error messages and in stored failures.

It shows a shortened `repr` in one line. For strings, bytes, numbers and containers it makes only as
much text as it shows. Other objects make their own repr, and its beginning is shown. Showing never
raises, even if they do. Values that belong to a name like "password" are masked.

All values shown together share a time limit, after which the rest is "...". The limit is checked
between values. A single slow `__repr__` cannot be interrupted, but its class is not asked again for
a while.

The constants may be changed when a process starts.
"""

import dataclasses
import reprlib
import time
import weakref
from collections import OrderedDict, UserDict, UserList, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

#: The most characters shown of a value, an argument or a result, and of a job with its arguments.
MAX_LENGTH = 1000

#: The most characters shown of all local variables of a failure, and of its whole text in a log.
MAX_FAILURE_LENGTH = 20_000

#: Seconds for all values of one log record or failure.
PATIENCE: float = 1.0

#: Seconds for which a class is not asked again after its `__repr__` took longer than `PATIENCE`.
AVOIDANCE: float = 600.0

#: Values are not shown if their names contain one of these, in lower case: names of local
#: variables, keyword arguments, attributes of data classes and keys of dicts.
MASKED_NAMES: tuple[str, ...] = (
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "key",
    "credential",
    "authorization",
    "cookie",
)

#: Whether failures of jobs keep, and logs show, the local variables of every frame.
SHOW_VARIABLES = True

#: Shown in place of a masked value.
MASK = "***"

#: Shown where something was left out.
CUT = "..."

#: How deep containers in containers are shown.
MAX_DEPTH = 20

_SIMPLE = frozenset({type(None), bool, float})
_LARGEST = 1 << 64

#: The time in seconds (tests replace it).
_seconds = time.monotonic

#: Until when classes are not asked for a repr.
_avoided: "weakref.WeakKeyDictionary[type, float]" = weakref.WeakKeyDictionary()
#: How many were noted. A class is not blamed for the slow repr of another that it shows.
_blamed = 0

_NAMEDTUPLE_CODE = namedtuple.__code__.co_filename


class Showing:
    """Values that are shown together, and share `PATIENCE`."""

    def __init__(self, special: Callable[[Any], str | None] | None = None) -> None:
        """`special`: returns the text for a value, or None to use the usual one.

        It is asked only about the value itself, not about the values inside of it.
        """
        self._special = special
        self._end = _seconds() + PATIENCE

    @property
    def is_over(self) -> bool:
        """Whether the time is used up."""
        return _seconds() >= self._end

    def text(self, value: Any, length: int | None = None) -> str:
        """The text of a value: at most `length` characters, `MAX_LENGTH` by default."""
        length = MAX_LENGTH if length is None else length
        if self.is_over:
            return CUT
        if _is_simple(value):
            return cut(repr(value), length)
        try:
            special = None if self._special is None else self._special(value)
        except BaseException:  # a `__class__` or the like may raise anything
            special = None
        if special is not None:
            return cut(special, length)
        return _Text(self, length).of(value)

    def named(self, name: Any, value: Any, length: int | None = None) -> str:
        """Like `text`, for a value that has a name."""
        return MASK if is_masked(name) else self.text(value, length)


def _is_simple(value: Any) -> bool:
    """Whether the repr of a value is short, and known to have no side effects."""
    kind = type(value)
    if kind is int:
        return bool(-_LARGEST < value < _LARGEST)
    return kind in _SIMPLE or (kind is str and len(value) < MAX_LENGTH)


def show(value: Any, length: int | None = None) -> str:
    """The text of a value, at most `length` characters. Never raises."""
    return Showing().text(value, length)


def is_masked(name: Any) -> bool:
    """Whether the value of a name must not be shown."""
    if isinstance(name, bytes):
        name = name.decode("latin-1")
    if not isinstance(name, str):
        return False
    # Names are short; a long text is not a name.
    lower = str.lower(name[:MAX_LENGTH])
    return any(part in lower for part in MASKED_NAMES)


def cut(text: str, length: int | None = None) -> str:
    """A text in one line that every log can take, at most `length` characters."""
    length = MAX_LENGTH if length is None else length
    # Escaping makes a text longer, never shorter.
    plain = _escape(text[: length + 1])
    return plain if len(plain) <= length else plain[: max(0, length - len(CUT))] + CUT


def text_of(error: Any, length: int | None = None) -> str:
    """The `str` of an object with its lines, at most `length` characters. Never raises."""
    length = MAX_LENGTH if length is None else length
    try:
        text = str.__str__(str(error))
    except BaseException as problem:  # a __str__ may raise anything
        return _complaint(error, "__str__", problem)
    plain = plain_lines(text[: length + 1])
    return plain if len(plain) <= length else plain[: max(0, length - len(CUT))] + CUT


def cut_middle(text: str, length: int | None = None) -> str:
    """A text without its middle, if it has more than `length` characters."""
    length = MAX_FAILURE_LENGTH if length is None else length
    if len(text) <= length:
        return text
    # The end of a traceback tells more than its beginning.
    end = max(1, length * 3 // 4)
    left_out = f"\n{CUT} ({len(text) - length} characters are not shown)\n"
    return text[: length - end] + left_out + text[-end:]


def plain_lines(text: str) -> str:
    """A text with the same lines that every log can take."""
    lines = text.split("\n")
    return "\n".join(_escape(line.replace("\t", "        ")) for line in lines)


def _escape(text: str) -> str:
    """A text as `repr` shows it: without new lines and characters that cannot be encoded."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def _complaint(value: Any, method: str, problem: BaseException) -> str:
    kind = type(value)
    try:
        name = f"{type.__dict__['__module__'].__get__(kind)}.{kind.__qualname__}"
        return cut(f"<{name} at {id(value):#x}, {method} raised {type(problem).__name__}>")
    except Exception:  # a class with unusual attributes
        return f"<an object at {id(value):#x}>"


class _FullError(Exception):
    """The text has reached its full length."""


class _Text:
    """Makes the text of one value."""

    def __init__(self, showing: Showing, length: int) -> None:
        self._showing = showing
        self._length = length
        #: How many more characters there may be. One more than `length` shows that text was cut.
        self._left = length + 1
        self._parts: list[str] = []
        #: The ids of the containers that are being shown.
        self._open: set[int] = set()

    def of(self, value: Any) -> str:
        try:
            self._add(value)
        except _FullError:
            pass
        except BaseException as problem:  # a container that changes, a class that plays tricks
            return cut(_complaint(value, "__repr__", problem), self._length)
        return cut("".join(self._parts), self._length)

    def _write(self, text: str) -> None:
        self._parts.append(text)
        self._left -= len(text)
        if self._left <= 0:
            raise _FullError

    def _add(self, value: Any) -> None:
        if self._showing.is_over:
            self._write(CUT)
            return
        # The function that makes the repr decides, not the class: subclasses may inherit it.
        show = _BY_REPR.get(type(value).__repr__)
        if show is None:
            show = _structure(value)
        if show is None:
            self._write(self._own(value))
        elif show in _FLAT:
            show(self, value)
        else:
            self._look_into(show, value)

    def _look_into(self, show: Callable[["_Text", Any], None], value: Any) -> None:
        if id(value) in self._open or len(self._open) >= MAX_DEPTH:
            self._write(CUT)
            return
        self._open.add(id(value))
        try:
            show(self, value)
        finally:
            self._open.discard(id(value))

    def _own(self, value: Any) -> str:
        """The repr that an object makes itself."""
        global _blamed
        kind = type(value)
        try:
            until = _avoided.get(kind)
        except TypeError:  # a class whose metaclass is not hashable
            until = None
        began = _seconds()
        if until is not None and began < until:
            return f"<{object.__repr__(value).strip('<>')}, whose repr takes long>"
        blamed = _blamed
        try:
            text = str.__getitem__(repr(value), slice(self._left))
        except BaseException as problem:  # an application's __repr__ may raise anything
            text = _complaint(value, "__repr__", problem)
        now = _seconds()
        if now - began > PATIENCE and blamed == _blamed:
            _blamed += 1
            _avoided[kind] = now + AVOIDANCE
        return text

    # -- known types

    def _items(self, opening: str, items: Iterable[Any], closing: str) -> None:
        self._write(opening)
        for number, item in enumerate(items):
            if number:
                self._write(", ")
            self._add(item)
            if self._showing.is_over:
                self._write(CUT)
                break
        self._write(closing)

    def _pairs(
        self, opening: str, pairs: Iterable[tuple[Any, Any]], closing: str, named: bool = False
    ) -> None:
        """Show the items of a dict, or attributes if `named`."""
        self._write(opening)
        for number, (key, value) in enumerate(pairs):
            if number:
                self._write(", ")
            if named:
                self._write(f"{key}=")
            else:
                self._add(key)
                self._write(": ")
            if is_masked(key):
                self._write(MASK)
            else:
                self._add(value)
            if self._showing.is_over:
                self._write(CUT)
                break
        self._write(closing)

    def show_string(self, value: str) -> None:
        self._write(repr(str.__getitem__(value, slice(self._left))))

    def show_bytes(self, value: bytes) -> None:
        self._write(repr(bytes.__getitem__(value, slice(self._left))))

    def show_bytearray(self, value: bytearray) -> None:
        self._write(repr(bytearray.__getitem__(value, slice(self._left))))

    def show_integer(self, value: int) -> None:
        bits = int.bit_length(value)
        # The time for this grows with the square of the length, and the interpreter has a limit.
        self._write(int.__repr__(value) if bits < 2000 else f"<an integer of {bits} bits>")

    def show_list(self, value: list[Any]) -> None:
        self._items("[", list.__iter__(value), "]")

    def show_tuple(self, value: tuple[Any, ...]) -> None:
        self._items("(", tuple.__iter__(value), ",)" if tuple.__len__(value) == 1 else ")")

    def show_set(self, value: Any) -> None:
        name = type(value).__name__
        kind: Any = set if isinstance(value, set) else frozenset
        if not kind.__len__(value):
            self._write(f"{name}()")
        elif type(value) is set:
            self._items("{", kind.__iter__(value), "}")
        else:
            self._items(f"{name}({{", kind.__iter__(value), "})")

    def show_deque(self, value: "deque[Any]") -> None:
        self._items(f"{type(value).__name__}([", deque.__iter__(value), "])")

    def show_dict(self, value: dict[Any, Any]) -> None:
        self._pairs("{", dict.items(value), "}")

    def show_ordered_dict(self, value: dict[Any, Any]) -> None:
        self._pairs(f"{type(value).__name__}({{", dict.items(value), "})")

    def show_default_dict(self, value: Any) -> None:
        self._write(f"{type(value).__name__}(")
        self._add(value.default_factory)
        self._pairs(", {", dict.items(value), "})")

    def show_user_data(self, value: Any) -> None:
        self._add(value.data)

    def show_namespace(self, value: Any) -> None:
        self._pairs("namespace(", vars(value).items(), ")", named=True)

    def show_exception(self, value: BaseException) -> None:
        args = value.args
        self._items(f"{type(value).__name__}(", args, ")")

    def show_named_tuple(self, value: Any) -> None:
        pairs = zip(value._fields, tuple.__iter__(value), strict=False)
        self._pairs(f"{type(value).__name__}(", pairs, ")", named=True)

    def show_data_class(self, value: Any) -> None:
        pairs = _fields(value)
        self._pairs(f"{type(value).__qualname__}(", pairs, ")", named=True)


def _fields(value: Any) -> Iterator[tuple[str, Any]]:
    for field in dataclasses.fields(value):
        if field.repr:
            yield field.name, getattr(value, field.name)


def _structure(value: Any) -> Callable[[_Text, Any], None] | None:
    """How to show a named tuple or a data class with a generated repr; None for other objects."""
    function: Any = type(value).__repr__
    code = getattr(function, "__code__", None)
    if code is None:
        return None
    if isinstance(value, tuple) and code.co_filename == _NAMEDTUPLE_CODE:
        return _Text.show_named_tuple if hasattr(type(value), "_fields") else None
    # A repr that the class defines itself comes from another file.
    if hasattr(function, "__wrapped__") and dataclasses.is_dataclass(type(value)):
        made_by = (dataclasses.__file__, reprlib.__file__)
        return _Text.show_data_class if code.co_filename in made_by else None
    return None


_BY_REPR: dict[Any, Callable[[_Text, Any], None]] = {
    str.__repr__: _Text.show_string,
    bytes.__repr__: _Text.show_bytes,
    bytearray.__repr__: _Text.show_bytearray,
    int.__repr__: _Text.show_integer,
    list.__repr__: _Text.show_list,
    tuple.__repr__: _Text.show_tuple,
    set.__repr__: _Text.show_set,
    frozenset.__repr__: _Text.show_set,
    deque.__repr__: _Text.show_deque,
    dict.__repr__: _Text.show_dict,
    OrderedDict.__repr__: _Text.show_ordered_dict,
    defaultdict.__repr__: _Text.show_default_dict,
    UserDict.__repr__: _Text.show_user_data,
    UserList.__repr__: _Text.show_user_data,
    SimpleNamespace.__repr__: _Text.show_namespace,
    BaseException.__repr__: _Text.show_exception,
}

_FLAT = (_Text.show_string, _Text.show_bytes, _Text.show_bytearray, _Text.show_integer)
