"""Which addresses are fetched, and which are not."""

import pytest

from mypypi import addresses, fetching
from mypypi.errors import Refused
from mypypi_demo.indexserver import IndexServer


@pytest.mark.parametrize(
    ("given", "form"),
    [
        ("http://example.com", "http://example.com/"),
        ("HTTP://Example.COM:80/A?b=c#d", "http://example.com/A?b=c"),
        ("https://example.com:443/", "https://example.com/"),
        ("https://example.com:8443/", "https://example.com:8443/"),
        ("http://[2606:4700::1]:81/", "http://[2606:4700::1]:81/"),
        ("http://bücher.example/straße?q=ä", "http://xn--bcher-kva.example/stra%C3%9Fe?q=%C3%A4"),
        ("http://example.com/a%20b", "http://example.com/a%20b"),
    ],
)
def test_an_address_has_one_form(given, form):
    assert addresses.checked(given) == form
    assert addresses.checked(form) == form


@pytest.mark.parametrize(
    "given",
    [
        "",
        "example.com",
        "/etc/passwd",
        "file:///etc/passwd",
        "ftp://example.com/",
        "javascript:alert(1)",
        "gopher://127.0.0.1:25/",
        "http://",
        "http:///path",
        "http://user@example.com/",
        "http://user:secret@example.com/",
        "http://example.com:99999/",
        "http://example.com:port/",
        "http://[::1/",
        "http://example.com/a b",
        "http://example.com/\r\nHost: other",
        "http://example.com\\@127.0.0.1/",
        "http://" + "x" * 64 + ".example/",
        "http://example.com/" + "x" * 2000,
        "http://a..b/",
    ],
)
def test_what_is_no_address_of_a_page_is_refused(given):
    with pytest.raises(Refused):
        addresses.checked(given)


@pytest.mark.parametrize(
    ("address", "is_public"),
    [
        ("93.184.216.34", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("127.9.9.9", False),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fe80::1%lo", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        # 6to4, Teredo and NAT64 addresses that lead to 127.0.0.1.
        ("2002:7f00:1::", False),
        ("2001:0:4136:e378:8000:63bf:80ff:fffe", False),
        ("64:ff9b::7f00:1", False),
    ],
)
def test_only_addresses_of_the_internet_are_public(address, is_public):
    assert addresses.is_public(address) is is_public


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:7f00:1]"]
)
def test_this_machine_is_not_fetched_from_whatever_it_is_called(index, host):
    # It is there, and would answer: but it is not the index that is configured.
    other = IndexServer()
    other.start()
    try:
        with pytest.raises(Refused, match="not on the public internet"):
            fetching.get(f"http://{host}:{other.server_address[1]}/", "text/html")
        assert other.requests == []
    finally:
        other.stop()


def test_the_index_is_fetched_from_wherever_it_is(index):
    assert fetching.get(index.address, "text/html").body
    with pytest.raises(Refused):
        # The same machine by another name is another address.
        fetching.get(index.address.replace("127.0.0.1", "localhost"), "text/html")


def test_the_index_cannot_send_anybody_to_another_port_of_this_machine(index):
    other = IndexServer()
    other.start()
    try:
        index.redirections["/docs/a"] = f"{other.address}/"
        with pytest.raises(Refused):
            fetching.get(f"{index.address}/docs/a", "text/html")
        assert other.requests == []
    finally:
        other.stop()
