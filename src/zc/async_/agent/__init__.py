"""Agents, their dispatchers as stored, and the history of their jobs."""

from zc.async_.agent import handingback, ledger
from zc.async_.agent.agent import (
    COROUTINE_SIZE,
    Agent,
    Books,
    Running,
    SystemAgent,
    addMainAgentActivationHandler,
    chooseFirst,
)
from zc.async_.agent.dispatcheragents import DispatcherAgents, Ping
from zc.async_.agent.dispatchers import Dispatchers
from zc.async_.agent.history import Completed, HistoryBucket, HistorySegment
from zc.async_.agent.ledger import Ledger
from zc.async_.storing import record_as

__all__ = [
    "COROUTINE_SIZE",
    "Agent",
    "Books",
    "Completed",
    "DispatcherAgents",
    "Dispatchers",
    "HistoryBucket",
    "HistorySegment",
    "Ledger",
    "Ping",
    "Running",
    "SystemAgent",
    "addMainAgentActivationHandler",
    "chooseFirst",
    "handingback",
    "ledger",
]

# Databases know these by name. A name stays here forever.
record_as(
    __name__,
    Agent,
    Books,
    Completed,
    DispatcherAgents,
    Dispatchers,
    HistoryBucket,
    HistorySegment,
    Ledger,
    Ping,
    Running,
    SystemAgent,
    addMainAgentActivationHandler,
    chooseFirst,
)
