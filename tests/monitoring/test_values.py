"""Answers as JSON, in the form that scripts read."""

import datetime
import json
import uuid

import hypothesis
import hypothesis.strategies as st
import pytest

from zc.async_.commands import values
from zc.async_.job import Job

DELTA = datetime.timedelta


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        (DELTA(), {"seconds": 0.0}),
        (DELTA(seconds=5), {"seconds": 5.0}),
        (DELTA(minutes=1), {"minutes": 1}),
        (
            DELTA(days=1, hours=2, minutes=3, seconds=4.5),
            {"days": 1, "hours": 2, "minutes": 3, "seconds": 4.5},
        ),
        (DELTA(days=400), {"days": 400}),
        (DELTA(microseconds=211), {"seconds": 0.000211}),
        (DELTA(seconds=-90), {"minutes": -1, "seconds": -30.0}),
    ],
)
def test_a_duration(value, parts):
    text = values.to_text(value)
    assert json.loads(text) == parts
    assert ("seconds" not in parts) or "." in text


@hypothesis.given(st.timedeltas())
def test_every_duration_is_the_sum_of_its_parts(value):
    parts = json.loads(values.to_text(value))
    assert abs(DELTA(**parts) - value) <= DELTA(microseconds=1)
    assert parts == {"seconds": 0.0} or all(parts.values())


def test_times_are_utc():
    naive = datetime.datetime(2006, 8, 10, 15, 44, 23, 211)
    east = datetime.timezone(DELTA(hours=2))
    assert values.to_text(naive) == '"2006-08-10T15:44:23.000211Z"'
    assert values.to_text(naive.replace(tzinfo=datetime.UTC)) == '"2006-08-10T15:44:23.000211Z"'
    assert values.to_text(naive.replace(tzinfo=east)) == '"2006-08-10T13:44:23.000211Z"'
    assert values.plain(naive).tzinfo is datetime.UTC


def test_keys_are_sorted_and_the_rest_is_shown():
    value = {"b": (1, "x"), "a": [None, True, uuid.UUID(int=1)], "": {"job": Job(len, "x")}}
    assert values.to_text(value) == (
        '{\n    "": {\n        "job": "zc.async_.job.Job (oid ?, db ?)"\n    },\n    "a": [\n'
        '        null,\n        true,\n        "00000000-0000-0000-0000-000000000001"\n    ],\n'
        '    "b": [\n        1,\n        "x"\n    ]\n}'
    )


def test_a_text_is_as_it_is_and_json_is_ascii():
    assert values.to_text("é\n[") == "é\n["
    assert values.to_text(["é\udcff\x00"]) == '[\n    "\\u00e9\\udcff\\u0000"\n]'


@hypothesis.given(st.lists(st.integers() | st.text() | st.lists(st.integers()), max_size=8))
def test_the_pieces_of_a_list_are_as_the_list(items):
    assert "".join(values.pieces(iter(items))) == values.to_text(items) + "\n"


def test_a_long_list_comes_in_pieces():
    def count():
        for number in range(100_000):
            made.append(number)
            yield number

    made = []
    pieces = values.pieces(count())
    first = next(pieces)
    assert len(first) < 2 * values.PIECE
    assert len(made) < 10_000
    assert json.loads(first + "".join(pieces)) == list(range(100_000))


def test_a_job_is_its_oid_and_database(db):
    with db.transaction() as connection:
        job = connection.root()["job"] = Job(len)
        connection.add(job)
        oid, name = values.job_id(job)
        assert name == "unnamed"
        assert connection.get(oid.to_bytes(8, "big")) is job
    assert values.job_id(Job(len)) == (0, "?")
