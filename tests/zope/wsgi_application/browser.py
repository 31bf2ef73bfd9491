"""The pages."""

import os

import outlasting
import zope.component
import zope.interface
from persistent import Persistent
from zope.component.hooks import getSite
from zope.publisher.browser import BrowserPage
from zope.security.management import getInteraction
from zope.security.proxy import removeSecurityProxy
from zope.site import LocalSiteManager
from zope.site.folder import Folder

import zc.async_
import zc.async_.dispatcher
import zc.async_.z3
from zc.async_.interfaces import IQueue


class ITitle(zope.interface.Interface):
    """The title of a site: a component of its own."""


@zope.interface.implementer(ITitle)
class Title(Persistent):
    """A local component."""

    def __init__(self, text):
        self.text = text


def report(number):
    """Who am I, and where?"""
    (participation,) = getInteraction().participations
    title = zope.component.getUtility(ITitle)
    return f"{participation.principal.id} in {getSite().__name__} ({title.text}): {6 * number}"


class MakeSite(BrowserPage):
    """Makes a site, with a component of its own."""

    def __call__(self):
        root = removeSecurityProxy(self.context)
        site = root["site"] = Folder()
        components = LocalSiteManager(site)
        components.registerUtility(Title("of its own"), ITitle)
        site.setSiteManager(components)
        return "made"


class Put(BrowserPage):
    """Puts a job, and tells its id."""

    def __call__(self):
        context = removeSecurityProxy(self.context)
        return IQueue(context).put(zc.async_.z3.Job(report, 7)).id


class PutOutlasting(BrowserPage):
    """Puts a job of the module `outlasting`, and tells its id."""

    def __call__(self):
        function = getattr(outlasting, self.request.form["function"])
        return IQueue(removeSecurityProxy(self.context)).put(zc.async_.z3.Job(function)).id


class Result(BrowserPage):
    """Tells of a job."""

    def __call__(self):
        context = removeSecurityProxy(self.context)
        job = zc.async_.find(context, self.request.form["id"])
        return f"{job.status}|{job.result}"


class Abort(BrowserPage):
    """Puts a job in a request that fails."""

    def __call__(self):
        IQueue(removeSecurityProxy(self.context)).put(zc.async_.z3.Job(report, 7))
        raise ValueError("this request fails")


class Process(BrowserPage):
    """Tells of the dispatcher of the process that serves the request."""

    def __call__(self):
        dispatcher = zc.async_.dispatcher.get()
        return f"{os.getpid()} {dispatcher is not None and bool(dispatcher.activated)}"
