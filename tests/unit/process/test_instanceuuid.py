"""The identity of the software instance and its file."""

import importlib
import os
import pickle
import subprocess
import sys
import textwrap
import uuid

import pytest
import zope.component.globalregistry
import zope.interface.verify

import zc.async_.interfaces


@pytest.fixture
def folder(tmp_path):
    """An empty folder to start in."""
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


@pytest.fixture
def path(folder, monkeypatch):
    """Where the UUID file is to be; nothing is there yet."""
    path = folder / "instance" / "id.txt"
    path.parent.mkdir()
    monkeypatch.setenv("ZC_ASYNC_UUID", str(path))
    return path


@pytest.fixture
def module(path):
    """The module; imported here so that it finds the environment of a test, not the checkout's."""
    return importlib.import_module("zc.async_.process.instanceuuid")


def start(code, cwd, **environment):
    """Start a fresh interpreter that runs `code`."""
    inherited = {name: value for name, value in os.environ.items() if name != "ZC_ASYNC_UUID"}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        cwd=cwd,
        env={**inherited, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(code, cwd, **environment):
    """Run `code` in a fresh interpreter; return its exit status, output and errors."""
    process = start(code, cwd, **environment)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


PRINT_UUID = "import zc.async_.process.instanceuuid as i; print(i.UUID, i.UUID_PATH)"


def test_whoever_asks_makes_the_file_in_the_working_directory(folder):
    status, out, err = run(PRINT_UUID, folder)
    assert (status, err) == (0, "")
    value, path = out.split()
    assert path == str(folder / "uuid.txt")
    lines = (folder / "uuid.txt").read_text().splitlines()
    assert lines[0] == value == str(uuid.UUID(value))
    assert set(lines[1]) == {"-"}
    text = "\n".join(lines[2:])
    assert "ZC_ASYNC_UUID" in text
    assert "delete this file" in text
    # Nothing else is left behind.
    assert os.listdir(folder) == ["uuid.txt"]


def test_whoever_asks_makes_the_file_that_the_environment_names(folder):
    (folder / "elsewhere").mkdir()
    status, out, _ = run(PRINT_UUID, folder, ZC_ASYNC_UUID="elsewhere/id.txt")
    assert status == 0
    file = folder / "elsewhere" / "id.txt"
    assert out.split() == [file.read_text().splitlines()[0], str(file)]
    assert os.listdir(folder) == ["elsewhere"]


#: What may be imported where somebody only loads objects, or merges changes of them.
IMPORT_ALL = """
    import zc.async_.agent, zc.async_.dispatcher, zc.async_.job, zc.async_.queue
    import zc.async_.ftesting, zc.async_.subscribers, zc.async_.z3
    from zc.async_.process import instanceuuid
"""


def test_whoever_does_not_ask_needs_no_file_and_makes_none(folder):
    nowhere = str(folder / "missing" / "id.txt")
    assert run(IMPORT_ALL, folder, ZC_ASYNC_UUID=nowhere) == (0, "", "")
    assert run(IMPORT_ALL, folder) == (0, "", "")
    assert os.listdir(folder) == []
    status, _, err = run(IMPORT_ALL + "    instanceuuid.UUID", folder, ZC_ASYNC_UUID=nowhere)
    assert status == 1
    assert f"UUIDFileError: zc.async UUID file {nowhere!r} does not exist and cannot be made" in err


def test_the_historic_name_makes_the_file_when_it_is_imported(folder):
    for name in ("zc.async.instanceuuid", "zc.async_.instanceuuid"):
        code = f"import importlib; print(importlib.import_module({name!r}).__dict__['UUID'])"
        status, out, err = run(code, folder)
        assert (status, err) == (0, "")
        assert out.strip() == (folder / "uuid.txt").read_text().splitlines()[0]
        (folder / "uuid.txt").unlink()


def test_the_path_is_that_of_the_import_though_the_process_goes_elsewhere(folder):
    (folder / "elsewhere").mkdir()
    code = """
        import os
        from zc.async_.process import instanceuuid
        os.chdir("elsewhere")
        os.environ["ZC_ASYNC_UUID"] = "other.txt"
        print(instanceuuid.UUID)
    """
    status, out, err = run(code, folder)
    assert (status, err) == (0, "")
    assert out.strip() == (folder / "uuid.txt").read_text().splitlines()[0]


def test_the_module_has_no_other_names(module):
    with pytest.raises(AttributeError, match="no attribute 'UUIDS'"):
        _ = module.UUIDS


def test_an_empty_environment_variable_counts_as_none(folder):
    status, _, err = run(PRINT_UUID, folder, ZC_ASYNC_UUID="")
    assert (status, err) == (0, "")
    assert os.listdir(folder) == ["uuid.txt"]


def test_the_identity_outlives_the_process(folder):
    assert run(PRINT_UUID, folder) == run(PRINT_UUID, folder)


def test_a_deleted_file_gives_a_new_identity(folder):
    first = run(PRINT_UUID, folder)
    (folder / "uuid.txt").unlink()
    assert run(PRINT_UUID, folder) != first


def test_the_file_may_be_read_by_everybody_and_written_by_its_owner(module, path):
    module.getUUID()
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_file_of_old_is_read(module, path):
    path.write_text("afd1e0d0-52e1-11dd-879b-0017f2c49bdd\n-----\nThe value above\n")
    assert module.getUUID() == uuid.UUID("afd1e0d0-52e1-11dd-879b-0017f2c49bdd")


@pytest.mark.parametrize("attempt", range(3))
def test_processes_that_start_at_once_agree(folder, attempt):
    code = """
        import sys
        sys.stdin.read()  # until all are ready
        from zc.async_.process import instanceuuid
        print(instanceuuid.UUID)
    """
    processes = [start(code, folder) for _ in range(4)]
    for process in processes:
        process.stdin.close()
        process.stdin = None
    outcomes = [process.communicate(timeout=60) for process in processes]
    assert {err for _, err in outcomes} == {""}
    assert len({out for out, _ in outcomes}) == 1
    assert os.listdir(folder) == ["uuid.txt"]


def test_of_two_that_make_the_file_the_first_wins(module, path):
    # The second found it missing too, but comes to name its own a moment later.
    first = module.getUUID()
    module._create(str(path))
    assert module.getUUID() == first
    assert os.listdir(path.parent) == [path.name]


def test_a_file_system_without_hard_links_serves_too(module, path, monkeypatch):
    def link(*_):
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", link)
    first = module.getUUID()
    module._create(str(path))
    assert module.getUUID() == first
    assert os.listdir(path.parent) == [path.name]


def test_the_uuid_is_a_plain_one_that_provides_the_interface(module):
    assert type(module.UUID) is uuid.UUID
    assert uuid.UUID(str(module.UUID)) == module.UUID
    assert zope.interface.verify.verifyObject(zc.async_.interfaces.IUUID, module.UUID)
    assert pickle.loads(pickle.dumps(module.UUID)) == module.UUID
    assert b"zc" not in pickle.dumps(module.UUID)


def test_the_uuid_and_any_other_can_be_registered_as_the_utility(module):
    components = zope.component.globalregistry.BaseGlobalComponents("test")
    other = uuid.uuid4()
    components.registerUtility(module.UUID)
    components.registerUtility(other, name="other")
    assert components.getUtility(zc.async_.interfaces.IUUID) == module.UUID
    assert components.getUtility(zc.async_.interfaces.IUUID, "other") == other


def test_a_missing_folder_is_named_with_the_remedy(module, monkeypatch, path):
    missing = path.parent / "missing" / "uuid.txt"
    monkeypatch.setenv("ZC_ASYNC_UUID", str(missing))
    with pytest.raises(module.UUIDFileError) as caught:
        module.getUUID()
    assert isinstance(caught.value, zc.async_.interfaces.AsyncError)
    assert caught.value.path == str(missing)
    message = str(caught.value)
    assert f"{str(missing)!r} does not exist and cannot be made" in message
    assert "Set the environment variable ZC_ASYNC_UUID to a path in a folder that exists" in message
    assert pickle.loads(pickle.dumps(caught.value)).remedy == caught.value.remedy


def test_a_file_that_cannot_be_read_is_named_with_the_remedy(module, path):
    path.mkdir()
    with pytest.raises(module.UUIDFileError, match=r"cannot be read .*that this process may read"):
        module.getUUID()


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"not a uuid\n", b"\xff\xfe\x00", b"x" * 100_000], ids=repr
)
def test_a_malformed_file_is_named_with_the_remedy(module, path, content):
    path.write_bytes(content)
    with pytest.raises(module.UUIDFileError) as caught:
        module.getUUID()
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 1000
    # It may be a file that was named by mistake: it is never written over.
    assert path.read_bytes() == content


def test_a_link_that_leads_nowhere_is_named_with_the_remedy(module, path):
    path.symlink_to(path.parent / "nowhere")
    with pytest.raises(module.UUIDFileError, match="Remove the link"):
        module.getUUID()


def test_importing_tells_why_the_file_cannot_be_made(folder):
    status, _, err = run(PRINT_UUID, folder, ZC_ASYNC_UUID="missing/uuid.txt")
    assert status == 1
    last = err.splitlines()[-1]
    assert last.startswith("zc.async_.process.instanceuuid.UUIDFileError: zc.async UUID file ")
    assert "Set the environment variable ZC_ASYNC_UUID" in last


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="asks for users of Unix")
def test_in_a_read_only_folder_a_file_made_beforehand_serves(folder):
    (folder / "uuid.txt").write_text("afd1e0d0-52e1-11dd-879b-0017f2c49bdd\n")
    folder.chmod(0o555)
    status, out, err = run(PRINT_UUID, folder)
    folder.chmod(0o755)
    assert (status, err) == (0, "")
    assert out.startswith("afd1e0d0-52e1-11dd-879b-0017f2c49bdd ")
    assert os.listdir(folder) == ["uuid.txt"]


def test_changing_the_directory_later_does_not_move_the_file(folder):
    (folder / "other").mkdir()
    code = "import os\n" + PRINT_UUID.replace("; print", "; os.chdir('other'); print")
    _, out, _ = run(code, folder)
    assert out.split()[1] == str(folder / "uuid.txt")
    assert os.listdir(folder / "other") == []
