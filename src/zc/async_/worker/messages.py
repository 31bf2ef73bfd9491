"""What a supervisor and a worker say to each other: a line of JSON for each message.

A message is a dict whose "say" is one of these:

==========  ================  ===================================================================
say         who, with what    means
==========  ================  ===================================================================
BEGIN       supervisor        the settings to work with (`settings`)
DRAIN       supervisor        claim no more, give jobs so long (`seconds`; None: no limit) and end
WAITING     worker            the database is out of reach: it waits (`text`)
READY       worker            its dispatcher has polled
ALIVE       worker            a sign of life: `jobs` ended so far, `memory` in bytes (None:
                              unknown), `silence`: seconds by which the next poll is late
LEAVING     worker            it claims no more, and ends when its jobs have
FAILED      worker            it cannot begin: `text` says why; `again`: whether that may change by
                              itself
==========  ================  ===================================================================
"""

import json
from typing import Any

BEGIN = "begin"
DRAIN = "drain"
WAITING = "waiting"
READY = "ready"
ALIVE = "alive"
LEAVING = "leaving"
FAILED = "failed"

#: The most characters of a text, and the most bytes of a line.
MAX_TEXT = 4000
MAX_LINE = 1 << 20


def encode(say: str, **values: Any) -> bytes:
    """A message as a line."""
    return json.dumps({"say": say, **values}).encode("ascii") + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """The message of a line. ValueError if it is none."""
    message = json.loads(line)
    if not isinstance(message, dict) or not isinstance(message.get("say"), str):
        raise ValueError(line)
    return message


def shortened(text: str) -> str:
    """A text that is not too long for a message."""
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 3] + "..."
