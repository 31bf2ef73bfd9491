"""What the configuration file of a site says to the policies."""

import sys
import types

import pytest
import zope.component

import zc.async_.configure
import zc.async_.dispatcher
import zc.async_.subscribers
import zc.async_.testing
from zc.async_.interfaces import KEY, DatabaseOpened
from zc.async_.productconfig import ENVIRONMENT_VARIABLE, Options, ProductConfigError, read


@pytest.fixture(params=["zope.app.appsetup", "Zope"])
def section(request, monkeypatch):
    """Sets the section, as either kind of Zope keeps it."""
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)

    def with_appsetup(**values):
        product = types.ModuleType("zope.app.appsetup.product")
        sections = {"zc.async": {key.replace("_", "-"): text for key, text in values.items()}}
        product.getProductConfiguration = sections.get
        monkeypatch.setitem(sys.modules, "zope.app.appsetup.product", product)

    def with_zope(**values):
        config = types.ModuleType("App.config")
        sections = {"zc.async": {key.replace("_", "-"): text for key, text in values.items()}}
        config._config = types.SimpleNamespace(product_config=sections)
        monkeypatch.setitem(sys.modules, "App.config", config)

    return with_appsetup if request.param == "zope.app.appsetup" else with_zope


def test_without_a_section_there_are_defaults(monkeypatch):
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
    assert read() == Options()
    assert Options() == Options(5, 3, 0, True, True)


def test_sections_of_others_and_none_at_all_are_defaults(monkeypatch):
    product = types.ModuleType("zope.app.appsetup.product")
    product.getProductConfiguration = {"zc.z3monitor": {"port": "9999"}}.get
    monkeypatch.setitem(sys.modules, "zope.app.appsetup.product", product)
    config = types.ModuleType("App.config")
    config._config = types.SimpleNamespace(product_config=None)
    monkeypatch.setitem(sys.modules, "App.config", config)
    assert read() == Options()


@pytest.mark.parametrize(
    ("text", "seconds"), [("5", 5), ("0.25", 0.25), ("5s", 5), ("1m 30s", 90), ("0.5s", 0.5)]
)
def test_durations(section, text, seconds):
    section(poll_interval=text, grace_period=text)
    assert read() == Options(poll_interval=seconds, grace_period=seconds)


def test_all_keys(section):
    section(
        poll_interval="1s",
        agent_size="7",
        grace_period="0",
        signal_handlers="off",
        dispatcher="no",
        labels="gpu, eu",
    )
    assert read() == Options(1, 7, 0, False, False, ("eu", "gpu"))


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("", ()),
        ("gpu", ("gpu",)),
        (" gpu\t eu,gpu ,\n us", ("eu", "gpu", "us")),
    ],
)
def test_labels(section, text, labels):
    section(labels=text)
    assert read() == Options(labels=labels)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("poll_interval", "soon"),
        ("poll_interval", "0"),
        ("poll_interval", "-1"),
        ("poll_interval", "inf"),
        ("poll_interval", "nan"),
        ("poll_interval", ""),
        ("poll_interval", "9" * 5000 + "w"),
        ("poll_interval", "500ms"),
        ("poll_interval", "10x"),
        ("poll_interval", "5s 3s"),
        ("grace_period", ""),
        ("grace_period", "-1s"),
        ("agent_size", "three"),
        ("agent_size", "-1"),
        ("agent_size", "2.5"),
        ("signal_handlers", "perhaps"),
        ("dispatcher", "\0"),
        ("interval", "5"),
        ("labels", "gpu \x1b[0m"),
        ("labels", "x" * 201),
        ("labels", " ".join(map(str, range(101)))),
    ],
)
def test_a_wrong_value_is_an_error_that_names_section_key_and_value(section, key, text):
    section(**{key: text})
    with pytest.raises(ProductConfigError) as caught:
        read()
    message = str(caught.value)
    assert "<product-config zc.async>" in message
    assert key.replace("_", "-") in message
    assert len(message) < 3000


@pytest.mark.parametrize(("text", "on"), [("on", True), ("off", False), ("true", True)])
def test_the_environment_goes_before_the_section(section, monkeypatch, text, on):
    section(dispatcher="off" if on else "on")
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, text)
    assert read().dispatcher is on


def test_a_wrong_value_in_the_environment_is_named(monkeypatch):
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "maybe")
    with pytest.raises(ProductConfigError, match=r"ZC_ASYNC_DISPATCHER is 'maybe': give on or off"):
        read()


def test_a_console_is_no_worker_unless_it_is_told_so(section, monkeypatch):
    section()
    with monkeypatch.context() as as_program:
        spec = types.SimpleNamespace(name="Zope2.utilities.zconsole")
        as_program.setattr(sys.modules["__main__"], "__spec__", spec)
        assert not read().dispatcher
    assert read().dispatcher
    monkeypatch.setitem(sys.modules, "Zope2.utilities.zconsole", types.ModuleType("zconsole"))
    assert not read().dispatcher
    section(dispatcher="on")
    assert read().dispatcher
    section()
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "on")
    assert read().dispatcher


@pytest.fixture
def opened(db):
    """Configured as by the policy, and told that the database opens."""
    zc.async_.configure.base()
    zope.component.provideHandler(zc.async_.subscribers.agent_installer)
    event = DatabaseOpened(db)
    zc.async_.subscribers.queue_installer(event)
    yield event
    if (dispatcher := zc.async_.dispatcher.get()) is not None:
        zc.async_.testing.tear_down_dispatcher(dispatcher)


def test_the_policies_go_by_the_section(opened, section):
    section(
        poll_interval="0.1",
        agent_size="7",
        grace_period="2s",
        signal_handlers="off",
        labels="gpu eu",
    )
    zc.async_.subscribers.threaded_dispatcher_installer(opened)
    dispatcher = zc.async_.dispatcher.get()
    assert dispatcher.poll_interval == 0.1
    assert dispatcher.shutdown_grace_period == 2
    assert dispatcher.labels == ("eu", "gpu")
    assert dispatcher not in zc.async_.subscribers.signal_handlers
    zc.async_.testing.get_poll(dispatcher, 0)
    with opened.database.transaction() as connection:
        agents = connection.root()[KEY][""].dispatchers[dispatcher.UUID]
        assert agents["main"].size == 7
        assert agents.labels == ("eu", "gpu")
    dispatcher.shutdown_grace_period = 0


def test_without_a_section_the_policies_are_as_they_were(opened, monkeypatch):
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
    zc.async_.subscribers.threaded_dispatcher_installer(opened)
    dispatcher = zc.async_.dispatcher.get()
    assert dispatcher.poll_interval == 5
    assert dispatcher.labels == ()
    assert dispatcher.shutdown_grace_period == 0
    assert dispatcher in zc.async_.subscribers.signal_handlers


@pytest.mark.parametrize("name", ["threaded_dispatcher_installer", "twisted_dispatcher_installer"])
def test_no_dispatcher_is_started_if_the_section_says_so(opened, section, name, caplog):
    caplog.set_level("INFO", "zc.async.events")
    section(dispatcher="off")
    getattr(zc.async_.subscribers, name)(opened)
    assert zc.async_.dispatcher.get() is None
    assert "no dispatcher, as <product-config zc.async> has it" in caplog.text


def test_a_wrong_value_is_an_error_when_the_database_opens(opened, section):
    section(agent_size="many")
    with pytest.raises(ProductConfigError, match="agent-size"):
        zc.async_.subscribers.threaded_dispatcher_installer(opened)
    assert zc.async_.dispatcher.get() is None


def test_arguments_go_before_the_section(opened, section):
    section(poll_interval="30", grace_period="30", signal_handlers="on", dispatcher="off")
    zc.async_.subscribers.ThreadedDispatcherInstaller(0.1, signal_handlers=False)(opened)
    dispatcher = zc.async_.dispatcher.get()
    assert dispatcher.poll_interval == 0.1
    assert dispatcher.shutdown_grace_period == 0
    assert dispatcher not in zc.async_.subscribers.signal_handlers


def test_configure_start_is_not_switched_off(db, section):
    section(dispatcher="off")
    zc.async_.configure.base()
    zc.async_.configure.start(db)
    assert zc.async_.dispatcher.get().activated
    zc.async_.configure.stop()
