"""What the objects of a queue have in common: where they are, and how they leave."""

from typing import Any

from persistent.mapping import PersistentMapping

import zc.async_.originals


class Located:
    """Has a parent and a name, which Zope asks for by other names."""

    parent: Any = None
    name: Any = None

    @property
    def __parent__(self) -> Any:
        """The same as `parent`. Read only."""
        return self.parent

    @property
    def __name__(self) -> Any:
        """The same as `name`. Read only."""
        return self.name


class Container(PersistentMapping):
    """A mapping in which there is one way to leave: `__delitem__`."""

    def __setstate__(self, state: Any) -> None:
        zc.async_.originals.refuse(self, state, "_data")
        super().__setstate__(state)

    def pop(self, key: Any, *default: Any) -> Any:
        """As that of a dict."""
        if default and key not in self:
            return default[0]
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[Any, Any]:
        """As that of a dict. KeyError if it is empty."""
        for key in self:
            return key, self.pop(key)
        raise KeyError("there is nothing to remove")

    def clear(self) -> None:
        """As that of a dict."""
        for key in list(self):
            del self[key]
