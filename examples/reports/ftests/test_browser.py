"""What users see and do in a real browser, on a wide and on a narrow screen."""

import unittest

from axe_core_python.selenium import Axe
from webtest.http import StopableWSGIServer
from zope.app.wsgi import WSGIPublisherApplication

from ftests.case import Case, wait_until
from ftests.chromium import MISSING, Chromium
from ftests.layer import LAYER

WIDE, NARROW = 1280, 390

#: Whether a part of a table is out of sight.
IS_CUT = """
return [...document.querySelectorAll('.table')].some(table => table.scrollWidth > table.clientWidth)
"""


@unittest.skipIf(MISSING, MISSING)
class TestBrowser(Case):
    """The application, in a server in this process, and Chromium."""

    def setUp(self) -> None:
        """Serve the database of the test, and start the browser."""
        server = StopableWSGIServer.create(WSGIPublisherApplication(LAYER.db), host="127.0.0.1")
        self.address = server.application_url
        self.addCleanup(server.shutdown)
        self.browser = Chromium()
        self.addCleanup(self.browser.close)
        self.browser.resize(WIDE)

    def test_progress_moves_and_the_result_appears_without_another_click(self) -> None:
        for width in (WIDE, NARROW):
            with self.subTest(width=width):
                self.browser.driver.delete_all_cookies()
                self.browser.resize(width)
                self.check_progress_and_result()
                assert self.browser.complaints() == []

    def check_progress_and_result(self) -> None:
        """Ask for a report, and look on."""
        steps = self.control_steps()
        browser = self.browser
        browser.log_in(self.address, "bob")
        browser.ask(2025, "region")
        browser.driver.execute_script("window.isTheSamePage = true")
        news = []
        for step, more in (("January", 3), ("April", 6), ("October", 3)):
            wait_until(lambda step=step: browser.texts(".step") == [f"adding up {step}"])
            news += browser.texts("#news")
            steps.allow(more)
        wait_until(lambda: browser.texts("#jobs .badge")[0] == "finished")
        news += browser.texts("#news")
        assert news[1:] == [
            "Sales of 2025 by region: running, 25 percent",
            "Sales of 2025 by region: running, 75 percent",
            "Sales of 2025 by region: finished",
        ]
        assert "sales, €" in browser.texts("#jobs .whole")[0]
        assert browser.driver.execute_script("return window.isTheSamePage")
        browser.click("#jobs h3 a")
        assert browser.texts("tbody th") == ["Africa", "Americas", "Asia", "Europe", "Oceania"]
        steps.allow_all()

    def test_the_keyboard_stays_in_a_report_whose_button_goes_away(self) -> None:
        steps = self.control_steps()
        browser = self.browser
        browser.log_in(self.address, "alice")
        for _number in range(3):
            browser.ask(2025, "month")
        wait_until(lambda: browser.texts("#jobs .badge") == ["waiting", "running", "running"])
        browser.driver.execute_script("document.querySelector('form.whole button').focus()")
        steps.allow_all()
        wait_until(lambda: browser.texts("#jobs .badge") == ["finished"] * 3)
        script = "return document.activeElement === document.querySelector('#jobs h3 a')"
        assert browser.driver.execute_script(script)

    def test_a_report_is_cancelled_by_a_click(self) -> None:
        self.control_steps()
        browser = self.browser
        browser.resize(NARROW)
        browser.log_in(self.address, "alice")
        for _number in range(3):
            browser.ask(2025, "month")
        wait_until(lambda: browser.texts("#jobs .badge") == ["waiting", "running", "running"])
        browser.click("form.whole button")
        assert browser.texts("#jobs .badge")[0] == "cancelled"

    def test_a_list_that_cannot_be_renewed_says_so_and_one_without_a_session_leaves(self) -> None:
        # Something goes on, so the list is renewed each second.
        self.control_steps()
        browser = self.browser
        browser.log_in(self.address, "alice")
        browser.ask(2025, "month")
        script = "document.getElementById('jobs').dataset.source = arguments[0]"
        browser.driver.execute_script(script, f"{self.address}reports/alice/nothing")
        wait_until(lambda: browser.find("#cut-off").is_displayed())
        browser.driver.execute_script(script, f"{self.address}reports/alice/@@jobs?start=0")
        wait_until(lambda: not browser.find("#cut-off").is_displayed())
        browser.driver.delete_all_cookies()
        wait_until(lambda: "@@login.html" in browser.driver.current_url)

    def test_all_pages_fit_on_the_screen_and_are_accessible(self) -> None:
        browser = self.browser
        browser.log_in(f"{self.address}reports/manager", "manager")
        browser.ask(2025, "month")
        browser.ask(2023, "month")
        wait_until(lambda: browser.texts("#jobs .badge") == ["failed", "finished"])
        desk = f"{self.address}reports/manager"
        links = "return [...document.querySelectorAll('#jobs h3 a')].map(a => a.href)"
        reports = browser.driver.execute_script(links)
        # In a list that goes on are all parts that a list may have.
        self.control_steps()
        browser.driver.get(desk)
        for _number in range(3):
            browser.ask(2024, "month")
        others = (f"{desk}/@@outbox.html", f"{self.address}reports", f"{self.address}nothing")
        for page in (desk, *reports, *others):
            self.check_page(page)
        browser.driver.get(desk)
        browser.click(".who button")
        self.check_page(f"{self.address}reports/@@login.html?failed=1")

    def check_page(self, address: str) -> None:
        """Look at a page on screens of several sizes, by day and by night; 320 is the least."""
        browser = self.browser
        for width, scheme in ((WIDE, "light"), (NARROW, "dark"), (320, "light")):
            browser.resize(width)
            browser.prefer(scheme)
            browser.driver.get(address)
            script = "return document.documentElement.scrollWidth"
            assert browser.driver.execute_script(script) <= width, (address, width)
            if width != 320:
                # On the least one, a table may have to be moved to be seen.
                assert not browser.driver.execute_script(IS_CUT), (address, width)
                violations = Axe().run(browser.driver)["violations"]
                assert violations == [], (address, width, scheme)
