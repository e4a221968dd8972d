"""Writes session.json: whole sessions of Fig. 4, semi-honest, computed with pycryptodome, hashlib and Python integers.

Run from any directory: python -m tests.vectors.make_session
"""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from Crypto.Cipher import AES
from Crypto.Hash import HMAC, SHA256
from Crypto.PublicKey import ECC

from .make_masking import signed_sum
from .make_primitives import Q, expand, hkdf, info
from .make_shamir import polynomial_at

COMMENT = (
    "Every message of three users and the server, or of seven in a sparse graph, the last user dropping out before"
    " MaskedInputCollection. circle: the users in the order in which they stand. A sum is right with any masks that"
    " cancel, so only these bytes pin which masks a round uses: without the self mask, with another counter, with the"
    " signs swapped or with another session id, two parties of the same program agree all the same. rand: what a user"
    " draws, its secret seed. c_sk and s_sk follow from it, and from it and the request of ShareKeys b and the"
    " coefficients for s_sk and b."
)
SOURCE = "tests/vectors/make_session.py: pycryptodome, hashlib and Python integers"
NO_ITEMS, NO_ROSTER = b"\0\0\0\0", b"\0"
M, T = 5, 2


def number(value: int, size: int) -> bytes:
    return value.to_bytes(size, "big")


def sized(prefix: int, value: bytes) -> bytes:
    return number(len(value), prefix) + value


def ids(users: list[int]) -> bytes:
    return sized(4, b"".join(number(u, 4) for u in users))


def listed(users: list[int]) -> bytes:
    """As ids or as a bitmap, in which u is bit u - 1, counted from the least significant bit of the first byte on."""
    bits = sum(1 << u - 1 for u in users)
    bitmap = bits.to_bytes((bits.bit_length() + 7) // 8, "little")
    return b"\1" + sized(4, bitmap) if len(bitmap) < 4 * len(users) else b"\0" + ids(users)


def encode_params(params: dict[str, Any]) -> bytes:
    sizes = {"n": 4, "m": 8, "modulus": 9, "max_value": 9, "room": 9, "model": 1, "threat": 1}
    sizes |= {"n_corrupt": 4, "t": 4, "min_users": 4, "degree": 4, "min_joined": 4}
    integers = b"".join(number(params[name], size) for name, size in sizes.items())
    return integers + sized(1, bytes.fromhex(params["nonce"])) + sized(2, bytes.fromhex(params["context"]))


def scalars(label: str, n: int) -> list[int]:
    return [int.from_bytes(hashlib.sha256(f"{label} {i}".encode()).digest(), "big") % Q for i in range(n)]


def drawn(seed: bytes, setup: bytes, round_: int, request: bytes | None, n: int) -> list[int]:
    """The first n scalars of a round's stream: AES-256 in counter mode, none of them q or more."""
    digest = b"" if request is None else hashlib.sha256(request).digest()
    key = hkdf(seed, 32, b"secagg v1 randomness\0" + setup + bytes([round_]) + digest)
    stream = AES.new(key, AES.MODE_CTR, nonce=b"", initial_value=0).encrypt(bytes(32 * n))
    values = [int.from_bytes(stream[i : i + 32], "big") for i in range(0, len(stream), 32)]
    assert all(value < Q for value in values)
    return values


@dataclass
class User:
    u: int
    x: list[int]
    seed: bytes
    e: dict[int, bytes] = field(default_factory=dict)

    def advertise(self, setup: bytes) -> None:
        self.c_sk, self.s_sk = drawn(self.seed, setup, 0, None, 2)

    def share(self, setup: bytes, request: bytes) -> None:
        self.b, *self.coefficients = drawn(self.seed, setup, 1, request, 1 + 2 * (T - 1))

    @property
    def keys(self) -> bytes:
        return public(self.c_sk) + public(self.s_sk)

    def share_of_s_sk(self, v: int) -> bytes:
        return number(polynomial_at(v, self.s_sk, self.coefficients[: T - 1]), 32)

    def share_of_b(self, v: int) -> bytes:
        return number(polynomial_at(v, self.b, self.coefficients[T - 1 :]), 32)


def public(sk: int) -> bytes:
    return number(int(ECC.construct(curve="P-256", d=sk).pointQ.x), 32)


def agree(sk: int, other_sk: int) -> bytes:
    return number(int((ECC.construct(curve="P-256", d=other_sk).pointQ * sk).x), 32)


class Session:
    """Answers and requests, each the header (version and type), the session id from round 1's answer on, and a body."""

    def __init__(self, params: dict[str, Any], users: dict[int, User], u3: list[int]) -> None:
        self.params, self.users, self.u3 = params, users, u3
        setup = hashlib.sha256(b"secagg setup v1" + sized(4, encode_params(params)) + NO_ROSTER).digest()
        for user in users.values():
            user.advertise(setup)
        self.keys = sized(4, b"".join(user.keys for user in users.values())) + NO_ITEMS
        header = b"secagg session v1" + sized(4, encode_params(params)) + NO_ROSTER
        self.id = hashlib.sha256(header + ids([*users]) + self.keys).digest()
        self.order = circle(self.id, [*users])
        for u in users:
            users[u].share(setup, self.share_keys_request(u))
        for u in users:
            users[u].e = {v: self.encrypt(users[u], users[v]) for v in self.others(u)}

    def holders(self, u: int) -> list[int]:
        """All users, or those who stand at most degree / 2 from u on the circle, ascending."""
        degree, n = self.params["degree"], len(self.order)
        if degree == 0:
            return [*self.users]
        place = self.order.index(u)
        return sorted(self.order[(place + step) % n] for step in range(-(degree // 2), degree // 2 + 1))

    def others(self, u: int) -> list[int]:
        return [v for v in self.holders(u) if v != u]

    def encrypt(self, sender: User, to: User) -> bytes:
        key = hkdf(agree(sender.c_sk, to.c_sk), 28, info("share", self.id, sender.u, to.u))
        plaintext = number(sender.u, 4) + number(to.u, 4) + sender.share_of_s_sk(to.u) + sender.share_of_b(to.u)
        return b"".join(AES.new(key[:16], AES.MODE_GCM, nonce=key[16:]).encrypt_and_digest(plaintext))

    def of_b(self, u: int, size: int, purpose: str) -> bytes:
        prk = HMAC.new(self.id, number(self.users[u].b, 32), SHA256).digest()
        return expand(prk, size, info(purpose, self.id, u))

    def pairwise_seed(self, u: int, v: int) -> bytes:
        agreed = agree(self.users[u].s_sk, self.users[v].s_sk)
        return hkdf(agreed, 16, info("mask", self.id, min(u, v), max(u, v)))

    def advertise_keys(self, u: int) -> bytes:
        return b"\1\1" + self.users[u].keys

    def share_keys_request(self, u: int) -> bytes:
        return b"\1\2" + listed([*self.users]) + self.keys

    def share_keys(self, u: int) -> bytes:
        ciphertexts = b"".join(self.users[u].e[v] for v in self.others(u))
        return b"\1\3" + self.id + self.of_b(u, 32, "commitment") + sized(4, ciphertexts)

    def masked_input_collection_request(self, u: int) -> bytes:
        ciphertexts = b"".join(self.users[v].e[u] for v in self.others(u))
        return b"\1\4" + self.id + listed(self.holders(u)) + sized(4, ciphertexts)

    def masked_input_collection(self, u: int) -> bytes:
        """y_u = x_u + p_u + sum of p_{u,v}, where p_{u,v} is PRG(s_{u,v}) for u > v and its negative for u < v."""
        modulus = self.params["modulus"]
        seeds = [self.of_b(u, 16, "self mask"), *(self.pairwise_seed(u, v) for v in self.others(u))]
        signs = [1, *(1 if u > v else -1 for v in self.others(u))]
        y = signed_sum(self.users[u].x, seeds, signs, self.id[:12], modulus, 0)
        bits = (modulus - 1).bit_length()
        packed = sum(element << bits * i for i, element in enumerate(y))
        u2_hash = hashlib.sha256(b"secagg users v1" + ids(self.holders(u))).digest()
        return b"\1\5" + self.id + u2_hash + sized(4, packed.to_bytes((M * bits + 7) // 8, "little")) + NO_ITEMS

    def unmasking_request(self, u: int) -> bytes:
        return b"\1\x08" + self.id + listed(self.u3) + NO_ITEMS

    def unmasking(self, u: int) -> bytes:
        dealers = [self.users[v] for v in self.holders(u)]
        shares = (v.share_of_b(u) if v.u in self.u3 else v.share_of_s_sk(u) for v in dealers)
        return b"\1\x09" + self.id + sized(4, b"".join(shares))

    def rounds(self) -> list[dict[str, Any]]:
        def messages(message: Any, users: list[int]) -> dict[int, str]:
            return {u: message(u).hex() for u in users}

        u1, u3 = [*self.users], self.u3
        lines = [
            ("AdvertiseKeys", self.advertise_keys, u1, self.share_keys_request, u1),
            ("ShareKeys", self.share_keys, u1, self.masked_input_collection_request, u1),
            ("MaskedInputCollection", self.masked_input_collection, u3, self.unmasking_request, u3),
            ("Unmasking", self.unmasking, u3, None, []),
        ]
        return [
            {"round": name, "answers": messages(answer, senders), "requests": messages(request, recipients)}
            for name, answer, senders, request, recipients in lines
        ]


def circle(session: bytes, users: list[int]) -> list[int]:
    """Users in the order of their blocks of AES in counter mode, which are compared as bytes."""
    seed = hkdf(session, 32, b"secagg graph v1")
    start = int.from_bytes(seed[16:], "big")
    aes = AES.new(seed[:16], AES.MODE_ECB)
    keys = {u: aes.encrypt(number((start + i) % 2**128, 16)) for i, u in enumerate(users)}
    return sorted(users, key=keys.__getitem__)


def user(u: int, name: str, max_value: int) -> User:
    x = [x % (max_value + 1) for x in scalars(f"x of {u}, {name}", M)]
    return User(u, x, hashlib.sha256(f"seed of {u}, {name}".encode()).digest())


def case(
    name: str, modulus: int, max_value: int, room: int, context: bytes, n: int = 3, degree: int = 0
) -> dict[str, Any]:
    nonce = hashlib.sha256(f"nonce, {name}".encode()).digest()[:16]
    params: dict[str, Any] = {"n": n, "m": M, "modulus": modulus, "max_value": max_value, "room": room}
    params |= {
        "model": 1,
        "threat": 3,
        "n_corrupt": 0,
        "t": T,
        "min_users": n - 1,
        "degree": degree,
        "min_joined": n - 1,
        "nonce": nonce.hex(),
        "context": context.hex(),
    }
    users = {u: user(u, name, max_value) for u in range(1, n + 1)}
    u3 = [*users][:-1]
    session = Session(params, users, u3)
    return {
        "name": name,
        "params": params,
        "params_encoded": encode_params(params).hex(),
        "session": session.id.hex(),
        "users": {u: {"rand": user.seed.hex(), "x": user.x} for u, user in users.items()},
        "rounds": session.rounds(),
        "circle": session.order if degree else [],
        "survivors": u3,
        "sum": [sum(column) % modulus for column in zip(*(users[u].x for u in u3), strict=True)],
    }


if __name__ == "__main__":
    vectors = {
        "_comment": COMMENT,
        "source": SOURCE,
        "cases": [
            case("R = 2^12", 2**12, (2**12 - 1) // 3, 0, b""),
            case("R = 2^24 - 3", 2**24 - 3, 5_000_000, 1000, b"hash of model and task"),
            case("two neighbours each", 2**20, 1000, 0, b"", n=7, degree=2),
        ],
    }
    Path(__file__).with_name("session.json").write_text(json.dumps(vectors, indent=1) + "\n")
