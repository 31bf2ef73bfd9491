"""The arguments and annotations of a job: mutable views of parts of a record.

They keep nothing themselves, so they stay valid however often the record is loaded anew, and tell
the owner of every change.
"""

from collections.abc import Callable, Iterator, MutableMapping, MutableSequence
from typing import Any

#: Called with a value that is going to be set, and its position or key; raises if it is refused.
Check = Callable[[Any, Any], None]


def _no_check(value: Any, key: Any) -> None:
    """Take any value."""


class ArgumentList(MutableSequence[Any]):
    """The positional arguments of a job; compares and prints as a list."""

    def __init__(
        self,
        get: Callable[[], list[Any]],
        changing: Callable[[], list[Any]],
        check: Check = _no_check,
    ) -> None:
        #: Returns the list to read.
        self._get = get
        #: Announces a change, and returns the list to change.
        self._changing = changing
        self._check = check

    def __getitem__(self, index: Any) -> Any:
        return self._get()[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(index, slice):
            value = list(value)
            for item in value:
                self._check(item, index)
        else:
            self._check(value, index)
        self._changing()[index] = value

    def __delitem__(self, index: Any) -> None:
        del self._changing()[index]

    def __len__(self) -> int:
        return len(self._get())

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._get()))

    def insert(self, index: int, value: Any) -> None:
        """Insert before `index`."""
        self._check(value, index)
        self._changing().insert(index, value)

    def __eq__(self, other: object) -> bool:
        return self._get() == (list(other) if isinstance(other, (ArgumentList, tuple)) else other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._get())

    def __reduce__(self) -> Any:
        return list, (list(self._get()),)


class KeyedView(MutableMapping[Any, Any]):
    """The keyword arguments or the annotations of a job; compares and prints as a dict."""

    def __init__(
        self,
        get: Callable[[], dict[Any, Any]],
        changing: Callable[[], dict[Any, Any]],
        check: Check = _no_check,
    ) -> None:
        #: Returns the dict to read.
        self._get = get
        #: Announces a change, and returns the dict to change.
        self._changing = changing
        self._check = check

    def __getitem__(self, key: Any) -> Any:
        return self._get()[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._check(value, key)
        self._changing()[key] = value

    def __delitem__(self, key: Any) -> None:
        if key not in self._get():
            raise KeyError(key)
        del self._changing()[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._get()))

    def __len__(self) -> int:
        return len(self._get())

    def __contains__(self, key: object) -> bool:
        return key in self._get()

    def __eq__(self, other: object) -> bool:
        return self._get() == (other._get() if isinstance(other, KeyedView) else other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._get())

    def __reduce__(self) -> Any:
        return dict, (dict(self._get()),)

    def update(self, *others: Any, **items: Any) -> None:
        """As `dict.update`."""
        if new := dict(*others, **items):
            for key, value in new.items():
                self._check(value, key)
            self._changing().update(new)
