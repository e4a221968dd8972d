"""The power is cut before each step that a session takes on its disk, and comes back.

Whatever the disk has kept of what was not synced: nobody hears two requests in one round, what was acknowledged
counts, and the sum is that of U3.
"""

import random

import pytest

from secagg import Model, Round
from secagg.service import journal, running
from secagg.service.deadlines import Deadlines

from ..support.coordinated import Coordinated, make_setup
from ..support.forgetful import ForgetfulDisk, Memory, PowerCut

DEADLINES = Deadlines(grace=10.0)
PARTS = 3


@pytest.fixture(autouse=True)
def small_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages of round 1 on are files, and there is a checkpoint in the middle of round 2."""
    monkeypatch.setattr(journal, "INLINE_BYTES", 100)
    monkeypatch.setattr(running, "CHECKPOINT_BYTES", 250)
    monkeypatch.setattr(running, "CHECKPOINT_INPUTS", 2)


def remaining(world: Coordinated) -> tuple[int, ...]:
    return tuple(world.users)[:-1]


def play(world: Coordinated, leaves: bool = False) -> None:
    """A whole session; the last user says nothing after ShareKeys, or leaves then."""
    for _ in range(50):
        if world.running is not None and world.running.status != "running":
            return
        if world.running is None:
            world.open()
        current = world.session.round
        late = current is not None and current >= Round.MASKED_INPUT_COLLECTION
        if leaves and late and world.session.status == "running":
            world.session.leave(len(world.users))
        world.play_round(remaining(world) if late else world.users)
        if leaves:
            world.session.tick()
        elif world.session.round is current and world.session.status == "running":
            world.clock.now += 301.0  # it keeps everybody waiting
            world.session.tick()
    raise AssertionError("the session does not end")


def play_through(world: Coordinated, disk: ForgetfulDisk, memory: Memory, leaves: bool = False) -> int:
    """The same, although the power is cut; how often it was."""
    cuts = 0
    while True:
        try:
            play(world, leaves)
        except PowerCut:
            cuts += 1
            world.running = None
            disk.restart(memory)
        else:
            return cuts


def check(world: Coordinated) -> None:
    assert world.session.status == "finished", world.session.describe()["reason"]
    world.check_result()
    assert world.session.result().survivors == remaining(world)


@pytest.mark.parametrize("start", range(PARTS))
@pytest.mark.parametrize("memory", Memory, ids=lambda memory: memory.value)
@pytest.mark.parametrize("model", Model, ids=lambda model: model.name.lower())
def test_a_power_cut_before_any_step(model: Model, memory: Memory, start: int) -> None:
    for cut_at in range(start, 1000, PARTS):
        if not cut_once(model, 4, memory, cut_at):
            break
    assert 100 < cut_at < 900


def cut_once(model: Model, n: int, memory: Memory, cut_at: int, leaves: bool = False) -> bool:
    """A session in which the power is cut before this step; False if it has fewer."""
    disk = ForgetfulDisk(cut_at)
    world = Coordinated(make_setup(model, n, deadlines=DEADLINES), disk)
    disk.cut_at = cut_at
    begun = world.clock.now
    cuts = play_through(world, disk, memory, leaves)
    check(world)
    assert not leaves or world.clock.now == begun
    return cuts > 0


@pytest.mark.parametrize("start", range(PARTS))
def test_a_power_cut_before_any_step_of_a_session_that_one_has_left(start: int) -> None:
    """Its rounds end without time passing, before the power went and after."""
    for cut_at in range(start, 1000, PARTS):
        if not cut_once(Model.SEMI_HONEST, 4, Memory.ANYTHING, cut_at, leaves=True):
            break
    assert 100 < cut_at < 900


@pytest.mark.nightly
@pytest.mark.parametrize("start", range(PARTS))
@pytest.mark.parametrize("model", Model, ids=lambda model: model.name.lower())
def test_a_power_cut_in_a_session_of_eight(model: Model, start: int) -> None:
    for cut_at in range(start, 3000, PARTS):
        if not cut_once(model, 8, Memory.ANYTHING, cut_at):
            break


@pytest.mark.nightly
@pytest.mark.parametrize("memory", Memory, ids=lambda memory: memory.value)
@pytest.mark.parametrize("model", Model, ids=lambda model: model.name.lower())
def test_a_power_cut_in_a_session_of_a_hundred(model: Model, memory: Memory) -> None:
    for _ in range(8):
        cut_once(model, 100, memory, random.randrange(6000))
