"""The page of a package, and what can be done with it and with the pages attached to it."""

from typing import Any

import grok
from zope.security.interfaces import Unauthorized

from mypypi import pages
from mypypi.browser.base import Action, Page
from mypypi.errors import Refused
from mypypi.packages import Package
from mypypi.permissions import Use
from mypypi.sessions import check_token

grok.templatedir("templates")


class Show(Page):
    """The page of a package."""

    grok.context(Package)
    grok.name("index")
    grok.template("package")

    #: What is wrong with the address that somebody wants to attach.
    problem = ""

    @property
    def title(self) -> str:
        return self.context.title

    @property
    def is_subscribed(self) -> bool:
        return self.person is not None and self.person.login in self.context.subscribers

    @property
    def is_busy(self) -> bool:
        return self.context.is_being_fetched or any(
            page.is_being_fetched for page in self.context.values()
        )

    @property
    def attached(self) -> list[Any]:
        """The pages, those last that were attached last."""
        return sorted(self.context.values(), key=lambda page: int(page.__name__))

    @property
    def links(self) -> list[tuple[str, str]]:
        """Titles and addresses of pages that the index links to, and nobody has attached."""
        there = {page.url for page in self.context.values()}
        links = self.context.data.links if self.context.data else ()
        return [(title, url) for title, url in links if url not in there]

    def may_remove(self, page: pages.Page) -> bool:
        return self.may_manage or self.person.login == page.added_by


class Attach(Show):
    """Attaches a page. If that cannot be done, the page of the package says why."""

    grok.name("attach")
    grok.require(Use)

    def update(self) -> None:
        super().update()
        self.given = self.field("url").strip()
        if self.request.method != "POST":
            self.redirect(self.url(self.context))
            return
        check_token(self.request, self.field("token"))
        try:
            pages.attach(self.context, self.given, self.person.login)
        except Refused as error:
            self.problem = str(error)
            self.request.response.setStatus(422)
        else:
            self.redirect(self.address(self.context, said="attached"))


class Subscribe(Action):
    grok.context(Package)
    grok.require(Use)

    def act(self) -> str:
        self.person.subscribe(self.context)
        return self.address(self.context, said="subscribed")


class Unsubscribe(Action):
    grok.context(Package)
    grok.require(Use)

    def act(self) -> str:
        self.person.unsubscribe(self.context)
        return self.address(self.context, said="unsubscribed")


class Refresh(Action):
    """Has the package fetched, not only when it has changed."""

    grok.context(Package)
    grok.require(Use)

    def act(self) -> str:
        self.context.refresh()
        return self.address(self.context, said="refreshed")


class RefreshPage(Action):
    """Has an attached page fetched again."""

    grok.context(pages.Page)
    grok.name("refresh")
    grok.require(Use)

    def act(self) -> str:
        self.context.refresh()
        return self.address(self.context.__parent__, said="refreshed")


class RemovePage(Action):
    """Removes an attached page: only who has attached it may do that, and managers."""

    grok.context(pages.Page)
    grok.name("remove")
    grok.require(Use)

    def act(self) -> str:
        package = self.context.__parent__
        if not (self.may_manage or self.person.login == self.context.added_by):
            raise Unauthorized(self.context, "remove")
        del package[self.context.__name__]
        return self.address(package, said="removed")
