"""Tokens of Clients, at the Leader: whoever uploads to a task that has some must show one of them."""

from sqlalchemy import delete, insert, select

from ...errors import require
from ..secrets import require_hash
from .engine import Tx
from .schema import client_tokens

MOST_TOKENS = 1000
"""Of one task: all of them are read with it."""

NAME_CHARACTERS = 100


def add_client_token(tx: Tx, key: int, task_id: bytes, name: str, digest: bytes, now: float) -> None:
    """Accept a token of a Client; from the first one on, uploads without any are refused.

    Args:
        tx: a transaction that writes, on the Leader's store.
        key: the task's number in the store.
        task_id: 32 bytes.
        name: the operator's, of the token: 1 .. NAME_CHARACTERS that can be printed.
        digest: the token's `token_hash`; only that is stored, and it is sealed.
        now: POSIX seconds.

    Raises:
        LocalProtocolError: there is a token of this name, or this token, or too many.
    """
    require(
        0 < len(name) <= NAME_CHARACTERS and name.isprintable(),
        f"a token's name has 1 .. {NAME_CHARACTERS} characters that can be printed",
    )
    require_hash(digest)
    known = _read(tx, key, task_id)
    require(name not in known, f"there is a client's token called {name} already: delete it first")
    require(digest not in known.values(), "this token is accepted already, under another name")
    require(len(known) < MOST_TOKENS, f"a task has at most {MOST_TOKENS:,} clients' tokens: let clients share some")
    sealed = tx.vault.seal(digest, _place(task_id, name))
    tx.execute(insert(client_tokens).values(task=key, name=name, hash=sealed, created=now))


def delete_client_token(tx: Tx, key: int, name: str, *, to_everybody: bool = False) -> None:
    """Refuse a token of a Client from now on.

    Args:
        tx: a transaction that writes, on the Leader's store.
        key: the task's number in the store.
        name: of the token.
        to_everybody: delete even the last one, after which anybody may upload.

    Raises:
        LocalProtocolError: there is no token of this name; or it is the last one.
    """
    names = [known for known, _ in list_client_tokens(tx, key)]
    require(name in names, f"no client's token of this task is called {name}")
    require(
        len(names) > 1 or to_everybody,
        f"{name} is the last of this task's clients' tokens, and without any, everybody may upload: add another one"
        " first, or give --to-everybody (to_everybody=True)",
    )
    tx.execute(delete(client_tokens).where(client_tokens.c.task == key, client_tokens.c.name == name))


def list_client_tokens(tx: Tx, key: int) -> list[tuple[str, float]]:
    """The names of a task's tokens of Clients and when they were added, in POSIX seconds; sorted.

    Args:
        tx: a transaction.
        key: the task's number in the store.
    """
    columns = client_tokens.c.name, client_tokens.c.created
    rows = tx.execute(select(*columns).where(client_tokens.c.task == key))
    return sorted((row.name, row.created) for row in rows)


def read_client_tokens(tx: Tx, key: int, task_id: bytes) -> frozenset[bytes]:
    """The `token_hash` of each token that a Client may show; none if everybody may upload.

    Args:
        tx: a transaction.
        key: the task's number in the store.
        task_id: 32 bytes.
    """
    return frozenset(_read(tx, key, task_id).values())


def _read(tx: Tx, key: int, task_id: bytes) -> dict[str, bytes]:
    rows = tx.execute(select(client_tokens.c.name, client_tokens.c.hash).where(client_tokens.c.task == key))
    return {row.name: tx.vault.open(row.hash, _place(task_id, row.name)) for row in rows}


def _place(task_id: bytes, name: str) -> bytes:
    return b"client token" + task_id + name.encode()
