"""Attacks on a participant whose state is put back: by a restored disk, a snapshot, or a hand that may write there."""

import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from secagg import LocalProtocolError, Model, Round
from secagg.durable import adopt
from secagg.protocol.client import MAX_AGE
from secagg.service.states import counter_name, remove_old, saved_counter

from ...service.test_participation import World, as_if_new, has_answered, outcome
from ...support.memory_coordinator import play
from ...support.saved import MemoryCounter, put_back


class Counters:
    """A counter for each name, which nobody puts back."""

    def __init__(self) -> None:
        self.known: dict[str, MemoryCounter] = {}

    def __call__(self, name: str) -> MemoryCounter:
        return self.known.setdefault(name, MemoryCounter())


@pytest.fixture(params=list(Model), ids=lambda model: model.name.lower())
def world(tmp_path: Path, request: pytest.FixtureRequest) -> World:
    return World(tmp_path, request.param)


def with_counters(world: World) -> Counters:
    """Everybody takes part with counters."""
    counters = Counters()
    for u in (1, 2, 3, 4):
        world.player(u, counter=counters)
    return counters


def state(world: World) -> Path:
    (name,) = world.states(1)
    return world.folder / "1" / name


def test_each_state_has_a_counter_of_its_own_and_its_name(world: World) -> None:
    counters = with_counters(world)
    play(world.coordinator, world.players.values(), until=lambda: has_answered(world.players[1], Round.SHARE_KEYS))
    files = [world.folder / str(u) / name for u in (1, 2, 3, 4) for name in world.states(u)]
    names = {counter_name(file, sha256(world.params.encode()).digest()) for file in files}
    assert (set(counters.known), len(names)) == (names, 4)
    play(world.coordinator, world.players.values())
    world.check({1, 2, 3, 4})


@pytest.mark.parametrize("later", [Round.SHARE_KEYS, Round.MASKED_INPUT_COLLECTION])
def test_an_older_state_is_put_back_to_answer_a_round_twice(world: World, later: Round) -> None:
    counters = with_counters(world)
    player = world.players[1]
    play(world.coordinator, world.players.values(), until=lambda: has_answered(player, Round.ADVERTISE_KEYS))
    older = state(world).read_bytes()
    play(world.coordinator, world.players.values(), until=lambda: has_answered(player, later))
    player.crash()
    put_back(state(world), older)
    heard = len(world.coordinator.heard)
    again = world.player(1, counter=counters)
    play(world.coordinator, [again])
    with pytest.raises(LocalProtocolError, match=r"an earlier state was put back in its place \(rollback\)"):
        outcome(again)
    assert not any("/answers/" in request.url for request in world.coordinator.heard[heard:])


def test_a_disk_of_before_the_session_is_put_back_to_take_part_twice(tmp_path: Path) -> None:
    """With the state go the nonces that were used: only the counter knows."""
    world = World(tmp_path, Model.SEMI_HONEST)
    counters = with_counters(world)
    play(world.coordinator, world.players.values(), until=lambda: has_answered(world.players[1], Round.SHARE_KEYS))
    world.players[1].crash()
    shutil.rmtree(world.folder / "1")
    again = world.player(1, counter=counters)
    again.handler = as_if_new(world)
    play(world.coordinator, [again])
    with pytest.raises(LocalProtocolError, match=r"was removed, or put back to before it began \(rollback\)"):
        outcome(again)


def test_a_state_of_a_session_that_this_user_has_left_is_put_back(world: World) -> None:
    counters = with_counters(world)
    player = world.players[1]
    play(world.coordinator, world.players.values(), until=lambda: has_answered(player, Round.ADVERTISE_KEYS))
    path = state(world)
    older = path.read_bytes()
    player.steps.close()
    assert not path.exists()
    path.touch()
    put_back(path, older)
    again = world.player(1, counter=counters)
    play(world.coordinator, [again])
    with pytest.raises(LocalProtocolError, match=r"\(rollback\)"):
        outcome(again)


def test_a_state_that_was_counted_is_not_used_without_its_counter(world: World) -> None:
    with_counters(world)
    player = world.players[1]
    play(world.coordinator, world.players.values(), until=lambda: has_answered(player, Round.ADVERTISE_KEYS))
    player.crash()
    again = world.player(1)
    play(world.coordinator, [again])
    with pytest.raises(LocalProtocolError, match="was saved with a counter: give it"):
        outcome(again)


def test_a_state_that_was_removed_for_its_age_or_its_session_is_put_back(world: World) -> None:
    """Whoever removes it raises the counter beyond it."""
    counters = with_counters(world)
    player = world.players[1]
    play(world.coordinator, world.players.values(), until=lambda: has_answered(player, Round.ADVERTISE_KEYS))
    path = state(world)
    older, counter = path.read_bytes(), saved_counter(path, counters)
    assert isinstance(counter, MemoryCounter)
    player.crash()
    generation = counter.value()
    for ahead in (0, 1):  # a crash may leave the file one ahead of its counter
        path.touch()
        put_back(path, older)
        counter.log = [generation - ahead]
        remove_old(path.parent, world.coordinator.clock() + MAX_AGE + 1)
        assert path.exists()  # without its counter it stays
        remove_old(path.parent, world.coordinator.clock() + MAX_AGE + 1, counters)
        assert not path.exists()
        assert counter.log == list(range(generation - ahead, generation + 2))
    path.touch()
    put_back(path, older)
    adopt(path)
    again = world.player(1, counter=counters)
    play(world.coordinator, [again])
    with pytest.raises(LocalProtocolError, match=r"\(rollback\)"):
        outcome(again)
