"""`python -m bench.sparse`: a client and a server that are measured, and the plot of what was."""

import json
import sys
from pathlib import Path

import pytest

from bench.sparse import __main__ as command
from bench.sparse import figures, points
from bench.sparse.parties import PARTIES, client, server
from bench.sparse.points import Measured, Session
from secagg import Sparse, rounds_of

SMALL = Session("sparse", "semi-honest", 100, 10)


def point(role: str, n: int, seconds: float = 1.0, **others: float) -> Measured:
    return Measured(role, Session("sparse", "semi-honest", n), 34, 20, {"ShareKeys": seconds}, **others)  # type: ignore[arg-type]


def test_a_session_is_the_one_that_params_find() -> None:
    params = Session("sparse", "active", 10_000).params
    assert (params.graph, params.t, params.n_corrupt, params.m) == (Sparse(220), 182, 500, 1000)
    assert Session("complete", "semi-honest", 1_000).params.holders == 1_000
    assert len(Session("sparse", "semi-honest", 1_000).dropped) == 50


@pytest.mark.parametrize("model", points.MODELS)
def test_a_client_is_measured_by_round_and_its_bytes_are_counted(model: str) -> None:
    session = Session("complete", model, 20, 10)
    found = client(session, runs=1)
    assert list(found.seconds) == [str(current) for current in rounds_of(session.params)]
    assert min(found.seconds.values()) > 0
    assert found.total == sum(found.seconds.values())
    keys, masked = 2 + 64, 2 + 32 + 32 + 4 + 30 + 4
    signed = 64 if model == "active" else 0
    assert found.sent > keys + 19 * 88 + masked + 20 * 32
    assert found.received > 20 * (64 + signed) + 19 * 88


def test_a_server_comes_to_the_sum_and_is_measured(capfd: pytest.CaptureFixture[str]) -> None:
    found = server(SMALL)
    assert list(found.seconds) == [str(current) for current in rounds_of(SMALL.params)]
    assert found.megabytes > 10
    assert (found.degree, found.t) == (SMALL.params.holders - 1, SMALL.params.t)


def test_points_come_back_from_their_file(tmp_path: Path) -> None:
    file = tmp_path / "points.json"
    written = [point("client", 100, sent=5, received=7), point("server", 300, megabytes=81.5)]
    points.write({"cpu": "none"}, written, file)
    assert points.read(file) == ({"cpu": "none"}, written)
    assert len(file.read_text().splitlines()) == 4  # a point a line: a change can be read


def test_a_claim_begins_where_the_sparse_line_does() -> None:
    line = [point("server", 1_000, 2.0), point("server", 100, 0.1)]
    xs, ys = figures.claimed(figures.PANELS[2], line)
    assert xs == [100, 1_000]
    assert ys[0] == pytest.approx(0.1)
    # n (log^2 n + l log n), l = 1,000
    assert ys[1] == pytest.approx(0.1 * 10 * (6.907755**2 + 6907.755) / (4.605170**2 + 4605.170), rel=1e-5)


def test_the_plot_and_the_tables_show_what_was_measured(tmp_path: Path) -> None:
    of_all = []
    for n in (100, 1_000):
        of_all += [point(role, n, 0.25, sent=500, received=700, megabytes=80.0) for role in ("client", "server")]
        for role, graph, model in (("client", "sparse", "active"), ("server", "complete", "semi-honest")):
            of_all.append(Measured(role, Session(graph, model, n), 34, 20, {"ShareKeys": 0.5}, 1000, 2000, 90.0))
    figures.draw(of_all, tmp_path / "plot.svg")
    drawn = (tmp_path / "plot.svg").read_text()
    for words in ("sparse, semi-honest", "sparse, active", "complete, semi-honest", "as O(log n + l)", "MB"):
        assert words in drawn
    text = "\n".join(figures.tables(of_all))
    assert "| 1,000 | 250 | 500 |  |" in text
    assert "| 100 | 1.20 | 3.00 |  |" in text
    assert "| 100 | 0.250 |  | 0.500 |" in text


def test_a_server_beyond_its_memory_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    fat = point("server", 100, megabytes=1_001.0)
    monkeypatch.setitem(PARTIES, "server", lambda session: fat)
    monkeypatch.setattr(sys, "argv", ["sparse", "server"])
    with pytest.raises(SystemExit, match="1"):
        command.main()
    assert points.measured(json.loads(capsys.readouterr().out)) == fat


def test_the_plot_has_no_session_that_a_server_cannot_hold() -> None:
    """The complete graph's memory is that of n^2 ciphertexts. Every point of a sparse line has a sparse graph."""
    planned = points.planned()
    assert ("server", Session("sparse", "semi-honest", 100_000)) in planned
    assert max(each.n for role, each in planned if (role, each.graph) == ("server", "complete")) == 1_000
    assert all(each.params.holders < each.n for _, each in planned if each.graph == "sparse")
    assert len(set(planned)) == len(planned)
