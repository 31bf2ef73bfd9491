"""Sites as requests of Zope have them, in acquisition wrappers."""

import sys
import types

import transaction
import zope.component.hooks
from persistent import Persistent
from zope.component.globalregistry import getGlobalSiteManager

from tests.z3 import world
from zc.async_.z3 import Job


class Wrapper:
    """Stands for a wrapper, which is not persistent."""

    def __init__(self, site):
        self.site = site

    def getSiteManager(self):
        return self.site.getSiteManager()


class Site(Persistent):
    """A site without local components."""

    def getSiteManager(self):
        return getGlobalSiteManager()


def test_a_site_is_stored_without_its_wrappers(db, monkeypatch):
    acquisition = types.ModuleType("Acquisition")
    acquisition.aq_base = lambda value: value.site if isinstance(value, Wrapper) else value
    monkeypatch.setitem(sys.modules, "Acquisition", acquisition)
    connection = db.open()
    site = connection.root()["site"] = Site()
    transaction.commit()
    zope.component.hooks.setSite(Wrapper(site))
    try:
        job = Job(world.context)
    finally:
        zope.component.hooks.setSite(None)
    assert job.site is site
    job.site = Wrapper(site)
    assert job.site is site
    transaction.abort()
    connection.close()
