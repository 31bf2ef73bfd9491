"""What the jobs do, and as whom."""

import zope.component
import zope.interface
from AccessControl import getSecurityManager
from AccessControl.SecurityManagement import newSecurityManager, setSecurityManager
from Acquisition import aq_inner, aq_parent
from zope.component.hooks import getSite

import zc.async_.z3


class ITitle(zope.interface.Interface):
    """The title of a site: a component of its own."""


class UserJob(zc.async_.z3.Job):
    """A job that runs in the site of the request, and as its user."""

    def __init__(self, callable, /, *args, **kwargs):
        super().__init__(callable, *args, **kwargs)
        user = getSecurityManager().getUser()
        self.user_id = user.getId()
        self.user_folder = aq_parent(aq_inner(user)).getPhysicalPath()

    def setUp(self):
        before = super().setUp()
        security = getSecurityManager()
        # The job may be in another database, and so may the site, if it is in one that is mounted.
        root = self.site._p_jar.get_connection("main").root()["Application"]
        folder = root.unrestrictedTraverse(self.user_folder)
        newSecurityManager(None, folder.getUserById(self.user_id).__of__(folder))
        return before, security

    def tearDown(self, setup_info):
        # None if setUp has failed.
        if setup_info is not None:
            before, security = setup_info
            setSecurityManager(security)
            super().tearDown(before)


def report(number):
    """Who am I, and where?"""
    user = getSecurityManager().getUser().getId()
    title = zope.component.getUtility(ITitle)
    return f"{user} in {getSite().getId()} ({title.text}): {6 * number}"
