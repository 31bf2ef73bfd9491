"""The index: how files are split into words, and how it is searched."""

import zlib
from typing import Any, NamedTuple

from zope.index.text.lexicon import CaseNormalizer, Lexicon, Splitter, StopWordRemover
from zope.index.text.okapiindex import OkapiIndex
from zope.index.text.parsetree import ParseError, QueryError
from zope.index.text.textindex import TextIndex

from zc.async_.demo import DemoError

#: How many hits are reported.
MOST_HITS = 10

_SPLITTER = Splitter()
_NORMALIZERS = (CaseNormalizer(), StopWordRemover())


class Words(NamedTuple):
    """The words of a file; the result of the job that reads it."""

    #: The size of the file in bytes.
    size: int
    #: How many words it has.
    total: int
    #: The words that are indexed, in their order, compressed to about a sixth of the file.
    packed: bytes


def split_words(size: int, text: str) -> Words:
    """Split a text of `size` bytes into words."""
    words = _SPLITTER.process([text])
    count = len(words)
    for normalizer in _NORMALIZERS:
        words = normalizer.process(words)
    # The fastest level: it costs less than writing more bytes would.
    return Words(size, count, zlib.compress(" ".join(words).encode(), 1))


def new_index() -> Any:
    """Return an empty text index, to which `add` adds files.

    The lexicon of the queries splits text. The lexicon of the index does not, since the jobs that
    read the files have split them in the same way.
    """
    queries = Lexicon(_SPLITTER, *_NORMALIZERS)
    return TextIndex(queries, OkapiIndex(Lexicon()))


def add(index: Any, number: int, words: Words) -> None:
    """Add the words of a file; `number` identifies it in the index."""
    index.index_doc(number, zlib.decompress(words.packed).decode().split())


def check(query: str) -> None:
    """Raise DemoError for a query that cannot be parsed."""
    try:
        _apply(new_index(), query)
    except (ParseError, QueryError) as error:
        raise DemoError(
            f"cannot search for {query!r} ({error}): give words, AND, OR, NOT, parentheses, "
            '"phrases" or words that end with *',
            2,
        ) from None


def best_hits(index: Any, query: str) -> list[tuple[float, int]]:
    """The scores and numbers of all files that match the query, the best first."""
    found = [(round(score, 3), number) for number, score in (_apply(index, query) or {}).items()]
    return sorted(found, key=lambda hit: (-hit[0], hit[1]))


def _apply(index: Any, query: str) -> Any:
    return index.apply(query)
