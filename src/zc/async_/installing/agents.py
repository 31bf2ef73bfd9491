"""Gives dispatchers agents when they are activated in a queue."""

from collections.abc import Callable, Iterable
from typing import Any

import zope.component

import zc.async_.interfaces
from zc.async_ import productconfig
from zc.async_.agent import COROUTINE_SIZE, Agent
from zc.async_.installing.names import as_names


class AgentInstaller:
    """Gives each dispatcher that is activated in a queue an agent, if it has none of that name."""

    def __init__(
        self,
        agent_name: str,
        chooser: Callable[[Any], Any] | None = None,
        size: int | None = 3,
        queue_names: Iterable[str] | None = None,
        filter: Callable[[Any], Any] | None = None,
        labels: Iterable[Any] = (),
        coroutine_size: int = COROUTINE_SIZE,
    ) -> None:
        """`chooser`, `size`, `filter`, `labels` and `coroutine_size`: see `IAgent`; a size of None
        is what `<product-config zc.async>` says. `queue_names`: None for all queues.

        Raises ValueError or TypeError for arguments that no agent can have.
        """
        # A trial, so that errors come now and not when a dispatcher is activated.
        trial = Agent(chooser, filter, 0 if size is None else size, labels, coroutine_size)
        zope.component.adapter(zc.async_.interfaces.IDispatcherActivated)(self)
        (self.agent_name,) = as_names("agent_name", (agent_name,))
        self.chooser = chooser
        self.size = size
        self.queue_names = (
            None if queue_names is None else frozenset(as_names("queue_names", queue_names))
        )
        self.filter = filter
        self.labels = trial.labels
        self.coroutine_size = coroutine_size

    def __call__(self, event: Any) -> None:
        """Add the agent, in the transaction of the activation."""
        agents = event.object
        wanted = self.queue_names is None or agents.queue.name in self.queue_names
        if wanted and self.agent_name not in agents:
            size = productconfig.read().agent_size if self.size is None else self.size
            agents[self.agent_name] = Agent(
                self.chooser, self.filter, size, self.labels, self.coroutine_size
            )
