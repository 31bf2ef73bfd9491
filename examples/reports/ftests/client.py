"""A client for real servers."""

import http.cookiejar
import urllib.error
import urllib.parse
import urllib.request

from bs4 import BeautifulSoup

from ftests.case import PATIENCE, wait_until
from reports.installing import PASSWORD


class Client:
    """Somebody with a browser of few talents, who has logged in."""

    def __init__(self, address: str, name: str) -> None:
        """`address`: of the server."""
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(cookies)
        self.site = f"{address}reports"
        self.page = self.get("/@@login.html")
        self.send("/@@login", login=name, password=PASSWORD)
        self._desk = f"/{name}"

    def get(self, path: str) -> BeautifulSoup:
        """Load a page."""
        return self._open(path, None)

    def send(self, path: str, **fields: str) -> None:
        """Send a form, with the token of the last page."""
        fields["token"] = str(self.page.select("input[name=token]")[0]["value"])
        self.page = self._open(path, urllib.parse.urlencode(fields).encode())

    def ask(self, year: int, group_by: str) -> None:
        """Ask for a report."""
        self.send(f"{self._desk}/@@ask", year=str(year), group_by=group_by)

    def states(self) -> list[str]:
        """The states of the reports, as the list has them now."""
        return [badge.text for badge in self.get(f"{self._desk}/@@jobs").select(".badge")]

    def wait_for_states(self, *expected: str) -> None:
        """Wait until the list of reports has these states."""
        wait_until(lambda: self.states() == list(expected), self.states)

    def percent(self) -> list[int]:
        """How far the reports are that are being made."""
        found = self.get(f"{self._desk}/@@jobs").select("progress")
        return [int(str(progress["value"])) for progress in found]

    def mail(self) -> int:
        """How much mail there is."""
        return len(self.get(f"{self._desk}/@@outbox.html").select("main li"))

    def _open(self, path: str, form: bytes | None) -> BeautifulSoup:
        with self._opener.open(self.site + path, form, timeout=PATIENCE) as response:
            return BeautifulSoup(response.read(), "html.parser")
