"""What a new database gets: the site, its users, sales, and the quota of the queue."""

import secrets
from typing import Any

from zope.app.publication.zopepublication import ZopePublication
from zope.authentication.interfaces import IAuthentication
from zope.component import adapter
from zope.error.interfaces import IErrorReportingUtility
from zope.processlifetime import IDatabaseOpenedWithRoot
from zope.securitypolicy.interfaces import IPrincipalRoleManager
from zope.session.http import CookieClientIdManager
from zope.session.interfaces import IClientIdManager, ISessionDataContainer
from zope.session.session import PersistentSessionDataContainer
from zope.site import LocalSiteManager

import reports.sales
import zc.async_.running.receipts
from reports.interfaces import ISales
from reports.jobs import QUOTA, QUOTA_SIZE
from reports.model import Desk, ReportsSite
from reports.users import User, Users
from zc.async_.interfaces import IObjectAdded, IQueue

#: The name of the site in the root folder.
NAME = "reports"

#: Of a sample: everybody may know it.
PASSWORD = "secret"

#: Ids and names. The last one is the manager.
PEOPLE = (("alice", "Alice Adams"), ("bob", "Bob Brown"), ("manager", "Mary Manager"))


@adapter(IDatabaseOpenedWithRoot)
def install(event: Any) -> None:
    """Make the site, unless there is one."""
    with event.database.transaction("reports: installing") as connection:
        root_folder = connection.root()[ZopePublication.root_name]
        if NAME not in root_folder:
            _fill(root_folder)
    # Reports are in one database and jobs in another. A process may die between the two commits:
    # a receipt then tells whether the job took effect, so that it does exactly once.
    zc.async_.running.receipts.install(event.database)


def _fill(root_folder: Any) -> None:
    errors = root_folder.getSiteManager().getUtility(IErrorReportingUtility)
    # A wrong address is no error of the code, and its traceback would tell nothing.
    errors.setProperties(20, True, ("Unauthorized", "NotFound", "BadRequest"))
    site = root_folder[NAME] = ReportsSite()
    components = LocalSiteManager(site)
    site.setSiteManager(components)
    # Components of the site: a job finds them since it runs in the site in which it was put.
    components.registerUtility(reports.sales.sample(), ISales)
    components.registerUtility(users := Users(), IAuthentication)
    components.registerUtility(PersistentSessionDataContainer(), ISessionDataContainer)
    # By default the secret of the cookies comes from a generator that can be foretold.
    cookies = CookieClientIdManager("reports_session", secrets.token_urlsafe())
    cookies.httpOnly = True
    components.registerUtility(cookies, IClientIdManager)
    for user_id, title in PEOPLE:
        users.add(User(user_id, title, PASSWORD))
        _give_desk(site, user_id)
    IPrincipalRoleManager(site).assignRoleToPrincipal("reports.Manager", PEOPLE[-1][0])


def _give_desk(site: Any, user_id: str) -> None:
    """Have a user be one of the site, and the owner of a desk there, and of no other."""
    IPrincipalRoleManager(site).assignRoleToPrincipal("reports.User", user_id)
    desk = site[user_id] = Desk(user_id)
    IPrincipalRoleManager(desk).assignRoleToPrincipal("reports.Owner", user_id)


@adapter(IObjectAdded)
def add_quota(event: Any) -> None:
    """Give a new queue the quota that limits how many reports are made at once."""
    if IQueue.providedBy(event.object):
        event.object.quotas.create(QUOTA, QUOTA_SIZE)
