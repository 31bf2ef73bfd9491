"""People: who they are, what they follow and what they were told."""

import re
import secrets
from typing import Any

import grok
import zope.component
from BTrees.OOBTree import OOBTree
from zope.password.interfaces import IPasswordManager

import zc.async_.clock
from mypypi.notifying import Notices

#: Bytes of a password: bcrypt knows no more.
SHORTEST, LONGEST = 8, 72


class BadAccount(Exception):
    """There is no account like that; the text is for whoever wants it."""


class Person(grok.Model):
    """Somebody with an account."""

    def __init__(self, login: str) -> None:
        self.login = login
        self.password = ""
        #: In the cookies of this person's sessions: another one ends them all.
        self.session_key = ""
        #: Names of packages, and since when.
        self.subscriptions = OOBTree()
        self.notices = Notices()

    def set_password(self, password: str) -> None:
        """Set the password. Raises `BadAccount`."""
        if not SHORTEST <= len(password.encode()) <= LONGEST or "\0" in password:
            raise BadAccount(f"A password has {SHORTEST} to {LONGEST} characters.")
        self.password = _passwords().encodePassword(password)
        self.end_sessions()

    def has_password(self, password: str) -> bool:
        """Whether it is this one."""
        return len(password.encode()) <= LONGEST and _passwords().checkPassword(
            self.password, password
        )

    def end_sessions(self) -> None:
        """Log out, everywhere."""
        self.session_key = secrets.token_urlsafe(12)

    def subscribe(self, package: Any) -> None:
        """Be told what happens to a package."""
        self.subscriptions.setdefault(package.name, zc.async_.clock.now())
        package.subscribers.add(self.login)

    def unsubscribe(self, package: Any) -> None:
        """Be told no longer."""
        self.subscriptions.pop(package.name, None)
        if self.login in package.subscribers:
            package.subscribers.remove(self.login)


def _passwords() -> Any:
    return zope.component.getUtility(IPasswordManager, "BCRYPT")


class People(grok.Container):
    """People, by their logins."""

    def join(self, login: str, password: str) -> Person:
        """Make an account. Raises `BadAccount`."""
        login = login.strip().lower()
        if not re.fullmatch(r"[a-z][a-z0-9]{1,29}", login):
            raise BadAccount("A name has 2 to 30 letters and digits, and begins with a letter.")
        if login in self:
            raise BadAccount("Somebody has that name already: choose another one.")
        person = Person(login)
        person.set_password(password)
        self[login] = person
        return person

    def authenticate(self, login: str, password: str) -> Person | None:
        """The person with that name and password."""
        person = self.get(login.strip().lower())
        return person if person is not None and person.has_password(password) else None
