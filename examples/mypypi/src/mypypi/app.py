"""The application: what is in it, and how it is made when a database is opened."""

import secrets
from typing import Any

import grok
import transaction
from grok import index
from grokcore.site.util import create_application
from zope.app.publication.zopepublication import ZopePublication
from zope.authentication.interfaces import IAuthentication
from zope.component.hooks import site
from zope.processlifetime import IDatabaseOpenedWithRoot

from mypypi import configuration, here
from mypypi.following import Follower
from mypypi.interfaces import ISearchable
from mypypi.packages import Packages
from mypypi.people import People
from mypypi.permissions import make_manager
from mypypi.sessions import Authentication


class MyPyPI(grok.Application, grok.Container):
    """My PyPI."""

    grok.local_utility(Authentication, IAuthentication)

    def __init__(self) -> None:
        super().__init__()
        self["packages"] = Packages()
        self["people"] = People()
        self.follower = Follower(self["packages"])
        #: Signs sessions and forms, in each instance.
        self.secret = secrets.token_bytes(32)


class Indexes(grok.Indexes):
    """The catalog of the application."""

    grok.site(MyPyPI)
    grok.context(ISearchable)

    searchable_text = index.Text()


@grok.subscribe(IDatabaseOpenedWithRoot)
def make_application(event: Any) -> None:
    """Make the application in a new database, and the manager that the configuration wants."""
    manager = transaction.TransactionManager()
    connection = event.database.open(manager)
    try:
        # Instances that start at the same time want the same: one meets a conflict.
        for attempt in manager.attempts(5):
            with attempt:
                _make_application(connection.root()[ZopePublication.root_name])
    finally:
        manager.abort()
        connection.close()


def _make_application(root: Any) -> None:
    application = root.get(here.NAME)
    if application is None:
        application = create_application(MyPyPI, root, here.NAME)
    password = configuration.read().manager_password
    with site(application):
        people = application["people"]
        if password and "manager" not in people:
            make_manager(application, people.join("manager", password))


def follow(event: Any) -> None:
    """Have the index be followed when a process begins to run jobs (`IDispatcherActivated`).

    In a sound database the chain is there, and nothing happens. This starts that of a new
    application, and one that somebody's mistake has broken. Registered in site.zcml, as tests start
    it themselves.
    """
    application = event.object._p_jar.root()[ZopePublication.root_name].get(here.NAME)
    if application is not None and application.follower.is_wanted:
        with site(application):
            application.follower.start()
