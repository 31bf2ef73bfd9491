"""A real browser clicks, and sees what happens without reloading; and each page is fit to use."""

import itertools

import pytest

from mypypi_demo import browsing
from mypypi_demo.browsing import NARROW, WIDE, fill_in, look_as, press, wait_for

pytestmark = pytest.mark.slow

#: The narrowest screen that pages are made for.
NARROWEST = (320, 640)


@pytest.fixture(scope="module")
def browser():
    """Chromium."""
    if reason := browsing.why_not():
        pytest.skip(reason)
    with browsing.opened() as browser:
        yield browser


@pytest.fixture(scope="module")
def home(processes):
    return processes.home(1)


def log_in(browser, home, name, password, way="login"):
    browser.delete_all_cookies()
    browser.get(f"{home}/{way}")
    fill_in(browser, name=name, password=password)
    wait_for(browser, "Welcome")


def errors_of(browser):
    """What the browser complains of: scripts that fail, and what the policy of the page forbids."""
    return [entry for entry in browser.get_log("browser") if "favicon" not in entry["message"]]


def test_a_person_follows_a_package(processes, browser, home):
    look_as(browser)
    log_in(browser, home, "carla", "a long password", "join")
    browser.get(f"{home}/")
    fill_in(browser, name="brisk-ledger")
    press(browser, "Ask the index for it")
    # Without a reload, here and below.
    wait_for(browser, "keeping accounts")
    press(browser, "Subscribe")
    wait_for(browser, "Unsubscribe")
    press(browser, "Attach Documentation")
    wait_for(browser, "brisk-ledger: documentation")
    browser.get(f"{home}/me")
    wait_for(browser, "Nothing yet")
    # The page of the index, in another tab.
    site = browser.current_window_handle
    browser.switch_to.new_window("tab")
    browser.get(processes.index.address)
    name = browser.find_element("name", "name")
    name.send_keys("brisk-ledger")
    name.submit()
    browser.close()
    browser.switch_to.window(site)
    wait_for(browser, "brisk-ledger has released 1.1")
    wait_for(browser, "1", "nav .badge")
    press(browser, "Mark all as read")
    wait_for(browser, "All notices are marked as read")
    browser.get(f"{home}/search?q=decimal")
    wait_for(browser, "page about brisk-ledger")
    assert errors_of(browser) == []


def test_a_page_does_not_change_under_the_hands_of_somebody(processes, browser, home):
    look_as(browser)
    log_in(browser, home, "dora", "a long password", "join")
    browser.get(f"{home}/packages/find?name=keen-signal")
    press(browser, "Ask the index for it")
    wait_for(browser, "Releases")
    button = browser.find_element("xpath", "//button[.='Subscribe']")
    browser.execute_script("arguments[0].focus()", button)
    processes.publish("keen-signal")
    # The badge of somebody who has subscribed renews itself; the button is the one that it was.
    processes.wait_for(processes.browser(2, "dora"), "/packages/keen-signal", "1.1")
    browser.execute_async_script("setTimeout(arguments[0], 6000)")
    button.click()
    wait_for(browser, "Unsubscribe")


PAGES = [
    "",
    "/login",
    "/join",
    "/packages",
    "/packages/find",
    "/packages/find?name=lunar-mirror",
    "/packages/brisk-ledger",
    "/search?q=ledger",
    "/search?q=the",
    "/me",
    "/following",
    "/nothing",
]


@pytest.fixture(scope="module")
def manager(processes, browser, home):
    """The manager has logged in, who sees each page."""
    log_in(browser, home, "manager", processes.password)
    browser.get(f"{home}/packages/find?name=brisk-ledger")
    if "Ask the index for it" in browser.page_source:
        press(browser, "Ask the index for it")
    wait_for(browser, "Releases")


@pytest.mark.parametrize("path", PAGES)
def test_nobody_is_kept_from_using_a_page(browser, home, manager, path):
    from axe_core_python.selenium import Axe

    browser.get(home + path)
    for size, dark in itertools.product((WIDE, NARROW), (False, True)):
        look_as(browser, size, dark)
        found = Axe().run(browser)["violations"]
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []


@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_on_each_screen(browser, home, manager, path):
    browser.get(home + path)
    for size in (WIDE, NARROW, NARROWEST):
        look_as(browser, size)
        width = browser.execute_script("return document.documentElement.scrollWidth")
        assert width <= size[0]


def test_the_first_thing_that_a_keyboard_reaches_leads_to_the_content(browser, home):
    look_as(browser)
    browser.get(f"{home}/")
    skip = browser.find_element("css selector", ".skip")
    skip.send_keys("\n")
    assert browser.switch_to.active_element.get_attribute("id") == "main"
