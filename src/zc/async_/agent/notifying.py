"""Notifies the handlers of an application that a dispatcher begins, goes on or ends.

Each handler is called separately. If it raises, only its own changes are undone: the others are
called, and the dispatcher works. Otherwise a mistake in one handler would keep a dispatcher out of
its queue forever, or keep a dead one from being buried.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import zope.component
import zope.component.event
import zope.event
from zope.interface import providedBy

from zc.async_ import utils

Handler = Callable[[Any], Any]


def notify(event: Any) -> list[Handler]:
    """Call every handler of an object event; return those that raised.

    Raises conflict errors, and errors of a database that is out of reach: then the whole
    transaction is tried again.
    """
    return call(_handlers(event), event)


def call(handlers: Iterable[Handler], event: Any) -> list[Handler]:
    """Call these handlers of an object event. Otherwise like `notify`."""
    return [handler for handler in handlers if not _hears(handler, event)]


def _hears(handler: Handler, event: Any) -> bool:
    """Call a handler; return whether it succeeded."""
    before = _savepoint(event.object)
    try:
        handler(event)
    except utils.EXPLOSIVE_ERRORS + utils.DISCONNECTED_ERRORS + utils.TRANSIENT_ERRORS:
        raise
    except Exception:
        if before is not None:
            before.rollback()
        utils.log.critical(
            "handler %s of %s raised: what it did is undone, and the dispatcher goes on without",
            name_of(handler),
            type(event).__name__,
            exc_info=True,
        )
        return False
    return True


def _savepoint(agents: Any) -> Any:
    """A savepoint to undo the work of a handler, or None outside of a database."""
    # The agents may be too new to belong to a connection themselves.
    jar = agents._p_jar or getattr(agents.queue, "_p_jar", None)
    return None if jar is None else jar.transaction_manager.get().savepoint(optimistic=True)


def _handlers(event: Any) -> Iterator[Handler]:
    """The handlers that `zope.event.notify` would call, in its order."""
    for subscriber in list(zope.event.subscribers):
        if subscriber is zope.component.event.dispatch:
            yield from _registered_handlers(event)
        else:
            yield subscriber


def _registered_handlers(event: Any) -> Iterator[Handler]:
    for handler in _subscriptions(event):
        if handler is not zope.component.event.objectEventNotify:
            yield handler
            continue
        for of_object in _subscriptions(event.object, event):
            yield _OfObject(of_object)


def _subscriptions(*objects: Any) -> list[Any]:
    adapters = zope.component.getSiteManager().adapters
    return list(adapters.subscriptions([providedBy(obj) for obj in objects], None))


class _OfObject:
    """A handler that is registered for an object and an event."""

    def __init__(self, handler: Callable[[Any, Any], Any]) -> None:
        self.handler = handler

    def __call__(self, event: Any) -> None:
        self.handler(event.object, event)


def name_of(handler: Handler) -> str:
    """The dotted name of a handler, or of its class."""
    named: Any = handler.handler if isinstance(handler, _OfObject) else handler
    if not hasattr(named, "__qualname__"):
        # An instance, such as an installer or a `functools.partial`.
        named = getattr(named, "func", type(named))
    module = getattr(named, "__module__", None)
    return f"{module}.{named.__qualname__}" if module else str(named.__qualname__)
