"""The first page, the search, and the list of packages."""

import itertools
from collections.abc import Iterator
from typing import Any

import grok
from zope.site.interfaces import IRootFolder

from mypypi import here, index, search
from mypypi.app import MyPyPI
from mypypi.browser.base import Action, Page
from mypypi.packages import Package, Packages
from mypypi.permissions import Use

grok.templatedir("templates")

#: What has happened, as the first page shows it.
NEWS = 12

#: Packages of one page of the list.
BATCH = 60


class Root(grok.View):
    """Leads to the application."""

    grok.context(IRootFolder)
    grok.name("index")

    def render(self) -> None:
        self.redirect(self.url(self.context[here.NAME]))


class Front(Page):
    """The first page."""

    grok.context(MyPyPI)
    grok.name("index")
    grok.template("front")

    title = "Follow the packages you depend on"

    @property
    def news(self) -> Iterator[dict[str, Any]]:
        return itertools.islice(self.context["packages"].news.newest_first(), NEWS)

    @property
    def latest(self) -> tuple[str, ...]:
        look = self.context.follower.look
        return look.latest if look else ()


class Search(Page):
    """Finds packages and pages by their words."""

    grok.context(MyPyPI)
    grok.template("search")

    title = "Search"

    def update(self) -> None:
        super().update()
        self.query = self.field("q").strip()
        self.results = search.search(self.query) if self.query else search.Results()

    def package_of(self, thing: Any) -> Package:
        """The package that something was found in."""
        return thing if isinstance(thing, Package) else thing.__parent__


class All(Page):
    """The packages that people have asked for, in alphabetical order."""

    grok.context(Packages)
    grok.name("index")
    grok.template("all")

    title = "Packages"

    def update(self) -> None:
        super().update()
        # By the name to begin with, not by a number: that costs the same for the last page.
        names = list(itertools.islice(self.context.keys(self.field("from")), BATCH + 1))
        self.packages = [self.context[name] for name in names[:BATCH]]
        self.next = names[BATCH] if len(names) > BATCH else ""


class Find(Page):
    """Leads to a package by its name, or offers to ask the index for it."""

    grok.context(Packages)
    grok.template("find")

    title = "Look a package up"

    def update(self) -> None:
        super().update()
        self.given = self.field("name").strip()
        self.name = index.normalized(self.given)
        if self.name in self.context:
            self.redirect(self.url(self.context[self.name]))


class Add(Action):
    """Asks the index for a package."""

    grok.context(Packages)
    grok.require(Use)

    def act(self) -> str:
        name = index.normalized(self.field("name"))
        return self.address(self.context.ensure(name) if name else self.context)
