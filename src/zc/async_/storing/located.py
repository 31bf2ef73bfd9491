"""What queues and the objects in them have in common: where they are."""

from typing import Any


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
