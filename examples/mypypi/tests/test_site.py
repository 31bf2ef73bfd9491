"""What people see and press, and what they may not."""

import urllib.parse

import pytest
import transaction
from tests.portal import HOME, PASSWORD, configure
from zope.catalog.interfaces import ICatalog
from zope.component.hooks import site

from mypypi.browser.base import HEADERS

LUNAR = f"{HOME}/packages/lunar-parser"


def look_up(browser, portal, name="lunar-parser"):
    """Ask the index for a package, and go to its page."""
    browser.getControl("Name of a package").value = name
    browser.getControl("Look it up").click()
    browser.getControl("Ask the index for it").click()
    portal.wait_for_jobs()
    browser.reload()


def post(browser, path, token=None, **fields):
    """Send a form that is on no page: with a token if it is one of this session."""
    if token is None:
        browser.open(f"{HOME}/packages/lunar-parser" if "lunar" in path else HOME)
        token = browser.getControl(name="token", index=0).value
    data = urllib.parse.urlencode({"token": token, **fields})
    browser.post(HOME + path, data)


def status_of(browser, path, **fields):
    """The status that a form, or an address, is answered with."""
    browser.raiseHttpErrors = False
    if fields:
        post(browser, path, **fields)
    else:
        browser.open(HOME + path)
    return browser.headers["Status"][:3]


# What people do.


def test_a_person_joins_subscribes_and_is_told(portal, index):
    browser = portal.browser("anna")
    assert "Welcome!" in browser.contents
    browser.open(HOME)
    look_up(browser, portal)
    browser.getControl("Subscribe").click()
    assert "You will be told" in browser.contents
    assert browser.getControl("Unsubscribe")
    index.packages.publish("lunar-parser")
    portal.follow()
    browser.getLink("Notices").click()
    assert "has released 1.1" in browser.contents
    assert browser.getLink("Notices").text == "Notices 1 new"
    browser.getControl("Mark all as read").click()
    assert browser.getLink("Notices").text == "Notices"
    browser.getControl("Unsubscribe").click()
    assert "not told about this package any more" in browser.contents
    index.packages.publish("lunar-parser")
    portal.follow()
    browser.getLink("Notices").click()
    assert "1.2" not in browser.contents


def test_the_first_page_shows_what_has_happened(portal, index):
    browser = portal.browser()
    assert "Nothing yet" in browser.contents
    assert "has not been looked at yet" in browser.contents
    portal.package("lunar-parser")
    index.packages.publish("lunar-parser")
    portal.follow()
    browser.reload()
    assert "has released 1.1" in browser.contents
    # What changed last comes first.
    assert browser.getLink(url="find", index=0).text == "lunar-parser"
    browser.getLink("lunar-parser", index=0).click()
    assert browser.url == LUNAR


def test_a_visitor_may_look_and_is_led_to_the_login_by_the_rest(portal, index):
    portal.package("lunar-parser")
    portal.browser("anna")
    browser = portal.browser()
    browser.open(LUNAR)
    assert "parsing grammars" in browser.contents
    browser.getLink("Log in to subscribe").click()
    browser.getControl("Name").value = "Anna "
    browser.getControl("Password").value = PASSWORD
    browser.getControl("Log in", index=-1).click()
    assert browser.url == LUNAR
    browser = portal.browser()
    for path in ("/me", "/following"):
        browser.open(HOME + path)
        assert browser.url.startswith(f"{HOME}/login?back=")


def test_a_name_is_looked_up_in_whatever_form_it_is_given(portal, index):
    portal.package("lunar-parser")
    browser = portal.browser()
    browser.getControl("Name of a package").value = " Lunar_Parser "
    browser.getControl("Look it up").click()
    assert browser.url == LUNAR
    browser.open(f"{HOME}/packages/find?name=no+name")
    assert "No package can be called so" in browser.contents
    browser.open(f"{HOME}/packages/find?name=lunar-quill")
    assert "Log in" in browser.contents
    assert "Ask the index" not in browser.contents


def test_a_package_that_the_index_does_not_know(portal, index):
    browser = portal.browser("anna")
    browser.open(HOME)
    look_up(browser, portal, "lunar-rocket")
    assert "The index does not know this package" in browser.contents
    assert browser.getControl("Subscribe")


def test_a_package_says_what_went_wrong(portal, index):
    configure(index.address, timeout="1s")
    index.misbehaviours["/pypi/"] = "hang"
    browser = portal.browser("anna")
    browser.open(HOME)
    browser.getControl("Name of a package").value = "lunar-parser"
    browser.getControl("Look it up").click()
    browser.getControl("Ask the index for it").click()
    assert "The index is being asked" in browser.contents
    assert "data-busy" in browser.contents
    portal.wait_for_jobs()
    browser.reload()
    assert "it took too long" in browser.contents
    assert "data-busy" not in browser.contents
    index.behave()
    browser.getControl("Ask the index again").click()
    portal.wait_for_jobs()
    browser.reload()
    assert "parsing grammars" in browser.contents


def test_packages_are_listed_a_part_at_a_time(portal, index, monkeypatch):
    monkeypatch.setattr("mypypi.browser.front.BATCH", 2)
    for name in ("lunar-parser", "lunar-quill", "brisk-ledger"):
        portal.package(name)
    browser = portal.browser()
    browser.getLink("Packages").click()
    assert "brisk-ledger" in browser.contents
    assert '/packages/lunar-quill"' not in browser.contents
    browser.getLink("More, from lunar-quill").click()
    assert "brisk-ledger" not in browser.contents
    assert browser.getLink("lunar-quill")


def test_pages_are_attached_found_and_removed(portal, index):
    portal.package("lunar-parser")
    browser = portal.browser("anna")
    browser.open(LUNAR)
    browser.getControl("Attach Documentation").click()
    assert "The page was attached." in browser.contents
    portal.wait_for_jobs()
    browser.reload()
    assert browser.getLink("lunar-parser: documentation").url.startswith(index.address)
    browser.getControl(name="q").value = "operators grammars"
    browser.getForm(index=0).submit()
    assert "2 results" in browser.contents
    assert "<mark>grammars</mark>" in browser.contents
    browser.open(LUNAR)
    browser.getControl("Remove").click()
    assert "There is none yet." in browser.contents
    browser.open(f"{HOME}/search?q=documentation")
    assert "lunar-parser: documentation" not in browser.contents


def test_a_page_is_fetched_again_when_somebody_wants_that(portal, index):
    index.misbehaviours["/docs/"] = "error"
    portal.package("lunar-parser")
    browser = portal.browser("anna")
    browser.open(LUNAR)
    browser.getControl("Attach Documentation").click()
    portal.wait_for_jobs()
    browser.reload()
    assert "not fetched: it is out of order (HTTP status 503)" in browser.contents
    index.behave()
    browser.getControl("Fetch again").click()
    assert "It is fetched again." in browser.contents
    portal.wait_for_jobs()
    browser.reload()
    assert "not fetched" not in browser.contents


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("ftp://example.com/", "only http and https"),
        ("nonsense", "only http and https"),
        ("http://a:b@example.com/", "no user or password"),
        ("http://example.com/<script>", None),
    ],
)
def test_what_cannot_be_attached_is_said_where_it_was_written(portal, index, url, problem):
    portal.package("lunar-parser")
    browser = portal.browser("anna")
    browser.open(LUNAR)
    browser.raiseHttpErrors = False
    browser.getControl("Its address").value = url
    browser.getControl("Attach", index=0).click()
    if problem is None:
        # It is an address, though a strange one, and nothing that a browser runs.
        assert "<script>" not in browser.contents
        assert browser.headers["Status"].startswith("200")
    else:
        assert browser.headers["Status"].startswith("422")
        assert problem in browser.contents
        assert browser.getControl("Its address").value == url


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("grammars", "1 result"),
        ("gram*", "1 result"),
        ('"parsing grammars"', "1 result"),
        ("grammars NOT parsing", "0 results"),
        ("lunar", "1 result"),
        ("rocket", "0 results"),
        ("the", "Try others"),
        ("*", "Try others"),
        ("AND", "Try others"),
        ("(", "Try others"),
        ("(" * 200, "Try others"),
        ('"', "Try others"),
        # By the words, as it is no query by the rules.
        ("parsing(grammars", "1 result"),
        ("*parsing", "1 result"),
        ("not parsing", "1 result"),
        ("(" * 180 + "parsing", "1 result"),
        ("<script>alert(1)</script>", "0 results"),
        ("\x00ä\U0001f40d", "result"),
        ("x" * 10_000, "0 results"),
    ],
)
def test_any_query_is_answered(portal, index, query, text):
    portal.package("lunar-parser")
    browser = portal.browser()
    browser.open(f"{HOME}/search?{urllib.parse.urlencode({'q': query})}")
    assert text in browser.contents
    assert "<script>alert" not in browser.contents


def test_a_package_is_found_whether_it_has_pages_or_not(portal, index):
    portal.package("lunar-parser")
    browser = portal.browser()
    browser.open(f"{HOME}/search?q=grammars")
    assert browser.getLink("lunar-parser").url == LUNAR


def test_each_thing_is_indexed_once(portal, index):
    package = portal.package("lunar-parser")
    with site(portal.application):
        package.refresh()
    transaction.commit()
    portal.wait_for_jobs()
    catalog = portal.application.getSiteManager().getUtility(ICatalog)
    assert catalog["searchable_text"].documentCount() == 1


# Strangers' texts.


def test_what_strangers_write_is_shown_as_text(portal, index):
    index.misbehaviours["/pypi/"] = "hostile"
    package = portal.package("lunar-parser")
    assert package.error == ""
    browser = portal.browser("anna")
    for path in ("/packages/lunar-parser", "/packages", "/search?q=long"):
        browser.open(HOME + path)
        assert "&lt;img src=x" in browser.contents
        for evil in ("<script>alert", "<img src=x", "javascript:", "file:///"):
            assert evil not in browser.contents


# What people may not do.


def test_a_form_of_another_session_is_refused(portal, index):
    portal.package("lunar-parser")
    anna, bert = portal.browser("anna"), portal.browser("bert")
    token = bert.getControl(name="token", index=0).value
    anna.raiseHttpErrors = False
    for sent in (token, "", "x"):
        post(anna, "/packages/lunar-parser/subscribe", sent)
        assert anna.headers["Status"].startswith("403")
        assert "too old" in anna.contents
    anna.open(f"{LUNAR}/subscribe?token={token}")
    # A link is no form.
    assert anna.url == LUNAR
    portal.look_again()
    assert list(portal.application["packages"]["lunar-parser"].subscribers) == []


@pytest.mark.parametrize(
    "path",
    ["/login", "/join", "/logout", "/mark-read", "/packages/add"]
    + [
        f"/packages/lunar-parser/{name}"
        for name in ("subscribe", "unsubscribe", "refresh", "attach")
    ],
)
def test_each_form_needs_its_token(portal, index, path):
    portal.package("lunar-parser")
    browser = portal.browser("anna")
    assert status_of(browser, path, token="wrong", name="a", password=PASSWORD) == "403"


@pytest.mark.parametrize("path", ["/hurry", "/start", "/stop", "/following"])
def test_only_managers_manage(portal, index, path):
    # Whatever somebody is called.
    for login in ("anna", "managers", "members"):
        browser = portal.browser(login)
        fields = {} if path == "/following" else {"a": "b"}
        assert status_of(browser, path, **fields) == "403"
        assert "That is not for you" in browser.contents
        assert "Index</a>" not in browser.contents


def test_managers_manage(portal, index):
    browser = portal.browser("manager")
    browser.getLink("Index").click()
    assert "not followed" in browser.contents
    browser.getControl("Follow the index").click()
    portal.wait_until(lambda: portal.follower.look is not None)
    portal.wait_for_jobs()
    browser.reload()
    assert "240 packages" in browser.contents
    turn = portal.follower.turn
    browser.getControl("Look now").click()
    portal.wait_until(lambda: portal.follower.turn > turn)
    browser.getControl("Stop following").click()
    assert "not followed" in browser.contents


def test_a_page_is_removed_by_who_attached_it_or_a_manager(portal, index):
    portal.package("lunar-parser")
    anna = portal.browser("anna")
    for link in ("Attach Documentation", "Attach Changes"):
        anna.open(LUNAR)
        anna.getControl(link).click()
    portal.wait_for_jobs()
    bert = portal.browser("bert")
    bert.open(LUNAR)
    assert "Remove" not in bert.contents
    assert status_of(bert, "/packages/lunar-parser/1/remove", a="b") == "403"
    assert status_of(anna, "/packages/lunar-parser/1/remove", a="b") == "200"
    manager = portal.browser("manager")
    manager.open(LUNAR)
    manager.getControl("Remove").click()
    portal.look_again()
    assert list(portal.application["packages"]["lunar-parser"]) == []


@pytest.mark.parametrize(
    ("name", "password", "problem"),
    [
        ("", PASSWORD, "A name has"),
        ("a", PASSWORD, "A name has"),
        ("1a", PASSWORD, "A name has"),
        ("an na", PASSWORD, "A name has"),
        ("ann\u00e4", PASSWORD, "A name has"),
        ("x" * 31, PASSWORD, "A name has"),
        ("anna", "short", "8 to 72"),
        ("anna", "x" * 73, "8 to 72"),
        ("anna", "\u00e4" * 40, "8 to 72"),
        ("manager", PASSWORD, "Somebody has that name"),
    ],
)
def test_accounts_that_cannot_be(portal, index, name, password, problem):
    browser = portal.browser()
    browser.open(f"{HOME}/join")
    browser.raiseHttpErrors = False
    browser.getControl("Name").value = name
    browser.getControl("Password").value = password
    browser.getControl("Join", index=-1).click()
    assert browser.headers["Status"].startswith("422")
    assert problem in browser.contents
    assert password not in browser.contents


def test_a_wrong_password(portal, index):
    portal.browser("anna")
    browser = portal.browser()
    browser.raiseHttpErrors = False
    for name, password in (("anna", "wrong"), ("nobody", PASSWORD), ("anna", "x" * 1000)):
        browser.open(f"{HOME}/login")
        browser.getControl("Name").value = name
        browser.getControl("Password").value = password
        browser.getControl("Log in", index=-1).click()
        assert "nobody with that name and password" in browser.contents


def test_logging_out_ends_each_session(portal, index):
    here, there = portal.browser("anna"), portal.browser("anna")
    here.getControl("Log out anna").click()
    assert "You have logged out" in here.contents
    there.open(f"{HOME}/me")
    assert there.url.startswith(f"{HOME}/login")


def test_a_session_that_was_tampered_with_is_none(portal, index):
    browser = portal.browser("anna")
    value = browser.cookies["mypypi"]
    for other in (value[:-1], value[1:], "", "x.y.z", value.swapcase()):
        browser.cookies["mypypi"] = other
        browser.open(f"{HOME}/me")
        assert browser.url.startswith(f"{HOME}/login")


@pytest.mark.parametrize(
    "back",
    [
        "//evil.example/",
        "http://evil.example/",
        "/\\evil.example",
        "/mypypi.evil",
        "/mypypi/\r\nSet-Cookie: a=b",
        "/mypypi/ä",
        "javascript:alert(1)",
    ],
)
def test_a_login_leads_to_this_application_only(portal, index, back):
    portal.browser("anna")
    browser = portal.browser()
    browser.open(f"{HOME}/login?{urllib.parse.urlencode({'back': back})}")
    browser.getControl("Name").value = "anna"
    browser.getControl("Password").value = PASSWORD
    browser.getControl("Log in", index=-1).click()
    assert browser.url == f"{HOME}/me?said=back"


@pytest.mark.parametrize(
    "query",
    [
        "q:list=a",
        "q:int=7",
        "q=a&q=b",
        "said=%3Cscript%3E",
        "said:list=x",
        "q.x:record=a",
        "%ff=%fe",
        "q=%ff%fe",
    ],
)
def test_fields_of_another_kind_do_no_harm(portal, index, query):
    browser = portal.browser()
    browser.open(f"{HOME}/search?{query}")
    assert browser.headers["Status"].startswith("200")
    assert "<script>" not in browser.contents


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/packages/nothing", "/packages/lunar-parser/99", "/people/anna", "/../nothing"],
)
def test_what_is_not_there(portal, index, path):
    portal.package("lunar-parser")
    portal.browser("anna")
    browser = portal.browser()
    assert status_of(browser, path) == "404"
    assert "There is no such page" in browser.contents


def test_an_error_of_the_application_is_a_page_that_tells_nothing(portal, index, monkeypatch):
    browser = portal.browser()
    monkeypatch.setattr("mypypi.search.search", lambda query: {}["a secret"])
    browser.raiseHttpErrors = False
    browser.open(f"{HOME}/search?q=a")
    assert browser.headers["Status"].startswith("500")
    assert "Something went wrong here" in browser.contents
    assert "secret" not in browser.contents


@pytest.mark.parametrize("path", ["", "/login", "/search?q=a", "/nothing", "/packages"])
def test_browsers_are_told_what_pages_may_do(portal, index, path):
    browser = portal.browser()
    browser.raiseHttpErrors = False
    browser.open(HOME + path)
    for name, value in HEADERS.items():
        assert browser.headers[name] == value
    cookie = browser.headers.get("Set-Cookie", "HttpOnly; SameSite=Lax")
    assert "httponly" in cookie.lower()
    assert "samesite=lax" in cookie.lower()


def test_the_root_leads_to_the_application(portal, index):
    browser = portal.browser()
    browser.open("http://localhost/")
    assert browser.url == HOME
