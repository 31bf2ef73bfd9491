"""How long a worker that died has to wait."""

from zc.async_.worker.backoff import LONGEST, WORKED, Backoff


def test_the_time_doubles_up_to_a_limit():
    backoff = Backoff()
    waits = [backoff.died(0) for _ in range(10)]
    assert waits == [0.5, 1, 2, 4, 8, 16, 32, LONGEST, LONGEST, LONGEST]
    assert backoff.deaths == 10


def test_a_worker_that_has_worked_for_a_while_begins_anew():
    backoff = Backoff()
    for _ in range(5):
        backoff.died(WORKED - 1)
    assert backoff.died(WORKED) == 0.5
    assert backoff.died(WORKED - 1) == 1


def test_for_years_nothing_overflows():
    backoff = Backoff()
    backoff.deaths = 10**9
    assert backoff.died(0) == LONGEST


def test_what_went_wrong_can_be_forgotten():
    backoff = Backoff()
    backoff.died(0)
    backoff.died(0)
    backoff.forget()
    assert backoff.died(0) == 0.5
