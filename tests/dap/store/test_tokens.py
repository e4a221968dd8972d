"""Rotation of tokens in the store: which are accepted when, and what is forgotten."""

from collections.abc import Callable

import pytest
from sqlalchemy import select

from secagg.dap.aggregator.directory import FRESH, Directory
from secagg.dap.messages import Role
from secagg.dap.secrets import token_hash
from secagg.dap.store import schema
from secagg.dap.store.task_watch import find_check, notice_tasks
from secagg.dap.store.tasks import KnownTasks, TaskRecord, delete_task, find_task
from secagg.dap.store.tokens import accept_token, end_old_token, use_token
from secagg.errors import LocalProtocolError

from ...support.world import COLLECTOR_TOKEN, PEER_TOKEN, START, World

NewWorld = Callable[..., World]
NEW = token_hash(b"the new token")
OLD = {Role.LEADER: token_hash(COLLECTOR_TOKEN), Role.HELPER: token_hash(PEER_TOKEN)}
BOTH = pytest.mark.parametrize("role", [Role.LEADER, Role.HELPER], ids=lambda role: role.name.lower())


def of(world: World, role: Role) -> TaskRecord:
    store = world.leader_store if role is Role.LEADER else world.helper_store
    with store.read() as tx:
        found = find_task(tx, world.task.id)
    assert found is not None
    return found


def accept(world: World, role: Role, digest: bytes = NEW, now: float = START, until: float = START + 60) -> None:
    record, store = of(world, role), world.leader_store if role is Role.LEADER else world.helper_store
    with store.write() as tx:
        accept_token(tx, record.key, record.task.id, record.secrets, digest, now, until)


@BOTH
def test_both_are_accepted_until_the_old_one_ends(dap_world: NewWorld, role: Role) -> None:
    world = dap_world()
    assert of(world, role).accepted(START) == [OLD[role]]
    accept(world, role)
    record = of(world, role)
    assert [set(record.accepted(START + after)) for after in (0, 59.9, 60)] == [{NEW, OLD[role]}] * 2 + [{NEW}]


@BOTH
def test_the_old_one_can_be_ended_at_once(dap_world: NewWorld, role: Role) -> None:
    world = dap_world()
    accept(world, role)
    store, key = (world.leader_store if role is Role.LEADER else world.helper_store), of(world, role).key
    with store.write() as tx:
        end_old_token(tx, key)
    assert of(world, role).accepted(START) == [NEW]
    with store.write() as tx, pytest.raises(LocalProtocolError, match="no older token"):
        end_old_token(tx, key)


def test_a_third_token_waits_for_the_end_of_the_first(dap_world: NewWorld) -> None:
    """Or the party that still shows the first would be refused."""
    world, third = dap_world(), token_hash(b"a third token")
    accept(world, Role.HELPER)
    with pytest.raises(LocalProtocolError, match="end it first"):
        accept(world, Role.HELPER, third, now=START + 59)
    accept(world, Role.HELPER, third, now=START + 60, until=START + 100)
    assert of(world, Role.HELPER).accepted(START + 61) == [third, NEW]


def test_the_present_token_is_no_new_one(dap_world: NewWorld) -> None:
    """Its end would lock out whoever shows it."""
    world = dap_world()
    with pytest.raises(LocalProtocolError, match="accepted already"):
        accept(world, Role.HELPER, OLD[Role.HELPER])
    with pytest.raises(LocalProtocolError, match="must have 32 bytes"):
        accept(world, Role.HELPER, b"short")


@BOTH
def test_only_one_token_changes(dap_world: NewWorld, role: Role) -> None:
    world = dap_world()
    before = of(world, role).secrets
    accept(world, role)
    after = of(world, role).secrets
    changed = [name for name in vars(before) if vars(before)[name] != vars(after)[name]]
    assert changed == ["collector_token" if role is Role.LEADER else "peer_token"]


def test_running_processes_learn_of_it(dap_world: NewWorld) -> None:
    """A directory once what it has read is no longer fresh, workers at once; the VDAF is not made again."""
    world = dap_world()
    directory, known = Directory(world.leader_store, world.clock), KnownTasks()
    first = directory.task(world.task.id)
    with world.leader_store.read() as tx:
        loaded = known.find(tx, world.leader_task.key)
    assert first is not None
    assert loaded is not None
    accept(world, Role.LEADER)
    with world.leader_store.write() as tx:
        secrets = of(world, Role.LEADER).secrets
        use_token(tx, loaded.key, world.task.id, secrets, b"shown-from-now-on", world.clock.now)
    world.clock.now += FRESH
    second = directory.task(world.task.id)
    with world.leader_store.read() as tx:
        again = known.find(tx, world.leader_task.key)
    assert second is not None
    assert again is not None
    assert set(second.accepted(START)) == {NEW, OLD[Role.LEADER]}
    assert second.secrets.peer_token == again.secrets.peer_token == b"shown-from-now-on"
    assert (second.task is first.task, again.task is loaded.task) == (True, True)


def test_the_helper_is_asked_again_once_another_token_is_shown(dap_world: NewWorld) -> None:
    world = dap_world()
    with world.leader_store.write() as tx:
        notice_tasks(tx, START)
        tx.execute(schema.task_watch.update().values(due=START + 86_400, attempts=9))
        use_token(tx, world.leader_task.key, world.task.id, world.leader_task.secrets, b"new", START + 5)
        check = find_check(tx, world.leader_task)
    assert check is not None
    assert (check.due, check.attempts) == (START + 5, 0)


def test_a_deleted_task_keeps_no_token(dap_world: NewWorld) -> None:
    world = dap_world()
    accept(world, Role.HELPER)
    with world.helper_store.write() as tx:
        delete_task(tx, world.task.id)
        assert tx.execute(select(schema.old_tokens)).all() == []


@BOTH
def test_the_old_tokens_hash_is_sealed(dap_world: NewWorld, role: Role) -> None:
    """And bound to its place: another task's would not be opened."""
    world = dap_world()
    accept(world, role)
    store = world.leader_store if role is Role.LEADER else world.helper_store
    with store.read() as tx:
        (row,) = tx.execute(select(schema.old_tokens)).all()
        assert OLD[role] not in row.hash
        assert tx.vault.open(row.hash, b"old token" + world.task.id) == OLD[role]
        with pytest.raises(LocalProtocolError):
            tx.vault.open(row.hash, b"task" + world.task.id)
