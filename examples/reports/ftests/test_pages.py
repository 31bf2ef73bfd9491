"""What users do, by zope.testbrowser."""

import transaction
from zope.testbrowser.wsgi import Browser

from ftests.case import (
    SITE,
    Case,
    ask,
    select,
    states,
    texts,
    wait_for_states,
    wait_until,
)
from reports.model import Report, new_id


class TestReports(Case):
    """Reports that are made."""

    def test_a_report_is_asked_for_and_made_and_its_user_gets_one_mail(self) -> None:
        browser = self.log_in("alice")
        assert "There are none yet" in browser.contents
        ask(browser, 2025, "region")
        wait_for_states(browser, "finished")
        browser.getLink("Sales of 2025 by region").click()
        regions = texts(browser, "tbody th")
        assert regions == ["Africa", "Americas", "Asia", "Europe", "Oceania"]
        count, euros = texts(browser, "tfoot .number")
        browser.getLink("Outbox").click()
        (mail,) = texts(browser, "main li")
        assert "to alice@example.com" in mail
        assert f"{count} sales, {euros[1:]} euros" in mail

    def test_the_groups_of_a_report_have_all_sales(self) -> None:
        browser = self.log_in("alice")
        for group_by in ("region", "product", "month"):
            ask(browser, 2024, group_by)
        wait_for_states(browser, "finished", "finished", "finished")
        made = list(self.site()["alice"].values())
        assert [len(report.rows) for report in made] == [5, 6, 12]
        assert len({(report.count, report.euro_cents) for report in made}) == 1

    def test_the_list_shows_how_far_a_report_is(self) -> None:
        steps = self.control_steps()
        browser = self.log_in("alice")
        ask(browser, 2025, "month")
        for month, percent, more in (("January", "0", 1), ("February", "8", 5), ("July", "50", 1)):
            wait_until(lambda month=month: _steps(browser) == [f"adding up {month}"])
            (progress,) = select(browser, "progress")
            assert progress["value"] == percent
            steps.allow(more)
        steps.allow_all()
        wait_for_states(browser, "finished")

    def test_no_more_reports_are_made_at_once_than_the_quota_has_places(self) -> None:
        steps = self.control_steps()
        alice, bob = self.log_in("alice"), self.log_in("bob")
        ask(alice, 2025, "month")
        ask(alice, 2025, "month")
        wait_for_states(alice, "running", "running")
        ask(bob, 2025, "month")
        assert states(bob) == ["waiting"]
        steps.allow_all()
        wait_for_states(bob, "finished")

    def test_the_first_page_leads_users_to_their_desks_and_managers_to_all(self) -> None:
        browser = self.log_in("alice")
        browser.open("http://localhost/")
        assert browser.url == f"{SITE}/alice"
        ask(browser, 2025, "month")
        wait_for_states(browser, "finished")
        browser = self.log_in("manager")
        browser.open("http://localhost/")
        assert browser.url == SITE
        browser.getLink("Alice Adams").click()
        assert "Reports of alice" in browser.contents
        assert states(browser) == ["finished"]

    def test_older_reports_are_on_further_pages(self) -> None:
        desk = self.site()["alice"]
        for number in range(45):
            report = desk[new_id()] = Report(2025, "month")
            report.cancelled = number % 2 == 0
        transaction.commit()
        browser = self.log_in("alice")
        lengths = [len(states(browser))]
        while "Older reports" in browser.contents:
            browser.getLink("Older reports").click()
            lengths.append(len(select(browser, "#jobs li")))
        assert lengths == [20, 20, 5]
        browser.getLink("Newer reports").click()
        assert len(select(browser, "#jobs li")) == 20
        browser.open(f"{SITE}/alice?start=nonsense")
        assert len(select(browser, "#jobs li")) == 20


class TestCancelling(Case):
    """Reports that are taken back."""

    def test_a_report_that_waits_can_be_cancelled_and_is_not_made(self) -> None:
        steps = self.control_steps()
        browser = self.log_in("alice")
        for _number in range(3):
            ask(browser, 2025, "month")
        wait_for_states(browser, "waiting", "running", "running")
        browser.getControl("Cancel").click()
        assert states(browser) == ["cancelled", "running", "running"]
        steps.allow_all()
        wait_for_states(browser, "cancelled", "finished", "finished")
        assert len(self.site()["alice"].outbox) == 2
        browser.getLink("Sales of 2025 by month").click()
        assert "taken back before it was begun" in browser.contents

    def test_one_that_has_begun_meanwhile_is_not_cancelled_and_the_page_says_so(self) -> None:
        steps = self.control_steps()
        browser = self.log_in("alice")
        for _number in range(3):
            ask(browser, 2025, "month")
        wait_for_states(browser, "waiting", "running", "running")
        cancel = browser.getControl("Cancel")
        steps.allow(24)
        site = self.site()
        newest = site["alice"].newest_first()[0].__name__
        other = self.log_in("alice")
        wait_until(lambda: states(other)[0] == "running")
        cancel.click()
        assert "has been begun already" in browser.contents
        steps.allow_all()
        wait_for_states(browser, "finished", "finished", "finished")
        assert not self.site()["alice"][newest].cancelled


class TestFailures(Case):
    """Reports that cannot be made."""

    def test_a_failure_is_told_in_words_and_only_managers_see_the_traceback(self) -> None:
        browser = self.log_in("alice")
        ask(browser, 2023, "product")
        wait_for_states(browser, "failed")
        browser.getLink("Sales of 2023 by product").click()
        address = browser.url
        assert "This report could not be made" in browser.contents
        assert "Traceback" not in browser.contents
        assert "NoRateError" not in browser.contents
        (mail,) = self.site()["alice"].outbox.newest_first()
        assert "could not be made" in mail.text
        browser = self.log_in("manager")
        browser.open(address)
        (traceback,) = texts(browser, "pre")
        assert "Traceback" in traceback
        assert "is in DEM, for which there is no exchange rate" in traceback

    def test_nothing_is_left_of_a_report_that_failed_in_the_middle(self) -> None:
        browser = self.log_in("alice")
        ask(browser, 2023, "product")
        wait_for_states(browser, "failed")
        (report,) = self.site()["alice"].values()
        assert report.rows is None

    def test_a_report_whose_job_is_gone_is_told_of(self) -> None:
        report = self.site()["alice"][new_id()] = Report(2025, "month")
        report.job_id = "123456"
        transaction.commit()
        browser = self.log_in("alice")
        assert states(browser) == ["lost"]
        browser.getLink("Sales of 2025 by month").click()
        assert "Please ask for it again" in browser.contents

    def test_a_page_that_does_not_exist_is_told_of(self) -> None:
        browser = self.log_in("alice")
        browser.open(f"{SITE}/alice/nothing")
        assert browser.headers["Status"] == "404 Not Found"
        assert "There is no such page" in browser.contents


def _steps(browser: Browser) -> list[str]:
    browser.reload()
    return texts(browser, ".step")
