"""docs/relstorage.rst does what it says, with the server of the tests in the place of its own."""

import doctest
import re
from pathlib import Path

import ZODB.config

from tests.postgres import check_installed

check_installed()

DOCUMENT = Path(__file__).parents[2] / "docs" / "relstorage.rst"
TEXT = DOCUMENT.read_text("utf-8")

#: The DSN of the document.
DSN = "dbname='zodb' user='zodb' host='db.example.com'"


def block(beginning):
    """The literal block that begins so, without its indentation."""
    lines = TEXT[TEXT.index(f"    {beginning}") :].split("\n\n")[0].splitlines()
    return "\n".join(line[4:] for line in lines)


def test_the_session_does_what_it_says(zodb):
    text = TEXT.replace(DSN, zodb.dsn)
    assert text != TEXT
    test = doctest.DocTestParser().get_doctest(text, {}, DOCUMENT.name, str(DOCUMENT), 0)
    output = []
    results = doctest.DocTestRunner().run(test, out=output.append)
    assert results.attempted > 15
    assert not results.failed, "".join(output)


def test_the_configuration_opens_the_database(zodb):
    # Zope's section has a mount point besides.
    text = block("%import relstorage").replace(DSN, zodb.dsn).replace("zodb_db main", "zodb main")
    text = re.sub(" *mount-point /\n", "", text).replace("/zodb_db", "/zodb")
    database = ZODB.config.databaseFromString(text)
    assert database.storage.keep_history is False
    with database.transaction() as connection:
        connection.root()["there"] = True
    database.close()


def test_the_uri_opens_the_database(zodb, server):
    from relstorage.zodburi_resolver import postgresql_resolver

    uri = block("postgres://").replace("zodb:secret@db.example.com:5432/zodb", "{}")
    assert "{}" in uri
    uri = uri.format(f"postgres:secret@127.0.0.1:{server.port}/{zodb.name}")
    make_storage, options = postgresql_resolver(uri)
    assert options == {}
    database = ZODB.DB(make_storage())
    assert database.storage.keep_history is False
    database.close()
