"""Jobs of `zc.async_.z3` that dispatchers run."""

import pytest
from transaction.interfaces import ITransactionManager

import zc.async_.job
from tests.z3 import world
from tests.z3.world import NOWHERE, happened, made
from zc.async_.interfaces import PENDING
from zc.async_.job import parallel, serial
from zc.async_.z3 import Job


def look_in_hook(*args):
    """Tell where the commit takes place."""
    manager = ITransactionManager(world.local.getJob())
    manager.get().addBeforeCommitHook(world.look)
    return world.context()


def test_a_job_runs_where_and_as_whom_it_was_put(site, dispatcher, run):
    assert run(made(site, ["anna", "bert"], world.look)) == ("news", ("anna", "bert"))


def test_methods_of_the_site_take_effect_and_know_who_it_is(site, dispatcher, run):
    assert run(made(site, ["anna"], site.note, 1)) == (("news", ("anna",)), 1)
    assert site.notes == ((("news", ("anna",)), 1),)


def test_the_site_is_the_one_of_the_workers_connection(site, dispatcher, run):
    """So what is changed by it is committed with the job."""
    assert run(made(site, ["anna"], change_present_site)) is None
    assert site.notes == ((("news", ("anna",)),),)


def change_present_site():
    world.getSite().note()


@pytest.mark.parametrize(
    "call", [world.go_away, world.go_away_and_fail, world.end_interaction, world.add_hooks]
)
def test_the_next_job_of_the_thread_is_nowhere(
    site, make_dispatcher, install_agent, reactor, put, completed, call
):
    install_agent(size=1)
    make_dispatcher().activate()
    reactor.time_flies(0)
    jobs = [
        put(made(site, ["anna"], call)),
        put(zc.async_.job.Job(world.look)),
        put(Job(world.look)),
        put(made(site, ["bert"], world.look, kind=world.Careless)),
        put(zc.async_.job.Job(world.look)),
        put(Job(world.restore_interaction)),
        put(made(site, ["cleo"], world.look)),
    ]
    completed(*jobs)
    found = [jobs[position].result for position in (1, 2, 4, 5)]
    assert found == [NOWHERE] * 4
    assert jobs[6].result == ("news", ("cleo",))


def test_a_job_that_is_put_by_a_job_has_its_context(site, dispatcher, run):
    assert run(made(site, ["anna"], world.put_another)) == ("news", ("anna",))


@pytest.mark.parametrize("compose", [serial, parallel])
def test_each_part_of_a_composed_job_has_its_own_context(site, client, dispatcher, run, compose):
    other = client.root["other"] = world.Site("other", "dora")
    composed = compose(
        made(site, ["anna"], world.look),
        made(other, ["dora"], world.look),
        Job(world.look),
        zc.async_.job.Job(world.look),
        postprocess=made(site, ["bert"], look_and_collect),
    )
    result = run(composed)
    assert result == (
        ("news", ("bert",)),
        [("news", ("anna",)), ("other", ("dora",)), NOWHERE, NOWHERE],
    )


def look_and_collect(*jobs):
    return world.context(), world.contexts_of(*jobs)


def test_callbacks_have_the_context_in_the_hooks_of_their_own_commits(site, dispatcher, run):
    job = made(site, ["anna"], world.look)
    callback = job.addCallback(made(site, ["bert"], look_in_hook))
    plain = job.addCallback(look_in_hook)
    assert run(job) == ("news", ("anna",))
    assert (callback.result, plain.result) == (("news", ("bert",)), NOWHERE)
    assert happened == [("news", ("anna",)), ("news", ("bert",)), NOWHERE]


def test_a_late_callback_has_its_context(site, client, dispatcher, run, completed):
    job = made(site, ["anna"], world.look)
    run(job)
    callback = job.addCallback(made(site, ["bert"], world.look))
    client.manager.commit()
    completed(callback)
    assert callback.result == ("news", ("bert",))


def test_each_try_sets_the_context_up_anew(site, dispatcher, run):
    assert run(made(site, ["anna"], world.conflict)) == ("news", ("anna",))
    assert run(made(site, ["bert"], world.refuse_commits)) is None
    assert happened == [("news", ("anna",))] * 3 + [("news", ("bert",))] * 2


def test_a_context_is_an_edit_like_any_other_while_the_job_waits(
    site, client, put, completed, dispatcher, reactor
):
    other = client.root["other"] = world.Site("other", "dora")
    job = put(made(site, ["anna"], world.look), begin_after=world.AN_HOUR)
    job.site, job.participants = other, ("dora",)
    client.manager.commit()
    reactor.time_flies(world.AN_HOUR.total_seconds() + 60)
    completed(job)
    assert job.result == ("other", ("dora",))


@pytest.mark.parametrize("last", ["site", "participants"])
def test_a_filter_is_asked_again_when_the_context_is_set(
    site, client, make_dispatcher, install_agent, reactor, put, completed, last
):
    install_agent(filter=world.is_for_dora)
    make_dispatcher().activate()
    other = client.root["other"] = world.Site("other", "dora")
    values = {"site": other, "participants": ("dora",)}
    job = Job(world.look)
    for name in values.keys() - {last}:
        setattr(job, name, values[name])
    put(job)
    reactor.time_flies(10)
    client.manager.begin()
    assert job.status == PENDING
    setattr(job, last, values[last])
    client.manager.commit()
    completed(job)
    assert job.result == ("other", ("dora",))


def test_many_jobs_of_many_threads_keep_their_contexts_apart(
    site, client, make_dispatcher, install_agent, reactor, completed
):
    sites = [site, *(client.root.setdefault(f"{n}", world.Site(f"{n}", "anna")) for n in range(3))]
    install_agent(size=5)
    make_dispatcher().activate()
    reactor.time_flies(0)
    jobs = []
    for number in range(60):
        place = sites[number % 4]
        jobs.append(client.queue.put(made(place, ["anna"], world.look)))
        jobs.append(client.queue.put(zc.async_.job.Job(world.look)))
    client.manager.commit()
    completed(*jobs)
    assert [job.result for job in jobs[1::2]] == [NOWHERE] * 60
    assert [job.result for job in jobs[::2]] == [
        (sites[number % 4].name, ("anna",)) for number in range(60)
    ]
