"""Pages for errors."""

from zope.authentication.interfaces import IAuthentication
from zope.component import getUtility

from reports.browser.page import Page


class ErrorPage(Page):
    """Tells of an error in words. The context is the exception."""

    status = 500

    @property
    def message(self) -> str:
        """What the page says."""
        raise NotImplementedError

    def update(self) -> None:
        """See `Page`."""
        self.request.response.setStatus(self.status)


class BadRequestPage(ErrorPage):
    """For what no form of ours sends."""

    status = 400
    title = "That did not work"

    @property
    def message(self) -> str:
        """See `ErrorPage`. These errors are ours, and their texts are for users."""
        return str(self.object)


class NotFoundPage(ErrorPage):
    """For addresses that lead nowhere."""

    status = 404
    title = "There is no such page"
    message = "Perhaps it has been removed, or the address is not complete."


class UnauthorizedPage(ErrorPage):
    """For who may not see a page, or has to log in first."""

    status = 403
    title = "This is not for you"
    message = "You have not got the permission to see this page."

    def __call__(self) -> str:
        """What the publisher calls."""
        if self.user is not None:
            return super().__call__()
        getUtility(IAuthentication).unauthorized(self.request.principal.id, self.request)
        return ""


class SystemErrorPage(ErrorPage):
    """For errors of the code: Zope has logged them. They are not shown to users."""

    title = "Something went wrong"
    message = "We are sorry. The error has been logged, and somebody will look into it."
