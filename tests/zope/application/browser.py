"""The pages."""

import os

import outlasting
import transaction
import zope.component
import zope.interface
from OFS.Folder import manage_addFolder
from persistent import Persistent
from Products.Five.browser import BrowserView
from Products.Five.component import enableSite
from zope.component.persistentregistry import PersistentComponents

import zc.async_
import zc.async_.dispatcher
from application.jobs import ITitle, UserJob, report
from zc.async_.interfaces import IQueue


@zope.interface.implementer(ITitle)
class Title(Persistent):
    """A local component."""

    def __init__(self, text):
        self.text = text


class MakeSite(BrowserView):
    """Makes a site, with a component of its own."""

    def __call__(self):
        manage_addFolder(self.context, "site")
        site = self.context.site
        components = PersistentComponents()
        components.__bases__ = (zope.component.getGlobalSiteManager(),)
        components.registerUtility(Title("of its own"), ITitle)
        site.setSiteManager(components)
        enableSite(site)
        return "made"


class Put(BrowserView):
    """Puts a job, and tells its id."""

    def __call__(self):
        return IQueue(self.context).put(UserJob(report, 7)).id


class PutOutlasting(BrowserView):
    """Puts a job of the module `outlasting`, and tells its id."""

    def __call__(self):
        function = getattr(outlasting, self.request.form["function"])
        return IQueue(self.context).put(UserJob(function)).id


class Result(BrowserView):
    """Tells of a job."""

    def __call__(self):
        job = zc.async_.find(self.context, self.request.form["id"])
        return f"{job.status}|{job.result}"


class Process(BrowserView):
    """Tells of the dispatcher of the process that serves the request."""

    def __call__(self):
        dispatcher = zc.async_.dispatcher.get()
        return f"{os.getpid()} {dispatcher is not None and bool(dispatcher.activated)}"


class Abort(BrowserView):
    """Puts a job in a request that fails."""

    def __call__(self):
        IQueue(self.context).put(UserJob(report, 7))
        transaction.doom()
        raise ValueError("this request fails")
