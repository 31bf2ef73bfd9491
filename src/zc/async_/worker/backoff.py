"""How long to wait before a worker that died is started again."""

#: Seconds: after the first death, and at most. The time doubles with each one.
FIRST = 0.5
LONGEST = 60.0

#: Seconds after which a worker counts as one that works: its death is like a first one.
WORKED = 60.0


class Backoff:
    """The waits of one slot."""

    def __init__(self) -> None:
        #: Deaths in a row, each soon after the start.
        self.deaths = 0

    def died(self, lived: float) -> float:
        """Note a death; return how long to wait.

        `lived`: the seconds since the worker came up, 0 if it did not.
        """
        if lived >= WORKED:
            self.deaths = 0
        self.deaths += 1
        # The exponent is bounded: a slot may go on like this for years.
        return float(min(LONGEST, FIRST * 2 ** min(self.deaths - 1, 20)))

    def forget(self) -> None:
        """Begin anew, since something has changed."""
        self.deaths = 0
