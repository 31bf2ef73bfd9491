"""What each job does, called by itself."""

import logging
import os

import pytest
from BTrees.Length import Length

from zc.async_.demo import jobs, records, search
from zc.async_.demo.jobs import Skipped
from zc.async_.job import Job
from zc.twist import Failure


def test_file_is_split_into_words(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("The Thread\N{LATIN SMALL LETTER E WITH ACUTE}, and the POOL")
    read = Length()
    words = jobs.read_file(str(path), read)
    assert (words.size, words.total) == (26, 5)
    assert read() == 1
    index = search.new_index()
    search.add(index, 7, words)
    assert search.best_hits(index, "pool")[0][1] == 7
    assert search.best_hits(index, "thread\xe9") == search.best_hits(index, "THREAD\xc9")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(lambda path: path.write_bytes(b"a\0b"), "no text", id="NUL"),
        pytest.param(lambda path: path.write_bytes(b"caf\xe9"), "no text", id="not UTF-8"),
        pytest.param(lambda path: path.write_bytes(b"a " * 60), "too large", id="too large"),
        pytest.param(lambda path: None, "vanished", id="vanished"),
        pytest.param(lambda path: path.symlink_to(path), "unreadable", id="link to itself"),
        pytest.param(lambda path: path.mkdir(), "unreadable", id="now a folder"),
        pytest.param(os.mkfifo, "unreadable", id="now a pipe"),
    ],
)
def test_file_that_cannot_be_indexed_is_skipped(make, reason, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(jobs, "LARGEST", 100)
    path = tmp_path / "a.txt"
    make(path)
    read = Length()
    with caplog.at_level(logging.WARNING):
        result = jobs.read_file(str(path), read)
    assert isinstance(result, Skipped)
    assert result == reason
    assert read() == 1
    assert caplog.messages == [f"skipped {path}: {reason}"]


def ended(result):
    job = Job(len)
    job._result = result
    return job


def test_merge_indexes_the_words_and_counts():
    index = search.new_index()
    figures = jobs.merge_words(
        index,
        10,
        ended(search.split_words(11, "thread pool")),
        ended(Skipped("no text")),
        ended(Failure(ValueError())),
        ended(search.split_words(4, "pool")),
        ended(Skipped("no text")),
    )
    assert [number for _score, number in search.best_hits(index, "pool")] == [13, 10]
    assert (figures.files, figures.words, figures.size) == (2, 3, 15)
    assert figures.skipped == {"no text": 2}


def test_figures_of_batches_are_added_up():
    demo = records.Demo("/folder", (("a", "b"), ("c",)), 0)
    totals = demo.totals
    for skipped in ({"no text": 1}, {"no text": 2, "vanished": 1}):
        figures = records.Totals()
        figures.files, figures.words, figures.size, figures.skipped = 1, 20, 300, skipped
        jobs.add_to_totals(demo, totals, figures)
    assert (totals.files, totals.words, totals.size) == (2, 40, 600)
    assert totals.skipped == {"no text": 3, "vanished": 1}


def test_merge_that_failed_adds_nothing_but_time():
    demo = records.Demo("/folder", (("a",),), 0)
    jobs.add_to_totals(demo, demo.totals, Failure(ValueError()))
    assert demo.totals.files == 0
    assert list(demo.totals.times) == [0]


def test_retries_of_callbacks_count():
    job = Job(len)
    callback = job.addCallback(Job(len))
    for retried, count in ((job, 1), (callback, 2)):
        retried.kept_policy = retried.getRetryPolicy()
        retried.kept_policy.updateData({"transaction_error": count, "last_transaction_error": "x"})
    callback.kept_policy.interrupted()
    assert jobs.count_retries(job) == 4


def test_path_is_found_by_its_number():
    demo = records.Demo("/folder", (("a", "b"), ("c",)), 0)
    assert [demo.path(number) for number in range(demo.length)] == ["a", "b", "c"]
    with pytest.raises(LookupError):
        demo.path(3)
