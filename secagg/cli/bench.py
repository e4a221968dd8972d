"""`secagg bench`: the speed of the kernels; OpenSSL is measured before each measurement."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Annotated, Any

import numpy as np
import typer
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from .. import __version__, _kernels, masking, shamir, vector
from .app import require
from .console import modulus_text, show, show_json, table
from .info import cpu_model
from .numbers import integer_option

WIDTHS = (8, 16, 24, 32, 40, 64)
ANY_MODULUS = (1 << 24) - 3
SHAMIR_N, SHAMIR_T = 1000, 667
BASELINE_CHUNK = 256 * 1024
BASELINE_BYTES = 16 << 20


@dataclass(frozen=True)
class Kernel:
    """A kernel that is timed.

    Attributes:
        name: of the kernel.
        modulus: R.
        entries: of a vector.
        entry_bytes: bytes that the kernel handles for one entry.
        keystream: whether the bytes are keystream, so that OpenSSL's rate is comparable.
        run: handles one vector as often as it is told.
    """

    name: str
    modulus: int
    entries: int
    entry_bytes: float
    keystream: bool
    run: Callable[[int], None]


def bench(
    length: Annotated[int, integer_option(help="Entries of each vector.")] = 100_000,
    seeds: Annotated[
        int, integer_option(help="Masks added, or vectors handled, in one measurement (the portable kernels: a tenth).")
    ] = 100,
    repeat: Annotated[int, integer_option(help="Measurements of each kind; medians are shown.")] = 9,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Measure the kernels on one thread, each instruction set of this CPU beside OpenSSL's AES-128-CTR.

    GB/s are 10^9 bytes a second, of keystream for mask_sum and expand and of packed bytes for packed_add. `x` is the
    ratio to OpenSSL, which is measured in turns with the kernel (one encryptor, update_into of 256 KB). `ns` is the
    time for one entry. The command takes about ten seconds.

    \b
    Example:
      secagg bench --length 20000 --seeds 500 --repeat 9
    """
    for option, value in (("--length", length), ("--seeds", seeds), ("--repeat", repeat)):
        require(value >= 1, f"{option} must be at least 1, got {value}")
    report = {
        "secagg": __version__,
        "cpu": cpu_model(),
        "length": length,
        "seeds": seeds,
        "repeat": repeat,
        "preferred": preferred(),
        "kernels": [measure_kernel(kernel, seeds, repeat) for kernel in kernels(length, seeds)],
        "shamir": measure_shamir(repeat),
    }
    show_json(report) if json else show_report(report)


def preferred() -> dict[str, dict[str, str]]:
    """By subject, the row that it takes, and why it prefers the row that it does on this CPU."""
    return {s: {"row": _kernels.isa_of(s), "reason": _kernels.isa_reason(s)} for s in _kernels.SUBJECTS}


def kernels(entries: int, seeds: int) -> Iterator[Kernel]:
    """The kernels that are measured, in the order of the table."""
    moduli = [*(1 << bits for bits in WIDTHS), ANY_MODULUS]
    yield from (mask_sum_kernel(modulus, entries, seeds) for modulus in moduli)
    yield from (expand_kernel(modulus, entries) for modulus in (1 << 24, ANY_MODULUS))
    yield from (packed_add_kernel(1 << bits, entries) for bits in (16, 24, 32))


def mask_sum_kernel(modulus: int, entries: int, seeds: int) -> Kernel:
    """Adds the masks of many seeds to a vector."""
    acc = np.zeros(entries, vector.dtype(modulus))
    keys = np.random.default_rng(0).integers(0, 256, (seeds, masking.SEED_BYTES), np.uint8)
    signs = np.where(np.arange(seeds) % 2, 1, -1).astype(np.int8)

    def run(count: int) -> None:
        masking.mask_sum(acc, keys[:count], signs[:count], modulus=modulus)

    return Kernel("mask_sum", modulus, entries, keystream_bytes(modulus), True, run)


def expand_kernel(modulus: int, entries: int) -> Kernel:
    """Expands one seed into a vector."""

    def run(count: int) -> None:
        for i in range(count):
            masking.expand(entries, i.to_bytes(masking.SEED_BYTES, "big"), modulus=modulus)

    return Kernel("expand", modulus, entries, keystream_bytes(modulus), True, run)


def packed_add_kernel(modulus: int, entries: int) -> Kernel:
    """Adds a packed vector to a vector."""
    acc = np.zeros(entries, vector.dtype(modulus))
    rng = np.random.default_rng(0)
    packed = vector.pack(rng.integers(0, modulus, entries, acc.dtype), modulus)

    def run(count: int) -> None:
        for _ in range(count):
            vector.packed_add(acc, packed, modulus)

    return Kernel("packed_add", modulus, entries, packed.size / entries, False, run)


def keystream_bytes(modulus: int) -> int:
    """Bytes of keystream for one entry (architecture, decision 4)."""
    power_of_two = modulus & (modulus - 1) == 0
    return (modulus.bit_length() + 6) // 8 if power_of_two else 16


def measure_kernel(kernel: Kernel, seeds: int, repeat: int) -> dict[str, Any]:
    """Rates of every instruction set and of OpenSSL, in GB/s: medians of `repeat`."""
    openssl = openssl_keystream()
    baselines: list[float] = []
    isas = {}
    for isa in _kernels.isa_available():
        count = max(1, seeds // 10) if isa == "portable" else seeds
        size = count * kernel.entries * kernel.entry_bytes
        ours = partial(kernel.run, count)
        with using(isa):
            ours()
            pairs = [(rate(openssl, BASELINE_BYTES), rate(ours, size)) for _ in range(repeat)]
        baselines += (baseline for baseline, _ in pairs)
        isas[isa] = summarize(kernel, pairs)
    return {
        "kernel": kernel.name,
        "modulus": kernel.modulus,
        "openssl_gb_per_s": median(baselines),
        "instruction_sets": isas,
    }


def summarize(kernel: Kernel, pairs: list[tuple[float, float]]) -> dict[str, float]:
    """Medians of pairs of OpenSSL's rate and the kernel's, in GB/s."""
    speed = median(ours for _, ours in pairs)
    figures = {"gb_per_s": speed, "ns_per_entry": kernel.entry_bytes / speed}
    if kernel.keystream:
        figures["ratio"] = median(ours / baseline for baseline, ours in pairs)
    return figures


def rate(work: Callable[[], object], size: float) -> float:
    """The rate, in GB/s, at which `work` handles `size` bytes."""
    return size / seconds(work) / 1e9


def seconds(work: Callable[[], object]) -> float:
    """The time that `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def openssl_keystream() -> Callable[[], None]:
    """Generates BASELINE_BYTES of AES-128-CTR keystream in the fastest way that `cryptography` has."""
    encryptor = Cipher(algorithms.AES(bytes(16)), modes.CTR(bytes(16))).encryptor()
    zeros, out = bytes(BASELINE_CHUNK), bytearray(BASELINE_CHUNK + 15)

    def run() -> None:
        for _ in range(BASELINE_BYTES // BASELINE_CHUNK):
            encryptor.update_into(zeros, out)

    run()
    return run


@contextmanager
def using(isa: str) -> Iterator[None]:
    """Use this instruction set for a while."""
    before = _kernels.isa()
    _kernels.isa_use(isa)
    try:
        yield
    finally:
        _kernels.isa_use(before)


def measure_shamir(repeat: int) -> dict[str, Any]:
    """Median seconds of a client's and the server's work with shares in a session of SHAMIR_N users."""
    xs = np.arange(1, SHAMIR_N + 1, dtype=np.uint32)
    secret = shamir.random_scalars(1)
    shares = shamir.random_scalars(SHAMIR_T * SHAMIR_N).reshape(SHAMIR_T, SHAMIR_N, shamir.SCALAR_BYTES)
    coefficients = np.empty((SHAMIR_T, shamir.SCALAR_BYTES), np.uint8)
    recovered = np.empty(shares.shape[1:], np.uint8)
    work: dict[str, Callable[[], object]] = {
        "share_one_secret": lambda: shamir.share(secret, SHAMIR_T, xs),
        "lagrange_coefficients": lambda: _kernels.shamir_lagrange(coefficients, xs[:SHAMIR_T]),
        "reconstruct_n_secrets": lambda: _kernels.shamir_combine(recovered, coefficients, shares),
    }
    times = {name: median(seconds(step) for _ in range(repeat)) for name, step in work.items()}
    return {"n": SHAMIR_N, "t": SHAMIR_T, "seconds": times}


def show_report(report: dict[str, Any]) -> None:
    """Print the report as two tables."""
    isas = list(_kernels.isa_available())
    rates = table("GB/s", "mod", "OpenSSL", *(column for isa in isas for column in (isa, "x")), f"{isas[-1]} ns")
    for row in report["kernels"]:
        rates.add_row(*rate_cells(row, isas))
    times = table(f"Shamir, n = {SHAMIR_N}, t = {SHAMIR_T}", "ms")
    for name, value in report["shamir"]["seconds"].items():
        times.add_row(name.replace("_", " "), f"{1e3 * value:.2f}")
    rows = table("takes", "row", "why its first choice here is what it is")
    for subject, choice in report["preferred"].items():
        rows.add_row(subject, choice["row"], choice["reason"])
    show(
        f"{report['cpu']}; {report['length']:,} entries, {report['seeds']} seeds, medians of {report['repeat']}\n",
        rates,
        "",
        times,
        "",
        rows,
    )


def rate_cells(row: dict[str, Any], isas: list[str]) -> list[str]:
    """A kernel's row of the table."""
    cells = [row["kernel"], modulus_text(row["modulus"]), f"{row['openssl_gb_per_s']:.2f}"]
    for isa in isas:
        figures = row["instruction_sets"][isa]
        cells += [f"{figures['gb_per_s']:.2f}", f"{figures['ratio']:.2f}" if "ratio" in figures else ""]
    return [*cells, f"{row['instruction_sets'][isas[-1]]['ns_per_entry']:.3f}"]
