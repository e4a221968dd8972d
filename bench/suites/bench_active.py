"""What the active model costs beside the semi-honest one: the same sessions, with signatures and ConsistencyCheck."""

from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from secagg import Model, Params, Roster, Round

from ..paired import MILLISECONDS, Baseline, Paired, Unit, by_round
from ..script import client_script, identity, server_script
from . import bench_client, bench_server
from .conftest import Sizes

Split = dict[Round, float]


def compare(paired: Paired, sizes: Sizes, role: str, player: Callable[[Params], Callable[[], Split]]) -> None:
    """Times a role in both models in turn, `player` making what plays one session."""
    play = {
        model: player(Params(n=sizes.n, m=sizes.m, modulus=1 << 24, t=sizes.t, model=model))
        for model in (Model.ACTIVE, Model.SEMI_HONEST)
    }
    splits: dict[Model, list[Split]] = {model: [] for model in play}
    case = f"{role}, n = {sizes.n}, {sizes.m:,} entries of 24 bits"
    paired(
        f"{case}, active",
        lambda: splits[Model.ACTIVE].append(play[Model.ACTIVE]()),
        Baseline("semi-honest", lambda: splits[Model.SEMI_HONEST].append(play[Model.SEMI_HONEST]()), MILLISECONDS),
        [MILLISECONDS],
    )
    paired.note(rounds=by_round(splits[Model.ACTIVE]))
    paired.note(beside={"case": f"{case}, semi-honest", "rounds": by_round(splits[Model.SEMI_HONEST])})


def bench_client_in_both_models(paired: Paired, sizes: Sizes) -> None:
    """The client checks n signatures in ShareKeys and again in Unmasking, and makes one in every round."""

    def player(params: Params) -> Callable[[], Split]:
        script = client_script(params)
        return lambda: bench_client.play(script, paired.timer)

    compare(paired, sizes, "client", player)


def bench_server_in_both_models(paired: Paired, sizes: Sizes) -> None:
    """The server checks n signatures in every round."""

    def player(params: Params) -> Callable[[], Split]:
        script = server_script(params)
        return lambda: bench_server.play(script, paired.timer)

    compare(paired, sizes, "server", player)


def bench_verification(paired: Paired, sizes: Sizes) -> None:
    """What most of it goes into."""
    count, message = sizes.n, bytes(100)
    user = identity(1)
    roster, signature = Roster({1: user.verification_key}), user.sign(message)
    public = Ed25519PublicKey.from_public_bytes(user.verification_key)

    def run() -> None:
        for _ in range(count):
            assert roster.verify(1, signature, message)

    def alone() -> None:
        for _ in range(count):
            public.verify(signature, message)

    each = Unit("us each", 1e6 / count)
    paired("a signature verified", run, Baseline("OpenSSL Ed25519", alone, each), [each])
