"""What the tests of pages have in common."""

import threading
import time
import unittest
from collections.abc import Callable
from typing import Any
from unittest import mock

import transaction
from bs4 import BeautifulSoup
from zope.testbrowser.wsgi import Browser

from ftests.layer import LAYER
from reports.installing import NAME, PASSWORD

#: Real seconds that anything may take.
PATIENCE = 120

SITE = f"http://localhost/{NAME}"


def wait_until(look: Callable[[], Any], tell: Callable[[], Any] = lambda: "nothing") -> Any:
    """Wait until something is so, and return it. What `tell` returns is told if that is in vain."""
    end = time.monotonic() + PATIENCE
    while not (seen := look()):
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain; in the end there was {tell()}")
        time.sleep(0.02)
    return seen


class Steps:
    """Stands in the place of `reports.jobs.pause`: jobs go on when the test says so."""

    def __init__(self) -> None:
        self._allowed = threading.Semaphore(0)

    def __call__(self) -> None:
        """Wait at the end of a step. Called by jobs."""
        self._allowed.acquire()

    def allow(self, number: int) -> None:
        """Let jobs do so many steps more."""
        self._allowed.release(number)

    def allow_all(self) -> None:
        """Let all jobs end."""
        self.allow(1000)


class Case(unittest.TestCase):
    """A test of pages. Jobs do not wait, unless it calls `control_steps`."""

    layer = LAYER

    def control_steps(self) -> Steps:
        """Have jobs wait at each step."""
        steps = Steps()
        replaced = mock.patch("reports.jobs.pause", steps)
        replaced.start()
        self.addCleanup(replaced.stop)
        # A job that waits would keep the dispatcher from ending.
        self.addCleanup(steps.allow_all)
        return steps

    def log_in(self, name: str) -> Browser:
        """A browser in which a user has logged in."""
        browser = Browser(f"{SITE}/@@login.html")
        browser.raiseHttpErrors = False
        fill_in_login(browser, name)
        return browser

    def site(self) -> Any:
        """The site, as it is now."""
        transaction.begin()
        return LAYER.getRootFolder()[NAME]


def fill_in_login(browser: Browser, name: str, password: str = PASSWORD) -> None:
    """Use the form to log in."""
    browser.getControl("Name").value = name
    browser.getControl("Password").value = password
    browser.getControl("Log in").click()


def ask(browser: Browser, year: int, group_by: str) -> None:
    """Use the form to ask for a report."""
    browser.getControl("Sales of").value = [str(year)]
    browser.getControl(label="by").value = [group_by]
    browser.getControl("Make the report").click()


def select(browser: Browser, selector: str) -> list[Any]:
    """The elements of the page that a CSS selector selects."""
    return BeautifulSoup(browser.contents, "html.parser").select(selector)


def texts(browser: Browser, selector: str) -> list[str]:
    """Their texts, with a space for each stretch of white space."""
    return [" ".join(element.get_text().split()) for element in select(browser, selector)]


def states(browser: Browser) -> list[str]:
    """The states in the list of reports, the newest first, as the page has them now."""
    browser.reload()
    return texts(browser, "#jobs .badge")


def wait_for_states(browser: Browser, *expected: str) -> None:
    """Wait until the list of reports has these states."""
    wait_until(lambda: states(browser) == list(expected), lambda: states(browser))
