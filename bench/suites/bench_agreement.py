"""Batched agreement of revealed keys, from x-coordinates to x-coordinates, beside OpenSSL one by one."""

from dataclasses import replace

import numpy as np
import pytest

from secagg import shamir
from secagg.primitives import KeyPair, agree_all

from ..baselines import openssl_agreements
from ..paired import Paired, Target, Unit
from ..script import replayable
from .conftest import Sizes, every_isa

POINTS = 64
RATIOS = {("portable", 100): 4, ("portable", 300): 5, ("avx2", 100): 10, ("avx2", 300): 14}


def target(isa: str, dropped: int) -> Target | None:
    ratio = RATIOS.get(("portable" if isa == "portable" else "avx2", dropped))
    return Target("ratio", ratio, at_least=True) if ratio else None


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
