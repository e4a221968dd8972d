#!/usr/bin/env python3
"""Counts what the ARMv8 mask kernel executes, under qemu: python3 ci/count_aes.py KERNEL COMPILER...

KERNEL is csrc/mask/mask_armv8.c, COMPILER one for aarch64 with its flags.  An emulator cannot tell how fast an ARM core
is, and this says nothing of it.  It says that the kernel gives a core what that needs to be fast, in every way that
keystream is added up: no more pairs of AESE and AESMC than the keystream takes, each pair as one (cores fuse an AESE
with the AESMC that follows it on the same register), enough blocks in flight for the pairs' latency, and no registers
spilled.  It says, too, that no branch depends on a seed, since valgrind, which says so of other kernels, has none of
these instructions.  Ends with 1, and sentences, if not."""

import hashlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# R as secagg.h takes it and the bytes of keystream an element, for each loop of csrc/mask/mask.inc.
WAYS = {
    "lanes of 8 bits": (1 << 8, 1),
    "lanes of 16 bits": (1 << 16, 2),
    "lanes of 32 bits": (1 << 32, 4),
    "lanes of 64 bits": (0, 8),
    "bytes": (1 << 24, 3),
    "residues, lazily": ((1 << 24) - 3, 16),
    "residues": ((1 << 63) + 9, 16),
}
BLOCKS, SEEDS = 1250, 2  # of keystream for each seed: some tiles of csrc/mask/mask.inc
SEED_BYTES = (110, 201)  # of as many digits, since the program reads them on its way
PAIRS_A_BLOCK = 9  # AES-128 has ten rounds, and the last has no MixColumns

# A round too many for each block would be 1.11; what is above 1 is the end of the last group of blocks.
MOST_PAIRS = 1.05  # of those needed
# Latencies are 2 to 4 cycles, and cores start 1 to 4 pairs a cycle (most of them at most 2).
LEAST_IN_FLIGHT = 8
# Registers are saved and counters kept on the stack for each seed and tile, but not for each group of 12 blocks.
MOST_STACK = 0.5  # accesses a block

_TRANSLATED = re.compile(r"0x([0-9a-f]+):\s+[0-9a-f]{8}\s+(\S+)\s*(.*)")
_EXECUTED = re.compile(r"Trace \d+: \S+ \[[0-9a-f]+/([0-9a-f]+)/")

Run = list[tuple[str, str]]  # opcodes and operands of instructions that follow each other


@dataclass
class Counts:
    """What one mask sum executed."""

    pairs: int = 0
    parted: int = 0  # AESMC that does not follow an AESE on its register
    in_flight: int = sys.maxsize  # the fewest pairs from one of a block to the next one of that block
    stack: int = 0
    path: bytes = b""  # a hash of the way through the code


def build(kernel: Path, compiler: list[str], program: Path) -> None:
    sources = [kernel, ROOT / "tests/c/count_aes.c"]
    includes = [f"-I{ROOT / folder}" for folder in ("secagg/include", "csrc", "csrc/mask")]
    subprocess.run([*compiler, "-static", *includes, *sources, "-o", program], check=True)


def executed(log: Path) -> Iterator[tuple[str, Run]]:
    """The runs that qemu translated, each with its address, in the order in which it executed them."""
    runs: dict[int, Run] = {}
    run: Run | None = None
    for line in log.open():
        if line.startswith("IN:"):
            run = None
        elif instruction := _TRANSLATED.match(line):
            if run is None:
                run = runs[int(instruction[1], 16)] = []
            run.append((instruction[2], instruction[3]))
        elif trace := _EXECUTED.match(line):
            yield trace[1], runs[int(trace[1], 16)]


def count(log: Path) -> Counts:
    counts = Counts()
    pair_of: dict[str, int] = {}  # the number of the last pair on each register
    before = ("", "")
    path = hashlib.sha256()
    for address, run in executed(log):
        path.update(address.encode())
        for opcode, operands in run:
            if opcode == "aesmc":
                register, source = operands.split(", ")
                counts.parted += (before[0], before[1].split(", ")[0], source) != ("aese", register, register)
                counts.in_flight = min(counts.in_flight, counts.pairs - pair_of.get(register, -sys.maxsize))
                pair_of[register] = counts.pairs
                counts.pairs += 1
            elif "[sp" in operands or "[x29" in operands:
                counts.stack += 1
            before = (opcode, operands)
    counts.path = path.digest()
    return counts


def faults(counts: Counts, other: Counts, blocks: int) -> Iterator[str]:
    if counts.pairs == 0:
        yield "no AES instruction was executed, or this qemu does not disassemble"
    if counts.pairs > MOST_PAIRS * PAIRS_A_BLOCK * blocks:
        yield f"more than {MOST_PAIRS} of the pairs that the keystream needs"
    if counts.parted:
        yield f"{counts.parted} AESMC do not follow the AESE of their register"
    if counts.in_flight < LEAST_IN_FLIGHT:
        yield f"fewer than {LEAST_IN_FLIGHT} blocks in flight"
    if counts.stack > MOST_STACK * blocks:
        yield f"more than {MOST_STACK} accesses to the stack for a block"
    if counts.path != other.path:
        yield "another way through the code for other seeds"


def watch(program: Path, log: Path, modulus: int, width: int, seed: int) -> Counts:
    qemu = ["qemu-aarch64", "-cpu", "max", "-d", "in_asm,exec,nochain", "-D", str(log)]
    subprocess.run([*qemu, program, *map(str, (modulus, width, BLOCKS * 16 // width, SEEDS, seed))], check=True)
    return count(log)


def main(kernel: str, *compiler: str) -> int:
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "count_aes"
        build(Path(kernel), list(compiler), program)
        for way, (modulus, width) in WAYS.items():
            counts, other = (watch(program, Path(folder) / "log", modulus, width, seed) for seed in SEED_BYTES)
            blocks = BLOCKS * SEEDS
            pairs, stack = counts.pairs / (PAIRS_A_BLOCK * blocks), counts.stack / blocks
            print(f"{way}: {pairs:.3f} of the pairs needed, {counts.in_flight} in flight, stack {stack:.2f} a block")
            for fault in faults(counts, other, blocks):
                wrong = 1
                print(f"{way}: {fault}")
    return wrong


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
