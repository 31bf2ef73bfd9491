"""What the index says, also when it says nonsense."""

import pytest
from tests.portal import configure

from mypypi import index as client
from mypypi.errors import BadAnswer, NotThere, Unreachable


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("lunar-parser", "lunar-parser"),
        ("Zope.Interface", "zope-interface"),
        ("a__b--c..d", "a-b-c-d"),
        (" x ", "x"),
        ("", ""),
        ("-", ""),
        ("a b", ""),
        ("../etc", ""),
        ("ä", ""),
        ("x" * 101, ""),
        ("a\n", "a"),
    ],
)
def test_names_of_packages_have_one_form(given, name):
    assert client.normalized(given) == name


def test_the_index_lists_its_packages(index):
    before = client.serials()
    assert len(before) == 240
    index.packages.publish("lunar-parser")
    after = client.serials()
    assert {name for name in after if after[name] > before[name]} == {"lunar-parser"}


def test_the_index_describes_a_package(index):
    index.packages.publish("lunar-parser")
    data = client.package("lunar-parser")
    assert (data.title, data.version) == ("lunar-parser", "1.1")
    assert [version for version, _time in data.releases] == ["1.1", "1.0"]
    assert data.serial == client.serials()["lunar-parser"]
    assert data.links[0] == ("Changes", f"{index.address}/changes/lunar-parser")
    with pytest.raises(NotThere, match="no package nothing"):
        client.package("nothing")


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("error", Unreachable),
        ("hang", Unreachable),
        ("close", BadAnswer),
        ("truncated", BadAnswer),
        ("nonsense", BadAnswer),
        ("shape", BadAnswer),
        ("garbage", BadAnswer),
        ("compressed", BadAnswer),
    ],
)
def test_an_index_misbehaves(index, kind, error):
    configure(index.address, timeout="1s")
    index.misbehaviours["/"] = kind
    with pytest.raises(error):
        client.serials()
    with pytest.raises(error):
        client.package("lunar-parser")


def test_an_index_describes_another_package(index):
    index.misbehaviours["/pypi/"] = "stranger"
    with pytest.raises(BadAnswer, match="another package"):
        client.package("lunar-parser")


def test_a_description_is_stripped_of_what_cannot_be_shown(index):
    index.misbehaviours["/pypi/"] = "hostile"
    data = client.package("lunar-parser")
    assert data.version == "<script>alert(1)</script>"
    assert data.summary.startswith("[31m<img src=x onerror=alert(1)> long")
    assert len(data.summary) <= 500
    assert (data.description, data.links) == ("", ())
    assert [version[:3] for version, _time in data.releases] == ["xxx", "2.0", "1.0"]
