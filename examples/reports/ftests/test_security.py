"""What users must not do, by zope.testbrowser."""

from typing import Any
from urllib.parse import unquote, urlencode

import transaction
from zope.authentication.interfaces import IAuthentication
from zope.testbrowser.wsgi import Browser

from ftests.case import SITE, Case, ask, fill_in_login, select, states, wait_for_states
from reports.model import Report, new_id


def status(browser: Browser) -> int:
    """The status of the last answer."""
    return int(browser.headers["Status"].split()[0])


def token(browser: Browser) -> str:
    """What the forms of the page send."""
    return str(select(browser, "input[name=token]")[0]["value"])


def post(browser: Browser, address: str, **fields: str) -> int:
    """Send a form, whatever page is open; return the status."""
    browser.post(address, urlencode(fields))
    return status(browser)


class TestLogin(Case):
    """Who comes in."""

    def test_whoever_has_not_logged_in_is_asked_who_it_is_and_led_on(self) -> None:
        browser = Browser()
        for path in ("", "/alice", "/alice/@@jobs", "/alice/@@outbox.html", "/nobody"):
            browser.open(SITE + path)
            assert browser.url.startswith(f"{SITE}/@@login.html?"), path
        browser.open(f"{SITE}/alice/@@outbox.html")
        fill_in_login(browser, "alice")
        assert unquote(browser.url) == f"{SITE}/alice/@@outbox.html"
        assert "There is no mail yet" in browser.contents

    def test_whoever_sends_a_form_when_the_session_is_over_is_led_to_the_desk(self) -> None:
        browser = self.log_in("alice")
        browser.cookies.clearAll()
        ask(browser, 2025, "month")
        assert "@@login.html" in browser.url
        fill_in_login(browser, "alice")
        assert browser.url == f"{SITE}/alice"
        assert states(browser) == []

    def test_the_form_to_log_in_leads_to_no_other_site(self) -> None:
        for path in ("https://example.com/", "//example.com/reports", "/reports.example.com", "@x"):
            browser = Browser(f"{SITE}/@@login.html?{urlencode({'next': path})}")
            fill_in_login(browser, "alice")
            assert browser.url == f"{SITE}/alice", path

    def test_nothing_gets_from_the_form_to_log_in_into_the_headers(self) -> None:
        next_ = urlencode({"next": "/reports/\r\nSet-Cookie: stolen=1"})
        browser = Browser(f"{SITE}/@@login.html?{next_}")
        browser.raiseHttpErrors = False
        fill_in_login(browser, "alice")
        assert status(browser) == 404
        assert "stolen" not in browser.cookies

    def test_a_wrong_password_is_told_and_the_right_one_then_helps(self) -> None:
        browser = self.log_in("alice")
        browser.getControl("Log out").click()
        for name, password in (("alice", "wrong"), ("nobody", "secret"), ("", "")):
            fill_in_login(browser, name, password)
            assert "do not belong together" in browser.contents
        fill_in_login(browser, "alice")
        assert "Your reports" in browser.contents

    def test_a_session_that_somebody_else_knew_before_is_not_the_one_that_is_logged_in(
        self,
    ) -> None:
        browser = Browser(f"{SITE}/@@login.html")
        before = browser.cookies["reports_session"]
        fill_in_login(browser, "alice")
        assert "Your reports" in browser.contents
        other = Browser(SITE)
        other.cookies["reports_session"] = before
        other.open(SITE)
        assert "@@login.html" in other.url

    def test_a_session_is_over_after_the_log_out_also_for_who_kept_it(self) -> None:
        browser = self.log_in("alice")
        kept = browser.cookies["reports_session"]
        other = Browser(SITE)
        other.cookies["reports_session"] = kept
        other.open(SITE)
        assert other.url == f"{SITE}/alice"
        browser.getControl("Log out").click()
        other.open(SITE)
        assert "@@login.html" in other.url

    def test_scripts_do_not_see_the_session(self) -> None:
        browser = Browser(f"{SITE}/@@login.html")
        (cookie,) = [c for c in browser.testapp.cookiejar if c.name == "reports_session"]
        assert cookie.has_nonstandard_attr("HttpOnly")


class TestDesks(Case):
    """What belongs to others."""

    def report(self, owner: str) -> str:
        """The path of a report of somebody."""
        report = self.site()[owner][new_id()] = Report(2025, "month")
        transaction.commit()
        return f"{SITE}/{owner}/{report.__name__}"

    def test_a_user_sees_nothing_that_belongs_to_others(self) -> None:
        address = self.report("bob")
        browser = self.log_in("alice")
        for path in (
            f"{SITE}/bob",
            f"{SITE}/bob/@@jobs",
            f"{SITE}/bob/@@outbox.html",
            address,
            f"{address}/@@index.html",
            f"{SITE}/bob/nothing",
            f"{SITE}/++etc++site",
        ):
            browser.open(path)
            assert status(browser) in (403, 404), path
            assert "Sales of 2025" not in browser.contents, path
        browser.open(SITE)
        assert browser.url == f"{SITE}/alice"

    def test_nobody_asks_for_or_cancels_reports_of_others_not_even_a_manager(self) -> None:
        steps = self.control_steps()
        bob = self.log_in("bob")
        for _number in range(3):
            ask(bob, 2025, "month")
        wait_for_states(bob, "waiting", "running", "running")
        cancel = select(bob, "form.whole")[0]["action"]
        for name in ("alice", "manager"):
            browser = self.log_in(name)
            right = token(browser)
            assert post(browser, cancel, token=right) == 403
            fields = {"token": right, "year": "2025", "group_by": "month"}
            assert post(browser, f"{SITE}/bob/@@ask", **fields) == 403
        assert states(bob) == ["waiting", "running", "running"]
        steps.allow_all()
        wait_for_states(bob, "finished", "finished", "finished")

    def test_a_manager_sees_the_desk_of_a_user_without_its_forms(self) -> None:
        address = self.report("bob")
        browser = self.log_in("manager")
        browser.open(address)
        assert status(browser) == 200
        browser.open(f"{SITE}/bob")
        assert "Reports of bob" in browser.contents
        assert "Make the report" not in browser.contents


class TestForms(Case):
    """What other sites, and people with tools, send."""

    def test_nothing_is_done_without_the_token_of_the_session(self) -> None:
        browser = self.log_in("alice")
        fields = {"year": "2025", "group_by": "month"}
        addresses = (f"{SITE}/alice/@@ask", f"{SITE}/@@logout", f"{SITE}/@@login")
        foreign = token(self.log_in("bob"))
        for address in addresses:
            for wrong in ({}, {"token": ""}, {"token": foreign}, {"token:list": foreign}):
                assert post(browser, address, **fields, **wrong) == 400, (address, wrong)
        assert states(self.log_in("alice")) == []

    def test_nothing_is_done_by_a_link(self) -> None:
        browser = self.log_in("alice")
        query = urlencode({"token": token(browser), "year": "2025", "group_by": "month"})
        browser.open(f"{SITE}/alice/@@ask?{query}")
        assert status(browser) == 400
        assert len(self.site()["alice"]) == 0

    def test_values_that_the_form_does_not_have_are_refused(self) -> None:
        browser = self.log_in("alice")
        right = token(browser)
        for wrong in (
            {"year": "1999", "group_by": "month"},
            {"year": "2025", "group_by": "currency"},
            {"year": "2025; drop", "group_by": "month"},
            {"year:list": "2025", "group_by": "month"},
            {"year:int": "2025", "group_by": "month"},
            {},
        ):
            address = f"{SITE}/alice/@@ask"
            assert post(browser, address, token=right, **wrong) == 400, wrong
            assert "There is no such report" in browser.contents
        assert len(self.site()["alice"]) == 0

    def test_what_users_are_called_is_text_and_not_markup(self) -> None:
        user: Any = self.site().getSiteManager().getUtility(IAuthentication).getPrincipal("alice")
        user.title = "<script>alert(1)</script>"
        transaction.commit()
        browser = self.log_in("alice")
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in browser.contents
        ask(browser, 2025, "month")
        wait_for_states(browser, "finished")
        for address in (f"{SITE}/alice/@@outbox.html", f"{SITE}/alice/?message=<script>alert(1)"):
            browser.open(address)
            assert "<script>alert" not in browser.contents

    def test_each_page_says_what_browsers_may_do_with_it(self) -> None:
        browser = self.log_in("alice")
        for path in ("/alice", "/bob", "/alice/nothing", "/@@login.html", "/alice/@@jobs"):
            browser.open(SITE + path)
            assert "default-src 'self'" in browser.headers["Content-Security-Policy"], path
            assert browser.headers["Cache-Control"] == "no-store", path
