"""What stands around jobs while they run: policies that answer, commits that fail."""

import pytest

from tests.unit import calls


@pytest.fixture
def log(client):
    """A `calls.Log` in the database."""
    return client.add("log", calls.Log())


@pytest.fixture
def answers(monkeypatch):
    """Sets what `calls.Policy` answers."""

    def set_answers(*answers):
        monkeypatch.setattr(calls.Policy, "answers", list(answers))

    return set_answers


@pytest.fixture
def failing_commits(client):
    """Makes the next commits of `client` fail with these exceptions."""
    errors = []

    class Synchronizer:
        def newTransaction(self, transaction):
            transaction.addBeforeCommitHook(self.check)

        def check(self):
            if errors:
                raise errors.pop(0)

        def beforeCompletion(self, transaction):
            pass

        def afterCompletion(self, transaction):
            pass

    synchronizer = Synchronizer()

    def failing(*new):
        errors.extend(new)
        client.manager.registerSynch(synchronizer)
        client.begin()
        return errors

    yield failing
    client.manager.unregisterSynch(synchronizer)
