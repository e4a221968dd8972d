"""examples/flower as its users run it: Flower's simulation engine, by `flwr run`."""

import re
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="needs flwr[simulation]: ci/slow flower")
pytest.importorskip("sklearn", reason="needs scikit-learn (the `examples` extra)")

from ....support.folders import ROOT
from .deployment import runtime

pytestmark = pytest.mark.nightly
APP = ROOT / "examples" / "flower"
NODES, DROPPING = 10, 3
SIZE = f"num-supernodes={NODES} client-resources-num-cpus=1"
ROW = re.compile(
    r"^round (\d): nodes \[([\d, ]+)\], (\d+) of 10; difference ([\d.e-]+), bound ([\d.e-]+)$", re.MULTILINE
)
DROP = re.compile(r"is out of the round: dropped out on purpose, of round (\d) at message (\d) of 4$", re.MULTILINE)
LAST = "4"  # the message before which an update is in the sum


def test_the_example_trains_and_agrees_with_plain_averaging(tmp_path: Path) -> None:
    """On a SuperLink as `flwr run` starts it for simulations, but that this one ends with the test."""
    with runtime(tmp_path, "--simulation") as here, here.run(APP, "--federation-config", SIZE) as run:
        said = run.log()
    rows = ROW.findall(said)
    assert [row[0] for row in rows] == ["1", "2", "3"], said
    for number, survivors, count, difference, bound in rows:
        dropped = [message for server_round, message in DROP.findall(said) if server_round == number]
        assert len({*dropped}) == len(dropped) == DROPPING, said
        assert len(survivors.split(",")) == int(count) == NODES - sum(message != LAST for message in dropped)
        assert 0 < float(difference) <= float(bound) + 1e-6 < 1e-3
    assert len({survivors for _, survivors, *_ in rows}) > 1
    assert float(re.findall(r"'accuracy': '?([\d.e+-]+)", said)[-1]) > 0.85, said
