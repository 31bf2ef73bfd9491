"""`<product-config zc.async>`: what a site's configuration file says to the policies of ZCML.

::

    <product-config zc.async>
      poll-interval 5s
      agent-size 3
      grace-period 0s
      signal-handlers on
      dispatcher on
    </product-config>

Those are the defaults. Durations are numbers of seconds, or in ZConfig's units (``1m 30s``). And
``labels gpu eu`` gives the dispatcher labels; by default it has none. The installers of
`zc.async_.subscribers` read the section when the database opens; their arguments go before it.

``dispatcher off`` has the process put jobs and run none. The environment variable
`ZC_ASYNC_DISPATCHER` (``on`` or ``off``) goes before the section. A process of Zope's ``zconsole``,
be it ``run`` or ``debug``, has no dispatcher unless one of the two says ``on``.
"""

import dataclasses
import os
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

from ZConfig.datatypes import stock_datatypes

from zc.async_.interfaces import AsyncError
from zc.async_.job import as_labels
from zc.twist.showing import show

#: The name of the section.
SECTION = "zc.async"

#: Whether this process runs jobs; see above.
ENVIRONMENT_VARIABLE = "ZC_ASYNC_DISPATCHER"

_CONSOLE = "Zope2.utilities.zconsole"


class ProductConfigError(AsyncError, ValueError):
    """A value in `<product-config zc.async>`, or in the environment, is wrong."""


@dataclasses.dataclass(frozen=True)
class Options:
    """What the section says, with the defaults for the rest."""

    #: Seconds.
    poll_interval: float = 5
    #: Places of the agent 'main', if the dispatcher has none yet.
    agent_size: int = 3
    #: Seconds that running jobs are given at a stop.
    grace_period: float = 0
    #: Whether the dispatcher stops at SIGINT and SIGTERM.
    signal_handlers: bool = True
    #: Whether this process has a dispatcher.
    dispatcher: bool = True
    #: What there is in this process for jobs that need it.
    labels: tuple[str, ...] = ()
    #: Who says so, if it has none.
    because: str = dataclasses.field(default="", compare=False)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = _with_units(text)
    if not 0 <= seconds < float("inf"):
        raise ValueError("a duration is not negative, nor without end")
    return seconds


def _with_units(text: str) -> float:
    units = [part[-1:] for part in text.split()]
    if not units or len(set(units)) != len(units):
        raise ValueError("a duration has a number for each of its units")
    try:
        return float(stock_datatypes["timedelta"](text).total_seconds())
    except TypeError as error:
        # What ZConfig raises for an unknown unit.
        raise ValueError(str(error)) from error


def _interval(text: str) -> float:
    seconds = _seconds(text)
    if seconds == 0:
        raise ValueError("an interval is longer than nothing")
    return seconds


def _size(text: str) -> int:
    size = int(stock_datatypes["integer"](text))
    if size < 0:
        raise ValueError("a size is not negative")
    return size


def _boolean(text: str) -> bool:
    return bool(stock_datatypes["boolean"](text))


def _labels(text: str) -> tuple[str, ...]:
    return as_labels("labels", [word for word in re.split(r"[\s,]+", text) if word])


#: By key: the datatype, and what can be given.
_DATATYPES: dict[str, tuple[Callable[[str], Any], str]] = {
    "poll-interval": (_interval, "a number of seconds, or 0.5s, 5s, 1m 30s"),
    "agent-size": (_size, "a number of jobs, 0 or more"),
    "grace-period": (_seconds, "a number of seconds, or 10s, 1m 30s"),
    "signal-handlers": (_boolean, "on or off"),
    "dispatcher": (_boolean, "on or off"),
    "labels": (_labels, "words between spaces or commas, such as gpu eu, at most 100 of them"),
}


def read() -> Options:
    """The options of this process. For any thread.

    Raises `ProductConfigError`, which names section, key and value, for a key that is unknown or a
    value that is wrong.
    """
    options = _of_section(section(SECTION) or {})
    because = f"<product-config {SECTION}>"
    text = os.environ.get(ENVIRONMENT_VARIABLE)
    if text:
        because = f"the environment variable {ENVIRONMENT_VARIABLE}"
        options["dispatcher"] = _value(because, "dispatcher", text)
    elif "dispatcher" not in options and is_console():
        # It opens the database, too, and is no worker unless told so.
        options["dispatcher"] = False
        because = "a console usually"
    return Options(**options, because=because)


def _of_section(values: Mapping[str, Any]) -> dict[str, Any]:
    options = {}
    for key, text in values.items():
        if key not in _DATATYPES:
            known = ", ".join(_DATATYPES)
            raise ProductConfigError(
                f"<product-config {SECTION}> of the configuration file (zope.conf) has the key "
                f"{show(key)}, which is unknown: there are {known}"
            )
        where = f"the key {key} in <product-config {SECTION}> of the configuration file (zope.conf)"
        options[key.replace("-", "_")] = _value(where, key, text)
    return options


def _value(where: str, key: str, text: Any) -> Any:
    datatype, examples = _DATATYPES[key]
    try:
        return datatype(str(text))
    except (ValueError, OverflowError) as error:
        raise ProductConfigError(f"{where} is {show(text)}: give {examples}") from error


def section(name: str) -> Mapping[str, Any] | None:
    """The section `<product-config NAME>`, whoever has read the file; None if there is none.

    Neither package is imported here: one that nobody has imported has read no file.
    """
    appsetup: Any = sys.modules.get("zope.app.appsetup.product")
    if appsetup is not None and (found := appsetup.getProductConfiguration(name)) is not None:
        return dict(found)
    zope: Any = sys.modules.get("App.config")
    if zope is not None:
        # Not by `getConfiguration`, which makes one where there is none.
        sections = getattr(getattr(zope, "_config", None), "product_config", None) or {}
        if (found := sections.get(name)) is not None:
            return dict(found)
    return None


def is_console() -> bool:
    """Whether this process is a session or a script of Zope's `zconsole`."""
    program = getattr(sys.modules.get("__main__"), "__spec__", None)
    return _CONSOLE in sys.modules or getattr(program, "name", None) == _CONSOLE
