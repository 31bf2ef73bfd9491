"""What the class of a job does around each try of it: `setUp` and `tearDown`."""

from typing import Any

from zc.async_ import utils
from zc.async_.running.contract import RunnableJob


class Around:
    """For one try, in the thread that makes it."""

    def __init__(self, job: RunnableJob, manager: Any) -> None:
        """`manager`: the transaction manager of the job's connection."""
        self._job = job
        self._manager = manager
        # While the job is loaded: afterwards the database may be out of reach.
        self._tear_down, self._leave_thread = job.tearDown, job.leave_thread
        self._info: Any = None

    def set_up(self) -> None:
        """Call `setUp`. Raises what that raises."""
        self._info = self._job.setUp()

    def tear_down(self) -> None:
        """Call `tearDown`, after the commit or abort; whatever it raises, the try is over.

        Raises only exceptions that end a thread.
        """
        try:
            if not str(getattr(self._tear_down, "__module__", None)).startswith("zc.async_."):
                # It may look into the database.
                self._manager.begin()
            self._tear_down(self._info)
        except utils.EXPLOSIVE_ERRORS:
            raise
        except BaseException:
            utils.log.critical("tearDown of %r failed", self._job, exc_info=True)
            self._manager.abort()
        finally:
            self._leave_thread()
