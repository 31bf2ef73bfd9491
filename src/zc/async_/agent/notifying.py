"""Telling the handlers of an application that a dispatcher begins, goes on or ends.

Each handler is called by itself. One that raises loses what it did, and nothing else: the others
are heard, and the dispatcher works. Otherwise a slip in one handler would keep a dispatcher from
its queue for ever, or a dead one from being buried.
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

    Conflicts, and that a database is out of reach, are raised: the whole transaction is tried anew.
    """
    return call(_handlers(event), event)


def call(handlers: Iterable[Handler], event: Any) -> list[Handler]:
    """Call handlers of an object event. Otherwise as `notify`."""
    return [handler for handler in handlers if not _hears(handler, event)]


def _hears(handler: Handler, event: Any) -> bool:
    """Call a handler; return whether that went well."""
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
    """What undoes the work of a handler, or None: outside of a database nothing does."""
    # It may be too new to belong to a connection itself.
    jar = agents._p_jar or getattr(agents.queue, "_p_jar", None)
    return None if jar is None else jar.transaction_manager.get().savepoint(optimistic=True)


def _handlers(event: Any) -> Iterator[Handler]:
    """Those that `zope.event.notify` leads to, in its order."""
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
        # An instance, such as an installer, or what `functools.partial` made.
        named = getattr(named, "func", type(named))
    module = getattr(named, "__module__", None)
    return f"{module}.{named.__qualname__}" if module else str(named.__qualname__)
