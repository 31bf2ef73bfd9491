"""What the user may say, and what is said to him if it is wrong."""

import json
import os

import pytest

from zc.async_.worker import SettingsError, settings, values
from zc.async_.worker.keys import KEYS
from zc.async_.worker.settings import Agent, Settings
from zc.async_.worker.uris import shown

DB = {"db": ["zeo://localhost:8100"]}


@pytest.fixture
def write(tmp_path):
    """Writes a configuration file, and returns its path."""

    def write(text):
        path = tmp_path / "worker.toml"
        path.write_text(text)
        return str(path)

    return write


@pytest.fixture
def refused(write):
    """Tells why settings are refused."""

    def refused(arguments, text=None):
        with pytest.raises(SettingsError) as caught:
            settings.read(arguments, None if text is None else write(text))
        assert caught.value.status == 2
        message = str(caught.value)
        assert "\n" not in message
        return message

    return refused


def test_defaults(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    found = settings.read(DB)
    assert found == Settings(
        db=("zeo://localhost:8100",),
        processes=1,
        threads=None,
        queues=None,
        labels=(),
        state=str(tmp_path / "zc-async-worker"),
        grace=30,
        max_jobs=None,
        max_memory=None,
        poll_interval=5,
        hang_timeout=120,
        log_level="info",
        agents=(),
    )


def test_systemd_may_say_where_the_state_is(monkeypatch):
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/shop:/var/lib/other")
    assert settings.read(DB).state == "/var/lib/shop"
    assert settings.read({**DB, "state": "/srv/state"}).state == "/srv/state"


FILE = """
db = ["zeo://localhost:8100", "zeo://localhost:8100?storage=async&database_name=async"]
queue-db = "async"
processes = 4
threads = 10
queues = ["", "mail"]
labels = ["gpu", "eu"]
setup = "shop.jobs:configure"
state = "state"
grace = "2m"
max-jobs = 10_000
max-memory = "1.5G"
poll-interval = 2.5
hang-timeout = 0
log-level = "Warning"

[[agents]]
name = "main"

[[agents]]
name = "mail"
size = 1
coroutine-size = 200
queues = ["mail"]
labels = ["printer"]
filter = "shop.jobs:is_short"

[[agents]]
name = "chosen"
chooser = "shop.jobs:choose"
"""


def test_a_file_can_say_all(write, tmp_path):
    assert settings.read({}, write(FILE)) == Settings(
        db=(
            "zeo://localhost:8100",
            "zeo://localhost:8100?storage=async&database_name=async",
        ),
        queue_db="async",
        processes=4,
        threads=10,
        queues=("", "mail"),
        labels=("eu", "gpu"),
        setup="shop.jobs:configure",
        state=str(tmp_path / "state"),
        grace=120,
        max_jobs=10000,
        max_memory=3 << 29,
        poll_interval=2.5,
        hang_timeout=0,
        log_level="warning",
        agents=(
            Agent("main"),
            Agent("mail", 1, 200, ("mail",), ("printer",), "shop.jobs:is_short"),
            Agent("chosen", chooser="shop.jobs:choose"),
        ),
    )


def test_the_command_line_can_say_the_same_and_goes_before_the_file(write):
    said = {
        "db": ["file:///srv/Data.fs"],
        "queue_db": "other",
        "processes": "1",
        "threads": "7",
        "queues": ",mail, print",
        "labels": "gpu, us",
        "setup": "shop:setup",
        "state": "/srv/state",
        "grace": "90",
        "max_jobs": "5",
        "max_memory": "500M",
        "poll_interval": "0.5",
        "hang_timeout": "1h",
        "log_level": "debug",
    }
    assert said.keys() | {"zope_conf"} == {key.field for key in KEYS}
    found = settings.read(said, write(FILE))
    assert (found.db, found.processes, found.threads) == (("file:///srv/Data.fs",), 1, 7)
    assert (found.queues, found.labels) == (("", "mail", "print"), ("gpu", "us"))
    assert (found.setup, found.state, found.queue_db) == ("shop:setup", "/srv/state", "other")
    assert (found.grace, found.poll_interval, found.hang_timeout) == (90, 0.5, 3600)
    assert (found.max_jobs, found.max_memory, found.log_level) == (5, 500 << 20, "debug")
    assert [agent.name for agent in found.agents] == ["main", "mail", "chosen"]


def test_the_command_line_may_choose_another_kind_of_database_than_the_file(write):
    found = settings.read({"zope_conf": "etc/zope.conf"}, write(FILE))
    assert (found.db, found.zope_conf) == ((), "etc/zope.conf")
    found = settings.read(DB, write("zope-conf = 'etc/zope.conf'"))
    assert (found.db, found.zope_conf) == (("zeo://localhost:8100",), None)


def test_paths_in_a_file_are_relative_to_it(write, tmp_path):
    found = settings.read({}, write("zope-conf = 'etc/zope.conf'\nstate = '/srv/state'"))
    assert found.zope_conf == str(tmp_path / "etc" / "zope.conf")
    assert found.state == "/srv/state"


def test_auto_is_as_many_as_there_are_cores():
    assert settings.read({**DB, "processes": "auto"}).processes == len(os.sched_getaffinity(0))


@pytest.mark.parametrize("text", [FILE, "db = 'zeo://localhost'"])
def test_settings_survive_json(write, text):
    found = settings.read({}, write(text))
    assert Settings.from_plain(json.loads(json.dumps(found.to_plain()))) == found


@pytest.mark.parametrize(
    ("field", "value", "give"),
    [
        ("processes", "two", "give a number of processes of at least 1, or auto"),
        ("processes", "0", "give a number"),
        ("processes", "1e3", "give a number"),
        ("processes", "100000", "give a number"),
        ("threads", "-1", "give a number of jobs of at least 1"),
        ("threads", str(1 << 40), "give a number"),
        ("grace", "soon", "give a number of seconds, or 30s, 2m, 1h"),
        ("grace", "-1", "give"),
        ("grace", "inf", "give"),
        ("grace", "nan", "give"),
        ("poll_interval", "0", "give a number of seconds, more than 0"),
        ("max_memory", "0M", "give a number of bytes, or 500M, 2G"),
        ("max_memory", "many", "give"),
        ("max_memory", "9" * 500, "give"),
        ("setup", "shop.setup", "give MODULE:FUNCTION"),
        ("setup", "shop:", "give MODULE:FUNCTION"),
        ("setup", "shop:make setup", "give MODULE:FUNCTION"),
        ("log_level", "loud", "give one of debug, info, warning, error, critical"),
        ("db", [""], "give the URI of a database"),
        ("state", " ", "give the path of a folder"),
    ],
)
def test_a_wrong_argument_is_named_with_what_can_be_given(refused, field, value, give):
    message = refused({**DB, field: value})
    assert message.startswith(f"--{field.replace('_', '-')} is ")
    assert give in message
    assert len(message) < 2000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("processes = true", "processes is True: give a number of processes"),
        ("processes = 1.5", "processes is 1.5: give a number of processes"),
        ("grace = '1d'", "grace is '1d': give a number of seconds"),
        ("grace = true", "grace is True: give"),
        ("queues = 3", "queues is 3: give the names of queues"),
        ("queues = []", "queues is []: give"),
        ("queues = ['a', 3]", "queues is ['a', 3]: give"),
        ("labels = 3", "labels is 3: give labels with commas"),
        ("labels = 'a,,b'", "labels is 'a,,b': give"),
        ("labels = ['a b']", "labels is ['a b']: give"),
        (
            "[[agents]]\nname = 'x'\nlabels = [3]",
            "labels of [[agents]] number 1 is [3]: give a list",
        ),
        ("db = []", "db is []: give"),
        ("db = [3]", "db is [3]: give"),
        ("max-memory = -5", "max-memory is -5: give"),
        ("max-memory = 1.5", "max-memory is 1.5: give"),
        ("setup = 3", "setup is 3: give"),
        ("state = 1979-05-27", "state is datetime.date(1979, 5, 27): give"),
        ("process = 3", "has the key 'process', which is unknown: did you mean processes? there"),
        ("xyzzy = 3", "has the key 'xyzzy', which is unknown: there are db, "),
        ("max_jobs = 3", "did you mean max-jobs?"),
        ("processes =", "is no TOML: "),
        ("db = zeo://localhost", "is no TOML: "),
        ("agents = 3", "agents is 3: write each agent as a table"),
        ("[agents]\nname = 'main'", "write each agent as a table"),
        ("[[agents]]\nsize = 3", "[[agents]] number 1 has no name: give it one"),
        ("[[agents]]\nname = ''", "name of [[agents]] number 1 is '': give a name"),
        (
            "[[agents]]\nname = 'a'\n[[agents]]\nname = 'a'",
            "name of [[agents]] number 2 is 'a', as another: give each its own",
        ),
        (
            "[[agents]]\nname = 'a'\nsize = -1",
            "size of [[agents]] number 1 is -1: give a number of jobs, 0 or more",
        ),
        ("[[agents]]\nname = 'a'\nsise = 1", "number 1 has the key 'sise', which is unknown: did"),
        (
            "[[agents]]\nname = 'a'\nfilter = 'a:b'\nchooser = 'a:b'",
            "the agent 'a' has a filter and a chooser: leave one out",
        ),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_the_file(refused, text, message, tmp_path):
    told = refused(DB, text)
    assert message in told
    assert str(tmp_path / "worker.toml") in told


def test_a_file_that_is_no_text_is_no_toml(tmp_path):
    path = tmp_path / "worker.toml"
    path.write_bytes(b"db = '\xff'")
    with pytest.raises(SettingsError, match="is no TOML"):
        settings.read({}, str(path))


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(SettingsError, match="No such file or directory: name another with --con"):
        settings.read({}, str(tmp_path / "worker.toml"))
    with pytest.raises(SettingsError, match="Is a directory"):
        settings.read({}, str(tmp_path))


def test_there_is_to_be_a_database(refused):
    assert "no database: give --db URI, such as --db zeo://localhost:8100" in refused({})
    assert "worker.toml, without the dashes" in refused({}, "processes = 2")
    both = {**DB, "zope_conf": "zope.conf"}
    assert "--db and --zope-conf are both given: leave one out" in refused(both)


@pytest.mark.parametrize("uri", ["file:///srv/Data.fs", "memory://"])
def test_processes_cannot_share_a_file(refused, uri):
    message = refused({"db": [uri], "processes": "2"})
    assert f"2 processes cannot share {uri}: " in message
    assert "zeo://HOST:PORT" in message
    assert settings.read({"db": [uri]}).processes == 1


def test_an_agent_is_for_queues_that_are_served(refused):
    message = refused({**DB, "queues": "a,b"}, "[[agents]]\nname = 'x'\nqueues = ['c']")
    assert message == (
        "the agent 'x' is for the queue 'c', which is not among the queues ['a', 'b']: add it "
        "there, or leave it out here"
    )


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [("1", 1), ("2K", 2048), ("3 MiB", 3 << 20), ("4gb", 4 << 30), ("0.5T", 1 << 39)],
)
def test_sizes_have_units(text, bytes_):
    assert values.memory(text) == bytes_


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        ("zeo://localhost:8100", "zeo://localhost:8100"),
        ("postgresql://me:s3cret@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("postgresql://me:a:b@host/db", "postgresql://me:***@host/db"),
        (
            "zeo://host?username=me&password=s3cret&wait=1",
            "zeo://host?username=me&password=***&wait=1",
        ),
        ("zeo://host/\x1b[31m", r"'zeo://host/\x1b[31m'"),
    ],
)
def test_passwords_of_uris_are_not_shown(uri, text):
    assert shown(uri) == text


def test_errors_do_not_show_passwords(refused):
    assert "s3cret" not in refused({}, "db = ['zeo://u:s3cret@x', 3]")
    message = refused({"db": ["file://u:s3cret@x/y"], "processes": "2"})
    assert "s3cret" not in message
