"""Who shares with whom, and that both machines ask the session's graph for it."""

import hashlib
import json
from collections import Counter
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg import LocalProtocolError, Model, Params, Round
from secagg.codec import Ids
from secagg.protocol.graph import COMPLETE, Circle, Neighbourhoods, Sparse, circle_order, positions
from secagg.protocol.messages import ShareKeys, decode

from ..support.allocated import peak_bytes
from ..support.folders import VECTORS
from ..support.rounds import on_a_circle, play_until, run

CASES = json.loads((VECTORS / "graph.json").read_text())["cases"]


def ids(*users: int) -> Ids:
    return np.array(users, np.uint32)


# --- The order on the circle ---


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['k']} {case['session'][:4]}")
def test_users_stand_in_the_order_of_the_vectors(case: dict[str, Any]) -> None:
    order = circle_order(bytes.fromhex(case["session"]), case["k"])
    assert hashlib.sha256(order.astype(">u4").tobytes()).hexdigest() == case["order_sha256"]
    if "order" in case:
        assert order.tolist() == case["order"]


def test_every_order_is_as_likely_as_every_other() -> None:
    counts = Counter(tuple(circle_order(i.to_bytes(32, "big"), 4).tolist()) for i in range(4_800))
    assert len(counts) == 24
    assert sum((count - 200) ** 2 / 200 for count in counts.values()) < 60  # chi-square, 23 degrees, 2^-15


# --- Neighbours ---


def walked(users: list[int], degree: int, order: list[int]) -> dict[int, set[int]]:
    """Each user's neighbours, by walking the circle."""
    circle, near = [users[i] for i in order], range(-(degree // 2), degree // 2 + 1)
    return {u: {circle[(i + step) % len(circle)] for step in near} - {u} for i, u in enumerate(circle)}


@st.composite
def circles(draw: st.DrawFn) -> tuple[Circle, dict[int, set[int]]]:
    """A graph, and everybody's neighbours."""
    users = sorted(draw(st.sets(st.integers(1, (1 << 32) - 1), min_size=4, max_size=20)))
    degree, order = 2 * draw(st.integers(1, (len(users) - 2) // 2)), draw(st.permutations(range(len(users))))
    return Circle(ids(*users), degree, np.array(order, np.intp)), walked(users, degree, order)


@given(circles(), st.data())
def test_neighbours_are_those_who_stand_near(drawn: tuple[Circle, dict[int, set[int]]], data: st.DataObject) -> None:
    graph, near = drawn
    among = sorted(data.draw(st.sets(st.sampled_from(sorted(near)))))
    if data.draw(st.booleans()):
        assert len(graph._all) == graph.size  # a server's way to know them
    for u, around in near.items():
        assert graph.neighbours(u, graph.users).tolist() == sorted(around)
        assert graph.neighbours(u, ids(*among)).tolist() == sorted(around.intersection(among))
        assert graph.holders(u, ids(*among)).tolist() == sorted({u, *around}.intersection(among))
        assert all(u in near[v] for v in around)


@given(circles(), st.data())
def test_places_of_neighbours_are_near(drawn: tuple[Circle, dict[int, set[int]]], data: st.DataObject) -> None:
    circle, neighbours = drawn
    users = np.array(sorted(data.draw(st.sets(st.sampled_from(circle.users.tolist())))), np.uint32)
    place = dict(zip(users.tolist(), circle.places(users).tolist(), strict=True))
    assert len(set(place.values())) == len(place)
    for u, v in combinations(place, 2):
        apart = abs(place[u] - place[v])
        near = min(apart, len(circle.users) - apart) <= len(neighbours[u]) // 2
        assert near == (v in neighbours[u])


def test_in_the_complete_graph_neighbours_are_everyone_else() -> None:
    graph = COMPLETE.over(bytes(32), ids(1, 2, 3, 4, 5))
    assert graph.neighbours(3, [1, 3, 4]).tolist() == [1, 4]
    assert graph.holders(3, [1, 3, 4]).tolist() == [1, 3, 4]
    assert graph.neighbours(2, [1, 3, 4]).tolist() == [1, 3, 4]


@given(circles() | st.integers(1, 9).map(lambda n: (COMPLETE.over(bytes(32), ids(*range(3, 3 + n))), {})), st.data())
def test_every_pair_of_holders_has_a_cell_of_its_own(
    drawn: tuple[Neighbourhoods, dict[int, set[int]]], data: st.DataObject
) -> None:
    """Whichever way it is asked for, of all users or some."""
    graph, _ = drawn
    users = graph.users.tolist()
    pairs = {(u, v): cell for u in users for v, cell in _row(graph, u, graph.holders(u, graph.users)).items()}
    assert sorted(pairs.values()) == list(range(graph.size))
    some = ids(*sorted(data.draw(st.sets(st.sampled_from(users)))))
    for v in users:
        near = graph.holders(v, some)
        assert dict(zip(near.tolist(), graph.column(near, v).tolist(), strict=True)) == {
            u: pairs[u, v] for u in near.tolist()
        }
        assert _row(graph, v, near) == {u: pairs[v, u] for u in near.tolist()}


@given(circles(), st.data())
def test_within_some_users_the_graph_is_theirs(drawn: tuple[Circle, dict[int, set[int]]], data: st.DataObject) -> None:
    """Also within some of some."""
    graph, near = drawn
    first = sorted(data.draw(st.sets(st.sampled_from(sorted(near)), min_size=1)))
    second = sorted(data.draw(st.sets(st.sampled_from(first), min_size=1)))
    for users, inner in ((first, graph.within(ids(*first))), (second, graph.within(ids(*first)).within(ids(*second)))):
        assert inner.users.tolist() == users
        assert inner.places(ids(*users)).tolist() == graph.places(ids(*users)).tolist()
        cells = [_row(inner, u, inner.holders(u)) for u in users]
        assert [set(row) for row in cells] == [{u, *near[u]}.intersection(users) for u in users]
        assert [cell for row in cells for cell in row.values()] == list(range(inner.size))
        of = dict(zip(users, cells, strict=True))
        assert all(inner.column(inner.holders(v), v).tolist() == [of[u][v] for u in of[v]] for v in users)


def _row(graph: Neighbourhoods, u: int, vs: Ids) -> dict[int, int]:
    return dict(zip(vs.tolist(), graph.row(u, vs).tolist(), strict=True))


@pytest.mark.parametrize("degree", [0, 1, 3, -2, 1 << 32])
def test_degrees_are_even(degree: int) -> None:
    with pytest.raises(LocalProtocolError, match="degree must be an even number 2"):
        Sparse(degree)


def test_a_circle_has_somebody_who_is_no_neighbour() -> None:
    session, users = bytes(32), ids(*range(1, 7))
    assert Sparse(4).over(session, users).neighbours(1, users).size == 4
    with pytest.raises(LocalProtocolError, match="5 users are too few for 4 neighbours each"):
        Sparse(4).over(session, users[:5])


def test_another_session_is_another_graph() -> None:
    users = ids(*range(1, 101))
    first, second = (Sparse(10).over(bytes([i] * 32), users) for i in (1, 2))
    assert first.neighbours(1, users).tolist() != second.neighbours(1, users).tolist()


# --- Both machines ask it ---


@pytest.mark.parametrize("model", Model)
@pytest.mark.parametrize("drops", [{}, {2: {5}}, {1: {1}, 2: {6}, 4: {3}}])
def test_a_session_over_another_graph_gives_the_right_sum(
    model: Model, drops: dict[int, set[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shares, ciphertexts, masks and their removal, all among neighbours only."""
    on_a_circle(monkeypatch, degree=6, t=3, quorum=6)  # three may leave of any neighbourhood
    run(9, 3, drops, n_corrupt=1, model=model)


def test_ciphertexts_are_for_neighbours_only(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_circle(monkeypatch, degree=4, t=4, quorum=4)
    _, clients, requests = play_until(Round.SHARE_KEYS, Params(n=9, m=1, modulus=128, t=4, n_corrupt=1))
    answer: Any = decode(clients[1].receive(requests[1]), ShareKeys)
    assert len(answer.ciphertexts) == 4


def test_one_user_is_found_without_a_copy_of_all() -> None:
    """Which a server of 100,000 users would make for each of their messages."""
    users = np.arange(1, 100_001, dtype=np.uint32)
    circle = Circle(users, 4, np.arange(len(users)))
    circle.row(7, circle.neighbours(7, users))  # makes the table of all holders

    def find() -> None:
        assert positions(500, users) == 499
        assert positions([7, 9], users).tolist() == [6, 8]
        assert circle.holders(500, users).tolist() == [498, 499, 500, 501, 502]
        assert len(circle.row(500, circle.neighbours(500, users))) == 4

    assert peak_bytes(find) < 20_000
