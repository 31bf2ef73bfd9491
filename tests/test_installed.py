"""What is on the package index: the wheel, its metadata and its README."""

import doctest
import email
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

#: What a wheel is made of.
SOURCES = ["LICENSE.txt", "MANIFEST.in", "README.rst", "pyproject.toml", "setup.py", "src"]

README = (ROOT / "README.rst").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

#: Where the files of the project are shown.
FILES = PROJECT["urls"]["Source"] + "/blob/master/"


def link_targets(text):
    """Where the links of a text in reStructuredText lead to."""
    return re.findall(r"`[^`<]+<([^`>]+)>`_", text) + re.findall(r"(?m)^\.\. _[^:]+: (.+)$", text)


def test_the_links_of_the_readme_work_from_everywhere_and_lead_to_what_is_there():
    targets = link_targets(README)
    assert len(targets) >= 2
    for target in targets:
        assert target.startswith("https://"), target
        if target.startswith(FILES):
            assert (ROOT / target.removeprefix(FILES)).is_file(), target


def test_the_readme_has_no_link_whose_target_it_does_not_tell():
    titles = re.findall(r"(?m)^(.+)\n[=-]{3,}$", README)
    named = re.findall(r"(?m)^\.\. _([^:]+): ", README)
    for name in re.findall(r"`([^`<>]+)`_(?!_)", README):
        assert name in [*titles, *named]


def test_the_metadata_have_links_to_the_project_its_documents_and_its_issues():
    urls = PROJECT["urls"]
    assert {"Homepage", "Documentation", "Source", "Changelog", "Issues"} <= set(urls)
    for url in urls.values():
        assert url.startswith(urls["Source"])
        if url.startswith(FILES):
            assert (ROOT / url.removeprefix(FILES)).is_file(), url


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy of the sources."""
    pytest.importorskip("setuptools", minversion="77")
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    code = "import setuptools.build_meta; print(setuptools.build_meta.build_wheel('dist'))"
    built = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert built.returncode == 0, built.stderr
    return folder / "dist" / built.stdout.splitlines()[-1]


@pytest.fixture
def fresh_python(wheel, tmp_path):
    """The interpreter of a new environment that has the wheel, and what it depends on."""
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=False, symlinks=os.name != "nt")
    paths = {"base": str(environment), "platbase": str(environment)}
    site_packages = Path(sysconfig.get_path("purelib", "venv", paths))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site_packages)
    # The folders of this environment, without its own way to this project.
    dependencies = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    # Where zc.buildout has put them.
    dependencies.update(path for path in sys.path if path.endswith(".egg"))
    (site_packages / "dependencies.pth").write_text("\n".join(dependencies) + "\n")
    return Path(sysconfig.get_path("scripts", "venv", paths)) / "python"


def test_the_wheel_has_the_links_and_the_readme(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    links = dict(link.split(", ", 1) for link in metadata.get_all("Project-URL"))
    assert links == PROJECT["urls"]
    assert link_targets(metadata.get_payload()) == link_targets(README)


def test_the_example_of_the_readme_can_be_typed_where_only_the_wheel_is(fresh_python, tmp_path):
    examples = doctest.DocTestParser().get_examples(README)
    folder = tmp_path / "work"
    folder.mkdir()
    typed = "import zc.async_; print(zc.async_.__file__)\n"
    typed += "".join(example.source for example in examples)
    done = subprocess.run(
        [fresh_python, "-i", "-q"],
        input=typed,
        cwd=folder,
        capture_output=True,
        text=True,
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        timeout=120,
    )
    where, _, output = done.stdout.partition("\n")
    assert Path(where).is_relative_to(fresh_python.parent.parent)
    expected = "".join(example.want for example in examples)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.OutputChecker().check_output(expected, output, flags), output
    # The one failure that the text announces is shown, and nothing else.
    assert "there is a traceback on your screen" in " ".join(README.split())
    shown = done.stderr.replace(">>> ", "")
    assert shown.count("_operator.truediv(1, 0)``> failed:\n") == 1
    report = r"<zc\.async_\.job\.Job [^\n]*> failed:\n\*--- Failure .*?End of Failure #\d+ ---\n"
    assert re.sub(report, "", shown, count=1, flags=re.DOTALL).strip() == ""
