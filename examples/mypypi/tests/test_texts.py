"""Text of strangers."""

import pytest

from mypypi import texts


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("a text", "a text"),
        ("  of several \n\t lines ", "of several lines"),
        ("half \ud800 a character", "half a character"),
        ("\x00\x1b[31m red", "[31m red"),
        ("x" * 1000, "x" * 500),
        (7, ""),
        (None, ""),
        (["a"], ""),
    ],
)
def test_texts_are_made_fit_to_be_shown(given, text):
    assert texts.clean(given) == text
    assert texts.clean(given).encode() == text.encode()


@pytest.mark.parametrize(
    ("body", "encoding", "title", "text"),
    [
        (b"<title>A &amp; b</title><p>One</p><p>two", None, "A & b", "One two"),
        (b"<p>&lt;b&gt;</p><script>x</script><style>y</style>", None, "", "<b>"),
        (b"<p>a<!-- b -->c</p><noscript>d</noscript>", None, "", "ac"),
        ("<p>Straße".encode("latin-1"), "latin-1", "", "Straße"),
        ("<meta charset=utf-8><p>Straße".encode(), None, "", "Straße"),
        (b"<p>text", "no-such-encoding", "", "text"),
        (b"\x00\xff\xfe\x00<p>a\x00b", None, "", None),
        (b"", None, "", ""),
        (b"   ", None, "", ""),
        (b"<!-- nothing -->", None, "", ""),
        (b"plain", None, "", "plain"),
        (b"<table><tr><td>a<td>b</table>", None, "", "a b"),
        (b"<div>" * 100_000 + b"deep", None, "", None),
        (b"<" * 1_000_000, None, "", None),
        (b"<!--" * 250_000, None, "", None),
        (b"<a b='" * 150_000, None, "", None),
        (b"&#xD800;&#0;<p>ok", None, "", None),
    ],
)
def test_any_page_has_a_title_and_a_text(body, encoding, title, text):
    found = texts.of_html(body, encoding)
    assert found[0] == title
    assert text is None or found[1] == text
    assert len(found[1].encode()) < 4 * texts.MAX_TEXT


def joined(pieces):
    return "".join(f"[{text}]" if is_word else text for text, is_word in pieces)


def test_words_are_marked_in_a_part_of_the_text_around_the_first_one():
    text = "One " * 100 + "Parsing is what a parser does. " + "two " * 100
    shown = joined(texts.snippet(text, ["pars"]))
    assert "[Parsing] is what a [parser] does." in shown
    assert shown.startswith("… One")
    assert shown.endswith("two …")
    assert len(shown) < 260


@pytest.mark.parametrize(
    ("text", "words", "shown"),
    [
        ("", ["a"], ""),
        ("a text", [], "a text"),
        ("a text", ["other"], "a text"),
        ("a (b) c", ["("], "a (b) c"),
        ("a <b> c", ["b"], "a <[b]> c"),
    ],
)
def test_texts_without_the_words_are_shown_as_well(text, words, shown):
    assert joined(texts.snippet(text, words)) == shown
