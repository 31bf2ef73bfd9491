"""Whether the references in a database lead where they say they do.

A reference holds an oid and, mostly, the class of the object that has it. Should two objects have
been given one oid, the references to one of them lead to the other: this finds them.
"""

import contextlib
import io
from typing import Any, NamedTuple

import ZODB.broken
from ZODB._compat import PersistentUnpickler
from ZODB.POSException import POSKeyError
from ZODB.utils import load_current, oid_repr, z64


class _Reference(NamedTuple):
    """A strong reference within one database."""

    oid: bytes
    #: Dotted name of the class it names; None if it names none.
    kind: str | None


class _Stored(NamedTuple):
    """What a record holds, as far as it matters here."""

    kind: str
    references: list[_Reference]


class _Anything:
    """Stands for whatever a pickle names: code is not needed, and none of it runs."""

    name = "?"

    def __new__(cls, *args: Any, **kwargs: Any) -> "_Anything":
        """Whatever the arguments of the other class are."""
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """See `__new__`."""

    def __setstate__(self, state: Any) -> None:
        """Its references were noted when they were read."""

    def __call__(self, *args: Any, **kwargs: Any) -> "_Anything":
        """A callable whose result was called."""
        return self

    def __setitem__(self, key: Any, value: Any) -> None:
        """A mapping of a class of its own."""

    def append(self, value: Any) -> None:
        """A list of a class of its own."""

    def extend(self, values: Any) -> None:
        """See `append`."""

    def add(self, value: Any) -> None:
        """A set of a class of its own."""


def wrong_references(storage: Any) -> list[str]:
    """Each reference, of what can be reached from the root, that does not lead where it says.

    `storage` is one of ZODB's that is open: a FileStorage, a ClientStorage. What is told are the
    oid and class of who refers, the oid referred to, the class named and the one found there.
    Weak references may lead nowhere, and what those to other databases say is not known here:
    neither is looked at. A database that is written meanwhile is not seen as it was at one moment.
    """
    wrong: list[str] = []
    found: dict[bytes, _Stored | str] = {z64: _load(storage, z64)}
    waiting = [z64]
    while waiting:
        oid = waiting.pop()
        stored = found[oid]
        if isinstance(stored, str):
            # Told of by whoever refers to it; nobody refers to the root.
            if oid == z64:
                wrong.append(f"root {oid_repr(oid)}: {stored}")
            continue
        for reference in stored.references:
            if reference.oid not in found:
                found[reference.oid] = _load(storage, reference.oid)
                waiting.append(reference.oid)
            problem = _problem(reference, found[reference.oid])
            if problem:
                wrong.append(f"{oid_repr(oid)} {stored.kind} refers to {problem}")
    return wrong


def _problem(reference: _Reference, stored: _Stored | str) -> str | None:
    named = f"{oid_repr(reference.oid)} as {reference.kind or 'an object of any class'}"
    if isinstance(stored, str):
        return f"{named}: {stored}"
    if reference.kind is None or _same(reference.kind, stored.kind):
        return None
    return f"{named}: there is {stored.kind}"


def _load(storage: Any, oid: bytes) -> _Stored | str:
    """The record of an oid, or what is wrong with it."""
    try:
        pickles = load_current(storage, oid)[0]
    except POSKeyError:
        return "there is nothing"
    try:
        return _read(pickles)
    except Exception as error:
        return f"there is what cannot be read: {error!r}"


def _read(pickles: bytes) -> _Stored:
    references: list[_Reference] = []

    def note(reference: Any) -> None:
        # Weak ones and those to other databases are lists.
        if isinstance(reference, tuple):
            references.append(_Reference(_oid(reference[0]), _name(reference[1])))
        elif not isinstance(reference, list):
            references.append(_Reference(_oid(reference), None))

    unpickler = PersistentUnpickler(_named, note, io.BytesIO(pickles))
    kind = unpickler.load()
    unpickler.load()
    # With the class there may be the arguments of its constructor.
    return _Stored(_name(kind[0] if isinstance(kind, tuple) else kind), references)


def _named(module: str, name: str) -> type[_Anything]:
    return type(name, (_Anything,), {"name": f"{module}.{name}"})


def _name(kind: Any) -> str:
    # Very old records have the names of module and class.
    return ".".join(kind) if isinstance(kind, tuple) else str(kind.name)


def _oid(oid: bytes | str) -> bytes:
    # Python 2 wrote those that are ASCII in a way that is read as text.
    return oid.encode("ascii") if isinstance(oid, str) else bytes(oid)


def _same(one: str, other: str) -> bool:
    """Whether two names are of one class: it may have been moved, or have a name of old."""
    if one == other:
        return True
    with contextlib.suppress(Exception):
        return _import(one) is _import(other)
    return False


def _import(name: str) -> Any:
    module, _dot, attribute = name.rpartition(".")
    found = ZODB.broken.find_global(module, attribute)
    if issubclass(found, ZODB.broken.Broken):
        raise ImportError(name)
    return found
