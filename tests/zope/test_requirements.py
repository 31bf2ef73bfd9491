"""The two lists of what an environment with Zope has."""

import configparser
import re
from pathlib import Path

HERE = Path(__file__).parent

#: A line of either: the name of a distribution and its extras.
WANTED = re.compile(r"^\s*([\w.]+)\s*(\[\w+\])?")


def wanted(text):
    """What the lines of a text name."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return {match[1] + (match[2] or "") for match in map(WANTED.match, lines)}


def test_the_environment_of_buildout_has_what_that_of_make_has():
    buildout = configparser.ConfigParser(interpolation=None)
    buildout.read(HERE.parent.parent / "buildout.cfg", "utf-8")
    requirements = wanted((HERE / "requirements.txt").read_text("utf-8"))
    assert wanted(buildout["zope"]["eggs"]) == requirements | {"zc.async[z3]"}
