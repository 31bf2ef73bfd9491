"""Threads that use the database for as long as the torture lasts."""

import threading
from typing import Any

import transaction

import zc.async_.relstorage


class Party(threading.Thread):
    """Acts with a connection of its own until it is told to stop."""

    def __init__(self, database: Any, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._database = database
        self._ending = threading.Event()

    def act(self, manager: Any, connection: Any) -> None:
        """Do what this party does, until `_ending` is set."""
        raise NotImplementedError

    def stop(self) -> None:
        """Do no more, and wait until that is so."""
        self._ending.set()
        self.join()

    def run(self) -> None:
        """Act, and leave nothing behind."""
        manager = transaction.TransactionManager()
        connection = self._database.open(manager)
        zc.async_.relstorage.guard(connection)
        try:
            self.act(manager, connection)
        finally:
            manager.abort()
            connection.close()
