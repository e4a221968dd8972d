"""What a process remembers of tasks and keys, and when it looks again."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from secagg.dap.aggregator import directory as directory_module
from secagg.dap.aggregator.directory import FRESH, Directory
from secagg.dap.hpke import PrivateKey
from secagg.dap.messages import HpkeConfig, Role
from secagg.dap.store import tasks as tasks_module
from secagg.dap.store.keys import KeyPair, add_key

from ...support.world import CONFIG_ID, Urls, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(Urls(f"sqlite:///{tmp_path}/leader.db", f"sqlite:///{tmp_path}/helper.db"))
    yield made
    made.close()


@pytest.mark.parametrize("jump", [FRESH, -3600.0], ids=["time goes on", "the clock is set back"])
def test_a_new_key_is_seen_whatever_the_clock_does(world: World, jump: float) -> None:
    """What one process accepts and another cannot open yet would be lost."""
    directory = Directory(world.leader_store, world.clock)
    assert directory.accepted() == {CONFIG_ID[Role.LEADER]}
    key = PrivateKey.generate()
    with world.leader_store.write() as tx:
        add_key(tx, KeyPair(HpkeConfig(9, 0x20, 1, 1, key.public_bytes), key), world.clock.now)
    world.clock.now += jump
    assert not directory.keys_remembered
    assert directory.private_keys().keys() == {CONFIG_ID[Role.LEADER], 9}


def test_a_deleted_task_is_gone_although_the_clock_was_set_back(world: World) -> None:
    directory = Directory(world.leader_store, world.clock)
    assert directory.task(world.task.id) is not None
    with world.leader_store.write() as tx:
        tasks_module.delete_task(tx, world.task.id)
    world.clock.now -= 3600.0
    assert directory.remembered(world.task.id) is None
    assert directory.task(world.task.id) is None


def test_unknown_ids_do_not_push_tasks_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else anybody could have every task loaded anew, as often as they like."""
    monkeypatch.setattr(directory_module, "_MAX_REMEMBERED", 10)
    directory = Directory(world.leader_store, world.clock)
    record = directory.task(world.task.id)
    for _ in range(25):
        assert directory.task(os.urandom(32)) is None
    assert directory.remembered(world.task.id) is record
    assert len(vars(directory)["_tasks"]) <= 11
