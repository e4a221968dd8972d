"""The server's whole session: replayed with and without dropouts, and simulated with dropouts."""

from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from secagg import Params, Round, Simulation, _kernels, shamir, simulate
from secagg.protocol.simulate import expected_sum

from ..baselines import openssl_exchanges, openssl_keystream, openssl_server
from ..limit import REGISTER_BYTES, bare_aes
from ..paired import MILLISECONDS, Baseline, Paired, Target, Timer, by_round
from ..paper.points import paper_split
from ..script import ServerScript, random_input, server_script
from .conftest import WALL_CLOCK, Sizes


def play(script: ServerScript, timer: Timer, executor: Executor | None = None) -> dict[Round, float]:
    """Milliseconds of each round, from the first message's bytes to the requests of the next; on one thread, or those
    of an executor."""
    shamir._lagrange.cache_clear()
    server = script.server()
    server.executor = executor or server.executor
    split = {}
    for current, answers in script.answers.items():
        start = timer()
        server.receive_all(answers)
        server.end_round()
        split[current] = 1e3 * (timer() - start)
    assert np.array_equal(server.sum, script.sum)
    return split


def server_split(result: Simulation) -> dict[Round, float]:
    return {current: 1e3 * cost.server_seconds for current, cost in result.costs.items()}


def bench_server(paired: Paired, sizes: Sizes) -> None:
    script = server_script(Params(n=sizes.n, m=sizes.m, modulus=1 << 24, t=sizes.t))
    splits: list[dict[Round, float]] = []
    paired(
        f"server, n = {sizes.n}, {sizes.m:,} entries of 24 bits",
        lambda: splits.append(play(script, paired.timer)),
        openssl_server(keys=2 * sizes.n, keystream=3 * sizes.n * sizes.m),
        [MILLISECONDS],
        Target("ms", 600),
    )
    paired.note(paper_ms=paper_split("server"), rounds=by_round(splits))


def keystream(size: int) -> Baseline:
    """The keystream alone, a twentieth of it: as fast as the CPU can, or else as OpenSSL does."""
    isa, part = _kernels.isa_of("masks"), max(1, size // 20)
    baseline = bare_aes(isa, part) if isa in REGISTER_BYTES else openssl_keystream(part)
    return replace(baseline, parts=baseline.parts * size / part)


@pytest.mark.parametrize(("n", "dropped", "limit"), [(100, 10, 60), (1000, 300, 6000)], ids=["100-10", "1000-300"])
def bench_server_with_dropouts(paired: Paired, sizes: Sizes, n: int, dropped: int, limit: int) -> None:
    """The ratio is the part of the time that AES alone would take: of the limit, what is reached."""
    n, dropped = (n, dropped) if sizes.n >= n else (10, 2)
    script = server_script(Params(n=n, m=sizes.m, modulus=1 << 24), range(1, dropped + 1))
    splits: list[dict[Round, float]] = []
    paired(
        f"server, n = {n}, {dropped} dropped, {sizes.m:,} entries of 24 bits",
        lambda: splits.append(play(script, paired.timer)),
        keystream(3 * sizes.m * (n - dropped) * (dropped + 1)),
        [MILLISECONDS],
        Target("ms", limit),
        rounds=5 if n == 1000 else 15,
    )
    paired.note(rounds=by_round(splits))


@WALL_CLOCK
def bench_server_on_two_threads(paired: Paired, sizes: Sizes) -> None:
    n, dropped = (400, 100) if sizes.n > 400 else (10, 2)
    script = server_script(Params(n=n, m=sizes.m, modulus=1 << 24), range(1, dropped + 1))
    with ThreadPoolExecutor(2) as pool:
        paired(
            f"server on two threads, n = {n}, {dropped} dropped, {sizes.m:,} entries of 24 bits",
            lambda: play(script, paired.timer, pool),
            Baseline("one thread", lambda: play(script, paired.timer), MILLISECONDS),
            [MILLISECONDS],
            Target("ratio", 1.8, at_least=True, why="others use the second core where the load is not 0"),
            rounds=9,
        )


def bench_simulation_with_dropouts(paired: Paired, sizes: Sizes) -> None:
    """Everyone's work, in one process; `rounds` shows the server's part."""
    n, dropped = (100, 10) if sizes.n > 100 else (10, 1)
    params = Params(n=n, m=sizes.m, modulus=1 << 24)
    inputs = {u: random_input(params, u) for u in range(1, n + 1)}
    results: list[Simulation] = []

    def run() -> Simulation:
        results.append(simulate(params, inputs, drops={Round.MASKED_INPUT_COLLECTION: range(1, dropped + 1)}))
        return results[-1]

    exchanges = 2 * n * (n - 1) + dropped * (n - dropped)
    case = f"simulation, n = {n}, {dropped} dropped, {sizes.m:,} entries of 24 bits"
    last = paired(case, run, openssl_exchanges(exchanges), [MILLISECONDS], rounds=5)
    assert np.array_equal(last.sum, expected_sum(params, inputs, last.survivors))
    paired.note(rounds=by_round([server_split(result) for result in results]))
