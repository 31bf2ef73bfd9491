"""The packages of the local index: some hundred, which change when somebody asks for it."""

import json
import threading
import time
from pathlib import Path

_ADJECTIVES = {
    "amber": "a calm and readable way of",
    "brisk": "a fast way, with few allocations, of",
    "copper": "a well-tested way of",
    "dapper": "a small and tidy way of",
    "eager": "a way that caches its results of",
    "frosted": "an immutable, thread-safe way of",
    "gentle": "a forgiving way, with helpful errors, of",
    "hidden": "a way without any dependency of",
    "ivory": "a typed way of",
    "jolly": "an enjoyable way of",
    "keen": "a streaming way of",
    "lunar": "an asynchronous way of",
}
_NOUNS = {
    "archive": "reading and writing archives of any size",
    "banner": "drawing banners and boxes in a terminal",
    "calendar": "computing holidays, weeks and recurring dates",
    "compass": "working with coordinates, distances and bearings",
    "crate": "packing records into binary containers",
    "diary": "writing structured logs and reading them again",
    "engine": "evaluating rules and small expressions",
    "feather": "serving static files from memory",
    "garden": "growing decision trees and pruning them",
    "harbour": "connecting to message brokers",
    "ledger": "keeping accounts with exact decimal numbers",
    "lantern": "tracing what a program does while it runs",
    "mirror": "synchronising folders between machines",
    "needle": "searching long texts for many patterns at once",
    "orchard": "storing trees of documents on disk",
    "parser": "parsing grammars that people can read",
    "quill": "rendering reports as HTML and plain text",
    "ribbon": "scheduling tasks and retrying what failed",
    "signal": "filtering and resampling measurements",
    "telegram": "sending mail and reading bounces",
}


class Catalogue:
    """The packages. For any thread."""

    def __init__(self, path: Path | None = None) -> None:
        """`path`: a file that keeps them; else they are new each time."""
        self._lock = threading.RLock()
        self._path = path
        #: By package, the times of its versions; and the serial of its last change.
        self._releases: dict[str, dict[str, str]] = {}
        self._serials: dict[str, int] = {}
        if path is not None and path.exists():
            state = json.loads(path.read_text("utf-8"))
            self.serial, self._releases = state["serial"], state["releases"]
            self._serials = state["serials"]
            return
        # Not 0: a new catalogue must not seem older than one of yesterday.
        self.serial = int(time.time())
        for adjective in _ADJECTIVES:
            for noun in _NOUNS:
                self.publish(f"{adjective}-{noun}", "1.0")

    def publish(self, name: str, version: str = "") -> str:
        """Release a version of a package, by default the next one; returns it."""
        with self._lock:
            releases = self._releases.setdefault(name, {})
            version = version or f"1.{len(releases)}"
            releases[version] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            self._touch(name)
            return version

    def remove(self, name: str) -> None:
        """Have a package be there no longer."""
        with self._lock:
            self._releases.pop(name, None)
            self._serials.pop(name, None)
            self._save()

    def _touch(self, name: str) -> None:
        self.serial += 1
        self._serials[name] = self.serial
        self._save()

    def _save(self) -> None:
        if self._path is not None:
            state = {"serial": self.serial, "serials": self._serials, "releases": self._releases}
            # Who is killed meanwhile leaves the old file.
            new = self._path.with_suffix(".new")
            new.write_text(json.dumps(state), "utf-8")
            new.replace(self._path)

    def serials(self) -> dict[str, int]:
        """Of each package, the serial of its last change."""
        with self._lock:
            return dict(self._serials)

    def versions(self, name: str) -> dict[str, str]:
        """Versions of a package, the oldest first, and when they came. Empty if there is none."""
        with self._lock:
            return dict(self._releases.get(name, {}))


def summary(name: str) -> str:
    """What a package is for."""
    adjective, _, noun = name.partition("-")
    way = _ADJECTIVES.get(adjective, "another way of")
    purpose = _NOUNS.get(noun, "doing something else")
    return f"{way[0].upper()}{way[1:]} {purpose}"


def page(name: str) -> str:
    """The text of a package's documentation."""
    noun = name.partition("-")[2]
    others = [f"{adjective}-{noun}" for adjective in _ADJECTIVES if adjective not in name][:3]
    return (
        f"{summary(name)}. Install it, import it, and begin with the tutorial, which takes ten "
        f"minutes. It is known to work well together with {', '.join(others)}. The guide for "
        f"operators explains how {name} behaves when the disk is full, the network is slow and "
        "the clock is wrong."
    )
