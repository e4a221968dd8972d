"""Tokens of Clients in the store: what is accepted, what is refused, and what is forgotten."""

from collections.abc import Callable

import pytest
from sqlalchemy import select

from secagg.dap.aggregator.directory import FRESH, Directory
from secagg.dap.secrets import token_hash
from secagg.dap.store import client_tokens, schema
from secagg.dap.store.client_tokens import NAME_CHARACTERS, add_client_token, delete_client_token, list_client_tokens
from secagg.dap.store.tasks import TaskRecord, delete_task, find_task
from secagg.errors import LocalProtocolError

from ...support.world import START, World

NewWorld = Callable[..., World]
ONE, TWO = b"token-of-a-site", b"token-of-another"


def leaders(world: World) -> TaskRecord:
    with world.leader_store.read() as tx:
        found = find_task(tx, world.task.id)
    assert found is not None
    return found


def add(world: World, name: str, token: bytes, now: float = START) -> None:
    with world.leader_store.write() as tx:
        add_client_token(tx, world.leader_task.key, world.task.id, name, token_hash(token), now)


def remove(world: World, name: str, **how: bool) -> None:
    with world.leader_store.write() as tx:
        delete_client_token(tx, world.leader_task.key, name, **how)


def names(world: World) -> list[tuple[str, float]]:
    with world.leader_store.read() as tx:
        return list_client_tokens(tx, world.leader_task.key)


def test_without_tokens_everybody_may_upload_and_with_some_their_holders_alone(dap_world: NewWorld) -> None:
    world = dap_world()
    assert [leaders(world).takes_uploads_of(token) for token in (None, b"", ONE)] == [True] * 3
    add(world, "site 2", TWO, START + 1)
    add(world, "site 1", ONE)
    record = leaders(world)
    assert [record.takes_uploads_of(token) for token in (ONE, TWO)] == [True] * 2
    others = (None, b"", ONE[:-1], ONE + b" ", token_hash(ONE), token_hash(ONE).hex().encode())
    assert [record.takes_uploads_of(token) for token in others] == [False] * len(others)
    assert names(world) == [("site 1", START), ("site 2", START + 1)]
    remove(world, "site 1")
    assert [leaders(world).takes_uploads_of(token) for token in (ONE, TWO)] == [False, True]


def test_the_last_token_is_not_deleted_by_accident(dap_world: NewWorld) -> None:
    """Or a task that takes uploads from some would take them from everybody."""
    world = dap_world()
    add(world, "only", ONE)
    with pytest.raises(LocalProtocolError, match="everybody may upload"):
        remove(world, "only")
    assert not leaders(world).takes_uploads_of(TWO)
    remove(world, "only", to_everybody=True)
    assert leaders(world).takes_uploads_of(TWO)


def test_what_is_refused(dap_world: NewWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    world = dap_world()
    add(world, "n" * NAME_CHARACTERS, ONE)
    refusals = {"": "has 1 ..", "n" * (NAME_CHARACTERS + 1): "has 1 ..", "a\nb": "printed"}
    for name, words in refusals.items():
        with pytest.raises(LocalProtocolError, match=words):
            add(world, name, TWO)
    with pytest.raises(LocalProtocolError, match="delete it first"):
        add(world, "n" * NAME_CHARACTERS, TWO)
    with pytest.raises(LocalProtocolError, match="under another name"):
        add(world, "again", ONE)
    with world.leader_store.write() as tx, pytest.raises(LocalProtocolError, match="32 bytes"):
        add_client_token(tx, world.leader_task.key, world.task.id, "short", b"short", START)
    with pytest.raises(LocalProtocolError, match="is called nobody"):
        remove(world, "nobody")
    monkeypatch.setattr(client_tokens, "MOST_TOKENS", 1)
    with pytest.raises(LocalProtocolError, match="share some"):
        add(world, "one too many", TWO)
    assert len(names(world)) == 1


def test_running_servers_learn_of_it(dap_world: NewWorld) -> None:
    world = dap_world()
    directory = Directory(world.leader_store, world.clock)
    first = directory.task(world.task.id)
    add(world, "site", ONE)
    world.clock.now += FRESH
    second = directory.task(world.task.id)
    assert first is not None
    assert second is not None
    assert [record.takes_uploads_of(None) for record in (first, second)] == [True, False]
    assert second.task is first.task


def test_only_a_sealed_hash_is_stored_for_one_task_and_name(dap_world: NewWorld) -> None:
    world = dap_world()
    add(world, "site", ONE)
    with world.leader_store.read() as tx:
        (row,) = tx.execute(select(schema.client_tokens)).all()
        assert ONE not in row.hash
        assert token_hash(ONE) not in row.hash
        assert tx.vault.open(row.hash, b"client token" + world.task.id + b"site") == token_hash(ONE)
        for place in (b"client token" + world.task.id + b"sit", b"old token" + world.task.id):
            with pytest.raises(LocalProtocolError):
                tx.vault.open(row.hash, place)


def test_a_deleted_task_keeps_no_token(dap_world: NewWorld) -> None:
    world = dap_world()
    add(world, "site", ONE)
    with world.leader_store.write() as tx:
        delete_task(tx, world.task.id)
        assert tx.execute(select(schema.client_tokens)).all() == []
