"""What the local index answers, as pypi.org would."""

import json
from html import escape

from mypypi_demo import catalogue

_HTML = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<style>
body {{ font: 1rem/1.5 system-ui, "DejaVu Sans", sans-serif; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem }}
button, input, select {{ font: inherit; padding: .3rem .7rem; box-sizing: border-box }}
label, input, select {{ max-width: 100% }}
form {{ display: flex; flex-wrap: wrap; gap: .5rem; margin: 1rem 0 }}
li {{ display: inline-block; width: 18rem; margin: .2rem 0 }}
ul {{ padding: 0 }}
</style></head><body>{body}</body></html>
"""

#: The kinds of misbehaviour, and what they are called in the form.
MISBEHAVIOURS = {
    "": "answer as usual",
    "error": "answer with the status 503",
    "slow": "answer after some seconds",
    "hang": "accept requests, and never answer",
    "drip": "answer a byte now and then, without end",
    "huge": "answer without end",
    "truncated": "stop in the middle of an answer",
    "nonsense": "answer something that is no JSON",
    "shape": "answer JSON of another shape",
    "stranger": "answer about another package",
    "hostile": "answer with text that no page can show",
    "compressed": "answer in gzip, unasked",
    "garbage": "do not speak HTTP at all",
    "close": "close the connection without an answer",
}


def simple(packages: catalogue.Catalogue) -> dict:
    """The list of the packages (PEP 691, with the serials of pypi.org)."""
    return {
        "meta": {"api-version": "1.1", "_last-serial": packages.serial},
        "projects": [
            {"name": name, "_last-serial": serial} for name, serial in packages.serials().items()
        ],
    }


def package(packages: catalogue.Catalogue, name: str, origin: str) -> dict | None:
    """The JSON document of a package; None if there is no such package."""
    versions = packages.versions(name)
    if not versions:
        return None
    releases = {version: [{"upload_time_iso_8601": time}] for version, time in versions.items()}
    return {
        "info": {
            "name": name,
            "version": list(versions)[-1],
            "summary": catalogue.summary(name),
            "description": catalogue.page(name),
            "project_urls": {
                "Changes": f"{origin}/changes/{name}",
                "Documentation": f"{origin}/docs/{name}",
            },
        },
        "last_serial": packages.serials().get(name, 0),
        "releases": releases,
    }


def html(title: str, body: str) -> bytes:
    """A page; `body` is HTML."""
    return _HTML.format(title=escape(title), body=body).encode()


def documentation(name: str) -> bytes:
    """The documentation of a package."""
    text = escape(catalogue.page(name))
    return html(f"{name}: documentation", f"<h1>{escape(name)}</h1><p>{text}</p>")


def changes(packages: catalogue.Catalogue, name: str) -> bytes:
    """The list of changes of a package."""
    entries = "".join(
        f"<li>{escape(version)}, {escape(time)}: fewer surprises</li>"
        for version, time in packages.versions(name).items()
    )
    return html(f"{name}: changes", f"<h1>Changes of {escape(name)}</h1><ul>{entries}</ul>")


def front(packages: catalogue.Catalogue, misbehaviour: str) -> bytes:
    """The page on which somebody has packages change."""
    options = "".join(
        f'<option value="{kind}"{" selected" if kind == misbehaviour else ""}>{text}</option>'
        for kind, text in MISBEHAVIOURS.items()
    )
    names = "".join(
        f"<li><a href='/docs/{name}'>{name}</a> {list(packages.versions(name))[-1]}</li>"
        for name in packages.serials()
    )
    datalist = "".join(f'<option value="{name}">' for name in packages.serials())
    return html(
        "A package index",
        "<h1>A package index</h1>"
        '<p>It is here for <a href="http://127.0.0.1:8080/">My PyPI</a> to follow.</p>'
        '<form method="post" action="/control/publish"><label>Package '
        f'<input name="name" list="names" required></label><datalist id="names">{datalist}'
        "</datalist><button>Publish a new release</button></form>"
        '<form method="post" action="/control/behave"><label>To be asked for packages: '
        f'<select name="kind">{options}</select></label><button>Do that</button></form>'
        f"<h2>Its packages</h2><ul>{names}</ul>",
    )


def strange_json(kind: str, name: str) -> bytes:
    """An answer of a server that is not quite right."""
    if kind == "shape":
        return json.dumps({"projects": {"a": 1}, "info": ["x"], "last_serial": "7"}).encode()
    if kind == "stranger":
        return json.dumps({"info": {"name": "somebody-else"}, "last_serial": 10**9}).encode()
    info = {
        "name": name,
        "version": "<script>alert(1)</script>",
        "summary": "\ud800 \x00\x1b[31m<img src=x onerror=alert(1)> " + "long " * 10_000,
        "description": ["no", "text"],
        "project_urls": {
            "Evil": "javascript:alert(1)",
            "File": "file:///etc/passwd",
            "Number": 7,
        },
    }
    releases = {"": [], "1.0\n": None, "2.0": [{"upload_time_iso_8601": 5}], "x" * 9999: [7]}
    return json.dumps({"info": info, "last_serial": 10**10, "releases": releases}).encode()
