"""How workers come up, are replaced one by one, and end. Virtual time, and no processes."""

import logging

import pytest
from zope.interface.verify import verifyObject

from tests.worker.crews import WITHOUT_LIMIT, Stage
from zc.async_.worker import messages
from zc.async_.worker.crew import ICrewListener
from zc.async_.worker.slot import PATIENCE, State

UP, DRAINING, STARTING, PAUSED, OFF = (
    State.UP,
    State.DRAINING,
    State.STARTING,
    State.PAUSED,
    State.OFF,
)


@pytest.fixture(autouse=True)
def logged(caplog):
    """The messages of the supervisor."""
    caplog.set_level(logging.INFO, "zc.async.worker")
    return caplog


@pytest.fixture
def stage():
    """Four workers that are up."""
    return Stage().up()


def test_the_double_of_a_listener_is_one(stage):
    verifyObject(ICrewListener, stage.events)


# -- beginning


def test_all_are_started_at_once_and_up_when_the_last_one_is():
    stage = Stage()
    stage.crew.begin()
    assert sorted(stage.living()) == [1, 2, 3, 4]
    for number in (1, 2, 3):
        stage[number].ready()
    assert stage.events.seen == []
    assert stage.events.statuses[-1] == "workers: 1 starting, 3 up"
    stage[4].ready()
    assert stage.events.seen == ["up"]
    assert stage.events.statuses[-1] == "workers: 4 up"


def test_a_database_out_of_reach_is_waited_for_and_told_once(logged):
    stage = Stage()
    stage.crew.begin()
    for number in (1, 2, 3, 4):
        stage[number].say(messages.WAITING, text="the database is out of reach")
    stage.pass_time(5_000, alive=False)
    assert stage.states() == [STARTING] * 4
    assert [message for message in logged.messages if "out of reach" in message] == [
        "worker 1 waits: the database is out of reach"
    ]
    assert "(the database is out of reach)" in stage.events.statuses[-1]
    for number in (1, 2, 3, 4):
        stage[number].ready()
    assert stage.events.seen == ["up"]


def test_settings_that_let_no_worker_begin_end_all():
    stage = Stage()
    stage.crew.begin()
    stage[2].fail("no such module")
    assert stage.events.seen == [("gave up", "no such module", 2)]
    assert [stage[number].told for number in (1, 3, 4)] == [["terminate"]] * 3
    stage[1].fail("no such module")
    stage[3].end(-15)
    stage[4].end(-15)
    assert stage.events.seen == [("gave up", "no such module", 2), "ended"]
    stage.pass_time(1000)
    assert not stage.living()


def test_the_same_error_is_told_once_if_another_worker_could_begin(logged):
    stage = Stage()
    stage.crew.begin()
    stage[1].ready()
    for _ in range(4):
        for number in (2, 3, 4):
            stage[number].fail("no such module")
        stage.pass_time(60)
    told = [message for message in logged.messages if "no such module" in message]
    assert told == ["worker 2 cannot begin: no such module"]
    assert stage.events.seen == []
    for number in (2, 3, 4):
        stage[number].ready()
    assert stage.events.seen == ["up"]


def test_what_may_pass_by_itself_is_waited_for_without_end(logged):
    stage = Stage(processes=1)
    stage.crew.begin()
    for _ in range(20):
        stage[1].fail("the server is away", again=True)
        stage.pass_time(60)
    assert [message for message in logged.messages if "away" in message] == [
        "worker 1 cannot begin yet: the server is away"
    ]
    stage[1].ready()
    assert stage.events.seen == ["up"]


def test_a_worker_that_dies_three_times_before_any_was_up_ends_all():
    stage = Stage(processes=2)
    stage.crew.begin()
    pid = None
    for _ in range(3):
        pid = stage[1].pid
        stage[1].end(-11)
        stage.pass_time(1, alive=False)
    ((_, text, status),) = stage.events.seen
    assert text == (
        f"worker 1 (process {pid}) was ended by SIGSEGV, 3 times in a row before it was up"
    )
    assert status == 1
    assert stage[2].told == ["terminate"]


def test_a_process_that_cannot_be_started_is_started_later():
    stage = Stage(processes=1)
    stage.error = OSError(11, "Resource temporarily unavailable")
    stage.crew.begin()
    assert stage.states() == [PAUSED]
    stage.error = None
    stage.pass_time(0.5)
    stage[1].ready()
    assert stage.events.seen == ["up"]


def test_a_process_that_can_never_be_started_ends_all():
    stage = Stage(processes=2)
    text = "No such file or directory"
    stage.error = OSError(2, text)
    stage.crew.begin()
    stage.pass_time(10)
    assert stage.events.seen == [
        ("gave up", f"worker 1 cannot be started: {text}, 3 times in a row before it was up", 1),
        "ended",
    ]


def test_a_worker_of_an_earlier_supervisor_is_waited_for(logged):
    stage = Stage(processes=2)
    stage.taken = {2}
    stage.crew.begin()
    stage[1].ready()
    stage.pass_time(100)
    assert sorted(stage.living()) == [1]
    assert [message for message in logged.messages if "earlier" in message] == [
        "worker 2 waits for the one (process 7) of an earlier supervisor, which has not ended yet"
    ]
    stage.taken = set()
    stage.pass_time(0.5)
    stage[2].ready()
    assert stage.events.seen == ["up"]
    # Whoever has it the next time is told of as well.
    stage.taken = {2}
    stage[2].end(-9)
    stage.pass_time(10)
    assert logged.text.count("of an earlier supervisor") == 2


# -- deaths


def test_a_worker_that_dies_is_started_again_later_and_later(stage):
    starts = []
    for _ in range(12):
        stage[3].end(-9)
        waited = 0.0
        while 3 not in stage.living():
            stage.pass_time(0.5)
            waited += 0.5
        starts.append(waited)
        stage[3].ready()
    assert starts == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60]
    # The others have not noticed.
    assert [stage[number].told for number in (1, 2, 4)] == [[]] * 3


def test_a_worker_that_has_worked_for_long_is_started_again_soon(stage):
    for _ in range(5):
        stage[3].end(-9)
        stage.pass_time(60)
        stage[3].ready()
    stage.pass_time(60)
    stage[3].end(1)
    stage.pass_time(0.5)
    stage[3].ready()
    assert stage.working() == 4


def test_deaths_are_told_with_the_reason(stage, logged):
    pid = stage[1].pid
    stage[1].end(-9)
    stage[2].end(3)
    stage[3].end(-99)
    assert f"worker 1 (process {pid}) was ended by SIGKILL; it is started again in 0.5 s" in (
        logged.messages
    )
    assert "has ended by itself, with status 3" in logged.text
    assert "was ended by signal 99" in logged.text


def test_a_worker_that_was_told_to_end_by_somebody_else_is_replaced_soon(stage, logged):
    stage.pass_time(60)
    stage[2].say(messages.LEAVING)
    assert stage.states()[1] is DRAINING
    stage[2].end(0)
    stage.pass_time(0.5)
    assert stage.states()[1] is STARTING
    assert not [record for record in logged.records if record.levelno > logging.WARNING]


# -- whether they live


def test_a_silent_worker_is_killed_and_replaced(stage, logged):
    silent = stage[2]
    for _ in range(119):
        stage.clock.advance(1)
        for number in (1, 3, 4):
            stage[number].is_alive()
    assert silent.told == []
    assert stage.crew.silence() == 119
    for _ in range(5):
        stage.clock.advance(1)
        for number in (1, 3, 4):
            stage[number].is_alive()
    assert silent.told == ["kill"]
    assert logged.text.count("no sign of life") == 1
    assert stage.crew.silence() > 120
    silent.end(-9)
    assert stage.crew.silence() <= 1
    stage.pass_time(0.5)
    stage[2].ready()
    assert stage.working() == 4


def test_a_worker_whose_polls_are_overdue_is_silent(stage):
    for second in range(130):
        stage.clock.advance(1)
        for number in (1, 2, 3, 4):
            stage[number].is_alive(silence=second if number == 4 else 0)
    assert "kill" in stage[4].told
    assert stage[1].told == []


def test_a_worker_that_has_been_given_a_time_has_it_even_if_it_is_silent(stage):
    stage.crew.stop(3600)
    stage.pass_time(3600 + PATIENCE - 1, alive=False)
    assert stage[1].told == [3600]
    stage.pass_time(1, alive=False)
    assert stage[1].told == [3600, "kill"]


def test_one_that_is_replaced_without_a_limit_is_killed_if_it_is_silent():
    stage = Stage(max_jobs=1).up()
    stage[1].is_alive(jobs=1)
    stage.pass_time(1000)
    assert stage[1].told == [WITHOUT_LIMIT]
    stage.pass_time(125, alive=False)
    assert stage[1].told == [WITHOUT_LIMIT, "kill"]
    stage[1].end(-9)
    assert stage.states()[0] is STARTING


def test_one_that_comes_up_when_it_was_just_told_to_end_is_still_being_replaced():
    stage = Stage(processes=2)
    stage.crew.begin()
    stage.crew.reload(stage.settings(processes=2))
    assert stage[1].told == ["terminate"]
    stage[1].ready()
    stage[2].ready()
    assert stage[2].told == []
    stage[1].end()
    stage[1].ready()
    assert stage[2].told == [30.0]


def test_silence_can_be_allowed():
    stage = Stage(hang_timeout=0.0).up()
    stage.pass_time(5_000, alive=False)
    assert stage[1].told == []
    assert stage.crew.silence() == 5_000


def test_a_supervisor_that_was_suspended_blames_nobody(stage):
    stage.pass_time(10)
    # It was stopped; what the workers have said waits to be read.
    stage.clock.advance(3600)
    assert stage.crew.silence() < 5
    stage.pass_time(10)
    assert [stage[number].told for number in (1, 2, 3, 4)] == [[]] * 4


# -- replacing one by one


def test_with_new_settings_they_are_replaced_one_by_one(stage):
    stage.crew.reload(stage.settings(threads=9, grace=45.0))
    for number in (1, 2, 3, 4):
        assert stage.draining() == {number: 45.0}
        assert stage.working() == 3
        stage.pass_time(40)
        stage[number].end()
        # The next one waits for this one to have come up.
        assert stage.states()[number - 1] is STARTING
        stage.pass_time(20)
        assert stage.draining() == {}
        assert stage[number].settings.threads == 9
        stage[number].ready()
    assert stage.working() == 4
    assert stage.events.seen == ["up", "reloaded"]
    stage.pass_time(1000)
    assert len(stage.processes) == 8


def test_a_second_reload_in_the_midst_of_the_first_replaces_all(stage):
    stage.crew.reload(stage.settings(threads=5))
    stage[1].end()
    stage[1].ready()
    assert stage.draining() == {2: 30.0}
    stage.crew.reload(stage.settings(threads=6))
    stage[2].end()
    stage[2].ready()
    for number in (1, 3, 4):
        assert stage.draining() == {number: 30.0}
        stage[number].end()
        stage[number].ready()
    assert {process.settings.threads for process in stage.living().values()} == {6}
    assert stage.events.seen == ["up", "reloaded"]


def test_settings_that_let_no_worker_begin_stop_the_replacing(stage, logged):
    stage.crew.reload(stage.settings(setup="shop:missing"))
    stage[1].end()
    for _ in range(5):
        stage[1].fail("no such function")
        stage.pass_time(60)
    assert stage.working() == 3
    assert stage.draining() == {}
    assert logged.text.count("no such function") == 1
    assert stage.events.seen == ["up"]
    # The remedy.
    stage[1].fail("no such function")
    stage.crew.reload(stage.settings(setup="shop:setup"))
    assert stage.states()[0] is STARTING
    for number in (1, 2, 3, 4):
        if number > 1:
            stage[number].end()
        stage[number].ready()
    assert stage.events.seen == ["up", "reloaded"]


def test_a_worker_that_is_in_a_pause_is_started_at_once_with_new_settings(stage):
    stage[3].end(-9)
    assert stage.states()[2] is PAUSED
    stage.crew.reload(stage.settings(threads=2))
    assert stage.states() == [UP, UP, STARTING, UP]
    assert stage.draining() == {}
    stage[3].ready()
    assert stage.draining() == {1: 30.0}


def test_with_new_settings_earlier_deaths_do_not_count(stage):
    for _ in range(6):
        stage[3].end(-9)
        stage.pass_time(60)
    stage[3].ready()
    stage.crew.reload(stage.settings())
    stage[3].end(-9)
    stage.pass_time(0.5)
    assert stage.states()[2] is STARTING


def test_an_error_is_told_again_if_new_settings_have_it_too(stage, logged):
    for _ in range(2):
        stage.crew.reload(stage.settings())
        if stage.draining():
            stage[1].end()
        stage[1].fail("no such function")
    assert logged.text.count("no such function") == 2


def test_one_that_is_in_a_pause_when_its_turn_comes_is_started_at_once(stage):
    stage.crew.reload(stage.settings(threads=2))
    stage[2].end(-9)
    assert stage.states()[1] is PAUSED
    stage[1].end()
    stage[1].ready()
    assert stage.states()[1] is STARTING
    assert stage[2].settings.threads == 2
    stage[2].ready()
    assert stage.draining() == {3: 30.0}


def test_one_that_dies_meanwhile_gets_the_new_settings_too(stage):
    stage.crew.reload(stage.settings(threads=2))
    stage[4].end(-9)
    stage[1].end()
    stage[1].ready()
    stage.pass_time(0.5)
    assert stage[4].settings.threads == 2
    # Whether it comes up is what shows that the settings are good.
    assert stage.draining() == {2: 30.0}
    stage[4].ready()
    for number in (2, 3):
        stage[number].end()
        stage[number].ready()
    assert stage.events.seen == ["up", "reloaded"]
    assert len(stage.processes) == 8


def test_a_reload_while_they_start_is_for_all():
    stage = Stage(processes=2)
    stage.crew.begin()
    stage[1].ready()
    stage.crew.reload(stage.settings(processes=2, threads=2))
    assert stage[1].told == [30.0]
    stage[1].end()
    stage[1].ready()
    assert stage[2].told == ["terminate"]
    stage[2].end(-15)
    stage[2].ready()
    assert {process.settings.threads for process in stage.living().values()} == {2}
    assert stage.events.seen == ["up", "reloaded"]


def test_more_processes_come_up_before_others_are_replaced(stage):
    stage.crew.reload(stage.settings(processes=6))
    assert stage.states() == [UP] * 4 + [STARTING] * 2
    assert stage.draining() == {}
    stage[5].ready()
    stage[6].ready()
    assert stage.draining() == {1: 30.0}


def test_fewer_processes_are_left_over_when_the_others_are_replaced(stage):
    stage.crew.reload(stage.settings(processes=2))
    for number in (1, 2):
        assert stage.draining() == {number: 30.0}
        stage[number].end()
        stage[number].ready()
    assert stage.events.seen == ["up", "reloaded"]
    assert stage.draining() == {3: 30.0, 4: 30.0}
    stage[3].end()
    assert stage.states() == [UP, UP, OFF, DRAINING]
    # One that is still ending is wanted again.
    stage.crew.reload(stage.settings(processes=4))
    assert stage.states() == [UP, UP, STARTING, DRAINING]
    stage[3].ready()
    stage[4].end()
    stage[4].ready()
    for number in (1, 2):
        stage[number].end()
        stage[number].ready()
    assert stage.states() == [UP] * 4


# -- enough jobs, too much memory


def test_one_with_enough_jobs_is_replaced_and_given_all_the_time_it_needs():
    stage = Stage(max_jobs=100).up()
    stage[2].is_alive(jobs=99)
    assert stage.draining() == {}
    stage[2].is_alive(jobs=100)
    assert stage.draining() == {2: WITHOUT_LIMIT}
    stage.pass_time(5_000)
    assert stage[2].told == [WITHOUT_LIMIT]
    stage[2].end()
    stage[2].ready()
    stage[2].is_alive(jobs=0)
    assert stage.working() == 4


def test_one_with_too_much_memory_is_replaced(logged):
    stage = Stage(max_memory=500 << 20).up()
    stage[2].is_alive(jobs=1, memory=500 << 20)
    assert stage.draining() == {}
    stage[2].is_alive(jobs=1, memory=600 << 20)
    assert stage.draining() == {2: WITHOUT_LIMIT}
    assert "worker 2 is replaced: it has 600 MiB of memory" in logged.text


def test_one_that_has_too_much_memory_from_the_start_is_not_replaced_for_ever():
    stage = Stage(max_memory=10 << 20).up()
    stage[2].is_alive(jobs=0, memory=20 << 20)
    assert stage.draining() == {}


def test_never_two_are_replaced_at_once():
    stage = Stage(max_jobs=100, max_memory=1 << 20).up()
    for process in list(stage.living().values()):
        process.is_alive(jobs=200, memory=2 << 20)
    for number in (1, 2, 3, 4):
        assert stage.draining() == {number: WITHOUT_LIMIT}
        stage[number].end()
        stage[number].is_alive(jobs=0)
        assert stage.draining() == {}
        stage[number].ready()
    assert stage.draining() == {}
    assert len(stage.processes) == 8


def test_one_that_always_dies_does_not_keep_others_from_being_replaced():
    stage = Stage(max_jobs=100).up()
    stage[1].end(-9)
    stage[2].is_alive(jobs=100)
    assert stage.draining() == {2: WITHOUT_LIMIT}


def test_one_that_was_replaced_and_does_not_come_up_does():
    stage = Stage(max_jobs=100).up()
    stage[1].is_alive(jobs=100)
    stage[1].end()
    stage[1].end(-9)
    stage[2].is_alive(jobs=100)
    stage.pass_time(2)
    assert stage.draining() == {}
    stage[1].ready()
    assert stage.draining() == {2: WITHOUT_LIMIT}


def test_a_reload_limits_the_time_of_one_that_has_enough_jobs():
    stage = Stage(max_jobs=100).up()
    stage[2].is_alive(jobs=100)
    stage.pass_time(10_000)
    stage.crew.reload(stage.settings(grace=20.0))
    assert stage[2].told == [WITHOUT_LIMIT, 20.0]
    assert stage.draining() == {2: 20.0}
    stage[2].end()
    stage[2].ready()
    assert stage.draining() == {1: 20.0}


# -- the end


def test_all_are_told_to_end_at_once(stage):
    stage.crew.stop(30)
    assert stage.draining() == {1: 30, 2: 30, 3: 30, 4: 30}
    for number in (2, 1, 4, 3):
        assert stage.events.seen == ["up"]
        stage[number].end()
    assert stage.events.seen == ["up", "ended"]
    assert not stage.crew.has_killed
    # Nothing goes on.
    assert stage.clock.getDelayedCalls() == []
    assert len(stage.processes) == 4


def test_none_is_killed_before_its_grace_is_over(stage, logged):
    stage.crew.stop(30)
    stage.pass_time(30 + PATIENCE - 1)
    assert [stage[number].told for number in (1, 2, 3, 4)] == [[30]] * 4
    stage.pass_time(1)
    assert [stage[number].told for number in (1, 2, 3, 4)] == [[30, "kill"]] * 4
    assert stage.crew.has_killed
    assert "has not ended: it is killed" in logged.text


def test_a_second_order_interrupts_at_once_and_gives_time_to_hand_back(stage):
    stage.crew.stop(30)
    stage[1].end()
    stage.pass_time(5)
    stage.crew.stop(0)
    assert stage.draining() == {2: 0, 3: 0, 4: 0}
    stage.pass_time(PATIENCE - 1)
    assert stage[2].told == [30, 0]
    stage.pass_time(1)
    assert stage[2].told == [30, 0, "kill"]


def test_a_third_order_kills(stage):
    stage.crew.stop(30)
    stage.crew.stop(0)
    stage.crew.kill()
    for number in (1, 2, 3, 4):
        assert stage[number].told == [30, 0, "kill"]
        stage[number].end(-9)
    assert stage.events.seen == ["up", "ended"]
    assert stage.crew.has_killed


def test_those_that_start_or_wait_end_too(stage):
    stage[2].end(-9)
    stage.pass_time(0.5)
    stage[1].end(-9)
    stage.crew.stop(30)
    assert stage[2].told == ["terminate"]
    assert stage[3].told == [30]
    assert stage.states() == [OFF, DRAINING, DRAINING, DRAINING]
    for number in (2, 3, 4):
        stage[number].end(-15)
    assert stage.events.seen == ["up", "ended"]


def test_one_that_dies_at_the_end_is_not_started_again(stage):
    stage.crew.stop(30)
    for number in (1, 2, 3, 4):
        stage[number].end(-9)
    stage.pass_time(1000)
    assert not stage.living()
    assert stage.events.seen == ["up", "ended"]


def test_an_end_in_the_midst_of_a_reload_ends_all(stage):
    stage.crew.reload(stage.settings())
    stage[1].end()
    stage.crew.stop(30)
    stage[1].end(-15)
    for number in (2, 3, 4):
        stage[number].end()
    assert stage.events.seen == ["up", "ended"]


def test_a_crew_that_is_ended_before_it_has_begun_ends():
    stage = Stage()
    stage.crew.stop(0)
    stage.crew.begin()
    assert stage.processes == []
    assert stage.events.seen == ["ended"]


def test_a_crew_that_waits_for_an_earlier_worker_can_end():
    stage = Stage(processes=1)
    stage.taken = {1}
    stage.crew.begin()
    stage.crew.stop(30)
    assert stage.events.seen == ["ended"]
    stage.pass_time(10)
    assert stage.processes == []
