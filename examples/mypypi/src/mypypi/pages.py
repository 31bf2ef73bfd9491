"""Pages of the web that people have attached to packages."""

import dataclasses
import datetime
import email.message
from typing import Any

import grok
from persistent import Persistent

import zc.async_.clock
from mypypi import addresses, fetching, jobs, search, texts
from mypypi.errors import BadAnswer, Refused, explain
from mypypi.interfaces import ISearchable
from mypypi.jobs import SiteJob

#: Pages that a package may have.
MOST = 50

_HTML = ("text/html", "application/xhtml+xml")


@dataclasses.dataclass(frozen=True)
class PageData:
    """What there is on a page."""

    title: str
    text: str


def fetch(url: str) -> PageData:
    """Fetch a page. Raises the errors of `mypypi.errors`."""
    answer = fetching.get(url, "text/html, application/xhtml+xml, text/plain;q=0.8")
    header = email.message.Message()
    header["Content-Type"] = answer.content_type
    kind, encoding = header.get_content_type(), header.get_content_charset()
    if kind in _HTML:
        return PageData(*texts.of_html(answer.body, encoding))
    if kind == "text/plain" and answer.content_type:
        try:
            text = answer.body.decode(encoding or "utf-8", "replace")
        except LookupError:
            text = answer.body.decode("latin-1")
        return PageData("", texts.clean(text, texts.MAX_TEXT))
    raise BadAnswer("it is neither HTML nor plain text")


class Text(Persistent):
    """The text of a page: a record of its own, which a list of pages need not load."""

    def __init__(self, text: str) -> None:
        self.text = text


@grok.implementer(ISearchable)
class Page(grok.Model):
    """A page of the web. What it said when it was fetched is found by the search."""

    #: What there was when it was fetched; before that, None.
    fetched_title = ""
    fetched_text: Text | None = None
    fetched: datetime.datetime | None = None
    #: Why the last fetch failed; empty if it did not.
    error = ""
    #: The fetch that was put last, or None.
    job: SiteJob | None = None

    def __init__(self, url: str, login: str) -> None:
        self.url = url
        #: The login of who attached it.
        self.added_by = login
        self.added = zc.async_.clock.now()

    @property
    def title(self) -> str:
        return self.fetched_title or self.url.partition("://")[2]

    @property
    def text(self) -> str:
        return "" if self.fetched_text is None else self.fetched_text.text

    @property
    def searchable_text(self) -> str:
        return f"{self.title} {self.text}"

    @property
    def is_being_fetched(self) -> bool:
        return jobs.is_under_way(self.job)

    def refresh(self) -> None:
        """Have the page fetched, unless it is being fetched already."""
        if self.is_being_fetched:
            return
        self.job = jobs.put(
            SiteJob(fetch, self.url),
            quota=jobs.PAGES,
            begin_by=jobs.PAGE_PATIENCE,
            retry_policy_factory=jobs.ASK_ONCE,
        )
        self.job.addCallbacks(success=SiteJob(self.received), failure=SiteJob(self.missed))

    def received(self, data: PageData) -> None:
        """Store what is on the page. A callback."""
        self.fetched_title, self.fetched_text = data.title, Text(data.text)
        self.fetched = zc.async_.clock.now()
        self.error = ""
        jobs.put(SiteJob(search.index, self), quota=jobs.SEARCH)

    def missed(self, failure: Any) -> None:
        """Note that there was nothing. A callback."""
        self.error = explain(failure)


def attach(package: Any, url: str, login: str) -> Page:
    """Attach a page to a package, and have it fetched. Returns it, or the one that is there.

    Raises `Refused`, whose text is for whoever gave the address.
    """
    url = addresses.checked(url.strip())
    for page in package.values():
        if page.url == url:
            return page
    if len(package) >= MOST:
        raise Refused(f"there are {MOST} pages already: remove one first")
    package.last_page += 1
    page = package[str(package.last_page)] = Page(url, login)
    page.refresh()
    return page
