"""A job of `zc.async_.z3` that is called by hand: what it remembers, sets up and takes down."""

import importlib
import operator
import pickle
import re
import sys

import pytest
import zope.component
import zope.component.hooks
import zope.interface
import zope.location.interfaces
import zope.security.interfaces
import zope.security.management
from ZODB.broken import find_global
from ZODB.POSException import POSKeyError
from zope.authentication.interfaces import IAuthentication
from zope.interface.verify import verifyClass, verifyObject
from zope.security.checker import NamesChecker, ProxyFactory
from zope.security.management import (
    endInteraction,
    getInteraction,
    newInteraction,
    queryInteraction,
    restoreInteraction,
    setSecurityPolicy,
    system_user,
)
from zope.security.simplepolicies import ParanoidSecurityPolicy

import zc.async_.job
import zc.async_.z3
from tests.z3 import world
from tests.z3.world import NOWHERE, context, happened, made
from zc.async_.interfaces import COMPLETED, BadStatusError, IJob
from zc.async_.job import as_job
from zc.async_.storing import UnstorableError
from zc.async_.z3 import Job, MissingPrincipalError, Participation

# -- what it is


def test_it_is_a_job_under_both_names_of_the_package():
    assert importlib.import_module("zc.async.z3").Job is Job
    assert (Job.__module__, Job.__qualname__) == ("zc.async_.z3", "Job")
    assert issubclass(Job, zc.async_.job.Job)
    verifyClass(IJob, Job)


def test_records_of_old_mean_the_same_class():
    assert find_global("zc.async.z3", "Job") is Job


def test_without_the_packages_of_the_extra_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "zope.authentication.interfaces", None)
    with pytest.raises(ImportError, match=re.escape('pip install "zc.async[z3]"')):
        importlib.reload(zc.async_.z3)


def test_a_participation_is_what_interactions_take():
    anna = world.Principal("anna")
    participation = Participation(anna)
    verifyObject(zope.security.interfaces.IParticipation, participation)
    assert (participation.principal, participation.interaction) == (anna, None)
    newInteraction(participation)
    assert participation.interaction is getInteraction()
    endInteraction()


# -- what it remembers


def test_it_remembers_where_and_by_whom_it_was_made(site):
    job = made(site, ["anna"], world.look)
    assert job.site is site
    assert job.participants == ("anna",)


def test_without_site_and_interaction_it_is_a_job_like_any_other(keep):
    job = keep(Job(operator.mul, 6, 7))
    assert (job.site, job.participants) == (None, ())
    assert job() == 42
    plain, ours = (vars(kind(operator.mul, 6, 7)) for kind in (zc.async_.job.Job, Job))
    assert plain == ours


def test_what_is_stored_is_a_reference_and_ids(keep, site, client):
    job = keep(made(site, ["anna", "bert"], world.look))
    plain = client.root["plain"] = zc.async_.job.Job(world.look)
    client.manager.commit()
    data, other = (client.connection._storage.load(one._p_oid)[0] for one in (job, plain))
    assert len(data) - len(other) < 160
    assert b"Principal" not in data
    state = job.__getstate__()
    assert {name: state[name] for name in state if name not in plain.__getstate__()} == {
        "stored_site": site,
        "stored_participants": ("anna", "bert"),
    }


def test_a_site_and_a_user_in_security_proxies_are_taken_out_of_them(site, keep):
    proxied = ProxyFactory(site, NamesChecker(["getSiteManager"]))
    anna = ProxyFactory(world.Principal("anna"), NamesChecker())
    newInteraction(Participation(anna))
    zope.component.hooks.siteinfo.site = proxied
    job = Job(world.look)
    world.leave()
    assert type(job.site) is world.Site
    assert [type(one) for one in job.participants] == [str]
    assert keep(job)() == ("news", ("anna",))
    other = Job(world.look)
    other.site = proxied
    assert type(other.site) is world.Site


def test_a_participation_without_a_principal_is_passed_over(site):
    newInteraction(Participation(None), Participation(world.Principal("anna")))
    assert Job(world.look).participants == ("anna",)
    endInteraction()


def test_a_site_that_is_not_persistent_is_refused():
    class Passing:
        def getSiteManager(self):
            return zope.component.getGlobalSiteManager()

    zope.component.hooks.setSite(Passing())
    with pytest.raises(UnstorableError, match="not persistent"):
        Job(world.look)
    world.leave()


# -- what can be set


def test_both_can_be_set_before_the_start(site, client, keep):
    other = client.root["other"] = world.Site("other", "dora")
    job = made(site, ["anna"], world.look)
    job.site = other
    job.participants = ["dora"]
    assert job.participants == ("dora",)
    assert keep(job)() == ("other", ("dora",))


def test_both_can_be_cleared(site, keep):
    job = made(site, ["anna"], world.look)
    job.site, job.participants = None, ()
    assert keep(job)() == NOWHERE


def test_neither_can_be_set_after_the_start(site, keep):
    job = keep(made(site, ["anna"], world.look))
    job()
    with pytest.raises(BadStatusError, match="the site of a job can be set until it starts"):
        job.site = None
    with pytest.raises(BadStatusError, match="the participants"):
        job.participants = ()
    assert (job.site, job.participants) == (site, ("anna",))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("site", 5, "getSiteManager"),
        ("site", "news", "getSiteManager"),
        ("participants", "anna", "put it into a tuple"),
        ("participants", [world.Principal("anna")], "ids of principals"),
        ("participants", [None], "ids of principals"),
        ("participants", None, "not iterable"),
    ],
)
def test_what_is_neither_is_refused_at_once(site, name, value, message):
    job = made(site, ["anna"], world.look)
    with pytest.raises(TypeError, match=message):
        setattr(job, name, value)
    assert (job.site, job.participants) == (site, ("anna",))


def test_the_call_can_be_set_as_that_of_any_job(site, keep):
    job = made(site, ["anna"], world.look)
    job.callable = world.greet
    assert job.callable is world.greet
    assert keep(job)() == "welcome to news"


# -- how it runs


def test_its_code_is_in_the_site_and_the_interaction(site, keep):
    assert keep(made(site, ["anna"], world.look))() == ("news", ("anna",))
    assert context() == NOWHERE


def test_the_components_of_the_site_are_there(site, keep):
    assert keep(made(site, (), world.greet))() == "welcome to news"


def test_they_are_there_in_a_process_that_has_not_set_its_hooks(site, keep):
    zope.component.hooks.resetHooks()
    assert keep(made(site, (), world.greet))() == "welcome to news"


def test_two_may_take_part(site, keep):
    assert keep(made(site, ["anna", "bert"], world.look))() == ("news", ("anna", "bert"))


def test_the_security_policy_is_asked_about_the_participants(site, keep):
    class OnlyAnna(ParanoidSecurityPolicy):
        def checkPermission(self, permission, object):
            return [one.principal.id for one in self.participations] == ["anna"]

    setSecurityPolicy(OnlyAnna)
    assert keep(made(site, ["anna"], world.may_see))() is True
    assert keep(made(site, ["bert"], world.may_see))() is False
    assert keep(made(site, (), world.may_see))().check(zope.security.interfaces.NoInteraction)


def test_the_hooks_of_its_transaction_have_the_context(site, keep):
    keep(made(site, ["anna"], world.add_hooks))()
    assert happened == [("news", ("anna",))] * 2
    assert context() == NOWHERE


def test_callbacks_have_their_own_context(site, client, keep):
    other = client.root["other"] = world.Site("other", "dora")
    job = made(site, ["anna"], world.look)
    job.addCallback(made(other, ["dora"], world.look))
    job.addCallback(zc.async_.job.Job(world.look))
    job.addCallback(world.look)
    job.addCallbacks(success=made(site, ["bert", "cleo"], world.look))
    keep(job)()
    assert happened == [
        ("news", ("anna",)),
        ("other", ("dora",)),
        NOWHERE,
        NOWHERE,
        ("news", ("bert", "cleo")),
    ]
    assert context() == NOWHERE


def test_a_callback_has_the_context_when_the_job_has_failed(site, keep):
    job = made(site, ["anna"], world.look_and_fail)
    callback = job.addCallback(made(site, ["bert"], world.look))
    assert keep(job)().check(ValueError)
    assert callback.result == ("news", ("bert",))
    assert context() == NOWHERE


def test_each_try_sets_the_context_up(site, keep):
    assert keep(made(site, ["anna"], world.conflict))() == ("news", ("anna",))
    assert happened == [("news", ("anna",))] * 3
    assert context() == NOWHERE


def test_so_does_a_try_after_a_commit_that_failed(site, keep):
    job = keep(made(site, ["anna"], world.refuse_commits))
    job()
    assert job.status == COMPLETED
    # Before the first commit, and before and after the second.
    assert happened == [("news", ("anna",))] * 3
    assert context() == NOWHERE


# -- what it leaves


@pytest.mark.parametrize(
    "call", [world.go_away, world.go_away_and_fail, world.end_interaction, world.look]
)
def test_whatever_it_does_the_thread_is_as_before(site, keep, call):
    job = keep(made(site, ["anna"], call))
    job()
    assert job.status == COMPLETED
    assert context() == NOWHERE
    assert keep(zc.async_.job.Job(world.look))() == NOWHERE
    assert keep(Job(world.look))() == NOWHERE
    restoreInteraction()
    assert context() == NOWHERE


@pytest.mark.parametrize("kind", [world.Careless, world.Careful])
def test_a_subclass_that_fails_in_set_up_leaves_nothing(site, keep, kind):
    job = keep(made(site, ["anna"], world.look, kind=kind))
    assert job().getErrorMessage() == "setUp failed"
    assert happened == []
    assert context() == NOWHERE


def test_a_subclass_may_return_what_it_likes_from_set_up(site, keep):
    assert keep(made(site, ["anna"], world.look, kind=world.Told))() == ("news", ("anna",))
    assert happened[1:] == [("told", ("news", ("anna",)))]
    assert context() == NOWHERE


def test_a_principal_who_is_gone_leaves_nothing(site, keep):
    job = keep(made(site, ["anna", "bert"], world.look))
    site.forget("bert")
    assert job().check(MissingPrincipalError)
    assert happened == []
    assert context() == NOWHERE


def test_the_context_of_the_caller_is_set_aside_and_comes_back_untouched(site, client, keep):
    other = client.root["other"] = world.Site("other", "dora")
    job = keep(made(other, ["dora"], world.go_away))
    world.enter(site, "anna")
    interaction = getInteraction()
    (participation,) = interaction.participations
    assert job() == ("elsewhere", ("stranger",))
    assert queryInteraction() is interaction
    assert interaction.participations == [participation]
    assert participation.interaction is interaction
    assert zope.component.hooks.getSite() is site
    assert zope.component.getUtility(world.IGreeting).text == "welcome to news"
    assert keep(zc.async_.job.Job(world.look))() == ("news", ("anna",))
    world.leave()


@pytest.mark.parametrize("ids", [(), ["dora"]])
def test_a_job_gets_nothing_that_is_its_callers(site, client, keep, ids):
    """Neither the interaction nor the one before it."""
    other = client.root["other"] = world.Site("other", "dora")
    looking = keep(made(other, ids, world.look))
    restoring = client.root["restoring"] = made(other, ids, world.restore_interaction)
    client.manager.commit()
    world.enter(site, "bert")
    endInteraction()
    newInteraction(Participation(world.Principal("anna")))
    assert looking() == ("other", tuple(ids) or None)
    assert restoring() == ("other", None)
    assert context() == ("news", ("anna",))
    endInteraction()
    restoreInteraction()
    assert context() == ("news", ("anna",))
    world.leave()


def test_a_job_that_is_called_by_a_job_has_its_own_context(site, keep):
    job = keep(made(site, ["anna"], world.call_by_hand))
    assert job() == (NOWHERE, ("news", ("anna",)))
    assert context() == NOWHERE


def test_adapters_of_the_callers_site_are_found_again(site, client, keep):
    other = client.root["other"] = world.Site("other")
    for place in (site, other):
        place.components.registerAdapter(
            world.greeting_of[place.name], (type(None),), world.IGreeting
        )
    job = keep(made(other, (), world.adapt))
    world.enter(site)
    assert world.adapt() == "news"
    assert job() == "other"
    assert world.adapt() == "news"
    world.leave()


def test_what_an_inner_job_has_left_ends_with_the_outer_one(site, keep):
    assert keep(made(site, ["anna"], world.call_forgetful))() == ("news", ("bert",))
    assert context() == NOWHERE
    assert keep(made(site, ["anna"], world.look))() == ("news", ("anna",))
    assert context() == NOWHERE


def test_its_code_sees_its_callable_as_it_is(site, keep):
    assert keep(made(site, ["anna"], world.own_callable))() is True


# -- who is found


def test_the_authentication_of_the_process_is_asked_where_there_is_no_site(keep):
    zope.component.provideUtility(world.Authentication("anna"), IAuthentication)
    job = Job(world.look)
    job.participants = ["anna"]
    assert keep(job)() == (None, ("anna",))


def test_without_any_authentication_the_failure_says_what_is_missing(keep):
    job = Job(world.look)
    job.participants = ["anna"]
    failure = keep(job)()
    assert failure.check(MissingPrincipalError)
    assert "'anna'" in failure.getErrorMessage()
    assert "IAuthentication" in failure.getErrorMessage()


def test_the_user_of_the_system_is_found(site, keep):
    zope.component.hooks.setSite(site)
    newInteraction(Participation(system_user))
    job = keep(Job(world.look))
    world.leave()
    assert job() == ("news", (system_user.id,))


def test_an_error_of_the_database_is_no_missing_principal(site, keep, monkeypatch):
    def getPrincipal(self, id):
        raise POSKeyError(b"\0\0\0\0\0\0\0\1")

    monkeypatch.setattr(world.Authentication, "getPrincipal", getPrincipal)
    job = keep(Job(world.look))
    job.site, job.participants = site, ["anna"]
    failure = job()
    assert failure.check(POSKeyError)
    assert not failure.check(MissingPrincipalError)
    assert context() == NOWHERE


def test_every_function_of_a_module_may_be_made_such_a_job(site, keep):
    zope.component.provideAdapter(Job, (type(world.look),), IJob)
    world.enter(site, "anna")
    job = as_job(world.look)
    job.addCallback(world.look)
    world.leave()
    keep(job)()
    assert happened == [("news", ("anna",))] * 2


def test_errors_can_be_stored():
    for error in (MissingPrincipalError("anna"), zc.async_.z3.UnloadableSiteError("news")):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again)) == (type(error), str(error))
