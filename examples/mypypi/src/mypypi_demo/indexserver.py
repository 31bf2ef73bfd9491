"""A package index on this machine, which misbehaves on request.

It is for a demonstration and for tests, and listens on the loopback interface only. A person uses
its page; tests use its objects, or send the same forms. `python -m mypypi_demo.indexserver` starts
it alone.
"""

import argparse
import gzip
import json
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from mypypi_demo import answers
from mypypi_demo.catalogue import Catalogue

#: Seconds that a slow answer takes, and between two bytes of one that drips.
SLOW, DRIP = 3, 0.2

_SIMPLE = "application/vnd.pypi.simple.v1+json"


class IndexServer(ThreadingHTTPServer):
    """Answers in threads."""

    daemon_threads = True

    def __init__(self, port: int = 0, packages: Catalogue | None = None) -> None:
        """`port`: 0 for any that is free."""
        super().__init__(("127.0.0.1", port), Handler)
        self.packages = packages or Catalogue()
        #: Kinds of misbehaviour (see `answers`), by the beginning of the paths that meet them.
        self.misbehaviours: dict[str, str] = {}
        #: Addresses that paths redirect to.
        self.redirections: dict[str, str] = {}
        #: Paths that were asked for, in order.
        self.requests: list[str] = []
        #: Set to end what hangs and drips.
        self.released = threading.Event()

    @property
    def address(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def behave(self) -> None:
        """Answer as usual again."""
        self.misbehaviours.clear()
        self.redirections.clear()
        self.released.set()
        self.released = threading.Event()

    def misbehaviour(self, path: str) -> str:
        """The kind that a path meets; empty if none."""
        for start, kind in list(self.misbehaviours.items()):
            if path.startswith(start):
                return kind
        return ""

    def start(self) -> None:
        """Serve in a thread."""
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Be down: whoever connects is refused."""
        self.behave()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that had no patience."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: IndexServer

    def do_GET(self) -> None:
        path = urllib.parse.urlsplit(self.path).path
        self.server.requests.append(path)
        if path in self.server.redirections:
            self._answer(b"", "text/plain", 302, Location=self.server.redirections[path])
        elif kind := self.server.misbehaviour(path):
            self._misbehave(kind, path)
        else:
            self._answer_as_usual(path)

    def _answer_as_usual(self, path: str) -> None:
        packages = self.server.packages
        match path.strip("/").split("/"):
            case [""]:
                body = answers.front(packages, self.server.misbehaviour("/pypi/"))
                self._answer(body, "text/html; charset=utf-8")
            case ["control", "requests"]:
                self._answer_json({"requests": self.server.requests})
            case ["simple"]:
                self._answer_json(answers.simple(packages), _SIMPLE)
            case ["pypi", name, "json"]:
                self._answer_json(answers.package(packages, name, self.server.address))
            case ["docs", name] if packages.versions(name):
                self._answer(answers.documentation(name), "text/html; charset=utf-8")
            case ["changes", name] if packages.versions(name):
                self._answer(answers.changes(packages, name), "text/html; charset=utf-8")
            case _:
                self._answer(b"there is no such page", "text/plain", 404)

    def _answer_json(self, document: dict | None, content_type: str = "application/json") -> None:
        status = 404 if document is None else 200
        self._answer(json.dumps(document).encode(), content_type, status)

    def _answer(self, body: bytes, content_type: str, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", headers.pop("length", str(len(body))))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    # Tests and the form on the page.

    def do_POST(self) -> None:
        origin = self.headers.get("Origin")
        if origin is not None and urllib.parse.urlsplit(origin).netloc != self.headers.get("Host"):
            # Not a page of somebody else's.
            self._answer(b"not from there", "text/plain", 403)
            return
        length = min(int(self.headers.get("Content-Length", 0)), 10_000)
        form = dict(urllib.parse.parse_qsl(self.rfile.read(length).decode()))
        if self.path == "/control/publish" and self.server.packages.versions(form.get("name", "")):
            self.server.packages.publish(form["name"])
        elif self.path == "/control/behave":
            self.server.behave()
            if form.get("kind") in answers.MISBEHAVIOURS and form["kind"]:
                self.server.misbehaviours[form.get("path", "/pypi/")] = form["kind"]
        else:
            self._answer(b"there is no such package, or page", "text/plain", 404)
            return
        self._answer(b"", "text/plain", 303, Location="/")

    # What goes wrong on request.

    def _misbehave(self, kind: str, path: str) -> None:
        released = self.server.released
        if kind == "error":
            self._answer(b"out of order", "text/plain", 503)
        elif kind == "slow":
            released.wait(SLOW)
            self._answer_as_usual(path)
        elif kind == "hang":
            released.wait()
            self._answer_as_usual(path)
        elif kind in ("drip", "huge"):
            self._go_on_and_on(DRIP if kind == "drip" else 0)
        elif kind == "truncated":
            self._answer(b'{"info": ', "application/json", length="1000")
        elif kind == "nonsense":
            self._answer(b"<html>\xff\xfe all is well </html>", "application/json")
        elif kind == "compressed":
            body = gzip.compress(b" " * 50_000_000)
            self._answer(body, "application/json", Content_Encoding="gzip")
        elif kind == "garbage":
            self.wfile.write(b"\x16\x03\x01 220 mail.example ESMTP\r\n\r\n")
        elif kind != "close":
            name = path.strip("/").split("/")[1] if "/" in path.strip("/") else ""
            self._answer(answers.strange_json(kind, name), "application/json")

    def _go_on_and_on(self, pause: float) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        while not self.server.released.is_set():
            self.wfile.write(b" " if pause else b" " * 65536)
            self.wfile.flush()
            self.server.released.wait(pause)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing: tests look at `requests`."""


def main() -> None:
    """Serve until a signal ends the process."""
    parser = argparse.ArgumentParser(description="Serve a package index on this machine.")
    parser.add_argument("--port", type=int, default=8070, help="0: one that is free")
    parser.add_argument("--file", type=Path, help="keeps the packages")
    arguments = parser.parse_args()
    server = IndexServer(arguments.port, Catalogue(arguments.file))
    print(f"Serving on {server.address}", file=sys.stderr, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
