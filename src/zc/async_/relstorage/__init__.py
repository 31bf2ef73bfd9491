"""What databases of RelStorage in PostgreSQL need, beside what others do.

- Their errors are given a meaning (`watching`, `driver`, `errors`, `renewing`).
- A connection begins its transactions though the server is away (`guarding`).
- Commits tell dispatchers, also those of other processes, what they change (`notifying`,
  `listening`).
- Workers of a process take turns to commit (`turns`).
- Whoever tries again waits first if another transaction held a lock (`locks`).
- What became of a commit whose answer was lost is known after `catching_up`.

RelStorage and psycopg2 are imported where they are used already, and nowhere else. RelStorage has
no public names for much of what is needed here: what is used of it is used in this wing alone.
"""

from zc.async_.relstorage.catching_up import catch_up
from zc.async_.relstorage.guarding import FetchedOids, guard, look_once, rest
from zc.async_.relstorage.listening import Listening, can_listen
from zc.async_.relstorage.locks import pause
from zc.async_.relstorage.snapshots import newest_seen
from zc.async_.relstorage.turns import leave_turns, take_turns
from zc.async_.relstorage.watching import watch

__all__ = [
    "FetchedOids",
    "Listening",
    "can_listen",
    "catch_up",
    "guard",
    "leave_turns",
    "look_once",
    "newest_seen",
    "pause",
    "rest",
    "take_turns",
    "watch",
]
