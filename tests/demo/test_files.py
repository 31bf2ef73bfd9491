"""Which files are listed, and how they are put into batches."""

import os

import pytest

from tests.demo.tools import make_files
from zc.async_.demo import files
from zc.async_.demo.stopping import Stop, Stopped


@pytest.fixture
def folder(tmp_path):
    """An empty folder."""
    made = tmp_path / "files"
    made.mkdir()
    return made


def listed(folder, excluded_names=(), excluded_folder=""):
    listing = files.list_files(str(folder), excluded_names, str(excluded_folder), Stop().check)
    return [path for path, _size in listing.files]


def test_text_python_and_rest_files_are_listed_in_order(folder):
    for name in ("b.txt", "a.py", "README.RST", "x.pyc", "image.png", "txt"):
        (folder / name).touch()
    (folder / "sub").mkdir()
    (folder / "sub" / "c.md").touch()
    assert listed(folder) == ["README.RST", "a.py", "b.txt", os.path.join("sub", "c.md")]


def test_sizes_are_listed(folder):
    (folder / "a.txt").write_text("12345")
    assert files.list_files(str(folder), (), "", Stop().check).files == [("a.txt", 5)]


def test_excluded_folders_are_left_out(folder):
    for name in ("a", "site-packages", "instance"):
        make_files(folder / name, 1)
    found = listed(folder, files.INSTALLED_PACKAGES, os.path.realpath(folder / "instance"))
    assert found == [os.path.join("a", "file0000.txt")]


def test_standard_library_is_found():
    assert os.path.exists(os.path.join(files.standard_library(), "os.py"))


def test_pipes_are_left_out_and_broken_links_are_not(folder):
    os.mkfifo(folder / "pipe.txt")
    (folder / "link.txt").symlink_to("nowhere")
    assert listed(folder) == ["link.txt"]


def test_listing_can_be_stopped(folder):
    stop = Stop()
    stop._number = 15
    with pytest.raises(Stopped) as caught:
        files.list_files(str(folder), (), "", stop.check)
    assert caught.value.status == 143


def test_unreadable_folders_are_counted(folder, monkeypatch):
    make_files(folder / "a", 1)
    make_files(folder / "b", 1)
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("b"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    listing = files.list_files(str(folder), (), "", Stop().check)
    assert [path for path, _size in listing.files] == [os.path.join("a", "file0000.txt")]
    assert listing.unreadable_folders == 1


@pytest.mark.parametrize(
    ("sizes", "lengths"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([1, 1, 1, 1, 1], [3, 2], id="so many files"),
        pytest.param([60, 40, 1], [2, 1], id="so many bytes"),
        pytest.param([500, 500, 1], [1, 1, 1], id="large files are alone"),
        pytest.param([0, 0, 0], [3], id="empty files"),
    ],
)
def test_batches_have_a_limit_of_files_and_one_of_bytes(sizes, lengths, monkeypatch):
    monkeypatch.setattr(files, "BATCH_FILES", 3)
    monkeypatch.setattr(files, "BATCH_BYTES", 100)
    listing = [(f"{number}.txt", size) for number, size in enumerate(sizes)]
    batches = list(files.split(listing))
    assert [len(batch) for batch in batches] == lengths
    assert [path for batch in batches for path in batch] == [path for path, _size in listing]
