"""Who takes part in an interaction: principals, by their ids."""

from collections.abc import Iterable
from typing import Any

import zope.component.hooks
import zope.interface
from ZODB.POSException import POSError
from zope.authentication.interfaces import (
    IAuthentication,
    IFallbackUnauthenticatedPrincipal,
    IUnauthenticatedPrincipal,
    PrincipalLookupError,
)
from zope.security.interfaces import IParticipation
from zope.security.management import queryInteraction, system_user
from zope.security.proxy import removeSecurityProxy

from zc.async_ import utils
from zc.async_.interfaces import AsyncError
from zc.twist.showing import show


class MissingPrincipalError(AsyncError, PrincipalLookupError):
    """There is no principal of the id that a job has among its participants."""


@zope.interface.implementer(IParticipation)
class Participation:
    """The part of a principal in an interaction, where there is no request."""

    #: The interaction, while it takes part in one.
    interaction: Any = None

    def __init__(self, principal: Any) -> None:
        #: An `IPrincipal`.
        self.principal = principal


def present_ids() -> tuple[str, ...]:
    """The ids of the principals that take part in the thread's interaction.

    A participation without a principal, such as a request that nobody has authenticated yet, is
    passed over.
    """
    interaction = queryInteraction()
    if interaction is None:
        return ()
    principals = (participation.principal for participation in interaction.participations)
    return as_ids(removeSecurityProxy(one).id for one in principals if one is not None)


def as_ids(value: Iterable[str]) -> tuple[str, ...]:
    """Ids of principals as a tuple. TypeError for what is none."""
    if isinstance(value, str):
        raise TypeError(
            f"participants is a sequence of ids, not the string {show(value)}: put it into a tuple"
        )
    ids = tuple(value)
    for one in ids:
        if not isinstance(one, str):
            raise TypeError(f"participants are ids of principals (str), not {show(one)}")
    return ids


def of(principal_id: str) -> Participation:
    """The participation of a principal whom the authentication of the thread's site knows.

    Raises `MissingPrincipalError`, and what the database does.
    """
    components = zope.component.hooks.getSiteManager()
    authentication = components.queryUtility(IAuthentication)
    principal = None
    if authentication is not None:
        principal = _ask(authentication, principal_id)
    if principal is None:
        principal = _of_nobody(components, authentication, principal_id)
    if principal is None:
        raise MissingPrincipalError(_message(principal_id, authentication))
    return Participation(principal)


def _ask(authentication: Any, principal_id: str) -> Any:
    try:
        return authentication.getPrincipal(principal_id)
    except POSError:
        # Of the database. Some are KeyErrors.
        raise
    except LookupError:
        # Most raise a PrincipalLookupError, simple ones the KeyError of a mapping.
        return None


def _of_nobody(components: Any, authentication: Any, principal_id: str) -> Any:
    """One of those who stand for whoever is not known, or for the system; else None.

    Not each authentication finds them by their ids.
    """
    # Simple authentications have nobody.
    unauthenticated = getattr(authentication, "unauthenticatedPrincipal", lambda: None)
    known = [
        system_user,
        unauthenticated(),
        components.queryUtility(IUnauthenticatedPrincipal),
        components.queryUtility(IFallbackUnauthenticatedPrincipal),
    ]
    for principal in known:
        if principal is not None and principal.id == principal_id:
            return principal
    return None


def _message(principal_id: str, authentication: Any) -> str:
    site = zope.component.hooks.getSite()
    place = "without a site" if site is None else f"in the site {utils.custom_repr(site)}"
    if authentication is None:
        return (
            f"the principal {show(principal_id)} cannot be found: {place} there is no utility for "
            "zope.authentication.interfaces.IAuthentication; register one in the processes that "
            "run jobs, or put the job without participants"
        )
    return (
        f"there is no principal {show(principal_id)} {place}: restore it, or put the job "
        "anew, with other participants"
    )
