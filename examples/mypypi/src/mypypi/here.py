"""Where a request or a job is."""

from typing import Any

from zope.component.hooks import getSite
from zope.location.interfaces import IRoot

#: The name of the application in the root folder.
NAME = "mypypi"


def application() -> Any:
    """The application, in a request or a job of it, or of the root folder. For any thread."""
    site = getSite()
    return site[NAME] if IRoot.providedBy(site) else site
