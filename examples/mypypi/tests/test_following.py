"""The changes of the index are followed by one chain of jobs, which goes on."""

import datetime

import pytest
import transaction
from tests.portal import configure
from ZODB.POSException import ConflictError
from zope.component.hooks import site

import zc.async_.clock
import zc.async_.ftesting
from mypypi.app import follow
from mypypi.following import Follower
from zc.async_.interfaces import ACTIVE, PENDING
from zc.async_.testing import wait_for_result


def subscribed(portal, *names):
    """The packages, to which a person subscribes who is returned."""
    application = portal.application
    with site(application):
        person = application["people"].join("anna", "a long password")
        for name in names:
            person.subscribe(application["packages"].ensure(name))
    transaction.commit()
    portal.wait_for_jobs()
    return person


def told(person):
    """What a person was told, the oldest first."""
    return [f"{item['package']} {item['what']}" for item in person.notices.newest_first()][::-1]


def waiting_turns(portal):
    """The jobs of chains, in the queue."""
    return [job for job in portal.queue if "look_at_index" in repr(job)]


def test_subscribers_are_told_of_releases_once(portal, index):
    person = subscribed(portal, "lunar-parser", "lunar-quill")
    portal.follow()
    assert told(person) == []
    index.packages.publish("lunar-parser")
    index.packages.publish("brisk-ledger")
    portal.follow()
    assert told(person) == ["lunar-parser has released 1.1"]
    portal.follow()
    assert told(person) == ["lunar-parser has released 1.1"]
    assert person.notices.unread == 1


def test_several_releases_between_two_looks_are_all_told(portal, index):
    person = subscribed(portal, "lunar-parser")
    index.packages.publish("lunar-parser")
    index.packages.publish("lunar-parser")
    portal.follow()
    assert told(person) == ["lunar-parser has released 1.1, 1.2"]


def test_only_what_has_changed_is_fetched(portal, index):
    subscribed(portal, "lunar-parser", "lunar-quill")
    index.requests.clear()
    index.packages.publish("lunar-parser")
    portal.follow()
    portal.follow()
    assert sorted(index.requests) == ["/pypi/lunar-parser/json", "/simple/", "/simple/"]


def test_a_release_whose_fetch_failed_is_told_of_later(portal, index):
    person = subscribed(portal, "lunar-parser")
    index.packages.publish("lunar-parser")
    index.misbehaviours["/pypi/"] = "nonsense"
    portal.follow()
    index.behave()
    # Not at once: the index was asked a moment ago.
    portal.follow()
    assert told(person) == []
    portal.application["packages"]["lunar-parser"].not_before = zc.async_.clock.now()
    transaction.commit()
    portal.follow()
    assert told(person) == ["lunar-parser has released 1.1"]


def test_subscribers_are_told_that_a_package_is_gone_and_that_it_is_there_again(portal, index):
    person = subscribed(portal, "lunar-parser")
    index.packages.remove("lunar-parser")
    portal.follow()
    portal.follow()
    assert told(person) == ["lunar-parser is not on the index any more"]
    index.packages.publish("lunar-parser", "3.0")
    portal.follow()
    assert told(person)[1:] == ["lunar-parser is on the index, in version 3.0"]


def test_subscribers_of_a_package_that_is_not_there_yet_are_told_when_it_is(portal, index):
    person = subscribed(portal, "lunar-rocket")
    package = portal.application["packages"]["lunar-rocket"]
    assert package.is_missing
    portal.follow()
    assert told(person) == []
    index.packages.publish("lunar-rocket")
    package.not_before = None
    transaction.commit()
    portal.follow()
    assert told(person) == ["lunar-rocket is on the index, in version 1.0"]


def test_the_index_fails_and_the_chain_goes_on_with_growing_pauses(portal, index):
    configure(index.address, interval="10s", timeout="1s")
    index.misbehaviours["/simple/"] = "nonsense"
    pauses = []
    for _ in range(3):
        portal.follow()
        assert portal.follower.error == "the index does not answer in JSON"
        pause = portal.follower.job.begin_after - zc.async_.clock.now()
        pauses.append(round(pause.total_seconds(), -1))
    assert pauses == [10, 20, 40]
    index.behave()
    portal.follow()
    assert portal.follower.error == ""
    assert portal.follower.look.total == 240
    assert len(waiting_turns(portal)) == 1


@pytest.mark.parametrize("kind", ["down", "hang", "drip", "close", "error"])
def test_the_chain_survives_an_index_that_is(portal, index, kind):
    configure(index.address, timeout="1s")
    if kind == "down":
        index.stop()
    else:
        index.misbehaviours["/simple/"] = kind
    portal.follow()
    assert portal.follower.error != ""
    assert portal.follower.job.status == PENDING


def test_a_turn_that_was_due_while_no_process_ran_is_followed_by_the_next(portal, index):
    portal.follow()
    zc.async_.ftesting.tearDown()
    portal.look_again()
    turn = portal.follower.turn
    portal.follower.job.begin_after = zc.async_.clock.now() - datetime.timedelta(days=3)
    transaction.commit()
    zc.async_.ftesting.setUp(portal.application)
    portal.wait_until(lambda: portal.follower.turn > turn)
    assert portal.follower.error == "no worker had time for it"
    assert len(waiting_turns(portal)) == 1


def test_a_restart_neither_ends_the_chain_nor_begins_another_one(portal, index):
    portal.follow()
    turn, job = portal.follower.turn, portal.follower.job
    zc.async_.ftesting.tearDown()
    zc.async_.ftesting.setUp(portal.application)
    portal.look_again()
    follow(_Activated(portal))
    transaction.commit()
    assert (portal.follower.turn, portal.follower.job) == (turn, job)
    assert waiting_turns(portal) == [job]


class _Activated:
    """The event that a dispatcher begins to work."""

    def __init__(self, portal):
        self.object = portal.application


def test_a_dispatcher_starts_a_chain_that_is_wanted_and_not_there(portal, index):
    portal.look_again()
    follow(_Activated(portal))
    transaction.commit()
    portal.wait_until(lambda: portal.follower.look is not None)
    with site(portal.application):
        portal.follower.stop()
    transaction.commit()
    # Somebody has stopped it: a restart is no reason to begin again.
    follow(_Activated(portal))
    assert not portal.follower.is_going_on


def test_two_processes_that_start_a_chain_at_once_start_one(portal, index):
    db = portal.application._p_jar.db()
    here, there = (db.open(transaction.TransactionManager()) for _ in range(2))
    try:
        for connection in (here, there):
            application = connection.root()["Application"]["mypypi"]
            with site(application):
                application.follower.start()
        here.transaction_manager.commit()
        with pytest.raises(ConflictError):
            there.transaction_manager.commit()
        there.transaction_manager.begin()
        with site(application):
            application.follower.start()
        there.transaction_manager.commit()
    finally:
        for connection in (here, there):
            connection.transaction_manager.abort()
            connection.close()
    portal.wait_until(lambda: portal.follower.look is not None)
    portal.wait_for_jobs()
    assert len(waiting_turns(portal)) == 1


def test_a_second_chain_ends_at_its_next_turn(portal, index):
    index.misbehaviours["/simple/"] = "hang"
    with site(portal.application):
        portal.follower.start()
        transaction.commit()
        first = portal.follower.job
        portal.wait_until(lambda: first.status == ACTIVE)
        # By force: whoever does that has not read the documentation.
        portal.follower.job = None
        portal.follower.start()
    transaction.commit()
    second = portal.follower.job
    index.behave()
    wait_for_result(first, 60)
    wait_for_result(second, 60)
    portal.wait_for_jobs()
    assert len(waiting_turns(portal)) == 1
    assert portal.follower.turn == 3


def test_a_stop_in_the_middle_of_a_look_ends_the_chain(portal, index):
    index.misbehaviours["/simple/"] = "hang"
    with site(portal.application):
        portal.follower.start()
        transaction.commit()
        job = portal.follower.job
        portal.wait_until(lambda: job.status == ACTIVE)
        portal.follower.stop()
    transaction.commit()
    index.behave()
    wait_for_result(job, 60)
    portal.wait_for_jobs()
    assert waiting_turns(portal) == []
    assert portal.follower.look is None


def test_a_mistake_in_what_is_done_about_changes_does_not_break_the_chain(
    portal, index, monkeypatch
):
    person = subscribed(portal, "lunar-parser")
    index.packages.publish("lunar-parser")
    with monkeypatch.context() as broken:
        broken.setattr(Follower, "act_on", lambda self, look: 1 / 0)
        portal.follow()
    assert told(person) == []
    # The mistake is mended, and nothing is lost.
    portal.follow()
    assert told(person) == ["lunar-parser has released 1.1"]


def test_people_who_have_gone_are_told_nothing_and_the_others_are(portal, index):
    person = subscribed(portal, "lunar-parser")
    portal.application["packages"]["lunar-parser"].subscribers.insert("nobody")
    transaction.commit()
    index.packages.publish("lunar-parser")
    portal.follow()
    assert told(person) == ["lunar-parser has released 1.1"]


def test_many_subscribers_are_told_by_several_jobs(portal, index, monkeypatch):
    monkeypatch.setattr("mypypi.notifying.BATCH", 3)
    person = subscribed(portal, "lunar-parser")
    package = portal.application["packages"]["lunar-parser"]
    package.subscribers.update(f"nobody{number}" for number in range(10))
    transaction.commit()
    index.packages.publish("lunar-parser")
    portal.follow()
    assert told(person) == ["lunar-parser has released 1.1"]

    def tellings():
        return [
            job
            for agents in portal.queue.dispatchers.values()
            for agent in agents.values()
            for job in agent.completed
            if "notifying.tell" in repr(job)
        ]

    # They are in the history of an agent once it polls the next time.
    portal.wait_until(lambda: len(tellings()) == 4)
    assert sorted(len(job.args[0]) for job in tellings()) == [2, 3, 3, 3]


def test_a_person_keeps_the_newest_notices(monkeypatch):
    from mypypi import notifying

    monkeypatch.setattr(notifying, "MOST", 3)
    notices = notifying.Notices()
    for number in range(5):
        notices.add("a", "a", f"has released {number}", zc.async_.clock.now())
        if number == 2:
            notices.mark_read()
    found = [(item["what"][-1], item["is_new"]) for item in notices.newest_first()]
    assert found == [("4", True), ("3", True), ("2", False)]
    assert notices.unread == 2
    notices.mark_read()
    assert notices.unread == 0
