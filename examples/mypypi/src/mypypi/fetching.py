"""How something is fetched: within a time, within a size, and not from everywhere."""

import dataclasses
import functools
import urllib.parse
from typing import Any

import httpcore

from mypypi import addresses, configuration
from mypypi.errors import BadAnswer, NotThere, Refused, Unreachable

MAX_REDIRECTIONS = 5

_REDIRECTIONS = (301, 302, 303, 307, 308)
_GONE = (404, 410)


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a server answered."""

    #: The address that answered: another one than that asked for, after redirections.
    url: str
    #: The header, such as "text/html; charset=utf-8"; may be empty.
    content_type: str
    body: bytes


def get(url: str, accept: str) -> Answer:
    """Fetch something, by the options of `configuration`. For any thread.

    Args:
        url: `addresses` says what it may be.
        accept: the content types that are asked for.

    Raises the errors of `mypypi.errors`.
    """
    options = configuration.read()
    index = addresses.host_and_port(addresses.checked(options.index))
    backend = addresses.GuardedBackend(options.timeout, trusted=index)
    for _ in range(MAX_REDIRECTIONS + 1):
        # Each redirection is as little trusted as what a person gave.
        url = addresses.checked(url)
        answer = _ask(url, accept, options.max_answer, backend)
        if isinstance(answer, Answer):
            return answer
        url = urllib.parse.urljoin(url, answer)
    raise BadAnswer("it redirects again and again")


@functools.cache
def _ssl_context() -> Any:
    # Loading the certificates takes some milliseconds.
    return httpcore.default_ssl_context()


def _ask(url: str, accept: str, max_size: int, backend: addresses.GuardedBackend) -> Answer | str:
    """The answer, or the address it redirects to."""
    headers = {
        "Accept": accept,
        # What is compressed may be any number of times larger than its size.
        "Accept-Encoding": "identity",
        "User-Agent": "mypypi/1.0 (an example of zc.async)",
    }
    headers["Host"] = urllib.parse.urlsplit(url).netloc
    pool = httpcore.ConnectionPool(_ssl_context(), network_backend=backend)
    try:
        with pool, pool.stream("GET", url, headers=headers) as response:
            received = {
                name.decode("latin-1").lower(): value.decode("latin-1")
                for name, value in response.headers
            }
            if response.status in _REDIRECTIONS and "location" in received:
                return received["location"]
            _check(response.status, received, max_size)
            body = _read(response, max_size)
            return Answer(url, received.get("content-type", ""), body)
    except httpcore.TimeoutException as error:
        raise Unreachable("it took too long") from error
    except httpcore.NetworkError as error:
        raise Unreachable("the connection failed") from error
    except httpcore.LocalProtocolError as error:
        raise Refused("that is no address of a page") from error
    except httpcore.RemoteProtocolError as error:
        raise BadAnswer("it does not speak HTTP, or stopped in the middle") from error


def _check(status: int, headers: dict[str, str], max_size: int) -> None:
    if status in _GONE:
        raise NotThere("there is no such page")
    if status == 429 or status >= 500:
        raise Unreachable(f"it is out of order (HTTP status {status})")
    if status != 200:
        raise BadAnswer(f"it gives nothing (HTTP status {status})")
    if headers.get("content-encoding", "identity") != "identity":
        raise BadAnswer("it is compressed, which was not asked for")
    # One that is wrong is none of httpcore's answers.
    if int(headers.get("content-length", 0)) > max_size:
        raise BadAnswer("it is too large")


def _read(response: httpcore.Response, max_size: int) -> bytes:
    body = bytearray()
    for chunk in response.iter_stream():
        body += chunk
        if len(body) > max_size:
            raise BadAnswer("it is too large")
    return bytes(body)
