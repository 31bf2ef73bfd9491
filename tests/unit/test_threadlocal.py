"""`zc.async_.local` where no job runs. Inside of jobs, others test it."""

import pytest

from zc.async_ import local
from zc.async_.threadlocal import NoJobError


def test_outside_of_a_job_there_is_no_job_agent_or_dispatcher():
    assert local.getJob() is None
    assert local.getAgentName() is None
    assert local.getDispatcher() is None


@pytest.mark.parametrize(
    ("ask", "why"),
    [
        pytest.param(lambda: local.getQueue(), "no job runs in this thread", id="queue"),
        pytest.param(lambda: local.getReactor(), "no worker of a dispatcher", id="reactor"),
        pytest.param(
            lambda: local.setLiveAnnotation("name", 1), "no job runs in this thread", id="set"
        ),
        pytest.param(
            lambda: local.getLiveAnnotation("name"), "no job runs in this thread", id="get"
        ),
    ],
)
def test_what_a_job_alone_can_ask_is_an_error_that_says_why(ask, why):
    with pytest.raises(NoJobError, match=why):
        ask()
    assert issubclass(NoJobError, AttributeError)
