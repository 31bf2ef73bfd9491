"""`<product-config mypypi>`: what the configuration file of an instance says.

::

    <product-config mypypi>
      index http://127.0.0.1:8070
      interval 5s
      timeout 10s
      max-answer 5MB
    </product-config>
"""

import dataclasses
from typing import Any

from ZConfig.datatypes import stock_datatypes
from zope.app.appsetup.product import getProductConfiguration

#: The name of the section.
SECTION = "mypypi"


@dataclasses.dataclass(frozen=True)
class Options:
    """What the section says, with the defaults for the rest."""

    #: The address of the package index, without a slash at its end.
    index: str
    #: Seconds between two looks at the list of the index.
    interval: int = 300
    #: Seconds that a fetch may take, from looking up the name to the last byte.
    timeout: int = 10
    #: Bytes that an answer may have.
    max_answer: int = 5 * 1024**2
    #: The password of the account "manager", which is made with the application.
    manager_password: str = ""


_DATATYPES = {
    "index": lambda text: text.rstrip("/"),
    "interval": stock_datatypes["time-interval"],
    "timeout": stock_datatypes["time-interval"],
    "max-answer": stock_datatypes["byte-size"],
    "manager-password": str,
}


def read() -> Options:
    """The options of this process. For any thread.

    Raises ValueError, which names the key, for an unknown key or a wrong value, and if there is no
    index.
    """
    values: dict[str, Any] = {}
    for key, text in (getProductConfiguration(SECTION) or {}).items():
        if key not in _DATATYPES:
            raise ValueError(f"<product-config {SECTION}> has an unknown key: {key}")
        try:
            values[key.replace("-", "_")] = _DATATYPES[key](text)
        except ValueError as error:
            raise ValueError(f"{key} in <product-config {SECTION}>: {error}") from error
    if not values.get("index"):
        raise ValueError(f"<product-config {SECTION}> names no index: give its address")
    return Options(**values)
