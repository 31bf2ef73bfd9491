"""What the pages have in common."""

import datetime
import hashlib
import hmac
from typing import Any

from zope.browserpage import ViewPageTemplateFile
from zope.component import getUtility
from zope.component.hooks import getSite
from zope.publisher.browser import BrowserPage
from zope.publisher.interfaces import BadRequest
from zope.security.management import checkPermission
from zope.security.proxy import removeSecurityProxy
from zope.session.interfaces import IClientId, IClientIdManager
from zope.traversing.browser import absoluteURL

from reports.installing import NAME
from reports.users import User

#: Scripts and styles come from files of this site alone, so what slips into a page is not run.
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class Page(BrowserPage):
    """A page in the layout of the site. Its template is named in configure.zcml."""

    layout = ViewPageTemplateFile("templates/layout.pt")

    def __init__(self, context: Any, request: Any) -> None:
        super().__init__(context, request)
        # The publisher asks for the permission that configure.zcml demands for a page, in the place
        # where the object is. What a page shows of it needs no further permission.
        self.object = removeSecurityProxy(context)

    @property
    def title(self) -> str:
        """What the page is called."""
        raise NotImplementedError

    def update(self) -> None:
        """Find out what the page is to show."""

    def __call__(self) -> str:
        """What the publisher calls."""
        for name, value in HEADERS.items():
            self.request.response.setHeader(name, value)
        # All addresses in the pages are complete: no <base>, which makes "#main" another page.
        self.request.response.setBase("")
        self.update()
        return self.index()

    @property
    def user(self) -> User | None:
        """Who has logged in."""
        principal = self.request.principal
        return principal if isinstance(principal, User) else None

    @property
    def home(self) -> str:
        """The address of the site."""
        return f"{self.request.getApplicationURL()}/{NAME}"

    @property
    def own_desk(self) -> str | None:
        """The address of the desk of who has logged in, None for nobody."""
        return f"{self.home}/{self.user.id}" if self.user is not None else None

    def may(self, permission: str) -> bool:
        """Whether the user has a permission of this application here."""
        return bool(checkPermission(f"reports.{permission}", self.context))

    @property
    def oversees(self) -> bool:
        """Whether the user may see all desks."""
        return self.user is not None and bool(checkPermission("reports.Oversee", getSite()))

    def url(self, obj: Any) -> str:
        """The address of an object."""
        return str(absoluteURL(obj, self.request))

    def text(self, name: str) -> str:
        """A field of the form; '' if there is none, or none that is a text."""
        value = self.request.form.get(name)
        return value if isinstance(value, str) else ""

    @property
    def token(self) -> str:
        """What forms send, to show that they are ours: other sites cannot know it.

        It follows from the name of the session, so nothing has to be stored.
        """
        secret = getUtility(IClientIdManager).secret
        name = str(IClientId(self.request))
        return hmac.new(secret.encode(), f"form {name}".encode(), hashlib.sha256).hexdigest()


class Action(Page):
    """What a form does. It answers with the address of the next page."""

    def act(self) -> str:
        """Do it."""
        raise NotImplementedError

    def __call__(self) -> str:
        """What the publisher calls."""
        right = hmac.compare_digest(self.text("token").encode(), self.token.encode())
        if self.request.method != "POST" or not right:
            raise BadRequest("This can only be done by the form of a page of yours. Load it again.")
        self.request.response.redirect(self.act())
        return ""


def shown_time(moment: datetime.datetime) -> str:
    """A time as the pages have it."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def shown_euros(cents: int) -> str:
    """A sum of money as the pages have it."""
    return f"€{cents / 100:,.2f}"
