"""Writes graph.json: who stands where in sparse graphs, by pycryptodome.

python -m tests.vectors.make_graph
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from .make_primitives import hkdf
from .make_session import circle, number

COMMENT = (
    "The order on the circle of k users, of whom the i-th by id, from 0 on, has block i of AES-128 in counter mode as"
    " its key: seed = HKDF-SHA256(session, no salt, 'secagg graph v1', 32 bytes), the first half is AES's key, the"
    " second the first counter block, a big-endian number mod 2^128. order: positions by id, in ascending order of"
    " keys as bytes. order_sha256: over each position in 4 big-endian bytes, where there are too many to print."
)
SOURCE = "tests/vectors/make_graph.py: pycryptodome's HKDF and AES-ECB, Python's sorted()"
PRINTED = 40


def case(session: bytes, k: int) -> dict[str, Any]:
    order = circle(session, list(range(k)))
    digest = hashlib.sha256(b"".join(number(place, 4) for place in order)).hexdigest()
    seed = hkdf(session, 32, b"secagg graph v1").hex()
    printed = {"order": order} if k <= PRINTED else {}
    return {"session": session.hex(), "k": k, "seed": seed, **printed, "order_sha256": digest}


def carrying(k: int) -> bytes:
    """A session for which the last byte of the counter overflows within k blocks."""
    sessions = (hashlib.sha256(f"session {i}".encode()).digest() for i in range(10**6))
    return next(s for s in sessions if hkdf(s, 32, b"secagg graph v1")[-1] + k > 256)


if __name__ == "__main__":
    sizes = (1, 2, 3, 7, 40, 1_000, 10_000)
    cases = [case(hashlib.sha256(f"graph of {k}".encode()).digest(), k) for k in sizes]
    vectors = {"_comment": COMMENT, "source": SOURCE, "cases": [*cases, case(carrying(40), 40)]}
    Path(__file__).with_name("graph.json").write_text(json.dumps(vectors, indent=1) + "\n")
