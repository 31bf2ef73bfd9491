"""The index and its queries."""

import pytest

from zc.async_.demo import DemoError, search

TEXTS = [
    "a pool of threads",
    "thread pool",
    "the pool where no thread is",
    "thread pool",
    "something else",
]


@pytest.fixture
def index():
    made = search.new_index()
    for number, text in enumerate(TEXTS):
        search.add(made, number, search.split_words(len(text), text))
    return made


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        pytest.param("thread pool", [1, 3, 2], id="all words, and the order of files on ties"),
        pytest.param("THREAD Pool", [1, 3, 2], id="case does not matter"),
        pytest.param('"thread pool"', [1, 3], id="phrase"),
        pytest.param("thread-pool", [1, 3], id="joined words are a phrase"),
        pytest.param("threads or else", [0, 4], id="or"),
        pytest.param("pool and not thread", [0], id="not"),
        pytest.param("thr*", [0, 1, 3, 2], id="beginning of a word"),
        pytest.param("nothing", [], id="unknown word"),
    ],
)
def test_hits_are_sorted_by_score_and_then_by_path(query, numbers, index):
    assert [number for _score, number in search.best_hits(index, query)] == numbers


def test_query_that_is_understood_raises_nothing():
    search.check("thread pool")


@pytest.mark.parametrize("query", ["", ")", "and", "not x"])
def test_query_that_is_not_understood(query):
    with pytest.raises(DemoError) as caught:
        search.check(query)
    assert caught.value.status == 2
