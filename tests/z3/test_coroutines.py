"""Coroutines and Deferreds of `zc.async_.z3` jobs: where their code runs."""

import gc
import threading
import warnings

import pytest
import transaction
import ZODB
from twisted.internet.defer import CancelledError, Deferred
from ZODB.FileStorage import FileStorage

import zc.async_.job
import zc.async_.testing
from tests.dispatcher.conftest import PATIENCE
from tests.z3 import world
from tests.z3.world import NOWHERE, context, deferreds, happened, made
from zc.async_.z3 import Job, MissingPrincipalError, MissingSiteError, UncommittedError, steps

IN_NEWS = ("news", ("anna",))


@pytest.fixture
def fire(settle, reactor):
    """Waits for the next Deferred of a coroutine, and has it fire in the reactor's thread."""

    def fire(value=None, error=None):
        settle(lambda: deferreds)
        deferred = deferreds.pop(0)
        if error is None:
            reactor.callFromThread(deferred.callback, value)
        else:
            reactor.callFromThread(deferred.errback, error)
        settle(lambda: deferred.called)

    return fire


def test_each_step_of_a_coroutine_has_the_context(site, dispatcher, put, completed, fire):
    job = put(made(site, ["anna"], world.look_in_steps))
    fire("a")
    assert context() == NOWHERE
    fire(error=ValueError("b"))
    assert context() == NOWHERE
    completed(job)
    assert job.result == [IN_NEWS, "a", IN_NEWS, "b", IN_NEWS]


def test_so_has_one_that_does_not_wait(site, dispatcher, run):
    assert run(made(site, ["anna"], world.look_at_once)) == (IN_NEWS, "welcome to news")


def test_so_have_methods_and_what_workers_call_for_them(site, client, dispatcher, run):
    reporter = client.root["reporter"] = world.Reporter()
    client.manager.commit()
    assert run(made(site, ["anna"], reporter.look)) == (IN_NEWS, IN_NEWS)


def test_coroutines_that_take_turns_keep_their_contexts_apart(
    site, client, dispatcher, put, completed, fire
):
    other = client.root["other"] = world.Site("other", "dora")
    jobs = [
        put(made(site, ["anna"], world.look_in_steps)),
        put(made(other, ["dora"], world.look_in_steps)),
        put(Job(world.look_in_steps)),
        put(zc.async_.job.Job(world.look_in_steps)),
    ]
    for number in range(8):
        fire(number)
    completed(*jobs)
    found = [job.result[::2] for job in jobs]
    assert found == [[IN_NEWS] * 3, [("other", ("dora",))] * 3, [NOWHERE] * 3, [NOWHERE] * 3]


def test_what_a_coroutine_does_to_the_thread_ends_with_its_step(
    site, dispatcher, put, completed, fire
):
    job = put(made(site, ["anna"], world.go_away_in_steps))
    fire()
    assert context() == NOWHERE
    completed(job)
    assert job.result == IN_NEWS


def test_a_job_without_a_context_leaves_nothing_in_the_reactors_thread_either(
    site, dispatcher, put, completed, fire
):
    job = put(Job(world.go_away_in_steps))
    fire()
    assert context() == NOWHERE
    completed(job)
    assert job.result == NOWHERE


def test_no_connection_is_held_while_it_waits(site, dispatcher, put, completed, fire, database):
    job = put(made(site, ["anna"], world.look_in_steps))
    fire()
    in_use = [one["opened"] for one in database.connectionDebugInfo()]
    before = sum(opened is not None for opened in in_use)
    fire()
    completed(job)
    in_use = [one["opened"] for one in database.connectionDebugInfo()]
    assert sum(opened is not None for opened in in_use) == before


def test_the_site_is_as_it_is_when_the_step_is_made(site, client, dispatcher, put, completed, fire):
    job = put(made(site, ["anna"], world.look_in_steps))
    fire()
    site.name = "olds"
    client.manager.commit()
    fire()
    completed(job)
    assert job.result[-1] == ("olds", ("anna",))


def test_a_principal_who_goes_while_it_waits_is_named(
    site, client, dispatcher, put, completed, fire
):
    job = put(made(site, ["anna"], world.wait_in_a_block))
    wait_for_deferred(job)
    site.forget("anna")
    client.manager.commit()
    # That of another user who has the thread fire it.
    world.enter(site, "bert")
    fire()
    assert context() == ("news", ("bert",))
    world.leave()
    completed(job)
    assert job.result.check(MissingPrincipalError)
    assert "'anna'" in job.result.getErrorMessage()
    # It was closed, and could clean up.
    assert happened == [NOWHERE]
    assert context() == NOWHERE


def wait_for_deferred(job):
    zc.async_.testing.wait_until(lambda: deferreds, PATIENCE, f"{job} does not wait")


def test_a_subclass_with_a_set_up_of_its_own_has_it_too(site, dispatcher, run):
    job = made(site, ["anna"], world.look_at_once, kind=world.Told)
    assert run(job) == (IN_NEWS, "welcome to news")


def test_a_site_that_goes_while_it_waits_is_named(
    root_folder, client, dispatcher, put, completed, fire
):
    job = put(made(root_folder.add("news", world.Site("news", "anna")), (), world.look_in_steps))
    fire()
    root_folder.remove("news")
    client.manager.commit()
    fire()
    completed(job)
    assert job.result.check(MissingSiteError)


@pytest.mark.parametrize("is_known", [True, False])
def test_a_site_that_is_packed_away_while_it_waits_is_named(tmp_path, is_known):
    """Whether or not the connection still knows that there was one."""
    database = ZODB.DB(FileStorage(str(tmp_path / "content.fs")))
    connection = database.open()
    site = connection.root()["site"] = world.Site("news", "anna")
    transaction.commit()
    outer = wait_in(site)
    del connection.root()["site"]
    transaction.commit()
    kept = [site] if is_known else []
    del site
    connection.close()
    database.cacheMinimize()
    database.pack()
    with pytest.raises(MissingSiteError, match=r"tests\.z3\.world\.Site \(oid "):
        outer.send(None)
    assert context() == NOWHERE
    assert len(kept) == is_known
    database.close()


def test_a_change_that_nobody_would_commit_fails_the_job(
    site, client, dispatcher, put, completed, fire
):
    job = put(made(site, ["anna"], world.change_site))
    fire()
    completed(job)
    assert job.result.check(UncommittedError)
    assert "tests.z3.world.Site (oid " in job.result.getErrorMessage()
    assert site.notes == ()


def test_a_change_that_is_committed_stays(site, dispatcher, put, completed, fire):
    job = put(made(site, ["anna"], world.change_site, True))
    fire()
    completed(job)
    assert job.result == IN_NEWS
    assert site.notes == ((IN_NEWS,),)


def test_the_function_that_returns_a_deferred_has_the_context(
    site, dispatcher, put, completed, fire
):
    job = put(made(site, ["anna"], world.defer))
    fire(42)
    completed(job)
    assert happened == [IN_NEWS]
    assert job.result == 42


def test_a_callback_that_is_a_coroutine_has_its_context(site, dispatcher, put, completed, fire):
    job = made(site, ["anna"], world.look)
    callback = job.addCallback(made(site, ["bert"], swallow))
    put(job)
    fire()
    completed(job)
    assert callback.result == [("news", ("bert",))] * 2


async def swallow(result):
    looks = [context()]
    deferreds.append(Deferred())
    await deferreds[-1]
    return [*looks, context()]


def test_a_coroutine_has_the_context_where_it_is_called_by_hand(site, keep):
    """No reactor runs: it is done in the thread of the caller, and in another one that fires it."""
    firing = threading.Thread(target=fire_all)
    firing.start()
    job = keep(made(site, ["anna"], world.look_in_steps))
    assert job()[::2] == [IN_NEWS] * 3
    firing.join()
    assert context() == NOWHERE


def test_one_that_does_not_wait_there_is_part_of_the_jobs_transaction(site, keep):
    job = keep(made(site, ["anna"], world.note_at_once))
    assert job() is None
    assert site.notes == ((IN_NEWS,),)


def fire_all():
    for _step in range(2):
        zc.async_.testing.wait_until(lambda: deferreds, PATIENCE, "no Deferred")
        deferreds.pop(0).callback(None)
    assert context() == NOWHERE


def test_a_job_that_is_in_no_database_has_a_coroutine_too(site):
    job = made(world.Site("passing", "anna"), ["anna"], world.look_at_once)
    assert job() == (("passing", ("anna",)), "welcome to passing")


def test_one_that_is_cancelled_cleans_up_in_its_context(site, dispatcher, put, completed, reactor):
    job = put(made(site, ["anna"], world.wait_in_a_block))
    wait_for_deferred(job)
    reactor.callFromThread(deferreds.pop().cancel)
    completed(job)
    assert job.result.check(CancelledError)
    assert happened == [IN_NEWS]
    assert context() == NOWHERE


def test_what_is_never_begun_leaves_no_warning():
    """Only the one that was asked for says that nobody awaited it."""

    async def inner():
        """Never begins."""

    outer = steps.with_context(inner(), steps.Elsewhere(None, False, ()), lambda: False)
    outer.close()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        del outer
    assert told == []


def wait_in(site):
    """A coroutine that waits, and has been forgotten by those who could have it go on."""
    elsewhere = steps.Elsewhere(site, False, ("anna",))
    outer = steps.with_context(world.wait_in_a_block(), elsewhere, lambda: False)
    outer.send(None)
    deferreds.clear()
    return outer


def test_a_coroutine_that_is_forgotten_is_closed_in_the_context(site):
    outer = wait_in(site)
    world.enter(site, "bert")
    del outer
    gc.collect()
    assert context() == ("news", ("bert",))
    world.leave()
    assert happened == [IN_NEWS]


def test_one_whose_database_is_closed_is_closed_nowhere(base):
    database = ZODB.DB(None)
    connection = database.open()
    site = connection.root()["site"] = world.Site("news", "anna")
    transaction.commit()
    outer = wait_in(site)
    connection.close()
    database.close()
    world.enter(world.Site("other", "bert"), "bert")
    del outer
    gc.collect()
    assert context() == ("other", ("bert",))
    world.leave()
    assert happened == [NOWHERE]


def test_what_it_raises_when_it_is_closed_is_told(site):
    async def raise_in_the_end():
        try:
            await Deferred()
        finally:
            raise ValueError("closed")

    elsewhere = steps.Elsewhere(site, False, ())
    outer = steps.with_context(raise_in_the_end(), elsewhere, lambda: False)
    outer.send(None)
    with pytest.raises(ValueError, match="closed"):
        outer.close()


def test_a_coroutine_is_closed_in_the_context(site):
    coroutine = world.wait_in_a_block()
    elsewhere = steps.Elsewhere(site, False, ("anna",))
    outer = steps.with_context(coroutine, elsewhere, lambda: False)
    outer.send(None)
    assert context() == NOWHERE
    outer.close()
    assert happened == [IN_NEWS]
    assert context() == NOWHERE
