"""What the package index says, read as distrustfully as what anybody else says.

The index speaks as pypi.org does: its list of packages is JSON of the simple API (PEP 691), with
the serial of each package's last change; what there is about a package is its JSON document.
"""

import dataclasses
import json
import re
import urllib.parse

from mypypi import configuration, fetching, texts
from mypypi.errors import BadAnswer, NotThere

#: Releases of a package that are kept, the newest ones.
MAX_RELEASES = 200
#: Links of a package that are kept.
MAX_LINKS = 10
#: Characters of a package's description that are kept, and can be found.
MAX_DESCRIPTION = 20_000

_LIST = "application/vnd.pypi.simple.v1+json"


@dataclasses.dataclass(frozen=True)
class PackageData:
    """What the index says about a package. Results of jobs are stored, so it stays what it is."""

    #: Raised at each change.
    serial: int
    #: As its authors write it.
    title: str
    version: str
    summary: str
    description: str
    #: Titles and addresses.
    links: tuple[tuple[str, str], ...]
    #: Versions and when they came (ISO 8601, or empty), the newest first.
    releases: tuple[tuple[str, str], ...]


def normalized(name: str) -> str:
    """The name by which a package is found; empty if no package can be called so."""
    name = re.sub(r"[-_.]+", "-", name.strip()).lower()
    return name if re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,98}[a-z0-9])?", name) else ""


def serials() -> dict[str, int]:
    """The serial of each package, by its normalized name. Raises the errors of `mypypi.errors`."""
    answer = _json("/simple/", _LIST)
    projects = answer.get("projects")
    if not isinstance(projects, list):
        raise BadAnswer("the index gives no list of packages")
    found = {}
    for project in projects:
        name = project.get("name") if isinstance(project, dict) else None
        serial = project.get("_last-serial") if isinstance(project, dict) else None
        if isinstance(name, str) and isinstance(serial, int) and normalized(name):
            found[normalized(name)] = serial
    if projects and not found:
        raise BadAnswer("the list of the index has no serials")
    return found


def package(name: str) -> PackageData:
    """What the index says about a package. Raises the errors of `mypypi.errors`."""
    try:
        answer = _json(f"/pypi/{urllib.parse.quote(name)}/json", "application/json")
    except NotThere as error:
        raise NotThere(f"the index has no package {name}") from error
    info = answer.get("info")
    serial = answer.get("last_serial")
    if not isinstance(info, dict) or not isinstance(serial, int):
        raise BadAnswer("the index does not describe the package")
    if normalized(texts.clean(info.get("name"))) != name:
        raise BadAnswer("the index describes another package")
    return PackageData(
        serial=serial,
        title=texts.clean(info.get("name"), 100),
        version=texts.clean(info.get("version"), 100),
        summary=texts.clean(info.get("summary")),
        description=texts.clean(info.get("description"), MAX_DESCRIPTION),
        links=_links(info.get("project_urls")),
        releases=_releases(answer.get("releases")),
    )


def _json(path: str, accept: str) -> dict:
    answer = fetching.get(configuration.read().index + path, accept)
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise BadAnswer("the index does not answer in JSON") from error
    if not isinstance(document, dict):
        raise BadAnswer("the index answers something else")
    return document


def _links(value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict):
        return ()
    links = ((texts.clean(title, 100), texts.clean(url, 2000)) for title, url in value.items())
    # Pages link to them: nothing but addresses of pages, then.
    good = (link for link in links if re.match(r"https?://", link[1]))
    return tuple(sorted(good)[:MAX_LINKS])


def _releases(value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict):
        return ()
    releases = []
    for version, files in value.items():
        first = files[0] if isinstance(files, list) and files else None
        time = first.get("upload_time_iso_8601") if isinstance(first, dict) else None
        if texts.clean(version, 100):
            releases.append((texts.clean(version, 100), texts.clean(time, 40)))
    # Of those of one second, the index names the newest one last.
    releases.reverse()
    releases.sort(key=lambda release: release[1], reverse=True)
    return tuple(releases[:MAX_RELEASES])
