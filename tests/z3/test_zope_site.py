"""Jobs in sites of `zope.site`."""

import pytest
import zope.component
import zope.component.hooks
from zope.authentication.interfaces import IAuthentication
from zope.location.interfaces import ILocation
from zope.location.traversing import LocationPhysicallyLocatable
from zope.security.management import newInteraction
from zope.site.folder import Folder, rootFolder
from zope.site.site import LocalSiteManager

from tests.z3 import world
from tests.z3.world import happened
from zc.async_.z3 import Job, MissingSiteError, Participation


@pytest.fixture
def application(client):
    """The root folder of an application, which is a site, and a site in a folder of it."""
    # How a site finds the one above it.
    zope.component.provideAdapter(LocationPhysicallyLocatable, (ILocation,))
    application = client.root["application"] = rootFolder()
    application["papers"] = Folder()
    application["papers"]["news"] = Folder()
    for site in (application, application["papers"]["news"]):
        site.setSiteManager(LocalSiteManager(site))
    users = world.Authentication("anna")
    application.getSiteManager().registerUtility(users, IAuthentication)
    client.manager.commit()
    return application


def look():
    """Where this is: the path of the site, and who is there."""
    names, place = [], zope.component.hooks.getSite()
    while place is not None:
        names.append(place.__name__)
        place = place.__parent__
    (participation,) = world.queryInteraction().participations
    return names[::-1], participation.principal.id


def put_in(queue, site):
    zope.component.hooks.setSite(site)
    newInteraction(Participation(world.Principal("anna")))
    job = queue.put(Job(look))
    world.leave()
    return job


def test_a_site_asks_those_above_it_for_its_users(application, client, dispatcher, completed):
    jobs = [
        put_in(client.queue, application["papers"]["news"]),
        put_in(client.queue, application),
    ]
    client.manager.commit()
    completed(*jobs)
    assert [job.result for job in jobs] == [([None, "papers", "news"], "anna"), ([None], "anna")]


@pytest.mark.parametrize("path", [["papers", "news"], ["papers"]])
def test_a_site_that_was_deleted_is_named(application, client, dispatcher, completed, path):
    job = put_in(client.queue, application["papers"]["news"])
    *above, name = path
    place = application
    for one in above:
        place = place[one]
    del place[name]
    client.manager.commit()
    completed(job)
    assert job.result.check(MissingSiteError)
    assert "zope.site.folder.Folder (oid " in job.result.getErrorMessage()
    assert happened == []
