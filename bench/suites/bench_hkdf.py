"""Seeds of pairwise masks in one call beside `cryptography`'s HKDF, one call a seed."""

import numpy as np

from secagg.primitives import mask_seed, mask_seeds

from ..paired import Baseline, Paired, Target, Unit
from .conftest import Sizes, every_isa

SESSION = bytes(range(32))


def us_each(seeds: int) -> Unit:
    return Unit("us each", 1e6 / seeds)


@every_isa("hkdf")
def bench_mask_seeds(paired: Paired, sizes: Sizes, isa: str) -> None:
    """As many as 100 dropped users leave behind; the baseline derives the first of them."""
    count, few = 100 * sizes.n, sizes.n
    agreed = np.random.default_rng(0).integers(0, 256, (count, 32), np.uint8)
    us, vs = np.full(count, 7, np.uint32), np.arange(1, count + 1, dtype=np.uint32)
    keys = [key.tobytes() for key in agreed[:few]]

    def one_by_one() -> bytes:
        return b"".join(mask_seed(key, SESSION, 7, v) for v, key in enumerate(keys, 1))

    baseline = Baseline("cryptography's HKDF", one_by_one, us_each(few), parts=count / few)
    target = None if isa == "portable" else Target("us each", 0.5)
    case = f"mask_seeds, {isa}"
    seeds = paired(case, lambda: mask_seeds(agreed, SESSION, us, vs), baseline, [us_each(count)], target)
    assert seeds[:few].tobytes() == one_by_one()
