"""What is found by its words: packages, and the pages attached to them."""

import dataclasses
import re
from typing import Any

import zope.component
from zope.catalog.interfaces import ICatalog
from zope.index.text.parsetree import ParseError, QueryError
from zope.intid.interfaces import IIntIds

from mypypi import texts

#: Characters of a query that are looked at, and results that are shown.
MAX_QUERY = 200
MOST = 50

_OPERATORS = ("and", "or", "not")


def index(thing: Any) -> None:
    """Have something (`ISearchable`) be found by what it says now. A job, of the quota `SEARCH`."""
    number = zope.component.getUtility(IIntIds).queryId(thing)
    # It may have been removed since the job was put.
    if number is not None:
        zope.component.getUtility(ICatalog).index_doc(number, thing)


@dataclasses.dataclass
class Results:
    """What a search has found."""

    #: The best ones first: things, each with a piece of its text as `texts.snippet` gives it.
    found: list[tuple[Any, list[tuple[str, bool]]]] = dataclasses.field(default_factory=list)
    #: How many there are in all.
    total: int = 0
    #: Why the query cannot be answered; empty if it can.
    problem: str = ""


def search(query: str) -> Results:
    """Find what has the words of a query, which may have operators: see `zope.index.text`."""
    text = zope.component.getUtility(ICatalog)["searchable_text"]
    query = query[:MAX_QUERY]
    words = [word for word in re.findall(r"\w+", query.lower()) if word not in _OPERATORS]
    try:
        scores = text.apply(query)
    except (ParseError, QueryError, RecursionError):
        # No query by the rules, such as one with half a parenthesis: its words are looked for.
        try:
            scores = text.apply(" ".join(words))
        except ParseError:
            return Results(problem="Such words are in nearly every text. Try others.")
    best = sorted(scores.items(), key=lambda item: item[1], reverse=True)[:MOST]
    intids = zope.component.getUtility(IIntIds)
    things = [intids.queryObject(number) for number, _score in best]
    found = [(thing, texts.snippet(thing.text, words)) for thing in things if thing is not None]
    return Results(found, len(scores))
