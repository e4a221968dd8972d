"""Writes primitives.json with pycryptodome alone, from the definitions in `secagg.primitives`' docstrings.

python -m tests.vectors.make_primitives
"""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from Crypto.Cipher import AES
from Crypto.Hash import HMAC, SHA256
from Crypto.Protocol.KDF import HKDF
from Crypto.PublicKey import ECC

Q = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # the order of the group


def secret(name: str) -> int:
    return int.from_bytes(sha256(name.encode()).digest(), "big") % Q


def hkdf(agreed: bytes, size: int, info: bytes) -> bytes:
    derived = HKDF(agreed, size, b"", SHA256, context=info)
    assert isinstance(derived, bytes)
    return derived


def expand(prk: bytes, size: int, info: bytes) -> bytes:
    assert size <= 32
    return HMAC.new(prk, info + b"\1", SHA256).digest()[:size]


def info(purpose: str, session: bytes, *users: int) -> bytes:
    return b"secagg v1 " + purpose.encode() + b"\0" + session + b"".join(u.to_bytes(4, "big") for u in users)


def case(u: int, v: int) -> dict[str, Any]:
    sk_u, sk_v = secret(f"user {u}"), secret(f"user {v}")
    key_u, key_v = (ECC.construct(curve="P-256", d=sk) for sk in (sk_u, sk_v))
    agreed = int((key_v.pointQ * sk_u).x).to_bytes(32, "big")
    session = sha256(f"session {u} {v}".encode()).digest()
    key = hkdf(agreed, 28, info("share", session, u, v))
    plaintext = bytes(range(72))
    ciphertext, tag = AES.new(key[:16], AES.MODE_GCM, nonce=key[16:]).encrypt_and_digest(plaintext)
    b = secret(f"b of {u}").to_bytes(32, "big")
    prk = HMAC.new(session, b, SHA256).digest()
    return {
        "u": u,
        "v": v,
        "sk_u": sk_u.to_bytes(32, "big").hex(),
        "pk_u": int(key_u.pointQ.x).to_bytes(32, "big").hex(),
        "pk_v": int(key_v.pointQ.x).to_bytes(32, "big").hex(),
        "agreed": agreed.hex(),
        "session": session.hex(),
        "share_key": key.hex(),
        "mask_seed": hkdf(agreed, 16, info("mask", session, min(u, v), max(u, v))).hex(),
        "plaintext": plaintext.hex(),
        "ciphertext": (ciphertext + tag).hex(),
        "b": b.hex(),
        "self_mask_seed": expand(prk, 16, info("self mask", session, u)).hex(),
        "commitment": expand(prk, 32, info("commitment", session, u)).hex(),
    }


if __name__ == "__main__":
    vectors = {
        "_comment": "Key agreement, derivations and authenticated encryption of one pair of users in one session.",
        "source": "make_primitives.py, with pycryptodome",
        "cases": [case(u, v) for u, v in ((1, 2), (2, 1), (7, 3), (1, 2**32 - 1))],
    }
    Path(__file__).with_name("primitives.json").write_text(json.dumps(vectors, indent=1) + "\n")
