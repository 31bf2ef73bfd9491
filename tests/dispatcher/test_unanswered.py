"""Claims of which it is not known whether they were committed."""

import pytest
import ZEO.Exceptions

from tests.dispatcher import choosers, work
from tests.dispatcher.polls import key
from zc.async_.interfaces import ACTIVE, PENDING
from zc.async_.running.retry import NeverRetry

#: Time stands still until a test lets some pass.
pytestmark = pytest.mark.usefixtures("pinned")


@pytest.fixture
def lose_answer():
    """Has the storage of a poller fail once after, or before, it has stored a transaction."""

    def lose_answer(poller, error, stored):
        storage = poller.poller._connection._storage
        finish = storage.tpc_finish

        def fail(*args):
            patch.undo()
            if not stored:
                raise error
            finish(*args)
            raise error

        patch.setattr(storage, "tpc_finish", fail)

    # Of its own: the patches of others stay.
    with pytest.MonkeyPatch.context() as patch:
        yield lose_answer


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("error", [ZEO.Exceptions.ClientDisconnected(), OSError("no answer")])
@pytest.mark.parametrize("policy", [None, NeverRetry])
def test_claims_whose_answer_was_lost_are_claimed_anew(
    active, put, client, lose_answer, stored, error, policy
):
    """No worker has had them, so no policy is asked."""
    poller = active()
    jobs = [put(work.answer, retry_policy_factory=policy) for _ in range(2)]
    lose_answer(poller, error, stored)
    outcome = poller.poll()
    assert (outcome.jobs, outcome.failed) == ([], True)
    client.manager.begin()
    assert [job.status for job in jobs] == [ACTIVE if stored else PENDING] * 2
    found = poller.poll().jobs
    found += poller.poll().jobs
    assert [claimed.job_id for claimed in found] == [key(job) for job in jobs]
    client.manager.begin()
    assert [job.claim_token for job in jobs] == [claimed.token for claimed in found]
    assert len(client.queue.dispatchers[poller.uuid]["main"]) == 2
    assert len(client.queue) == 0
    assert poller.poll(busy={("", "main"): 2}).jobs == []


def test_an_activation_whose_answer_was_lost_is_known_again(make_poller, client, lose_answer):
    poller = make_poller()
    lose_answer(poller, ZEO.Exceptions.ClientDisconnected(), stored=True)
    assert poller.poll().failed
    client.manager.begin()
    activated = client.queue.dispatchers[poller.uuid].activated
    assert activated
    assert poller.poll().info == {"": {}}
    client.manager.begin()
    assert client.queue.dispatchers[poller.uuid].activated == activated


def test_a_conflict_leaves_no_claim_unanswered(active, put):
    poller, sibling = active(chooser=choosers.choose_with_hook), active(size=1)
    put(work.answer)
    work.hooks.append(sibling.poll)
    assert poller.poll().jobs == []
    assert poller.poller._unanswered.by_queue == {}
