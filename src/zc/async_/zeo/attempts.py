"""Tells how far an attempt of a ZEO client to connect has got.

Everything here is for the thread of the client's loop.
"""

import enum
from typing import Any, NamedTuple


class Stage(enum.Enum):
    """What an attempt is waiting for."""

    PAUSE = "before trying again"
    RESOLVING = "to learn the address of the server"
    CONNECTING = "for the server to accept the connection"
    GREETING = "for the first word of the server"
    ANSWER = "for an answer of the server"
    NOTHING = "with no attempt under way"


class Progress(NamedTuple):
    """The state of an attempt. Two are equal if the attempt has made no progress between them."""

    stage: Stage
    mark: Any = None


def progress(protocol: Any) -> Progress:
    """The progress of the attempt that a ZEO protocol makes."""
    if protocol.sm_protocol is None:
        return _progress_of_connecting(protocol._connecting)
    if protocol.protocol_version is None:
        return Progress(Stage.GREETING)
    return Progress(Stage.ANSWER, (protocol.message_id, tuple(protocol.futures)))


def _progress_of_connecting(task: Any) -> Progress:
    # One task makes one attempt after the other, with a pause between them. The task's coroutine
    # waits for another coroutine: one for each attempt and each pause.
    attempt = getattr(task.get_coro(), "cr_await", None)
    names = _names(attempt)
    if names[:1] == ["sleep"]:
        # A pause is certain to end, so it counts as progress.
        return Progress(Stage.PAUSE, object())
    if "getaddrinfo" in names or "_ensure_resolved" in names:
        return Progress(Stage.RESOLVING, attempt)
    return Progress(Stage.CONNECTING, attempt)


def _names(coroutine: Any) -> list[str]:
    """The names of a coroutine, of the one that it waits for, and so on."""
    names = []
    while coroutine is not None:
        names.append(getattr(coroutine, "__name__", ""))
        coroutine = getattr(coroutine, "cr_await", None)
    return names
