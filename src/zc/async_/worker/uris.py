"""Shows URIs of databases without their passwords."""

import re

#: What stands between the name of a user and the host, and values in the query.
_SECRETS = re.compile(
    r"(?P<before>//[^/?#@:]*:)[^/?#]*(?=@)|(?P<name>[?&#;]\w*(?:passw|secret|token|key)\w*=)[^&#;]*",
    re.IGNORECASE,
)


def shown(uri: str) -> str:
    """The URI for people: without what may be a password, and in printable characters."""
    text = _SECRETS.sub(lambda found: (found["before"] or found["name"]) + "***", uri)
    return text if text.isprintable() else ascii(text)
