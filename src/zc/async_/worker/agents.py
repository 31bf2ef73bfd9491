"""Gives the dispatcher of a worker the agents that the settings name.

Agents are stored, and outlive the process. So what the settings say is set each time that the
dispatcher becomes active, and an agent that they name no more takes no jobs. What they do not say
stays as operators have set it.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import zope.component

from zc.async_.agent import Agent
from zc.async_.interfaces import AsyncError, IDispatcherActivated
from zc.async_.worker import SettingsError, functions, settings
from zc.twist.showing import show

#: How many jobs an agent runs at once if the settings do not say it.
DEFAULT_SIZE = 3

#: The agent of settings that name none.
DEFAULT_NAME = "main"


@dataclasses.dataclass(frozen=True)
class _Wanted:
    """An agent of the settings."""

    name: str
    #: None: as it is, `DEFAULT_SIZE` if it is new.
    size: int | None
    #: None: all.
    queues: tuple[str, ...] | None
    #: Whether the settings speak of what it takes.
    is_choosy: bool
    #: None: those that it has.
    labels: tuple[str, ...] | None = None
    #: None: as many as it has.
    coroutine_size: int | None = None
    filter: Callable[..., Any] | None = None
    chooser: Callable[..., Any] | None = None

    def apply(self, agents: Any) -> None:
        """Make the agent in an `IDispatcherAgents`, or set what it is to have."""
        agent = agents.get(self.name)
        if agent is None:
            agent = agents[self.name] = Agent(size=DEFAULT_SIZE)
        known = getattr(agent, "of_settings", None)
        size = self.size
        if size is None and known is False:
            # Other settings have paused it, and no operator.
            size = DEFAULT_SIZE
        if size is not None and agent.size != size:
            agent.size = size
        if self.labels is not None and agent.labels != self.labels:
            agent.labels = self.labels
        if self.coroutine_size is not None:
            agent.coroutine_size = self.coroutine_size
        if self.is_choosy:
            self._apply_choice(agent)
        if isinstance(agent, Agent) and not known:
            agent.of_settings = True

    def _apply_choice(self, agent: Any) -> None:
        if _is(agent, "filter", self.filter) and _is(agent, "chooser", self.chooser):
            # Each change has all jobs offered to the filter again.
            return
        # It may have one of the two at a time.
        agent.filter = agent.chooser = None
        agent.filter = self.filter
        agent.chooser = self.chooser


def _is(agent: Any, name: str, function: Callable[..., Any] | None) -> bool:
    try:
        return getattr(agent, name) == function
    except AsyncError:
        # Its code is gone.
        return False


class AgentKeeper:
    """A handler of the activation of the dispatcher."""

    def __init__(self, wanted: settings.Settings) -> None:
        """Raises SettingsError if a function of an agent is missing, or cannot be one."""
        zope.component.adapter(IDispatcherActivated)(self)
        if wanted.agents:
            self._wanted = [_of(agent, wanted) for agent in wanted.agents]
        else:
            self._wanted = [_Wanted(DEFAULT_NAME, wanted.threads, wanted.queues, False)]

    def __call__(self, event: Any) -> None:
        """Set the agents of a queue, in the transaction of the activation."""
        agents = event.object
        here = [
            one for one in self._wanted if one.queues is None or agents.queue.name in one.queues
        ]
        for one in here:
            one.apply(agents)
        names = {one.name for one in here}
        for name, agent in agents.items():
            if name not in names and getattr(agent, "of_settings", None):
                # It has a history, so it is not removed.
                agent.of_settings, agent.size = False, 0


def _of(agent: settings.Agent, wanted: settings.Settings) -> _Wanted:
    of = f"of the agent {show(agent.name)}"
    found: dict[str, Any] = {
        name: functions.find(text, f"the {name} {of}")
        for name, text in (("filter", agent.filter), ("chooser", agent.chooser))
        if text is not None
    }
    try:
        # A trial, so that errors come now and not when the dispatcher is activated.
        Agent(**found)
    except (TypeError, ValueError, AsyncError) as error:
        raise SettingsError(
            f"the filter or chooser {of} cannot be stored: {error}: name a function of a module"
        ) from error
    size = wanted.threads if agent.size is None else agent.size
    queues = wanted.queues if agent.queues is None else agent.queues
    return _Wanted(
        agent.name,
        DEFAULT_SIZE if size is None else size,
        queues,
        is_choosy=True,
        labels=agent.labels,
        coroutine_size=agent.coroutine_size,
        **found,
    )
