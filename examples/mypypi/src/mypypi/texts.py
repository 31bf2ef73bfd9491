"""Text that strangers have written, made fit to be stored, indexed and shown."""

import re

import lxml.etree
import lxml.html

#: Characters of a page that are kept, and can be found.
MAX_TEXT = 100_000

_WITHOUT_TEXT = (
    "//head|//script|//style|//template|//noscript|//comment()|//processing-instruction()"
)


def clean(value: object, length: int = 500) -> str:
    """A text in one line, without what cannot be shown; empty if it is none at all."""
    if not isinstance(value, str):
        return ""
    # JSON may have halves of characters, which no page could be encoded with.
    text = value[: 4 * length].encode("utf-8", "ignore").decode("utf-8")
    return " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", text).split())[:length].strip()


def of_html(body: bytes, encoding: str | None) -> tuple[str, str]:
    """The title and the text of a page. Whatever it is, there is some text, if only an empty one.

    `encoding`: what the server says; else the page does.
    """
    try:
        parser = lxml.html.HTMLParser(encoding=encoding)
    except LookupError:
        # Of no encoding that there is.
        parser = lxml.html.HTMLParser()
    try:
        document = lxml.html.document_fromstring(body, parser=parser)
    except (lxml.etree.LxmlError, ValueError):
        return "", ""
    title = clean(document.findtext(".//head/title"), 200)
    for element in document.xpath(_WITHOUT_TEXT):
        element.drop_tree()
    # Words of one paragraph, or cell, are none of the next.
    return title, clean(" ".join(document.itertext()), MAX_TEXT)


def snippet(text: str, words: list[str], length: int = 240) -> list[tuple[str, bool]]:
    """A part of a text around the first of some words, in pieces: each with whether it is a word.

    A template marks them, and escapes all.
    """
    pattern = "|".join(rf"\b{re.escape(word)}\w*" for word in words if word) or r"(?!)"
    found = re.search(pattern, text, re.IGNORECASE)
    start = max(0, found.start() - length // 3) if found else 0
    if start:
        start = text.find(" ", start) + 1
    part = text[start : start + length]
    if start + length < len(text):
        part = part.rpartition(" ")[0] + " …"
    if start:
        part = "… " + part
    pieces = re.split(f"({pattern})", part, flags=re.IGNORECASE)
    return [(piece, bool(number % 2)) for number, piece in enumerate(pieces) if piece]
