"""A training round on Flower's real runtime, in which one node dies between two rounds of the protocol."""

from pathlib import Path

import pytest

pytest.importorskip("flwr", reason="needs flwr, of the extra flower")

from .deployment import runtime
from .sites import APP, Sites

ONE_RESULT = "aggregate_train: Received 1 results and 0 failures"


def test_a_node_that_dies_after_ShareKeys_is_left_out(tmp_path: Path) -> None:  # noqa: N802
    with runtime(tmp_path) as here:
        sites = Sites(here)
        for number in (1, 2, 3):
            sites.start(number)
        with here.run(APP, **sites.app()) as run:
            here.nodes[2].kill(after=2)
            log = run.log(until_it_says=ONE_RESULT)
        assert ONE_RESULT in log, log
        sites.check({1, 3})
