"""Who takes part in transactions beside the databases: nobody to notice, or one who objects."""


class Bystander:
    """Takes part in a transaction, and does nothing. Its turn comes after the databases'."""

    def sortKey(self):
        return "~"

    def abort(self, transaction):
        """Nothing was begun."""

    tpc_begin = commit = tpc_vote = tpc_finish = tpc_abort = abort


class Participant(Bystander):
    """Has a commit fail, in the way that a storage does: at a step of it, by default the vote."""

    def __init__(self, error, step="tpc_vote"):
        self._error = error
        setattr(self, step, self._fail)

    def _fail(self, transaction):
        raise self._error
