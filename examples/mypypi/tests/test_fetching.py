"""Fetches from a server that is well, and from one that is not."""

import pytest
from tests.portal import configure

from mypypi import fetching
from mypypi.errors import BadAnswer, NotThere, Refused, Unreachable
from mypypi_demo.indexserver import IndexServer


@pytest.fixture
def fetch(index):
    """Fetches a path of the index, with a patience of one second, and at most a megabyte."""
    configure(index.address, timeout="1s", **{"max-answer": "1MB"})
    return lambda path="/docs/lunar-parser": fetching.get(index.address + path, "text/html")


def test_a_page_is_fetched(fetch, index):
    answer = fetch()
    assert answer.url == f"{index.address}/docs/lunar-parser"
    assert answer.content_type == "text/html; charset=utf-8"
    assert b"lunar-parser" in answer.body


def test_there_is_no_such_page(fetch):
    with pytest.raises(NotThere):
        fetch("/docs/nothing")


@pytest.mark.parametrize(
    ("kind", "error", "text"),
    [
        ("error", Unreachable, "HTTP status 503"),
        ("hang", Unreachable, "took too long"),
        ("slow", Unreachable, "took too long"),
        # Each byte comes in time, and the page never.
        ("drip", Unreachable, "took too long"),
        ("close", BadAnswer, "stopped in the middle"),
        ("truncated", BadAnswer, "stopped in the middle"),
        ("garbage", BadAnswer, "does not speak HTTP"),
        ("huge", BadAnswer, "too large"),
        # Fifty megabytes, in some thousand bytes.
        ("compressed", BadAnswer, "compressed"),
    ],
)
def test_a_server_misbehaves(fetch, index, kind, error, text):
    index.misbehaviours["/docs/"] = kind
    with pytest.raises(error, match=text):
        fetch()
    # Nothing is left of it.
    index.behave()
    assert fetch().body


def test_a_server_that_is_slow_is_waited_for(fetch, index, monkeypatch):
    monkeypatch.setattr("mypypi_demo.indexserver.SLOW", 0.3)
    index.misbehaviours["/docs/"] = "slow"
    assert fetch().body


def test_a_server_is_down(fetch, index):
    index.stop()
    with pytest.raises(Unreachable, match="connection failed"):
        fetch()


def test_there_is_no_such_host(index):
    with pytest.raises(Unreachable, match=r"no host nowhere\.invalid"):
        fetching.get("http://nowhere.invalid/", "text/html")


def test_a_page_that_is_too_large_by_its_own_account_is_not_read(fetch, index):
    configure(index.address, **{"max-answer": "1KB"})
    with pytest.raises(BadAnswer, match="too large"):
        fetch("/simple/")


def test_redirections_are_followed(fetch, index):
    index.redirections["/old"] = "/docs/lunar-parser"
    answer = fetch("/old")
    assert answer.url == f"{index.address}/docs/lunar-parser"


def test_redirections_in_a_circle_are_left(fetch, index):
    index.redirections.update({"/a": "/b", "/b": "/a"})
    with pytest.raises(BadAnswer, match="again and again"):
        fetch("/a")
    assert len(index.requests) == fetching.MAX_REDIRECTIONS + 1


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://example.com/", "http://u:p@h/"])
def test_redirections_lead_to_pages_only(fetch, index, target):
    index.redirections["/a"] = target
    with pytest.raises(Refused):
        fetch("/a")


def test_the_time_is_that_of_all_redirections_together(fetch, index):
    index.redirections["/a"] = "/docs/lunar-parser"
    index.misbehaviours["/docs/"] = "hang"
    with pytest.raises(Unreachable, match="took too long"):
        fetch("/a")


def test_a_certificate_that_nobody_has_signed_is_not_trusted(fetch, index, tmp_path):
    # A server that speaks no TLS at all will do: nothing is sent in the clear instead.
    with pytest.raises(Unreachable):
        fetching.get(index.address.replace("http:", "https:"), "text/html")
    assert index.requests == []


def test_a_second_server_on_the_same_machine_is_another_one():
    servers = IndexServer(), IndexServer()
    assert servers[0].address != servers[1].address
    for server in servers:
        server.server_close()
