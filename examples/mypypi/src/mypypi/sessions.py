"""Who sends a request, and whether a form is one of ours: both are in one signed cookie.

Nothing is written to the database for a visitor, and each instance knows the sessions of the
others: they sign with a key that is in the application.
"""

import hmac
import secrets
import urllib.parse
from typing import Any

import grok
import itsdangerous
from zope.authentication.interfaces import IAuthenticatedGroup, IAuthentication
from zope.component import getNextUtility, getUtility
from zope.interface import implementer
from zope.security.interfaces import IGroupAwarePrincipal

from mypypi import here
from mypypi.people import Person

COOKIE = "mypypi"

#: Seconds after which a session ends.
LONGEST = 14 * 24 * 3600

#: Before logins, in ids of principals: whatever somebody is called, that is the id of nobody else.
PREFIX = "mypypi.person."

#: Where a request keeps its session.
_KEY = "mypypi.session"


class BadToken(Exception):
    """A form was sent that was not made for this session."""


def present(request: Any) -> dict[str, str]:
    """The session of a request: its nonce, and who has logged in, if anybody has.

    If it has none, one is begun.
    """
    session = request.annotations.get(_KEY)
    if session is None:
        session = _read(request) or begin(request)
        request.annotations[_KEY] = session
    return session


def begin(request: Any, person: Person | None = None) -> dict[str, str]:
    """Begin a session, of a person who has logged in or of nobody. The answer has its cookie."""
    session = {"nonce": secrets.token_urlsafe(12)}
    if person is not None:
        session.update(login=person.login, key=person.session_key)
    request.annotations[_KEY] = session
    request.response.setCookie(
        COOKIE,
        itsdangerous.URLSafeTimedSerializer(_secret(), "session").dumps(session),
        path="/",
        httponly=True,
        samesite="Lax",
        secure=str(request.URL).startswith("https:"),
        max_age=LONGEST,
    )
    return session


def _read(request: Any) -> dict[str, str] | None:
    serializer = itsdangerous.URLSafeTimedSerializer(_secret(), "session")
    try:
        return serializer.loads(request.getCookies().get(COOKIE, ""), max_age=LONGEST)
    except itsdangerous.BadData:
        return None


def _secret() -> bytes:
    return here.application().secret


def token(request: Any) -> str:
    """What a form has in it, to show that it was made for this session."""
    return itsdangerous.Signer(_secret(), "form").get_signature(present(request)["nonce"]).decode()


def check_token(request: Any, sent: str) -> None:
    """Raise `BadToken` unless a form that was sent has the token."""
    if not hmac.compare_digest(token(request).encode(), sent.encode()):
        raise BadToken()


def person_of(request: Any) -> Person | None:
    """Who sends a request; None if that is not known."""
    session = _read(request) or {}
    person: Person | None = here.application()["people"].get(session.get("login", ""))
    if person is None or not hmac.compare_digest(session["key"], person.session_key):
        return None
    return person


@implementer(IGroupAwarePrincipal)
class Principal:
    """A person, as the security policy sees them: see `permissions` for what they may do."""

    description = ""

    def __init__(self, person: Person) -> None:
        self.id = PREFIX + person.login
        self.title = person.login
        self.groups = [getUtility(IAuthenticatedGroup).id]


class Authentication(grok.LocalUtility):
    """Knows the principals of the application: people."""

    grok.provides(IAuthentication)

    def authenticate(self, request: Any) -> Principal | None:
        """See `IAuthentication`, as for the rest."""
        person = person_of(request)
        return None if person is None else Principal(person)

    def unauthenticatedPrincipal(self) -> Any:
        """Who this is, the registry of the whole server knows."""
        return getNextUtility(self, IAuthentication).unauthenticatedPrincipal()

    def unauthorized(self, id: str, request: Any) -> None:
        """Have whoever may not see a page log in."""
        if id.startswith(PREFIX):
            return
        # A form that was sent cannot be sent again from here.
        path = urllib.parse.urlsplit(str(request.URL)).path if request.method == "GET" else ""
        target = grok.url(request, here.application(), "login", data={"back": path})
        request.response.redirect(target)

    def getPrincipal(self, id: str) -> Any:
        """Of a person, or of whom else the server knows, such as a group."""
        login = id.removeprefix(PREFIX) if id.startswith(PREFIX) else ""
        person = here.application()["people"].get(login)
        if person is not None:
            return Principal(person)
        return getNextUtility(self, IAuthentication).getPrincipal(id)
