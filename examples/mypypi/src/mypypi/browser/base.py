"""What pages and forms have in common."""

import datetime
from typing import Any

import grok
from grokcore.layout import Layout as GrokLayout
from zope.interface import Interface
from zope.security import checkPermission

import zc.async_.clock
from mypypi import here, sessions

grok.templatedir("templates")

#: What is said once, above a page, after a form was sent: an address names it.
SAYINGS = {
    "subscribed": "You will be told when something happens to this package.",
    "unsubscribed": "You are not told about this package any more.",
    "attached": "The page was attached.",
    "refreshed": "It is fetched again.",
    "removed": "The page was removed.",
    "read": "All notices are marked as read.",
    "joined": "Welcome! Look a package up and subscribe to it.",
    "back": "Welcome back.",
    "left": "You have logged out, in each browser.",
    "hurried": "The index is being looked at.",
    "started": "The index is followed.",
    "stopped": "The index is not followed any more.",
}

#: What browsers are told with each page.
HEADERS = {
    # Nothing from elsewhere, nothing within a page, and no page within a stranger's.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    # Pages look different for each person.
    "Cache-Control": "private, no-cache",
}


class Static(grok.DirectoryResource):
    """The style, the script and the icon: `static` in templates of this package."""

    grok.name("mypypi.browser")
    grok.path("static")


class Tools:
    """What templates and views ask for."""

    request: Any

    @property
    def application(self) -> Any:
        return here.application()

    @property
    def person(self) -> Any:
        """Who looks at the page; None if they have not logged in."""
        return sessions.person_of(self.request)

    @property
    def may_manage(self) -> bool:
        return checkPermission("mypypi.Manage", self.application)

    @property
    def token(self) -> str:
        """What each form has in a field named "token"."""
        return sessions.token(self.request)

    def address(self, shown: Any, name: str | None = None, said: str = "") -> str:
        """Of a page (of `shown`, its view `name`), which says a key of `SAYINGS`."""
        return grok.url(self.request, shown, name, data={"said": said} if said else None)

    def field(self, name: str) -> str:
        """What was sent in a field of a form (str). Browsers that are not may send anything."""
        value = self.request.form.get(name, "")
        return value if isinstance(value, str) else ""

    def ago(self, when: datetime.datetime) -> str:
        """How long ago a time was, in words."""
        seconds = int((zc.async_.clock.now() - when).total_seconds())
        for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
            if seconds >= size:
                number = seconds // size
                return f"{number} {unit}{'s' if number > 1 else ''} ago"
        return "just now"


class Page(Tools, grok.Page):
    """A page. Views of subclasses are public unless they require something."""

    grok.baseclass()

    #: The title of the page, which the title of the application follows.
    title: Any = ""


class Action(Tools, grok.View):
    """What a button does. Subclasses define `act`."""

    grok.baseclass()

    def act(self) -> str:
        """Do it. Returns the address of the page that is shown then: see `address`."""
        raise NotImplementedError

    def update(self) -> None:
        if self.request.method != "POST":
            # Somebody has followed a link that is none.
            self.redirect(self.url(self.context))
            return
        sessions.check_token(self.request, self.field("token"))
        self.redirect(self.act())

    def render(self) -> str:
        return ""


class Layout(Tools, GrokLayout):
    """What is around each page."""

    grok.context(Interface)
    grok.template("layout")

    def update(self) -> None:
        for name, value in HEADERS.items():
            self.request.response.setHeader(name, value)
        # The publisher gives pages a <base>. All addresses here are whole ones, and by it the link
        # to the content would lead to another page.
        self.request.response.setBase("")

    @property
    def said(self) -> str:
        return SAYINGS.get(self.field("said"), "")

    @property
    def unread(self) -> int:
        return self.person.notices.unread if self.person else 0

    def link(self, name: str | None = None) -> str:
        """The address of a view of the application."""
        return grok.url(self.request, self.application, name)
