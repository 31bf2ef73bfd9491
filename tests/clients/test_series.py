"""An application that does one composed job after the other, by a quota of one place.

It keeps a catalogue: each request wants several steps, and two requests must not mix theirs.
"""

import persistent
import pytest
import transaction
from ZODB.POSException import ConflictError

from zc.async_.job import Job, parallel, serial

#: What the next steps raise.
troubles = []


@pytest.fixture(autouse=True)
def no_troubles():
    troubles.clear()


class Catalogue(persistent.Persistent):
    """Knows its steps, in the order in which they took effect."""

    steps = ()

    def step(self, *words):
        self.steps += (words[0],)
        if troubles:
            raise troubles.pop(0)
        return words[0]


@pytest.fixture
def catalogue(connection, queue):
    catalogue = connection.root()["catalogue"] = Catalogue()
    queue.quotas.create("catalogue")
    transaction.commit()
    return catalogue


def put_in_series(queue, *jobs):
    """Put jobs of which one is to run after the other; return them."""
    for job in jobs:
        queue.put(job)
        job.quota_names = ["catalogue"]
    return jobs


def test_a_composed_job_ends_before_the_next_one_begins(queue, catalogue, wait_for):
    step = catalogue.step
    jobs = put_in_series(
        queue, serial(Job(step, 1), Job(step, 2)), Job(step, 3), serial(Job(step, 4), Job(step, 5))
    )
    wait_for(*jobs)
    transaction.begin()
    assert catalogue.steps == (1, 2, 3, 4, 5)
    assert list(queue.quotas["catalogue"]) == []


def test_so_do_all_parts_of_a_parallel_one(queue, catalogue, wait_for):
    step = catalogue.step
    jobs = put_in_series(
        queue, parallel(*(Job(step, 1) for _number in range(3))), Job(step, 2), Job(step, 3)
    )
    wait_for(*jobs)
    transaction.begin()
    assert catalogue.steps == (1, 1, 1, 2, 3)


def test_a_job_tried_again_at_once_keeps_its_turn(queue, catalogue, wait_for):
    troubles.extend([ConflictError(), ConflictError()])
    step = catalogue.step
    jobs = put_in_series(queue, serial(Job(step, 1), Job(step, 2)), Job(step, 3))
    wait_for(*jobs)
    transaction.begin()
    assert catalogue.steps == (1, 2, 3)


def test_parts_that_name_the_quota_themselves_run(queue, catalogue, wait_for):
    """Else each would wait for the other."""
    parts = [Job(catalogue.step, number) for number in (1, 2)]
    for part in parts:
        part.quota_names = ["catalogue"]
    (job,) = put_in_series(queue, serial(serial(*parts)))
    wait_for(job)
    transaction.begin()
    assert catalogue.steps == (1, 2)
