"""A dispatcher's session with its database, from its first poll until it has left."""

from typing import Any

from zc.async_ import utils
from zc.async_.dispatcher.plans import Outcome, Plan
from zc.async_.dispatcher.polling import Poller
from zc.async_.dispatcher.pool import JobId
from zc.async_.dispatcher.wakeup import Listener


class Session:
    """Owns the poller.

    Only from the reactor's thread, except `poll`, which another thread may call. At most one such
    call is under way, and the session does not end meanwhile. Also for the thread that abandons a
    dispatcher, once the reactor's thread has ended.
    """

    def __init__(self, dispatcher: Any, listener: Listener) -> None:
        self._dispatcher = dispatcher
        self._listener = listener
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget what belongs to an earlier activation."""
        #: None before the first poll and after the end. Set by the thread that polls or that ends
        #: the session; any thread may look whether there is one.
        self.poller: Poller | None = None

    @property
    def last_duration(self) -> float:
        """The duration (seconds) of the last poll that claimed something; 0 if none has."""
        return self.poller.last_duration if self.poller is not None else 0

    def poll(self, plan: Plan) -> Outcome:
        """Do one poll; the first opens a connection. Raises only exceptions that end a thread."""
        dispatcher = self._dispatcher
        try:
            if self.poller is None:
                self.poller = Poller(
                    dispatcher.db, dispatcher.UUID, self._listener, dispatcher.labels
                )
        except utils.EXPLOSIVE_ERRORS:
            raise
        except Exception:
            if utils.is_closed(dispatcher.db):
                return Outcome(failed=True, closed=True)
            utils.log.critical("cannot open the database", exc_info=True)
            return Outcome(failed=True)
        return self.poller.poll(plan)

    def hand_back(self, unstarted: list[tuple[JobId, int]]) -> None:
        """Hand back all jobs, and end.

        `unstarted`: those that no thread has begun, with their tokens.
        """
        if self.poller is not None:
            self.poller.deactivate(unstarted)
        self.close()

    def close(self) -> None:
        """End, and write nothing."""
        if self.poller is not None:
            self.poller.close()
            self.poller = None
