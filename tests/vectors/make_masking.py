"""Writes masking.json: known answers for mask expansion, computed with pycryptodome and Python integers alone.

Run from any directory: python -m tests.vectors.make_masking
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from Crypto.Cipher import AES
from Crypto.Util import Counter

MODULI = [2, 2**7, 2**8, 2**13, 2**16, 2**20, 2**24, 2**31, 2**32, 2**33, 2**40, 2**48, 2**55, 2**56, 2**63, 2**64]
MODULI += [3, 10, 2**24 - 3, 2**32 - 5, 2**32 + 15, 2**55 - 55, 2**55 + 3, 2**63 + 9, 2**64 - 59]
OFFSETS = [0, 1, 2**32 - 2, 2**64 - 8]

COMMENT = (
    "expand: elements offset .. offset + 7 of PRG(seed) mod modulus.  mask_sum: acc[i] = i mod modulus plus the signed "
    "masks.  selftest: the table of csrc/selftest.c, a hash of 300 elements, 0 plus 3 signed masks."
)
SOURCE = "tests/vectors/make_masking.py: AES-128 in counter mode by pycryptodome, all else with Python integers"


def keystream(seed: bytes, nonce: bytes, start: int, length: int) -> bytes:
    first = int.from_bytes(nonce + bytes(4), "big") + start // 16
    counter = Counter.new(128, initial_value=first % 2**128)
    stream = AES.new(seed, AES.MODE_CTR, counter=counter).encrypt(bytes(start % 16 + length))
    return stream[start % 16 :]


def elements(seed: bytes, nonce: bytes, modulus: int, offset: int, n: int) -> list[int]:
    power_of_two = modulus & (modulus - 1) == 0
    width = (modulus.bit_length() + 6) // 8 if power_of_two else 16
    stream = keystream(seed, nonce, width * offset, width * n)
    words = [int.from_bytes(stream[width * i : width * (i + 1)], "little") for i in range(n)]
    return [x % modulus if power_of_two else x * modulus >> 128 for x in words]


def signed_sum(
    acc: list[int], seeds: list[bytes], signs: list[int], nonce: bytes, modulus: int, offset: int
) -> list[int]:
    for seed, sign in zip(seeds, signs, strict=True):
        mask = elements(seed, nonce, modulus, offset, len(acc))
        acc = [(a + sign * m) % modulus for a, m in zip(acc, mask, strict=True)]
    return acc


def derived(label: str, length: int) -> bytes:
    return hashlib.shake_128(f"secagg masking vectors: {label}".encode()).digest(length)


def expand_cases() -> Iterator[dict[str, Any]]:
    for modulus in MODULI:
        for offset in OFFSETS:
            seed, nonce = derived(f"seed {modulus} {offset}", 16), derived(f"nonce {modulus} {offset}", 12)
            out = elements(seed, nonce, modulus, offset, 8)
            yield {"modulus": modulus, "offset": offset, "seed": seed.hex(), "nonce": nonce.hex(), "out": out}


def mask_sum_cases() -> Iterator[dict[str, Any]]:
    for modulus in MODULI:
        nonce = derived(f"sum nonce {modulus}", 12)
        seeds = [derived(f"sum seed {modulus} {j}", 16) for j in range(5)]
        signs = [1, -1, -1, 1, -1]
        acc = signed_sum([i % modulus for i in range(9)], seeds, signs, nonce, modulus, 3)
        hexes = [seed.hex() for seed in seeds]
        yield {"modulus": modulus, "offset": 3, "seeds": hexes, "signs": signs, "nonce": nonce.hex(), "acc": acc}


def selftest_cases() -> Iterator[dict[str, Any]]:
    """What secagg_selftest computes: h := 0x100000001B3 (h ^ acc[i]) mod 2^64 over i, from FNV's offset basis."""
    seeds = [bytes(range(16 * j, 16 * j + 16)) for j in range(3)]
    for modulus in [2**8, 2**16, 2**20, 2**32, 2**40, 2**47, 2**56, 2**64, 2**24 - 3, 2**63 + 9]:
        h = 0xCBF29CE484222325
        for a in signed_sum([0] * 300, seeds, [1, -1, 1], bytes(range(12)), modulus, 5):
            h = (h ^ a) * 0x100000001B3 % 2**64
        yield {"modulus": modulus, "hash": f"{h:016x}"}


def main() -> None:
    vectors = {
        "_comment": COMMENT,
        "source": SOURCE,
        "expand": list(expand_cases()),
        "mask_sum": list(mask_sum_cases()),
        "selftest": list(selftest_cases()),
    }
    lines = []
    for key, value in vectors.items():
        if isinstance(value, list):
            value = "[\n  " + ",\n  ".join(json.dumps(case) for case in value) + "\n]"
        else:
            value = json.dumps(value)
        lines.append(f"{json.dumps(key)}: {value}")
    Path(__file__).with_name("masking.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
