"""What a site of Zope and one of zope.app.wsgi have in common, under their servers: real ones."""

import signal

import pytest

from zc.async_.interfaces import ACTIVE, COMPLETED

pytestmark = pytest.mark.slow


def test_a_request_puts_a_job_that_runs_in_its_site_and_as_its_user(server):
    server.start()
    assert server.get("@@make-site") == "made"
    job_id = server.get("site/@@put")
    result = f"{server.user} in site (of its own): 42"
    assert server.result(job_id) == result
    # A request that fails puts nothing, and one that nobody has authenticated may not.
    assert server.get("site/@@abort") == 500
    assert server.get("site/@@put", user=None) == 401
    assert server.get("@@process") == f"{server.process.pid} True"
    # The dispatcher leaves its queues, and then the process ends as Python has it.
    assert server.stop() == -signal.SIGTERM
    assert "deactivated" in server.printed()
    assert server.active() == [False]
    assert server.look(len) == 0
    # What came of it is there after a restart.
    server.start()
    assert server.told(job_id) == f"{COMPLETED}|{result}"


def test_a_wrong_value_keeps_the_process_from_starting_and_is_named(server):
    server.add_to_conf("<product-config zc.async>\n  poll-interval soon\n</product-config>\n")
    assert server.start_in_vain() != 0
    # The last line.
    (*_others, last) = server.printed().splitlines()
    assert "the key poll-interval in <product-config zc.async> of the configuration file" in last
    assert last.endswith(" is 'soon': give a number of seconds, or 0.5s, 5s, 1m 30s")


def test_at_an_interrupt_the_dispatcher_leaves_and_the_server_ends_as_it_is_used_to(server):
    server.start()
    assert server.get("@@process") == f"{server.process.pid} True"
    # Both servers take a KeyboardInterrupt for the wish to end.
    assert server.stop(signal.SIGINT) == 0
    assert "deactivated" in server.printed()
    assert "Traceback" not in server.printed()
    assert server.active() == [False]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_running_job_is_given_time_at_the_end(server, number):
    server.start()
    server.get("@@make-site")
    job_id = server.get("site/@@put-outlasting?function=outlast")
    server.wait_for_status(job_id, ACTIVE)
    server.stop(number)
    assert server.look(len) == 0
    server.start()
    assert server.told(job_id) == f"{COMPLETED}|ended in time"


def test_at_the_second_interrupt_a_running_job_is_handed_back(server):
    server.add_to_conf("<product-config zc.async>\n  grace-period 3600s\n</product-config>\n")
    server.start()
    server.get("@@make-site")
    job_id = server.get("site/@@put-outlasting?function=never_end")
    server.wait_for_status(job_id, ACTIVE)
    server.process.send_signal(signal.SIGINT)
    server.wait_for(lambda: "the dispatcher stops" in server.printed())
    assert server.stop(signal.SIGINT) == 0
    assert "deactivated" in server.printed()
    assert server.active() == [False]
    # What asks the policy of the job, in whichever process comes next.
    assert server.look(len) == 1
