"""What a job of `zc.async_.z3` needs and is not there any more: the failure names it."""

import pytest
import ZODB.broken
import zope.component
import zope.interface
from zope.authentication.interfaces import (
    IFallbackUnauthenticatedPrincipal,
    IUnauthenticatedPrincipal,
    PrincipalLookupError,
)
from zope.principalregistry.principalregistry import (
    fallback_unauthenticated_principal,
    principalRegistry,
)
from zope.security.management import newInteraction

from tests.z3 import world
from tests.z3.world import NOWHERE, happened, made
from zc.async_.interfaces import COMPLETED, KEY, PENDING
from zc.async_.z3 import Job, MissingPrincipalError, MissingSiteError, Participation


@pytest.fixture
def fails(run, client):
    """Puts a job, and returns the text of its failure."""

    def fails(job, kind):
        failure = run(job)
        assert failure.check(kind), failure
        assert happened == []
        assert run(Job(world.look)) == NOWHERE
        return failure.getErrorMessage()

    return fails


# -- principals


def test_a_principal_who_is_gone_is_named(site, client, dispatcher, fails):
    job = made(site, ["anna", "bert"], world.look)
    site.forget("bert")
    text = fails(job, MissingPrincipalError)
    assert "'bert'" in text
    assert "anna" not in text
    assert "tests.z3.world.Site" in text
    assert job.result.check(PrincipalLookupError)


def test_so_is_one_of_whom_a_simple_authentication_raises_a_key_error(
    site, dispatcher, fails, monkeypatch
):
    monkeypatch.setattr(world.Authentication, "getPrincipal", lambda self, key: self.known[key])
    monkeypatch.delattr(world.Authentication, "unauthenticatedPrincipal")
    job = made(site, ["anna"], world.look)
    site.forget("anna")
    assert "'anna'" in fails(job, MissingPrincipalError)


def test_a_job_can_be_repaired_while_it_waits(site, client, dispatcher, put, reactor, completed):
    job = put(made(site, ["anna", "bert"], world.look), begin_after=world.AN_HOUR)
    site.forget("bert")
    job.participants = job.participants[:1]
    client.manager.commit()
    reactor.time_flies(world.AN_HOUR.total_seconds() + 60)
    completed(job)
    assert job.result == ("news", ("anna",))


def test_principals_of_the_usual_registry_are_found(client, dispatcher, run):
    site = client.root["site"] = world.Site("news")
    principalRegistry.definePrincipal("anna", "Anna", login="anna", password=b"")
    site.components.unregisterUtility(
        site.components.getUtility(world.IAuthentication), world.IAuthentication
    )
    job = Job(world.look)
    job.site, job.participants = site, ["anna"]
    failure = run(job)
    assert "there is no utility" in failure.getErrorMessage()
    zope.component.provideUtility(principalRegistry, world.IAuthentication)
    job = Job(world.look)
    job.site, job.participants = site, ["anna"]
    assert run(job) == ("news", ("anna",))


@pytest.mark.parametrize("registered", [None, IUnauthenticatedPrincipal])
def test_who_has_not_been_authenticated_is_found(site, dispatcher, run, registered):
    nobody = world.Principal("nobody")
    if registered is None:
        nobody = principalRegistry.defineDefaultPrincipal("zope.anybody", "Nobody")
        zope.component.provideUtility(principalRegistry, world.IAuthentication)
        site = None
    else:
        zope.interface.directlyProvides(nobody, registered)
        zope.component.provideUtility(nobody, registered)
    newInteraction(Participation(nobody))
    job = Job(world.look)
    world.leave()
    job.site = site
    assert run(job)[1] == (nobody.id,)


def test_so_is_the_fallback_for_those_whom_nobody_knows(site, dispatcher, run):
    nobody = world.Principal("nobody")
    zope.interface.directlyProvides(nobody, IUnauthenticatedPrincipal)
    for principal, interface in (
        (fallback_unauthenticated_principal, IFallbackUnauthenticatedPrincipal),
        (nobody, IUnauthenticatedPrincipal),
    ):
        zope.component.provideUtility(principal, interface)
    zope.component.hooks.setSite(site)
    newInteraction(Participation(fallback_unauthenticated_principal))
    job = Job(world.look)
    world.leave()
    assert run(job) == ("news", (fallback_unauthenticated_principal.id,))


def test_so_is_one_whom_a_site_has_for_them(site, dispatcher, run):
    """Its authentication does not find that one by its id."""
    nobody = world.Principal("nobody of news")
    site.components.getUtility(world.IAuthentication).nobody = nobody
    job = Job(world.look)
    job.site, job.participants = site, [nobody.id]
    assert run(job) == ("news", (nobody.id,))


# -- sites


def test_a_site_that_was_removed_from_its_application_is_named(
    root_folder, client, dispatcher, fails
):
    site = root_folder.add("news", world.Site("news", "anna"))
    job = made(site, ["anna"], world.look)
    root_folder.remove("news")
    text = fails(job, MissingSiteError)
    assert "tests.z3.world.Site (oid " in text
    assert "removed" in text


def test_so_is_one_in_a_folder_that_was_removed(root_folder, dispatcher, fails):
    folder = root_folder.add("papers", world.Folder())
    job = made(folder.add("news", world.Site("news", "anna")), ["anna"], world.look)
    root_folder.remove("papers")
    assert "removed" in fails(job, MissingSiteError)


def test_a_site_that_was_moved_is_still_there(root_folder, client, dispatcher, run):
    site = root_folder.add("news", world.Site("news", "anna"))
    job = made(site, ["anna"], world.look)
    root_folder.remove("news")
    root_folder.add("papers", world.Folder()).add("old", site)
    assert run(job) == ("news", ("anna",))


def test_one_that_is_set_later_may_be_in_another_tree_or_in_none(
    root_folder, site, client, dispatcher, run
):
    job = made(root_folder.add("news", world.Site("news")), (), world.look)
    job.site = site
    assert run(job) == ("news", None)


def test_parents_in_a_circle_are_no_tree(client, dispatcher, run):
    site = client.root["site"] = world.Site("news", "anna")
    site.__parent__ = world.Folder()
    site.__parent__.__parent__ = site
    assert run(made(site, ["anna"], world.look)) == ("news", ("anna",))


def test_a_site_without_a_site_manager_is_named(site, dispatcher, fails):
    job = made(site, (), world.look)
    site.components = None
    text = fails(job, MissingSiteError)
    assert "tests.z3.world.Site (oid " in text
    assert "no site manager" in text


@pytest.fixture
def two(two_databases, make_dispatcher, install_agent, reactor, connect):
    """A client of two databases: of content, and of the queue; and their dispatcher."""
    install_agent()
    client = connect(two_databases["content"])
    site = client.root["site"] = world.Site("news", "anna")
    client.manager.commit()
    make_dispatcher(two_databases["content"]).activate()
    reactor.time_flies(0)
    client.site = site
    return client


def queue_of(client):
    return client.connection.get_connection("async").root()[KEY][""]


def until_completed(client, settle, job):
    settle(lambda: (client.manager.begin(), job.status == COMPLETED)[1])
    return job.result


def test_a_site_in_another_database_is_referred_to(two, settle):
    job = queue_of(two).put(made(two.site, ["anna"], world.greet))
    two.manager.commit()
    assert job._p_jar.db().database_name == "async"
    assert until_completed(two, settle, job) == "welcome to news"


@pytest.mark.parametrize("name", ["content", "async"])
def test_a_coroutine_has_a_site_in_either_database(two, settle, name):
    site = two.connection.get_connection(name).root()["other"] = world.Site("news", "anna")
    two.manager.commit()
    job = queue_of(two).put(made(site, ["anna"], world.look_at_once))
    two.manager.commit()
    assert until_completed(two, settle, job) == (("news", ("anna",)), "welcome to news")


def test_a_site_that_was_packed_away_there_is_named(two, settle, reactor, two_databases):
    job = queue_of(two).put(made(two.site, ["anna"], world.look), begin_after=world.AN_HOUR)
    two.manager.commit()
    del two.root["site"]
    two.manager.commit()
    two_databases["content"].cacheMinimize()
    two_databases["content"].pack()
    reactor.time_flies(world.AN_HOUR.total_seconds() + 60)
    failure = until_completed(two, settle, job)
    assert failure.check(MissingSiteError)
    assert "tests.z3.world.Site (oid " in failure.getErrorMessage()
    assert "db 'content'" in failure.getErrorMessage()
    assert happened == []


def test_a_site_that_may_still_come_is_waited_for(
    two_databases, make_dispatcher, install_agent, reactor, connect, settle, caplog
):
    """One database has finished the commit, and the other has not."""
    caplog.set_level("INFO", "zc.async.events")
    two = connect(two_databases["content"])
    site = two.root["site"] = world.Site("news", "anna")
    two.manager.commit()
    job = queue_of(two).put(made(site, ["anna"], world.look))
    two.manager.commit()
    del two.root["site"]
    two.manager.commit()
    two_databases["content"].cacheMinimize()
    two_databases["content"].pack()
    install_agent()
    make_dispatcher(two_databases["content"]).activate()
    reactor.time_flies(0)
    settle(lambda: "being committed: the site tests.z3.world.Site (oid " in caplog.text)

    def has_been_given_up():
        # Little by little: a worker that looks while time flies puts its job back once more.
        reactor.time_flies(1)
        two.manager.begin()
        return job.status == COMPLETED

    settle(has_been_given_up)
    assert job.result.check(MissingSiteError)


def test_a_site_whose_class_is_missing_is_waited_for(
    client, put, make_dispatcher, install_agent, settle, reactor, monkeypatch
):
    site = client.root["site"] = world.Vanishing("news", "anna")
    job = put(made(site, ["anna"], world.look))
    install_agent()
    with monkeypatch.context() as patch:
        patch.delattr(world, "Vanishing")
        make_dispatcher().activate()
        reactor.time_flies(0)
        settle(lambda: (client.manager.begin(), job.missing_code)[1])
        assert job.status == PENDING
    ZODB.broken.broken_cache.clear()
    assert happened == []
