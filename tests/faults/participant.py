"""What makes a commit fail, in the way that a storage does."""


class Participant:
    """Takes part in a transaction, and has its commit end with an error."""

    def __init__(self, error):
        self._error = error

    def sortKey(self):
        return "~"

    def tpc_vote(self, transaction):
        raise self._error

    def abort(self, transaction):
        pass

    tpc_abort = tpc_begin = commit = tpc_finish = abort
