"""What the active model costs beside the semi-honest one: the same sessions, with signatures and ConsistencyCheck."""

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from secagg import Model, Params, Roster, Round

from ..paired import MILLISECONDS, Baseline, Paired, Target, Unit, by_round
from ..script import client_script, identity, server_script
from . import bench_client, bench_server
from .conftest import Sizes, every_isa

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
    """The client checks n signatures in ShareKeys and again in Unmasking, all at once, and makes one in every round."""

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


RATIOS = {"portable": 1.5, "avx2": 4.0, "vaes512": 8.0}  # at least, of 1,000 signatures


@every_isa("signatures")
@pytest.mark.parametrize("count", [4, 16, 100, 1000])
def bench_verification(paired: Paired, sizes: Sizes, isa: str, count: int) -> None:
    """What most of it goes into, of so many users at once."""
    count = min(count, sizes.n)
    users, message = list(range(1, count + 1)), bytes(100)
    roster = Roster({u: identity(u).verification_key for u in users})
    signatures = [identity(u).sign(message) for u in users]
    publics = [Ed25519PublicKey.from_public_bytes(roster.key(u)) for u in users]

    def run() -> None:
        assert all(roster.verify_all(users, signatures, [message] * count))

    def alone() -> None:
        for public, signature in zip(publics, signatures, strict=True):
            public.verify(signature, message)

    each = Unit("us each", 1e6 / count)
    target = Target("ratio", RATIOS[isa], at_least=True) if count == 1000 else None
    paired(
        f"signatures verified, {isa}, {count} at once", run, Baseline("OpenSSL Ed25519", alone, each), [each], target
    )


@every_isa("signatures")
def bench_roster(paired: Paired, sizes: Sizes, isa: str) -> None:
    """Every key is a point of prime order: that takes about as long as a signature, once for a roster."""
    keys = {u: identity(u).verification_key for u in range(1, sizes.n + 1)}
    signature, message = identity(1).sign(b""), b""
    public = Ed25519PublicKey.from_public_bytes(keys[1])

    def verify() -> None:
        for _ in keys:
            public.verify(signature, message)

    each = Unit("us each", 1e6 / sizes.n)
    paired(f"a roster's keys, {isa}", lambda: Roster(keys), Baseline("OpenSSL Ed25519", verify, each), [each])
