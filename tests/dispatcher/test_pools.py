"""The worker threads of a dispatcher, while agents come, change and go."""

import transaction

from tests.dispatcher import work
from tests.dispatcher.looking import SECOND, idle, seconds
from zc.async_.agent import Agent
from zc.async_.dispatcher import pools
from zc.async_.interfaces import ACTIVE, PENDING


def test_a_worker_that_becomes_idle_gets_the_next_job(dispatcher, put, completed):
    jobs = [put(work.answer) for _ in range(20)]
    completed(*jobs)
    assert seconds() == 0
    assert len(dispatcher.queues[""]["main"].threads) <= 3


def test_three_jobs_run_at_once_and_no_more(dispatcher, put, begun, reactor, client, completed):
    jobs = [put(work.wait) for _ in range(5)]
    begun(3)
    reactor.time_flies(20)
    assert len(work.happened) == 3
    client.manager.begin()
    assert [job.status for job in jobs] == [ACTIVE] * 3 + [PENDING] * 2
    assert len(dispatcher.getActiveJobIds()) == 3
    work.gate.set()
    completed(*jobs)
    assert len({thread.ident for thread in dispatcher.queues[""]["main"].threads}) == 3


# -- agents come, change and go


def test_an_agent_that_grows_has_more_workers(dispatcher, put, begun, set_agent):
    set_agent(dispatcher, size=1)
    for _ in range(4):
        put(work.wait)
    begun(1)
    assert len(work.happened) == 1
    set_agent(dispatcher, size=4)
    begun(4)
    assert len(dispatcher.queues[""]["main"].threads) == 4


def test_an_agent_that_shrinks_lets_its_jobs_end_and_then_its_threads(
    dispatcher, put, begun, set_agent, settle, completed
):
    jobs = [put(work.wait) for _ in range(3)]
    begun(3)
    set_agent(dispatcher, size=1)
    pool = dispatcher.queues[""]["main"]
    settle(lambda: dispatcher._handing_out.current[""]["main"]["size"] == 1)
    assert len(pool.threads) == 3
    work.gate.set()
    completed(*jobs)
    settle(lambda: len(pool.threads) == 1)
    completed(put(work.answer))


def test_an_agent_of_size_0_pauses(dispatcher, put, set_agent, settle, reactor, completed):
    completed(put(work.answer))
    set_agent(dispatcher, size=0)
    pool = dispatcher.queues[""]["main"]
    settle(lambda: pool.threads == ())
    job = put(work.answer)
    reactor.time_flies(20)
    transaction.begin()
    assert job.status == PENDING
    set_agent(dispatcher, size=1)
    completed(job)


def test_an_agent_that_is_removed_has_no_threads_any_more(
    dispatcher, put, client, agents_of, settle, completed
):
    completed(put(work.answer))
    settle(lambda: idle(dispatcher))
    agents = agents_of(dispatcher)
    del agents["main"]
    agents["other"] = Agent(size=1)
    client.manager.commit()
    settle(lambda: dispatcher.queues[""]["main"].threads == ())
    completed(put(work.answer))
    assert len(dispatcher.queues[""]["other"].threads) == 1


def test_connections_are_enough_for_the_workers(dispatcher, database, set_agent, settle):
    before = database.getPoolSize()
    set_agent(dispatcher, size=before + 5)
    settle(lambda: database.getPoolSize() > before)
    assert database.getPoolSize() == before + 5 + 2 + pools.SPARE_CONNECTIONS
    set_agent(dispatcher, size=1)
    settle(lambda: dispatcher._handing_out.current[""]["main"]["size"] == 1)
    assert database.getPoolSize() == before + 5 + 2 + pools.SPARE_CONNECTIONS


# -- jobs of the system


def test_jobs_of_the_system_have_threads_of_their_own(
    dispatcher, client, begin, completed, set_agent, reactor
):
    """All places of all agents are taken, and a deadline is kept with its callback performed."""
    set_agent(dispatcher, size=1)
    running = begin(work.wait)
    late = client.queue.put(work.answer, begin_by=1 * SECOND)
    late.addCallback(client.root["log"].note)
    client.manager.commit()
    reactor.time_flies(2)
    completed(late)
    assert running.status == ACTIVE
    client.manager.begin()
    assert len(client.root["log"].entries) == 1
    assert len(dispatcher._pools.system[""].threads) == 1
