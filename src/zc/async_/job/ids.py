"""The id of a job: a short text by which another request or process finds it again.

It is the oid, as log records tell it, and the name of the database unless that is ZODB's default:
`1234`, or `1234-main`. So it is the same from every connection of a group of databases, and does
not change. It has letters, digits and `-_.~` only, which need no quoting in a URL.
"""

import re
from typing import Any

from ZODB.POSException import POSKeyError
from ZODB.utils import p64, u64

import zc.async_.interfaces
from zc.async_ import utils
from zc.async_.interfaces import BadJobIdError, JobNotFoundError
from zc.twist.showing import show

#: What ZODB calls a database that is given no name; ids leave it out.
DEFAULT_NAME = "unnamed"

_FORM = re.compile(r"(0|[1-9][0-9]*)(?:-([A-Za-z0-9_.~-]*))?", re.ASCII)
_KEPT = re.compile(r"[A-Za-z0-9_.-]", re.ASCII)
_QUOTED = re.compile(r"(?:~[0-9a-f]{2})+")


def make_id(job: Any) -> str | None:
    """The id of a persistent object; None if it is in no database. For whoever may read it."""
    jar, oid = job._p_jar, job._p_oid
    if jar is None or oid is None:
        return None
    return _joined(u64(oid), jar.db().database_name)


def find(context: Any, id: str) -> Any:
    """The job that has an id, as `IJob.id` tells it.

    For whoever owns the connection. The job belongs to that connection, or to the one of the same
    transaction that leads to the database of the job. It is found as long as it is in the database:
    in a queue, with an agent, among the jobs of the last week or so that an agent keeps as
    completed, or because your own objects refer to it.

    An id is no secret, and jobs of others are as easily found: check who may see which.

    Args:
        context: a connection, or a persistent object in a database, of any database of the group.
        id: the text.

    Raises:
        BadJobIdError: this is the id of nothing.
        JobNotFoundError: there is no such job now, or it is out of reach from here. The root of
            `BadJobIdError`: catch this one to answer "not found".
        LookupError: `context` is in no database.
        ZODB.POSException.ReadConflictError: it may have been put after this transaction began; try
            again in a new one, as after any conflict.
    """
    oid, name = _parse(id)
    connection = utils.connection_of(context)
    if name not in connection.connections and name not in connection.db().databases:
        known = ", ".join(sorted(show(known) for known in connection.db().databases))
        raise JobNotFoundError(
            f"the job {id} is in a database named {show(name)}, which cannot be reached from here "
            f"(there is {known}): open both databases with the same `databases` mapping"
        )
    try:
        found = connection.get_connection(name).get(oid)
    except POSKeyError as error:
        raise JobNotFoundError(
            f"there is no job {id}: it was removed, or its transaction was not committed (yet); "
            "refer to a job from an object of yours to keep it"
        ) from error
    # Asked of the class: any id may be asked for, and other objects need not be loaded.
    if not zc.async_.interfaces.IJob.implementedBy(type(found)):
        raise JobNotFoundError(
            f"{id} is no job but a {utils.dotted_name(type(found))}: take an id from `job.id`"
        )
    return found


def _joined(oid: int, database_name: str) -> str:
    if database_name == DEFAULT_NAME:
        return str(oid)
    return f"{oid}-{''.join(map(_quoted, database_name))}"


def _quoted(character: str) -> str:
    if _KEPT.fullmatch(character):
        return character
    # As in URLs, but not with their sign: servers unquote that.
    return "".join(f"~{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))


def _unquoted(text: str) -> str:
    return _QUOTED.sub(
        lambda found: bytes.fromhex(found[0].replace("~", "")).decode("utf-8", "surrogatepass"),
        text,
    )


def _parse(id: str) -> tuple[bytes, str]:
    """The oid and the name of the database."""
    if id is None:
        raise BadJobIdError("None is no id of a job: a job that is in no database has none")
    form = _FORM.fullmatch(id) if isinstance(id, str) else None
    if form is not None and len(form[1]) <= len(str(1 << 64)) and int(form[1]) < 1 << 64:
        oid = int(form[1])
        try:
            name = DEFAULT_NAME if form[2] is None else _unquoted(form[2])
        except UnicodeDecodeError:
            pass
        else:
            # One job has one id.
            if _joined(oid, name) == id:
                return p64(oid), name
    raise BadJobIdError(
        f"{show(id)} is no id of a job: take one from `job.id`, which is a text such as '1234' or "
        "'1234-main'"
    )
