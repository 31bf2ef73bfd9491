"""What the configuration of the process says about the monitor.

In the section `<product-config zc.z3monitor>` there is one of

`port`
    the number of a port of the loopback interface;
`bind`
    `HOST:PORT`, `[HOST]:PORT` for an address of IPv6, a port alone, or the path of a unix socket,
    with a slash in it. Who wants the port on every interface says so, as `0.0.0.0:PORT`: whoever
    reaches it may do whatever the commands do.
"""

from collections.abc import Mapping
from typing import Any

from ZConfig.datatypes import inet_connection_address, port_number

from zc.async_ import productconfig
from zc.monitor import Address
from zc.monitor.interfaces import MonitorError

#: The name of the section.
NAME = "zc.z3monitor"


class ConfigurationError(MonitorError, ValueError):
    """What the configuration says about the monitor makes no sense."""


def find() -> Mapping[str, Any] | None:
    """The section of the configuration that the process has read; None if there is none.

    Zope knows it, or `zope.app.appsetup`.
    """
    return productconfig.section(NAME)


def address_of(section: Mapping[str, Any]) -> Address | None:
    """Where the monitor is to listen; None for nowhere. Raises `ConfigurationError`."""
    unknown = sorted(section.keys() - {"port", "bind"})
    if unknown:
        raise _error(f"there is {unknown[0]!r}, which means nothing")
    if len(section) == 2:
        raise _error("there is both a port and a bind")
    if "port" in section:
        return _parsed(port_number, "port", section["port"])
    if "bind" in section:
        return _bind(str(section["bind"]).strip())
    return None


def _bind(text: str) -> Address:
    if "/" in text:
        return text
    host, port = _parsed(inet_connection_address, "bind", text)
    if port is None:
        raise _error(f"bind is HOST:PORT or the path of a socket, not {text!r}")
    return host, port


def _parsed(datatype: Any, name: str, text: Any) -> Any:
    try:
        return datatype(text)
    except ValueError as error:
        raise _error(f"{name} is not {text!r}: {error}") from error


def _error(text: str) -> ConfigurationError:
    return ConfigurationError(f"in <product-config {NAME}>: {text}")
