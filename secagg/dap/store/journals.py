"""The journals of releases that a store has: it does not open without one that it had.

A lost journal is not replaced unnoticed: with an empty one, a database that was set back would release again what was
released since. A SQLite store has one journal; a PostgreSQL store has one for each machine that works on it.
"""

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from ...errors import LocalProtocolError, require
from .journal import Journal
from .schema import journals

ACCEPT = "secagg dap store accept-journal --config FILE"


def attach(connection: Connection, journal: Journal | None, *, accept: bool = False) -> None:
    """Check that the store's journal is there; a store that never had one takes this one.

    Args:
        connection: in a transaction that writes.
        journal: None to do without.
        accept: take this journal although the store had another, and make it if it is not there.

    Raises:
        LocalProtocolError: the store had a journal, and it is not this one; the message says what to do.
        OSError: the journal cannot be read or made.
    """
    known = set(connection.execute(select(journals.c.id)).scalars())
    if journal is None:
        require(not known, "this store has a journal of releases, and cannot be opened without it")
        return
    if known and not accept:
        _check(journal, known)
        return
    journal_id = journal.add_id()
    if connection.dialect.name == "sqlite":
        connection.execute(delete(journals).where(journals.c.id != journal_id))
        connection.execute(sqlite.insert(journals).values(id=journal_id).on_conflict_do_nothing())
    else:
        connection.execute(postgresql.insert(journals).values(id=journal_id).on_conflict_do_nothing())


def _check(journal: Journal, known: set[bytes]) -> None:
    if not journal.exists:
        raise LocalProtocolError(
            f"the journal of releases, {journal.path}, is gone: put it back. If it is lost, read what that means in"
            f" docs/operations.md; `{ACCEPT} --lost` accepts the loss, and begins the journal of a further machine"
        )
    if journal.find_id() not in known:
        raise LocalProtocolError(
            f"{journal.path} is not this store's journal of releases: put the store's own back. If this is the newest,"
            f" accept it with `{ACCEPT}`"
        )
