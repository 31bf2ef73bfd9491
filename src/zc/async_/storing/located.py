"""The location of queues and of the objects in them: a parent and a name."""

from typing import Any


class Located:
    """Has a parent and a name, also under the names that Zope uses."""

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
