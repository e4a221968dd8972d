"""Nodes that die, or hang, at every message of a round, before they answer it and after: on real SuperNodes."""

from pathlib import Path

import pytest

pytest.importorskip("flwr", reason="needs flwr, of the extra flower")

from .deployment import runtime, until
from .sites import APP, Sites

pytestmark = pytest.mark.nightly
SEMI_HONEST, ACTIVE = 4, 5  # messages that a node gets in a round


STAGES = [(True, message, when) for message in range(1, ACTIVE + 1) for when in ("before", "after")]
STAGES += [(False, message, "before") for message in range(1, SEMI_HONEST + 1)]


@pytest.mark.parametrize(("active", "message", "when"), STAGES)
def test_a_node_dies(tmp_path: Path, active: bool, message: int, when: str) -> None:
    """Whoever has sent a masked input is in the sum; nobody else is."""
    with runtime(tmp_path) as here:
        sites = Sites(here, active=active)
        for number in (1, 3):
            sites.start(number)
        victim = sites.start(2, **{"stop-at": f"{message} {when}"})
        with here.run(APP, **sites.app()) as run:
            until((victim.folder / "stopped").exists, "the node at its message")
            victim.running.kill()
            log = run.log()
        assert "aggregate_train: Received 1 results and 0 failures" in log, log + here.said()
        sites.check({1, 2, 3} if message > 3 else {1, 3})


def test_a_node_that_hangs_is_left_behind(tmp_path: Path) -> None:
    """It still runs, and tells its SuperLink so: only the grid's own timeout ends the wait for it."""
    with runtime(tmp_path) as here:
        sites = Sites(here)
        for number in (1, 3):
            sites.start(number)
        sites.start(2, **{"stop-at": "2 before"})
        with here.run(APP, **sites.app(patience=90.0)) as run:
            log = run.log()
        assert "aggregate_train: Received 1 results and 0 failures" in log, log + here.said()
        sites.check({1, 3})
        assert (here.nodes[2].folder / "stopped").exists()


def test_with_too_few_nodes_left_the_round_fails_and_the_run_goes_on(tmp_path: Path) -> None:
    """The model stays as it was, and the server's log says why."""
    with runtime(tmp_path) as here:
        sites = Sites(here)
        sites.start(1)
        victims = [sites.start(number, **{"stop-at": "2 before"}) for number in (2, 3)]
        with here.run(APP, **sites.app()) as run:
            for victim in victims:
                until((victim.folder / "stopped").exists, "the node at its message")
                victim.running.kill()
            log = run.log()
        assert "aggregate_train: Received 0 results and 1 failures" in log, log + here.said()
        assert sites.found()["arrays"] == {}
