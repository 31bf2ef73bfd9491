"""What the user wants of the workers: read from the command line and a TOML file, and checked."""

import dataclasses
import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from zc.async_.worker import SettingsError
from zc.async_.worker.keys import AGENT_KEYS, AGENTS, KEYS, Key
from zc.async_.worker.uris import shown
from zc.twist.showing import show

#: Where the state is kept if nobody says it.
DEFAULT_STATE = "zc-async-worker"

#: Schemes of URIs whose databases can be opened by one process only, and why.
_LONE = {
    "file": "a FileStorage can be opened by one process only: have a ZEO server serve it (runzeo), "
    "give the URI of that (zeo://HOST:PORT)",
    "memory": "each process would have its own: use a ZEO server (runzeo), give the URI of that "
    "(zeo://HOST:PORT)",
}


@dataclasses.dataclass(frozen=True)
class Agent:
    """An agent that each worker has in its queues. See `zc.async_.interfaces.IAgent`."""

    name: str
    #: None: that of `Settings.threads`.
    size: int | None = None
    #: None: as many as it has.
    coroutine_size: int | None = None
    #: None: those of `Settings.queues`.
    queues: tuple[str, ...] | None = None
    #: Besides those of `Settings.labels`. None: those that it has.
    labels: tuple[str, ...] | None = None
    #: MODULE:FUNCTION, as `chooser`; at most one of them is given.
    filter: str | None = None
    chooser: str | None = None


@dataclasses.dataclass(frozen=True)
class Settings:
    """All settings; see `zc.async_.worker.keys` for what they mean. Times are in seconds."""

    #: URIs, the first that of the main database. Empty exactly if there is a `zope_conf`.
    db: tuple[str, ...] = ()
    zope_conf: str | None = None
    queue_db: str | None = None
    processes: int = 1
    #: None if nobody said it.
    threads: int | None = None
    #: None: all.
    queues: tuple[str, ...] | None = None
    labels: tuple[str, ...] = ()
    setup: str | None = None
    #: An absolute path.
    state: str = ""
    grace: float = 30.0
    max_jobs: int | None = None
    #: Bytes.
    max_memory: int | None = None
    poll_interval: float = 5.0
    #: 0: never.
    hang_timeout: float = 120.0
    log_level: str = "info"
    #: Empty: one that is named "main".
    agents: tuple[Agent, ...] = ()

    def to_plain(self) -> dict[str, Any]:
        """As values that JSON can have."""
        return dataclasses.asdict(self)

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> "Settings":
        """The opposite of `to_plain`, of what JSON made of it."""
        agents = tuple(Agent(**_with_tuples(agent)) for agent in values["agents"])
        return cls(**{**_with_tuples(values), "agents": agents})


def _with_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }


def read(arguments: Mapping[str, Any], path: str | None = None) -> Settings:
    """Make settings of the command line and of a file.

    Args:
        arguments: texts, or lists of texts, by the fields of `KEYS`; None: not given.
        path: of the file, or None.

    Raises:
        SettingsError: the message names the file, the key and what can be given.
    """
    given = _Source("--").read(arguments, KEYS)
    in_file: dict[str, Any] = {}
    if path is not None:
        in_file = _of_file(path)
        for one, other in (("db", "zope_conf"), ("zope_conf", "db")):
            # The command line has chosen one of the two.
            if one in given:
                in_file.pop(other, None)
    settings = Settings(**{**in_file, **given})
    settings = dataclasses.replace(settings, state=_state(settings.state))
    _check(settings, "" if path is None else f" (or in {path}, without the dashes)")
    return settings


def _state(said: str) -> str:
    # systemd may name several folders.
    default = os.environ.get("STATE_DIRECTORY", "").partition(":")[0] or DEFAULT_STATE
    return os.path.abspath(said or default)


class _Source:
    """Where settings come from, for errors."""

    def __init__(self, prefix: str, where: str = "") -> None:
        """`prefix`: stands before the names of keys; `where`: follows them."""
        self._prefix = prefix
        self._where = where

    def read(self, values: Mapping[str, Any], keys: Iterable[Key]) -> dict[str, Any]:
        """The values by field."""
        found = {}
        for key in keys:
            value = values.get(key.field)
            if value is None:
                continue
            try:
                found[key.field] = key.read(value)
            except (ValueError, OverflowError):
                name = f"{self._prefix}{key.name}{self._where}"
                raise SettingsError(f"{name} is {shown(show(value))}: give {key.give}") from None
        return found


def _of_file(path: str) -> dict[str, Any]:
    """The settings of a file, by field."""
    content = _load(path)
    agents = content.pop(AGENTS, [])
    content = _known(content, KEYS, path, AGENTS)
    found = _Source(f"{path}: ").read(content, KEYS)
    for name in ("state", "zope_conf"):
        if name in found:
            # Whoever starts the command has any working directory.
            found[name] = os.path.join(os.path.dirname(os.path.abspath(path)), found[name])
    found["agents"] = _agents(agents, path)
    return found


def _load(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise SettingsError(
            f"cannot read the file {path}: {error.strerror or error}: name another with --config"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{path} is no TOML: {error}: correct it; it may be that the text needs quotes"
        ) from None


def _known(
    content: Mapping[str, Any], keys: Iterable[Key], where: str, *others: str
) -> dict[str, Any]:
    """The content of a table by field. Raises SettingsError for a key that is unknown."""
    fields = {key.name: key.field for key in keys}
    for name in content:
        if name not in fields:
            known = [*fields, *others]
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise SettingsError(
                f"{where} has the key {show(name)}, which is unknown: {hint}"
                f"there are {', '.join(known)}"
            )
    return {fields[name]: value for name, value in content.items()}


def _agents(tables: Any, path: str) -> tuple[Agent, ...]:
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise SettingsError(
            f"{path}: {AGENTS} is {show(tables)}: write each agent as a table, that is a line "
            f"[[{AGENTS}]] and below it its keys"
        )
    found: dict[str, Agent] = {}
    for number, table in enumerate(tables, 1):
        where = f"of [[{AGENTS}]] number {number}"
        values = _known(table, AGENT_KEYS, f"{path}: [[{AGENTS}]] number {number}")
        values = _Source(f"{path}: ", f" {where}").read(values, AGENT_KEYS)
        if "name" not in values:
            raise SettingsError(f"{path}: [[{AGENTS}]] number {number} has no name: give it one")
        agent = Agent(**values)
        if agent.name in found:
            raise SettingsError(
                f"{path}: name {where} is {show(agent.name)}, as another: give each its own"
            )
        if agent.filter and agent.chooser:
            raise SettingsError(
                f"{path}: the agent {show(agent.name)} has a filter and a chooser: leave one out"
            )
        found[agent.name] = agent
    return tuple(found.values())


def _check(settings: Settings, or_there: str) -> None:
    """Raise SettingsError if settings do not go together."""
    if not settings.db and not settings.zope_conf:
        raise SettingsError(
            "no database: give --db URI, such as --db zeo://localhost:8100, or --zope-conf "
            f"FILE{or_there}"
        )
    if settings.db and settings.zope_conf:
        raise SettingsError(
            f"--db and --zope-conf are both given: leave one out{or_there}; a zope.conf names its "
            "databases itself"
        )
    for uri in settings.db if settings.processes > 1 else ():
        scheme = uri.partition(":")[0]
        if scheme in _LONE:
            raise SettingsError(
                f"{settings.processes} processes cannot share {shown(uri)}: {_LONE[scheme]}, or "
                "leave out --processes"
            )
    known = settings.queues
    for agent in settings.agents if known is not None else ():
        strange = [name for name in agent.queues or () if name not in (known or ())]
        if strange:
            raise SettingsError(
                f"the agent {show(agent.name)} is for the queue {show(strange[0])}, which is not "
                f"among the queues {show(list(known or ()))}: add it there, or leave it out here"
            )
