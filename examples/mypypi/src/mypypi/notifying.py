"""How people are told what has happened to packages."""

import datetime
from collections.abc import Iterator
from typing import Any

from BTrees.IOBTree import IOBTree
from persistent import Persistent

import zc.async_.clock
from mypypi import here, jobs
from mypypi.jobs import SiteJob

#: Notices of a person that are kept.
MOST = 100

#: People whom one job tells. So a job is short, and a conflict costs little.
BATCH = 200


class Notices(Persistent):
    """What a person was told, by number: the newest has the highest."""

    #: The number of the last one that was read.
    last_read = 0

    def __init__(self) -> None:
        self.by_number = IOBTree()

    def add(self, package: str, title: str, what: str, when: datetime.datetime) -> None:
        """Tell that something has happened to a package."""
        number = self.by_number.maxKey() + 1 if self.by_number else 1
        # Whoever adds another one meanwhile takes the same number. That is a conflict, after which
        # the job runs again.
        self.by_number[number] = (package, title, what, when)
        while len(self.by_number) > MOST:
            del self.by_number[self.by_number.minKey()]

    def newest_first(self) -> Iterator[dict[str, Any]]:
        """Each as a dict."""
        for number in sorted(self.by_number, reverse=True):
            package, title, what, when = self.by_number[number]
            is_new = number > self.last_read
            yield {"package": package, "title": title, "what": what, "when": when, "is_new": is_new}

    @property
    def unread(self) -> int:
        """How many have not been read."""
        return len(self.by_number.keys(self.last_read + 1))

    def mark_read(self) -> None:
        """Have all of them count as read."""
        self.last_read = self.by_number.maxKey() if self.by_number else 0


def tell_subscribers(package: Any, what: str) -> None:
    """Have all who subscribe to a package told what has happened to it, by jobs."""
    logins = list(package.subscribers)
    when = zc.async_.clock.now()
    for start in range(0, len(logins), BATCH):
        batch = logins[start : start + BATCH]
        # Transactional: if its process dies in the middle, nobody has been told, and the job runs
        # again. So everybody is told once.
        jobs.put(SiteJob(tell, batch, package.name, package.title, what, when))


def tell(logins: list[str], package: str, title: str, what: str, when: datetime.datetime) -> None:
    """Tell people, of whom some may have gone. A job."""
    people = here.application()["people"]
    for login in logins:
        if login in people:
            people[login].notices.add(package, title, what, when)
