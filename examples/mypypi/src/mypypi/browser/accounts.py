"""Joining, logging in and out, and a person's own page."""

import re
import urllib.parse
from typing import Any

import grok

from mypypi import sessions
from mypypi.app import MyPyPI
from mypypi.browser.base import Action, Page
from mypypi.people import BadAccount, Person
from mypypi.permissions import Use

grok.templatedir("templates")


class _Form(Page):
    """A form for a name and a password."""

    grok.baseclass()
    grok.context(MyPyPI)

    #: What is wrong with what was sent.
    problem = ""

    def update(self) -> None:
        super().update()
        self.name = self.field("name").strip()
        self.back = self.field("back")
        if self.request.method != "POST":
            return
        sessions.check_token(self.request, self.field("token"))
        try:
            person = self.enter(self.name, self.field("password"))
        except BadAccount as error:
            self.problem = str(error)
            self.request.response.setStatus(422)
        else:
            # A new one: nobody knows it who may have known that of the visitor.
            sessions.begin(self.request, person)
            self.redirect(self._target())

    def enter(self, name: str, password: str) -> Person:
        """Who that is. Raises `BadAccount`."""
        raise NotImplementedError

    def _target(self) -> str:
        # Back to where a login was asked for; but nowhere else than in this application.
        path = urllib.parse.urlsplit(self.url(self.context)).path
        if re.fullmatch(re.escape(path) + r"/[!-~]*", self.back):
            return self.back
        return self.address(self.context, "me", said=self.saying)


class Login(_Form):
    """Logs a person in."""

    grok.template("login")

    title = "Log in"
    saying = "back"

    def enter(self, name: str, password: str) -> Person:
        person = self.context["people"].authenticate(name, password)
        if person is None:
            raise BadAccount("There is nobody with that name and password.")
        return person


class Join(_Form):
    """Makes an account, and logs its person in."""

    grok.template("join")

    title = "Join"
    saying = "joined"

    def enter(self, name: str, password: str) -> Person:
        return self.context["people"].join(name, password)


class Logout(Action):
    """Logs a person out."""

    grok.context(MyPyPI)
    grok.require(Use)

    def act(self) -> str:
        self.person.end_sessions()
        sessions.begin(self.request)
        return self.address(self.context, said="left")


class Me(Page):
    """What a person follows, and was told."""

    grok.context(MyPyPI)
    grok.require(Use)
    grok.template("me")

    @property
    def title(self) -> str:
        return f"Notices of {self.person.login}"

    @property
    def subscriptions(self) -> list[Any]:
        packages = self.context["packages"]
        return [packages[name] for name in self.person.subscriptions]


class MarkRead(Action):
    """Has all notices count as read."""

    grok.context(MyPyPI)
    grok.name("mark-read")
    grok.require(Use)

    def act(self) -> str:
        self.person.notices.mark_read()
        return self.address(self.context, "me", said="read")
