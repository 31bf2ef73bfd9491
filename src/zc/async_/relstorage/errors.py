"""What an error of PostgreSQL means for a transaction, by its code (SQLSTATE)."""

import enum


class Meaning(enum.Enum):
    """What to do about an error."""

    #: The server is out of reach, or what became of a commit is not known.
    OUT_OF_REACH = "try again later, and look what became of a commit"
    #: Nothing was committed, and another try can succeed.
    CONFLICT = "try again"
    #: The server cannot do it, and it is not the fault of what it was asked for.
    REFUSAL = "tell, and say nothing of the objects"
    #: It is what it is.
    OTHER = "tell"


#: Codes, and beginnings of codes, of a server that cannot do its work now.
_OUT_OF_REACH = (
    "08",  # the connection
    "25006",  # it only reads: a standby that may become the server
    "0A000",  # the same, as a standby says it when a transaction begins. (Else it would mean a
    #           statement that this version does not have; RelStorage has none.)
    "25P03",  # an idle transaction was ended
    "25P04",  # a long transaction was ended
    "40003",  # nobody knows whether a statement was completed
    "53300",  # too many connections
    "57P",  # an operator stops it, it crashed, or it starts
)

#: A statement took too long, or an operator canceled it.
_CANCELED = "57014"

_CONFLICT = (
    "40",  # deadlocks, transactions that cannot be serialized
    "55P03",  # a lock was not to be had in time
    _CANCELED,
)

_REFUSAL = (
    "53",  # no room: on the disk, in memory
    "54000",  # the queue of notices is full
    "58",  # the system fails
    "XX",  # the server fails, or its data are corrupt
)


def meaning_of(code: str | None, is_lost: bool, commits: bool) -> Meaning:
    """What an error means.

    `code`: None if the error is not the server's own, but of the client's library. `is_lost`:
    whether the connection cannot be used any more. `commits`: whether the statement ends with a
    commit, which may have been done before a later part of it was canceled.
    """
    if code is None:
        return Meaning.OUT_OF_REACH if is_lost else Meaning.OTHER
    if code.startswith(_OUT_OF_REACH) or (commits and code == _CANCELED):
        return Meaning.OUT_OF_REACH
    if code.startswith(_CONFLICT):
        return Meaning.CONFLICT
    if code.startswith(_REFUSAL) and not is_lost:
        return Meaning.REFUSAL
    return Meaning.OUT_OF_REACH if is_lost else Meaning.OTHER
