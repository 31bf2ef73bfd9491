"""Sites and users as applications have them, and what the jobs of these tests call."""

import datetime

import persistent
import zope.component
import zope.interface
import zope.location
from persistent.mapping import PersistentMapping
from transaction.interfaces import ITransactionManager
from twisted.internet.defer import Deferred
from ZODB.POSException import ConflictError
from zope.authentication.interfaces import IAuthentication, PrincipalLookupError
from zope.component.hooks import getSite, setSite
from zope.component.persistentregistry import PersistentComponents
from zope.security.interfaces import IPrincipal
from zope.security.management import (
    checkPermission,
    endInteraction,
    newInteraction,
    queryInteraction,
    restoreInteraction,
)

from zc.async_ import local
from zc.async_.z3 import Job, Participation


class IGreeting(zope.interface.Interface):
    """Something that each site says in its own way."""


@zope.interface.implementer(IGreeting)
class Greeting(persistent.Persistent):
    def __init__(self, text):
        self.text = text


@zope.interface.implementer(IPrincipal)
class Principal:
    description = ""

    def __init__(self, id):
        self.id = id
        self.title = id.capitalize()


@zope.interface.implementer(IAuthentication)
class Authentication(persistent.Persistent):
    """Knows principals by their ids."""

    nobody = None

    def __init__(self, *ids):
        self.known = PersistentMapping((one, Principal(one)) for one in ids)

    def getPrincipal(self, id):
        try:
            return self.known[id]
        except KeyError:
            raise PrincipalLookupError(id) from None

    def unauthenticatedPrincipal(self):
        return self.nobody


class Site(zope.location.Location, persistent.Persistent):
    """A place with components of its own."""

    def __init__(self, name, *ids):
        self.name = name
        self.notes = ()
        self.components = PersistentComponents(name, bases=(zope.component.getGlobalSiteManager(),))
        self.components.registerUtility(Authentication(*ids), IAuthentication)
        self.components.registerUtility(Greeting(f"welcome to {name}"), IGreeting)

    def getSiteManager(self):
        if self.components is None:
            raise zope.component.ComponentLookupError("no components")
        return self.components

    def note(self, *args):
        """Write down who notes something, and where."""
        self.notes += ((context(), *args),)
        return self.notes[-1]

    def forget(self, id):
        """The user of this id is gone."""
        del self.components.getUtility(IAuthentication).known[id]


class Folder(zope.location.Location, PersistentMapping):
    """A container that knows where it is, and has its items know."""

    def add(self, name, item):
        item.__parent__, item.__name__ = self, name
        self[name] = item
        return item

    def remove(self, name):
        self[name].__parent__ = self[name].__name__ = None
        del self[name]


def greeting_of_news(nothing):
    return Greeting("news")


def greeting_of_other(nothing):
    return Greeting("other")


#: Adapters of None, by the names of sites.
greeting_of = {"news": greeting_of_news, "other": greeting_of_other}


def adapt():
    """What an adapter of this place, and of no other, says."""
    return IGreeting(None).text


# -- where a thread is


def context():
    """The name of the thread's site, None for none, and the ids of who takes part there."""
    site, interaction = getSite(), queryInteraction()
    ids = None
    if interaction is not None:
        ids = tuple(one.principal.id for one in interaction.participations)
    return None if site is None else site.name, ids


NOWHERE = (None, None)


def enter(site, *ids):
    """Be in a site and an interaction, as a request is."""
    setSite(site)
    if ids:
        authentication = site.components.getUtility(IAuthentication)
        newInteraction(*(Participation(authentication.getPrincipal(one)) for one in ids))


def leave():
    """Be nowhere."""
    endInteraction()
    endInteraction()
    setSite(None)


def made(site, ids, callable, *args, kind=Job):
    """A job that is made in a site, by users of these ids."""
    enter(site, *ids)
    try:
        return kind(callable, *args)
    finally:
        leave()


# -- what jobs call

#: What functions did, whatever became of their transactions.
happened = []

#: Exceptions that `raise_next` raises, one a call.
to_raise = []

#: Deferreds that coroutines wait for.
deferreds = []


def look(*args):
    """Tell where this is, and do so again by the list of what happened."""
    happened.append(context())
    return context()


def greet():
    """What the components of this place, and of no other, say."""
    return zope.component.getUtility(IGreeting).text


def look_and_fail(*args):
    look()
    raise ValueError("it failed")


def raise_next():
    """Raise the next exception of `to_raise`, and return the context once there is none."""
    look()
    if to_raise:
        raise to_raise.pop(0)
    return context()


def conflict():
    """Conflict twice."""
    look()
    if len(happened) < 3:
        raise ConflictError
    return context()


def add_hooks():
    """Have the commit tell where it takes place."""
    manager = ITransactionManager(local.getJob())
    manager.get().addBeforeCommitHook(look)
    manager.get().addAfterCommitHook(look)


def refuse_commits():
    """Have the first commit fail."""
    if not happened:
        manager = ITransactionManager(local.getJob())
        manager.get().addBeforeCommitHook(_look_and_conflict)
    else:
        add_hooks()


def _look_and_conflict():
    look()
    raise ConflictError


def go_away():
    """Leave everything that the thread had been given, and go elsewhere."""
    endInteraction()
    restoreInteraction()
    endInteraction()
    newInteraction(Participation(Principal("intruder")))
    endInteraction()
    newInteraction(Participation(Principal("stranger")))
    setSite(Site("elsewhere"))
    return context()


def go_away_and_fail():
    go_away()
    raise ValueError("it failed")


def end_interaction():
    endInteraction()
    return context()


def restore_interaction():
    """What a job might get back that is not its own."""
    restoreInteraction()
    return context()


def own_callable():
    """Whether the job that calls this says so."""
    return local.getJob().callable is own_callable


def may_see():
    return checkPermission("see", None)


def put_another():
    """Put a job as whoever this is."""
    return local.getQueue().put(Job(look))


def call_by_hand():
    """Call a job of another context, and tell where this is after that."""
    inner = Job(look)
    inner.site, inner.participants = None, ()
    connection = local.getJob()._p_jar
    connection.root()["inner"] = inner
    return inner(), context()


def call_forgetful():
    """Call a job by hand that does not leave its context."""
    inner = Forgetful(look)
    inner.participants = ("bert",)
    local.getJob()._p_jar.root()["inner"] = inner
    return inner()


def is_for_dora(job):
    """A filter."""
    return job.site is not None and job.participants == ("dora",)


def contexts_of(*jobs):
    return [job.result for job in jobs]


async def look_in_steps():
    """Tell where each step is."""
    looks = [context()]
    for _step in range(2):
        deferreds.append(Deferred())
        try:
            looks.append(await deferreds[-1])
        except ValueError as error:
            looks.append(str(error))
        looks.append(context())
    return looks


async def look_at_once():
    return context(), greet()


class Reporter(persistent.Persistent):
    async def look(self):
        """Tell where this is, and where a function in a worker is."""
        return context(), await local.in_worker(context)


async def note_at_once():
    getSite().note()


async def go_away_in_steps():
    """Go elsewhere, and wait there."""
    go_away()
    deferreds.append(Deferred())
    await deferreds[-1]
    return context()


async def change_site(commit=False):
    """Change the site, in a step that is not the first."""
    deferreds.append(Deferred())
    await deferreds[-1]
    site = getSite()
    site.note()
    if commit:
        site._p_jar.transaction_manager.commit()
    return context()


async def wait_in_a_block():
    """Tell where it is cleaned up."""
    try:
        deferreds.append(Deferred())
        await deferreds[-1]
    finally:
        look()


def defer():
    """Wait for a Deferred, and tell where this is."""
    look()
    deferreds.append(Deferred())
    return deferreds[-1]


class Careless(Job):
    """Calls what it has to, and fails after that."""

    def setUp(self):
        super().setUp()
        raise ValueError("setUp failed")


class Forgetful(Job):
    """Does not call what it has to."""

    def tearDown(self, setup_info):
        """Leave the context in place."""


class Careful(Job):
    """Has a `setUp` that fails, and a `tearDown` that does not count with that."""

    def setUp(self):
        before = super().setUp()
        if local.getJob() is self:
            raise ValueError("setUp failed")
        return before, "more"

    def tearDown(self, setup_info):
        before, _more = setup_info
        super().tearDown(before)


class Told(Job):
    """Has a `setUp` that returns something of its own."""

    def setUp(self):
        super().setUp()
        # Who looks at that before the call does no harm.
        assert callable(self.callable)
        return "told"

    def tearDown(self, setup_info):
        happened.append((setup_info, context()))
        super().tearDown(setup_info)


AN_HOUR = datetime.timedelta(hours=1)


class Vanishing(Site):
    """A site whose class is missing somewhere."""
