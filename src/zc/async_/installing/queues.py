"""Installs queues when a database opens."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import transaction
import zope.component
import zope.event

import zc.async_.interfaces
import zc.async_.relstorage
import zc.async_.zeo
from zc.async_ import utils
from zc.async_.installing.names import as_names
from zc.async_.queue import Queue, Queues, lane
from zc.async_.running import notes
from zc.async_.storing import oids
from zc.twist.showing import show


class QueueInstaller:
    """Makes the `IQueues` of a database, and queues in it, if they are missing."""

    def __init__(
        self,
        queues: Iterable[str] = ("",),
        factory: Callable[..., Any] = Queue,
        db_name: str | None = None,
    ) -> None:
        """`queues`: their names. `factory`: makes a queue; if it takes two arguments, it gets the
        connection of the database that opened, and the name. `db_name`: the database of the queues,
        if they belong to another one than the one that opens, which then refers to them.

        Raises TypeError for invalid names or an invalid factory.
        """
        zope.component.adapter(zc.async_.interfaces.IDatabaseOpened)(self)
        self.queues = as_names("queues", queues)
        self._takes_arguments = _takes_arguments(factory)
        self.factory = factory
        self.db_name = db_name

    def __call__(self, event: Any) -> None:
        """Install, in a separate transaction. For any thread.

        The ZEO clients are watched from then on, as for a dispatcher, even if the process only puts
        jobs.

        Raises the errors of `check`.
        """
        self.check(event.database)
        # Before jobs or the application put anything.
        oids.watch_database(event.database)
        zc.async_.zeo.watch(event.database)
        zc.async_.relstorage.watch(event.database)
        manager = transaction.TransactionManager()
        connection = event.database.open(manager)
        zc.async_.relstorage.guard(connection)
        try:
            utils.try_five_times(lambda: self._install(connection), "installing queues", manager)
        finally:
            manager.abort()
            connection.close()

    def check(self, database: Any) -> None:
        """Raise an error if the queues cannot be installed in a database. For any thread.

        `ClosedDatabaseError` if it is closed, and `MissingDatabaseError`, a KeyError, if its group
        has no database named `db_name`.
        """
        utils.check_is_open(database)
        if self.db_name is None or self.db_name in database.databases:
            return
        raise zc.async_.interfaces.MissingDatabaseError(
            f"there is no database named {self.db_name!r} beside {database.database_name!r} to "
            "keep the queues in: open one with the same `databases` mapping and "
            f"database_name={self.db_name!r} (in zope.conf: <zodb {self.db_name}>, or "
            f"<zodb_db {self.db_name}>), or have them in the database itself, by leaving out "
            "`db_name`, or by basic_dispatcher_policy.zcml"
        )

    def _install(self, connection: Any) -> None:
        notes.add(connection.transaction_manager.get(), "installing queues")
        root = connection.root()
        queues = root.get(zc.async_.interfaces.KEY)
        if queues is None:
            queues = self._add_queues(connection)
        for name in self.queues:
            if name not in queues:
                queue = queues[name] = self._make(connection, name)
                if queue._p_jar is None:
                    queues._p_jar.add(queue)
                zope.event.notify(zc.async_.interfaces.ObjectAdded(queue, queues, name))
        for queue in queues.values():
            self._prepare(queue)

    def _make(self, connection: Any, name: str) -> Any:
        return self.factory(connection, name) if self._takes_arguments else self.factory()

    def _add_queues(self, connection: Any) -> Any:
        queues = Queues()
        home = connection
        if self.db_name is not None:
            home = connection.get_connection(self.db_name)
            # They are also in that database's root, since packing it must not remove them.
            queues = home.root().setdefault(zc.async_.interfaces.KEY, queues)
        if queues._p_jar is None:
            home.add(queues)
        root = connection.root()
        root[zc.async_.interfaces.KEY] = queues
        zope.event.notify(zc.async_.interfaces.ObjectAdded(queues, root, zc.async_.interfaces.KEY))
        return queues

    def _prepare(self, queue: Any) -> None:
        """Make lanes for the usual number of connections of this process."""
        if isinstance(queue, Queue):
            lane.prepare(queue.lanes, queue._p_jar.db().getPoolSize())


def _takes_arguments(factory: Callable[..., Any]) -> bool:
    """Whether a factory of queues takes a connection and a name, or nothing."""
    if not callable(factory):
        raise TypeError(f"{show(factory)} makes no queue: give a function or a class")
    try:
        signature = inspect.signature(factory)
    except ValueError:
        # A callable written in C may have no known signature.
        return False
    for arguments in (2, 0):
        try:
            signature.bind(*[None] * arguments)
        except TypeError:
            continue
        return bool(arguments)
    raise TypeError(
        f"{show(factory)} is to be called as a factory of queues, with a connection and a name, or "
        "without arguments"
    )
