"""Whether the time of an agreement tells the private key: `python -m bench.key_timing`, in about four minutes.

As dudect does (see bench.noise_timing): one key and random keys take turns in no order, each agrees with four points of
its curve, and the times of both classes are compared by Welch's t-test, cropped at several percentiles. Beside each key
stands a control, random keys against random keys: on a machine that does other things, it shows what t comes to without
a difference. A key is told apart if its |t| is beyond 4.5 and beyond twice the control's.
"""

import argparse
import gc
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import perf_counter_ns

import numpy as np

from secagg import _kernels, shamir, x25519
from secagg.codec import Octets
from secagg.primitives import KeyPair
from secagg.shamir import Q

from .machine import machine_lines
from .noise_timing import TOLD_APART, largest_t
from .tables import table

POINTS = 4


@dataclass(frozen=True)
class Curve:
    """What is measured.

    Attributes:
        name: the curve's.
        keys: by name, keys whose digits are all alike, or whose bits are.
        draw: so many random private keys.
        publics: so many random public keys.
        exchange: the kernel, which takes agreed[k, 32], valid[k], a private key and public[k, 32].
    """

    name: str
    keys: dict[str, bytes] = field(repr=False)
    draw: Callable[[int], Octets]
    publics: Callable[[int], Octets]
    exchange: Callable[[Octets, Octets, Octets, Octets], None]


def _drawn(k: int) -> Octets:
    return np.frombuffer(os.urandom(32 * k), np.uint8).reshape(k, 32).copy()


P256 = Curve(
    "P-256",
    {
        name: key.to_bytes(32, "big")
        for name, key in {
            "1": 1,
            "q - 1": Q - 1,
            "2^254": 1 << 254,
            "2^255 - 1": (1 << 255) - 1,
            "digits of 1": sum(33 << 5 * i for i in range(51)) % Q | 1,
        }.items()
    },
    lambda k: shamir.random_scalars(k, os.urandom),
    lambda k: np.stack([np.frombuffer(KeyPair.generate(os.urandom).public, np.uint8) for _ in range(k)]),
    lambda agreed, valid, key, publics: _kernels.p256_exchange(agreed, valid, key, publics),
)
X25519 = Curve(
    "X25519",
    {
        name: key.to_bytes(32, "little")
        for name, key in {"0": 0, "2^256 - 1": (1 << 256) - 1, "bits in turn": (1 << 256) // 3}.items()
    },
    _drawn,
    lambda k: x25519.public_keys(_drawn(k)),
    lambda agreed, valid, key, publics: _kernels.x25519_exchange(agreed, valid, key.reshape(1, 32), publics),
)
CURVES = (P256, X25519)


@dataclass(frozen=True)
class Measured:
    """One class of keys beside random ones.

    Attributes:
        median: nanoseconds of an agreement with all points.
        t: how far both classes are apart.
    """

    median: float
    t: float


def measure(curve: Curve, key: bytes | None, turns: int) -> Measured:
    """`key` beside random keys; random keys of one class beside those of another if it is None."""
    publics = curve.publics(POINTS)
    agreed, made = np.empty((POINTS, 32), np.uint8), np.empty(POINTS, np.uint8)
    chosen = np.random.default_rng().random(turns) < 0.5
    keys = curve.draw(turns)
    if key is not None:
        keys[chosen] = np.frombuffer(key, np.uint8)
    times = np.empty(turns)
    gc.disable()
    for i in range(turns):
        secret = keys[i]
        start = perf_counter_ns()
        curve.exchange(agreed, made, secret, publics)
        times[i] = perf_counter_ns() - start
    gc.enable()
    return Measured(float(np.median(times)), largest_t(times[chosen], times[~chosen]))


def told_apart(t: float, control: float) -> bool:
    return abs(t) > max(TOLD_APART, 2 * abs(control))


def lines(turns: int) -> Iterator[str]:
    yield from machine_lines("time.perf_counter_ns", os.getloadavg()[0], ("numpy",))
    yield f"{turns:,} agreements with {POINTS} points for each line.\n"
    yield from table(("kernel, curve, key", "median, ns", "t", "t of the control", "told apart"), list(rows(turns)))


def rows(turns: int) -> Iterator[tuple[str, ...]]:
    before = _kernels.isa()
    for isa in _kernels.isa_with("agreement"):
        _kernels.isa_use(isa)
        for curve, name in [(each, name) for each in CURVES for name in each.keys]:
            found, control = measure(curve, curve.keys[name], turns), measure(curve, None, turns)
            told = "**yes**" if told_apart(found.t, control.t) else "no"
            yield f"{isa}, {curve.name}, {name}", f"{found.median:,.0f}", f"{found.t:.1f}", f"{control.t:.1f}", told
    _kernels.isa_use(before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=50_000)
    print("\n".join(lines(parser.parse_args().turns)))


if __name__ == "__main__":
    main()
