"""The ids of jobs, and finding jobs by them."""

import re
import urllib.parse

import hypothesis
import hypothesis.strategies as st
import persistent
import persistent.mapping
import pytest
import transaction
import ZEO
import ZODB
from transaction.interfaces import TransientError
from ZODB.DemoStorage import DemoStorage
from ZODB.POSException import StateLoadError
from ZODB.utils import p64, u64

import zc.async_
from tests.unit import calls
from tests.zeoservers import server
from zc.async_.interfaces import AsyncError, BadJobIdError, JobNotFoundError
from zc.async_.job import Job, ids


class Loud(persistent.Persistent):
    """Is not to be loaded."""

    def __setstate__(self, state):
        raise ValueError(state)


@pytest.fixture
def group():
    """Opens connections to two databases of one group, by name."""
    databases = {}
    names = ["main", "async"]
    opened = [
        ZODB.DB(DemoStorage(), databases=databases, database_name=name, xrefs=True)
        for name in names
    ]
    clients = []

    def connect(name):
        clients.append(calls.Client(databases[name]))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()
    for database in opened:
        database.close()


def test_a_job_has_an_id_from_its_put_on_and_the_default_database_makes_it_shortest(client):
    job = client.queue.put(calls.nothing)
    text = job.id
    assert text == str(u64(job._p_oid))
    client.commit()
    assert job.id == text


def test_a_job_that_is_in_no_database_has_no_id_and_find_says_so(client):
    job = Job(calls.nothing)
    assert job.id is None
    with pytest.raises(BadJobIdError, match="a job that is in no database has none"):
        zc.async_.find(client.connection, job.id)


def test_a_job_whose_put_is_aborted_has_no_id_any_more(client):
    job = client.queue.put(calls.nothing)
    text = job.id
    client.abort()
    assert job.id is None
    with pytest.raises(JobNotFoundError):
        zc.async_.find(client.connection, text)


def test_another_connection_finds_the_job(client, other):
    job = client.put(calls.nothing)
    client.commit()
    other.begin()
    found = zc.async_.find(other.connection, job.id)
    assert isinstance(found, Job)
    assert found._p_jar is other.connection
    assert (found._p_oid, found.id) == (job._p_oid, job.id)


def test_a_persistent_object_leads_to_its_database(client):
    job = client.put(calls.nothing)
    assert zc.async_.find(client.connection.root(), job.id) is job
    with pytest.raises(LookupError, match="is in no database"):
        zc.async_.find(persistent.mapping.PersistentMapping(), job.id)


def test_a_job_is_found_in_its_own_transaction_and_after_a_savepoint(client):
    job = client.queue.put(calls.nothing)
    assert zc.async_.find(client.connection, job.id) is job
    client.manager.savepoint()
    assert zc.async_.find(client.connection, job.id) is job


def test_each_connection_of_a_group_finds_a_job_of_any_of_its_databases(group):
    client = group("async")
    calls.make_queue(client)
    job = client.put(calls.nothing)
    client.commit()
    assert job.id == f"{u64(job._p_oid)}-async"
    for name in ("async", "main"):
        asking = group(name)
        found = zc.async_.find(asking.connection, job.id)
        assert found.id == job.id
        assert found._p_jar.transaction_manager is asking.manager
        assert found._p_jar.db().database_name == "async"


def test_a_job_is_found_over_zeo_by_another_client(tmp_path):
    with server(tmp_path) as running:
        first, second = (ZEO.DB(running.address, server_sync=True) for _ in range(2))
        try:
            client, asking = calls.Client(first), calls.Client(second)
            job = client.put(calls.nothing)
            asking.begin()
            assert zc.async_.find(asking.connection, job.id).id == job.id
            client.close()
            asking.close()
        finally:
            first.close()
            second.close()


@pytest.mark.parametrize(
    "id",
    [
        "",
        "abc",
        "-1",
        "01",
        " 1",
        "1 ",
        "1\n",
        "1.0",
        "1/2",
        "1-unnamed",
        "1-a b",
        "1-~41",
        "1-~ff",
        "1-~4",
        "\u0661",
        str(1 << 64),
        "9" * 10000,
        1,
        b"1",
        p64(1),
    ],
)
def test_what_is_no_id_is_refused_with_an_example_of_one(client, id):
    with pytest.raises(BadJobIdError) as raised:
        zc.async_.find(client.connection, id)
    assert "is no id of a job: take one from `job.id`" in str(raised.value)
    assert len(str(raised.value)) < 1200
    assert isinstance(raised.value, (ValueError, LookupError, AsyncError))


def test_an_id_that_leads_nowhere_is_told_why(client):
    with pytest.raises(JobNotFoundError, match="there is no job 123456: it was removed, or its"):
        zc.async_.find(client.connection, "123456")


def test_for_a_job_that_is_newer_than_the_transaction_another_try_is_worth_it(client, other):
    other.begin()
    job = client.put(calls.nothing)
    with pytest.raises(TransientError):
        zc.async_.find(other.connection, job.id)
    other.begin()
    assert zc.async_.find(other.connection, job.id).id == job.id


def test_an_object_that_is_no_job_is_refused_and_not_loaded(client, other):
    loud = client.connection.root()["loud"] = Loud()
    client.commit()
    other.begin()
    text = ids.make_id(loud)
    with pytest.raises(JobNotFoundError, match=r"is no job but a .*Loud: take an id from"):
        zc.async_.find(other.connection, text)
    with pytest.raises(StateLoadError):
        _ = other.connection.get(loud._p_oid).anything


def test_a_database_that_is_not_of_the_group_is_named_with_those_that_are(group):
    with pytest.raises(JobNotFoundError) as raised:
        zc.async_.find(group("main").connection, "1-other")
    assert str(raised.value) == (
        "the job 1-other is in a database named 'other', which cannot be reached from here (there "
        "is 'async', 'main'): open both databases with the same `databases` mapping"
    )


@hypothesis.given(st.integers(0, (1 << 64) - 1), st.text(st.characters(codec="utf-8")))
def test_ids_say_what_they_are_of_and_need_no_quoting_in_urls(oid, name):
    text = ids._joined(oid, name)
    assert ids._parse(text) == (p64(oid), name)
    assert urllib.parse.quote(text, safe="") == text
    assert re.fullmatch(r"[0-9]+(-.*)?", text)


def test_ids_of_databases_with_odd_names_are_readable():
    assert ids._joined(7, "unnamed") == "7"
    assert ids._joined(7, "") == "7-"
    assert ids._joined(7, "my data/ü") == "7-my~20data~2f~c3~bc"


def test_what_find_reads_belongs_to_the_transaction_of_who_asks(group):
    client = group("async")
    calls.make_queue(client)
    job = client.put(calls.nothing)
    client.commit()
    asking = group("main")
    found = zc.async_.find(asking.connection, job.id)
    found.priority = 5
    asking.commit()
    transaction.begin()
    client.begin()
    assert job.priority == 5
