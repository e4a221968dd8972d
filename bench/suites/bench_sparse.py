"""Sparse graphs beside the complete one: a client of both models, and the server's session with 5 % dropouts."""

from typing import Any

import pytest

from secagg import Model, Params, Round
from secagg.protocol.graph import Sparse

from ..paired import MILLISECONDS, Baseline, Paired, Target, Unit, by_round
from ..script import client_script, server_script
from . import bench_client, bench_server
from .conftest import Sizes

NAMES = {Model.SEMI_HONEST: "semi-honest", Model.ACTIVE: "active"}
SMALL = {"n": 20, "graph": Sparse(8), "n_corrupt": 0, "t": 6, "min_joined": 16, "min_users": 15}


def found(n: int, sizes: Sizes, model: Model) -> dict[str, Any]:
    """`Params.sparse` for 5 % corrupt and 5 % dropouts; a small circle where all sizes are small."""
    if sizes.n < 100:
        return {**SMALL, "model": model}
    return Params.sparse(n, corrupt=n // 20, dropouts=n // 20, model=model).settings


@pytest.mark.parametrize(
    ("n", "model", "limit"),
    [(1_000, Model.SEMI_HONEST, 25), (10_000, Model.SEMI_HONEST, 40), (10_000, Model.ACTIVE, 150)],
    ids=["1000", "10000", "10000-active"],
)
def bench_sparse_client(paired: Paired, sizes: Sizes, n: int, model: Model, limit: int) -> None:
    settings = found(n, sizes, model)
    graphs = {
        "sparse": Params(**settings, m=sizes.m, modulus=1 << 24),
        "complete": Params(n=settings["n"], n_corrupt=settings["n_corrupt"], m=sizes.m, modulus=1 << 24, model=model),
    }
    scripts = {name: client_script(params) for name, params in graphs.items()}
    splits: list[dict[Round, float]] = []
    paired(
        f"client, {NAMES[model]}, n = {n:,}, degree {settings['graph'].degree}, {sizes.m:,} entries of 24 bits",
        lambda: splits.append(bench_client.play(scripts["sparse"], paired.timer)),
        Baseline("the complete graph", lambda: bench_client.play(scripts["complete"], paired.timer), MILLISECONDS),
        [MILLISECONDS],
        Target("ms", limit),
        rounds=5,
    )
    paired.note(rounds=by_round(splits))


def bench_sparse_server(paired: Paired, sizes: Sizes) -> None:
    """The ratio is the part of the time that AES alone would take for the masks."""
    settings = found(10_000, sizes, Model.SEMI_HONEST)
    n, degree = settings["n"], settings["graph"].degree
    dropped, seconds = n // 20, Unit("s", 1.0)
    script = server_script(Params(**settings, m=sizes.m, modulus=1 << 24), range(1, n, n // dropped))
    splits: list[dict[Round, float]] = []
    masks = (n - dropped) * (1 + degree * dropped / n)
    paired(
        f"server, n = {n:,}, degree {degree}, {dropped} dropped, {sizes.m:,} entries of 24 bits",
        lambda: splits.append(bench_server.play(script, paired.timer)),
        bench_server.keystream(int(3 * sizes.m * masks)),
        [seconds],
        Target("s", 4),
        rounds=3,
    )
    paired.note(rounds=by_round(splits))
