"""Who uses the site: its own `IAuthentication`, by which requests and jobs find their principals.

There is a package for this, zope.pluggableauth. Its sessions hold the password, which is checked at
each request. Here a session only knows who has logged in.
"""

import hashlib
import hmac
import secrets
from typing import Any
from urllib.parse import urlencode

from BTrees.OOBTree import OOBTree
from persistent import Persistent
from zope.authentication.interfaces import IAuthentication, PrincipalLookupError
from zope.component import getUtility
from zope.component.hooks import getSite
from zope.interface import implementer
from zope.security.interfaces import IPrincipal
from zope.session.interfaces import IClientIdManager, ISession
from zope.traversing.browser import absoluteURL

#: The part of a session that belongs to this application.
SESSION = "reports"


@implementer(IPrincipal)
class User(Persistent):
    """A principal who is stored in the site."""

    description = ""

    def __init__(self, id: str, title: str, password: str) -> None:
        self.id = id
        self.title = title
        self.address = f"{id}@example.com"
        self._salt = secrets.token_bytes(16)
        self._hash = _hash(password, self._salt)

    def has_password(self, password: str) -> bool:
        """Whether this is the password."""
        return hmac.compare_digest(self._hash, _hash(password, self._salt))


def _hash(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1)


#: Stands for whoever is not known, so that a wrong name takes as long as a wrong password.
_NOBODY = User("", "", secrets.token_hex())


@implementer(IAuthentication)
class Users(Persistent):
    """The users, by their ids."""

    def __init__(self) -> None:
        self._users = OOBTree()

    def add(self, user: User) -> None:
        """Add a user."""
        self._users[user.id] = user

    def getPrincipal(self, id: str) -> User:
        """See `IAuthentication`. Jobs ask this, to run as whoever has put them."""
        try:
            return self._users[id]
        except KeyError:
            raise PrincipalLookupError(id) from None

    def authenticate(self, request: Any) -> User | None:
        """See `IAuthentication`."""
        session = ISession(request).get(SESSION)
        return None if session is None else self._users.get(session.get("user"))

    def unauthenticatedPrincipal(self) -> None:
        """See `IAuthentication`. The principal of ZCML stands for nobody."""

    def unauthorized(self, id: str, request: Any) -> None:
        """See `IAuthentication`: ask who it is."""
        # Not the address of the object: the way to it ends where a permission is missing. Nor that
        # of a form, which would be sent without its fields.
        path = request.get("PATH_INFO", "") if request.method == "GET" else ""
        query = urlencode({"next": path})
        request.response.redirect(f"{absoluteURL(getSite(), request)}/@@login.html?{query}")

    def log_in(self, request: Any, id: str, password: str) -> bool:
        """Begin the session of a user. Returns whether the password is right."""
        user = self._users.get(id, _NOBODY)
        if not user.has_password(password):
            return False
        # A session of a new name: somebody else may know the one that was there before.
        sessions = getUtility(IClientIdManager)
        sessions.setRequestId(request, sessions.generateUniqueId())
        ISession(request)[SESSION]["user"] = user.id
        return True

    def log_out(self, request: Any) -> None:
        """End the session of whoever it is."""
        ISession(request)[SESSION].pop("user", None)
