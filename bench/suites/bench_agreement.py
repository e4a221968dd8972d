"""Batched agreement of revealed keys, of one live key, and on X25519, beside OpenSSL one by one."""

from dataclasses import replace

import numpy as np
import pytest

from secagg import shamir
from secagg.codec import Octets
from secagg.primitives import KeyPair, agree_all, agree_pairs
from secagg.shamir import RandomBytes
from secagg.x25519 import exchange_all

from ..baselines import SECRETS, openssl_agreements, openssl_exchanges, openssl_pairs, openssl_x25519
from ..paired import Paired, Target, Unit
from ..script import replayable
from .conftest import Sizes, every_isa

POINTS = 64
RATIOS = {("portable", 100): 4, ("portable", 300): 5, ("avx2", 100): 10, ("avx2", 300): 14}


def target(isa: str, dropped: int) -> Target | None:
    ratio = RATIOS.get(("portable" if isa == "portable" else "avx2", dropped))
    return Target("ratio", ratio, at_least=True) if ratio else None


@every_isa("agreement")
@pytest.mark.parametrize("points", [3, 8, 32, 999])
def bench_exchange(paired: Paired, sizes: Sizes, isa: str, points: int) -> None:
    """One live key, and so many public ones; OpenSSL has loaded them already."""
    points = min(points, sizes.n)
    publics = np.stack([np.frombuffer(KeyPair.generate(replayable(u)).public, np.uint8) for u in range(points)])
    pair = KeyPair.from_secret(SECRETS[0])
    least = {"portable": None, "avx2": 1.7, "vaes512": 3}[isa] if points >= 32 else None
    paired(
        f"exchange, {isa}, {points} public keys",
        lambda: pair.agree_with(publics),
        openssl_exchanges(points),
        [Unit("us each", 1e6 / points)],
        Target("ratio", least, at_least=True) if least else None,
    )


@every_isa("agreement")
@pytest.mark.parametrize("points", [3, 8, 100])
@pytest.mark.parametrize("one", ["private key", "public key"])
def bench_x25519(paired: Paired, sizes: Sizes, isa: str, points: int, one: str) -> None:
    """One key of either kind, and so many of the other; OpenSSL has loaded them already."""
    points = min(points, sizes.n)
    secret, others = octets(replayable(0), 1), octets(replayable(1), points)
    least = {"portable": None, "avx2": 1.8, "vaes512": 4}[isa] if points >= 32 else None
    paired(
        f"X25519, {isa}, one {one}, {points} others",
        lambda: exchange_all(*((secret, others) if one == "private key" else (others, secret))),
        openssl_x25519(points),
        [Unit("us each", 1e6 / points)],
        Target("ratio", least, at_least=True) if least else None,
    )


def octets(rand: RandomBytes, k: int) -> Octets:
    return np.frombuffer(rand(32 * k), np.uint8).reshape(k, 32)


@every_isa("agreement")
@pytest.mark.parametrize("dropped", [1, 4, 10, 30, 100, 300])
def bench_agreement(paired: Paired, sizes: Sizes, isa: str, dropped: int) -> None:
    points = POINTS if sizes.n > 100 else 8
    secrets = shamir.random_scalars(dropped, replayable(1))
    publics = np.stack([np.frombuffer(KeyPair.generate(replayable(u)).public, np.uint8) for u in range(points)])
    products, few = points * dropped, 4 if dropped > 10 else points
    each = Unit("us each", 1e6 / products)
    baseline = replace(openssl_agreements([x.tobytes() for x in publics[:few]], dropped), parts=points / few)
    case = f"agreement, {isa}, {dropped} revealed keys"
    paired(case, lambda: agree_all(secrets, publics), baseline, [each], target(isa, dropped))


@every_isa("agreement")
@pytest.mark.parametrize("keys", [1, 3, 10])
def bench_pairs(paired: Paired, sizes: Sizes, isa: str, keys: int) -> None:
    """So many revealed keys a point, of a sparse graph's dropped users with 32 neighbours each."""
    points = 1024 if sizes.n > 100 else 64
    secrets = shamir.random_scalars(points * keys // 32, replayable(1))
    publics = np.stack([np.frombuffer(KeyPair.generate(replayable(u)).public, np.uint8) for u in range(points)])
    pairs = np.arange(points * keys)
    calls = secrets, publics, pairs // 32, pairs % points
    least = {"portable": None, "avx2": 3.6, "vaes512": 9}[isa] if keys == 3 else None
    paired(
        f"agreement of pairs, {isa}, {keys} revealed keys a point",
        lambda: agree_pairs(*calls),
        replace(openssl_pairs([x.tobytes() for x in publics[:32]], 32 * keys), parts=points / 32),
        [Unit("us each", 1e6 / len(pairs))],
        Target("ratio", least, at_least=True) if least else None,
    )
