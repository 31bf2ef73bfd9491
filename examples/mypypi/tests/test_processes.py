"""A ZEO server, two instances and an index, each a process of its own, and some of them killed."""

import json
import signal
import uuid

import pytest

pytestmark = pytest.mark.slow


def test_what_a_killed_process_fetched_is_fetched_by_the_other_and_told_of_once(processes):
    anna = processes.browser(1, "anna")
    package = processes.look_up(anna, "lunar-parser")
    anna.getControl("Subscribe").click()
    processes.misbehave("hang", "/pypi/lunar-parser/")
    processes.publish("lunar-parser")
    worker = processes.worker_of(package)
    processes.instances[worker].stop(signal.SIGKILL)
    processes.misbehave("")
    survivor = processes.browser(2 if worker == 0 else 1, "anna")
    processes.wait_for(survivor, "/me", "has released 1.1")
    processes.restart(worker)
    # Each instance shows what the other has done, and nobody is told again.
    for number in (1, 2):
        browser = processes.browser(number, "anna")
        assert browser.contents.count("<time") >= 1
        browser.open(f"{processes.home(number)}/me")
        assert browser.contents.count("has released 1.1") == 1
    assert processes.turns() == 1


def test_a_page_whose_process_is_killed_is_not_asked_for_again(processes):
    anna = processes.browser(1, "anna")
    package = processes.look_up(anna, "lunar-quill")
    processes.misbehave("hang", "/docs/lunar-quill")
    anna.getControl("Attach Documentation").click()
    worker = processes.worker_of(package, "1")
    processes.wait_until(lambda: "/docs/lunar-quill" in processes.requests())
    processes.instances[worker].stop(signal.SIGKILL)
    survivor = processes.browser(2 if worker == 0 else 1, "anna")
    path = "/packages/lunar-quill"
    processes.wait_for(survivor, path, "the process that fetched it has ended")
    assert processes.requests().count("/docs/lunar-quill") == 1
    processes.misbehave("")
    processes.restart(worker)
    # Somebody asks for it.
    survivor.getControl("Fetch again").click()
    processes.wait_for(survivor, path, "lunar-quill: documentation")
    assert processes.requests().count("/docs/lunar-quill") == 2


def test_the_chain_survives_the_end_of_all_processes(processes):
    processes.misbehave("hang", "/simple/")
    processes.wait_until(lambda: processes.chain().is_running)
    for instance in processes.instances:
        instance.stop(signal.SIGKILL)
    processes.zeo.stop()
    processes.misbehave("")
    processes.publish("lunar-parser")
    before = processes.requests().count("/simple/")
    processes.zeo.start()
    processes.zeo.wait("listening on")
    for number in (0, 1):
        processes.restart(number)
    processes.wait_until(lambda: processes.requests().count("/simple/") > before + 2)
    assert processes.turns() == 1


def test_a_process_that_is_told_to_ends_what_it_does(processes):
    turn = processes.chain().turn
    for instance in processes.instances:
        instance.stop()
        assert instance.code == -signal.SIGTERM
        assert "deactivated" in instance.printed()
    for number in (0, 1):
        processes.restart(number)
    processes.wait_until(lambda: processes.chain().turn > turn + 1)
    assert processes.turns() == 1


def test_each_instance_has_an_identity_of_its_own_and_keeps_it(processes):
    uuids = processes.uuids()
    assert len({uuid.UUID(text) for text in uuids}) == 2
    processes.instances[0].stop()
    processes.restart(0)
    assert processes.uuids() == uuids


def status_of(processes, number):
    return json.loads(processes.ask_port(number, "async status"))["status"]


def test_operators_ask_a_process_by_its_port(processes):
    for number in (0, 1):
        # A test before this one may just have started it.
        processes.wait_until(lambda number=number: status_of(processes, number) == "RUNNING")
        status = json.loads(processes.ask_port(number, "async status"))
        assert status["uuid"] == processes.uuids()[number]


def test_who_looks_at_the_database_is_no_worker(processes, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import zc.async_.dispatcher\nprint(sorted(root['mypypi']), zc.async_.dispatcher.get())\n",
        "utf-8",
    )
    assert processes.debug(script).splitlines()[-1] == "['packages', 'people'] None"
    assert processes.ask(lambda application: len(processes.queue(application).dispatchers)) == 2
