"""Packages, and what is fetched about them."""

import datetime
from typing import Any

import grok
from BTrees.OOBTree import OOBTree, OOTreeSet

import zc.async_.clock
from mypypi import index, jobs, notifying, search
from mypypi.errors import NotThere, explain
from mypypi.interfaces import ISearchable
from mypypi.jobs import SiteJob

#: Seconds before a package is fetched again that could not be: after the first time, and at most.
FIRST_PAUSE = 30
LONGEST_PAUSE = 3600


@grok.implementer(ISearchable)
class Package(grok.Container):
    """A package that somebody has asked for. It contains the pages that were attached to it."""

    #: What the index has said last; see `index.PackageData`. None: nothing yet.
    data: index.PackageData | None = None
    #: When that was (datetime).
    fetched: datetime.datetime | None = None
    #: Why the last fetch failed; empty if it did not.
    error = ""
    failures = 0
    #: Not fetched by itself before (datetime, or None).
    not_before: datetime.datetime | None = None
    #: Whether the index does not know it, or not any more.
    is_missing = False
    #: The fetch that was put last, or None.
    job: SiteJob | None = None

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        #: Logins of people.
        self.subscribers = OOTreeSet()
        self.last_page = 0

    @property
    def title(self) -> str:
        return self.data.title if self.data else self.name

    @property
    def text(self) -> str:
        return f"{self.data.summary} {self.data.description}" if self.data else ""

    @property
    def searchable_text(self) -> str:
        # The words of the name are found one by one, too.
        return f"{self.name.replace('-', ' ')} {self.title} {self.text}"

    @property
    def is_being_fetched(self) -> bool:
        return jobs.is_under_way(self.job)

    def refresh(self) -> None:
        """Have the package fetched, unless it is being fetched already."""
        if self.is_being_fetched:
            return
        # The network is waited for in the job, which changes nothing. Its callbacks store what came
        # of it, each in a short transaction of its own, however the job ended.
        self.job = jobs.put(
            SiteJob(index.package, self.name),
            quota=jobs.INDEX,
            begin_by=jobs.INDEX_PATIENCE,
            retry_policy_factory=jobs.AskAgain,
        )
        self.job.addCallbacks(success=SiteJob(self.received), failure=SiteJob(self.missed))

    def received(self, data: index.PackageData) -> None:
        """Store what the index says. A callback."""
        if self.data is not None and data.serial < self.data.serial:
            # An old answer, from the cache of a server on the way.
            return
        before, self.data = self.data, data
        was_missing, self.is_missing = self.is_missing, False
        self.fetched = zc.async_.clock.now()
        self.error, self.failures, self.not_before = "", 0, None
        self.__parent__.serials[self.name] = data.serial
        jobs.put(SiteJob(search.index, self), quota=jobs.SEARCH)
        known = {version for version, _time in before.releases} if before else set()
        new = [version for version, _time in data.releases if version not in known]
        if was_missing:
            self._changed(f"is on the index, in version {data.version}")
        elif before is not None and new:
            # The oldest one first, as they came.
            self._changed(f"has released {', '.join(reversed(new[:5]))}")

    def missed(self, failure: Any) -> None:
        """Note that the index gave nothing. A callback."""
        self.error = explain(failure)
        self.failures += 1
        if failure.check(NotThere):
            self.note_missing()
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self.failures - 1, 10))
        self.not_before = zc.async_.clock.now() + datetime.timedelta(seconds=pause)

    def note_missing(self) -> None:
        """Note that the index does not know the package, and tell it if it did before."""
        if self.is_missing:
            return
        self.is_missing = True
        # So it is seen when it is there again, whatever its serial is then.
        self.__parent__.serials[self.name] = 0
        if self.data is not None:
            self._changed("is not on the index any more")

    def _changed(self, what: str) -> None:
        self.__parent__.news.add(self.name, self.title, what, zc.async_.clock.now())
        notifying.tell_subscribers(self, what)


class Packages(grok.Container):
    """The packages, by their normalized names."""

    def __init__(self) -> None:
        super().__init__()
        #: The serial of each package that the index has described, 0 for the others: to compare
        #: the list of the index with it, no package has to be loaded.
        self.serials = OOBTree()
        #: What has happened to packages lately, for everybody.
        self.news = notifying.Notices()

    def ensure(self, name: str) -> Package:
        """The package of a normalized name. One that is new is fetched."""
        if name not in self:
            self.serials[name] = 0
            self[name] = Package(name)
            self[name].refresh()
        return self[name]
