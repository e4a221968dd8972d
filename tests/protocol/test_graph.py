"""Who shares with whom, and that both machines ask the session's graph for it."""

from typing import Any

import pytest

from secagg import Model, Params, Round
from secagg.protocol.messages import ShareKeys, decode

from ..support.rounds import Ring, play_until, run


def test_in_the_complete_graph_neighbours_are_everyone_else() -> None:
    graph = Params(n=5, m=1, modulus=64).graph
    assert graph.neighbours(3, [1, 3, 4]).tolist() == [1, 4]
    assert graph.holders(3, [1, 3, 4]).tolist() == [1, 3, 4]
    assert graph.neighbours(2, [1, 3, 4]).tolist() == [1, 3, 4]


@pytest.mark.parametrize("model", Model)
@pytest.mark.parametrize("drops", [{}, {2: {5}}, {1: {1}, 2: {6}, 4: {3}}])
def test_a_session_over_another_graph_gives_the_right_sum(
    model: Model, drops: dict[int, set[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shares, ciphertexts, masks and their removal, all among neighbours only."""
    monkeypatch.setattr(Params, "graph", Ring(9, 2))
    monkeypatch.setattr(Params, "quorum", 6)
    run(9, 3, drops, n_corrupt=1, model=model)


def test_ciphertexts_are_for_neighbours_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Params, "graph", Ring(9, 2))
    _, clients, requests = play_until(Round.SHARE_KEYS, Params(n=9, m=1, modulus=128, t=4, n_corrupt=1))
    answer: Any = decode(clients[1].receive(requests[1]), ShareKeys)
    assert len(answer.ciphertexts) == 4
