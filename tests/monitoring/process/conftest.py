"""A dispatcher on a virtual reactor, and a database with a queue."""

from tests.dispatcher.conftest import (
    base,
    clean_work,
    client,
    completed,
    connect,
    database,
    dispatcher,
    install_agent,
    make_dispatcher,
    put,
    settle,
    two_databases,
)

__all__ = [
    "base",
    "clean_work",
    "client",
    "completed",
    "connect",
    "database",
    "dispatcher",
    "install_agent",
    "make_dispatcher",
    "put",
    "settle",
    "two_databases",
]
