"""Pages about what went wrong."""

import grok
from zope.authentication.interfaces import IAuthentication
from zope.browser.interfaces import ISystemErrorView
from zope.component import getUtility
from zope.interface import implementer
from zope.interface.common.interfaces import IException
from zope.publisher.interfaces import INotFound
from zope.security.interfaces import IUnauthorized

from mypypi.browser.base import Page
from mypypi.sessions import BadToken

grok.templatedir("templates")


class ErrorPage(Page):
    """A page about an error, which is its context."""

    grok.baseclass()
    grok.name("index")
    grok.template("error")

    #: Of HTTP.
    status = 500
    #: What somebody can do about it.
    advice = ""

    def update(self) -> None:
        super().update()
        self.request.response.setStatus(self.status)


class NotFound(ErrorPage):
    grok.context(INotFound)

    status = 404
    title = "There is no such page"
    advice = "It may have been removed, or the address is not quite right."


class Forbidden(ErrorPage):
    """For those who have logged in: the others are led to the login."""

    grok.context(IUnauthorized)

    status = 403
    title = "That is not for you"
    advice = "Your account has no permission for this."

    def update(self) -> None:
        super().update()
        getUtility(IAuthentication).unauthorized(self.request.principal.id, self.request)


class Expired(ErrorPage):
    grok.context(BadToken)

    status = 403
    title = "This form is too old"
    advice = (
        "You have logged in or out since it was shown. Go back, reload the page, and try again."
    )


@implementer(ISystemErrorView)
class Failed(ErrorPage):
    """Whatever nobody has foreseen."""

    grok.context(IException)

    title = "Something went wrong here"
    advice = "The error is in the log of the server. Perhaps it works if you try again."

    def isSystemError(self) -> bool:
        """Whether the error is to be logged."""
        return True
