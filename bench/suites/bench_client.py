"""A client's whole session with no dropouts, beside the key exchanges that it cannot avoid."""

from secagg import Params, Round

from ..baselines import openssl_exchanges
from ..paired import MILLISECONDS, Paired, Target, Timer, by_round
from ..paper.points import paper_split
from ..script import ClientScript, client_script
from .conftest import Sizes


def play(script: ClientScript, timer: Timer) -> dict[Round, float]:
    """Milliseconds of each round, as bytes come in until the answer is there."""
    client = script.client()
    split = {}
    start = timer()
    client.start()
    split[Round.ADVERTISE_KEYS] = timer() - start
    for current, request in script.requests.items():
        start = timer()
        if current is Round.MASKED_INPUT_COLLECTION:
            client.set_input(script.x)
        client.receive(request)
        split[current] = timer() - start
    assert client.finished
    return {current: 1e3 * seconds for current, seconds in split.items()}


def bench_client(paired: Paired, sizes: Sizes) -> None:
    script = client_script(Params(n=sizes.n, m=sizes.m, modulus=1 << 24, t=sizes.t))
    splits: list[dict[Round, float]] = []
    paired(
        f"client, n = {sizes.n}, {sizes.m:,} entries of 24 bits",
        lambda: splits.append(play(script, paired.timer)),
        openssl_exchanges(2 * (sizes.n - 1)),
        [MILLISECONDS],
        Target("ms", 250),
    )
    paired.note(paper_ms=paper_split("client"), rounds=by_round(splits))
