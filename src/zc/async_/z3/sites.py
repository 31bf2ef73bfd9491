"""The site of a job: which objects can be one, and whether it is still there."""

import sys
from typing import Any

import persistent
from ZODB.broken import Broken
from ZODB.POSException import POSKeyError
from zope.interface.interfaces import ComponentLookupError
from zope.location.interfaces import IRoot
from zope.security.proxy import removeSecurityProxy

from zc.async_ import utils
from zc.async_.interfaces import AsyncError, MissingCallableError
from zc.async_.storing import UnstorableError, storable
from zc.twist.showing import show


class MissingSiteError(AsyncError, LookupError):
    """The site of a job is not there any more."""


class UnloadableSiteError(MissingSiteError, POSKeyError):
    """The record of a job's site is in no database.

    A POSKeyError, so that a job waits for a site that is part of the commit which put it.
    """

    def __str__(self) -> str:
        return str(self.args[0])


def as_site(site: Any) -> Any:
    """A site without its security proxy and acquisition wrappers, as it can be stored.

    None stays so. Raises TypeError for what is no site, and `UnstorableError`.
    """
    site = _unwrapped(removeSecurityProxy(site))
    if site is None:
        return None
    if not callable(getattr(site, "getSiteManager", None)):
        raise TypeError(f"a site has a method getSiteManager, and {show(site)} has none")
    if not issubclass(type(site), persistent.Persistent):
        # It would be stored as a copy, with all its components.
        raise UnstorableError(
            f"the site {show(site)} cannot be stored with a job, as it is not persistent: set "
            "another one, or None, before the job is made"
        )
    storable.check("the site", site)
    return site


def _unwrapped(site: Any) -> Any:
    """A site without the wrappers of Zope's acquisition, in which requests have it."""
    acquisition = sys.modules.get("Acquisition")
    # What nobody has imported has wrapped nothing.
    return site if acquisition is None else acquisition.aq_base(site)


def is_in_tree(site: Any) -> bool:
    """Whether a site is in the tree below a root, as its parents tell."""
    passed: list[Any] = []
    while site is not None and not any(site is one for one in passed):
        if IRoot.providedBy(site):
            return True
        passed.append(site)
        site = getattr(site, "__parent__", None)
    return False


def unloadable(name: str, error: POSKeyError) -> UnloadableSiteError:
    """The error of a site, shown as `name`, of which this one says that a record is missing."""
    return UnloadableSiteError(
        f"the site {name} cannot be loaded: there is no object {error} in its database; restore "
        "it, or put the job anew, with another site or None"
    )


def check_is_there(site: Any, was_in_tree: bool) -> None:
    """Raise `MissingSiteError` if a site has gone, `MissingCallableError` if its code has.

    `was_in_tree`: whether it was in the tree of its application, which it must be then. An object
    that is in no tree is there as long as its record is.
    """
    name = utils.custom_repr(site)
    try:
        if isinstance(site, Broken):
            raise MissingCallableError(
                f"the class of the site {name} is missing: install or restore the code"
            )
        in_tree = not was_in_tree or is_in_tree(site)
        site.getSiteManager()
    except POSKeyError as error:
        raise unloadable(name, error) from error
    except ComponentLookupError as error:
        raise MissingSiteError(f"the site {name} has no site manager any more: {error}") from error
    if not in_tree:
        raise MissingSiteError(
            f"the site {name} was removed from its application: put it back, or put the "
            "job anew, with another site or None"
        )
