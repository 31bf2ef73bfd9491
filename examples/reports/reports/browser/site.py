"""The pages of the site as a whole: who comes in, and where to."""

from typing import Any
from urllib.parse import quote

from zope.authentication.interfaces import IAuthentication
from zope.component import getUtility
from zope.component.hooks import getSite
from zope.publisher.browser import BrowserPage

from reports.browser.page import Action, Page
from reports.installing import NAME, PASSWORD, PEOPLE
from reports.model import Desk


class Root(BrowserPage):
    """The first page of the server leads to the site."""

    def __call__(self) -> str:
        """What the publisher calls."""
        self.request.response.redirect(f"{self.request.getApplicationURL()}/{NAME}")
        return ""


class Overview(Page):
    """All desks, for who oversees them; everybody else is led to the own one."""

    title = "All users"

    def __call__(self) -> str:
        """What the publisher calls."""
        if self.oversees:
            return super().__call__()
        self.request.response.redirect(self.own_desk)
        return ""

    def desks(self) -> list[dict[str, Any]]:
        """What the page tells of each."""
        return [self._shown(desk) for desk in self.object.values()]

    def _shown(self, desk: Desk) -> dict[str, Any]:
        newest = desk.newest_first(size=20)
        return {
            "title": getUtility(IAuthentication).getPrincipal(desk.owner).title,
            "url": self.url(desk),
            "reports": len(desk),
            "failed": sum(report.traceback is not None for report in newest),
        }


class LoginPage(Page):
    """Asks who it is."""

    title = "Log in"
    people = PEOPLE
    password = PASSWORD

    @property
    def failed(self) -> bool:
        """Whether somebody has tried in vain."""
        return bool(self.text("failed"))


class LogIn(Action):
    """Begins a session."""

    def act(self) -> str:
        """See `Action`."""
        users = getUtility(IAuthentication)
        if not users.log_in(self.request, self.text("login"), self.text("password")):
            return f"{self.home}/@@login.html?failed=1"
        path = self.text("next")
        # Only a path of this site: else a link to this page could lead anywhere afterwards.
        inside = path == f"/{NAME}" or path.startswith(f"/{NAME}/")
        return self.request.getApplicationURL() + quote(path) if inside else self.home


class LogOut(Action):
    """Ends the session."""

    def act(self) -> str:
        """See `Action`."""
        getUtility(IAuthentication).log_out(self.request)
        return self.url(getSite()) + "/@@login.html"
