"""One party's messages for a whole session, made beforehand, so that the other party can be timed alone.

The measured party replays: its randomness is a seeded generator's, so the same messages fit every time it runs.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg import Client, Params, Round, masking, shamir, vector
from secagg.codec import Ids, Octets
from secagg.primitives import KeyPair, seal, self_mask, share_key
from secagg.protocol.messages import (
    CIPHERTEXT_BYTES,
    AdvertiseKeys,
    MaskedInputCollection,
    MaskedInputCollectionRequest,
    ShareKeys,
    ShareKeysRequest,
    Unmasking,
    UnmaskingRequest,
    decode,
    encode,
    session_id,
)
from secagg.protocol.params import neighbours
from secagg.protocol.unmask import prg_nonce
from secagg.shamir import RandomBytes

from .baselines import openssl_public_key


def replayable(seed: int) -> RandomBytes:
    """A source of random bytes that repeats itself; about as fast as `os.urandom`."""
    return np.random.default_rng(seed).bytes


def everyone(params: Params) -> Ids:
    return np.arange(1, params.n + 1, dtype=np.uint32)


def random_input(params: Params, seed: int) -> NDArray[Any]:
    return np.random.default_rng(seed).integers(0, params.max_value, params.m, params.dtype, endpoint=True)


@dataclass(frozen=True)
class ClientScript:
    """What the server sends to user u when nobody drops out."""

    params: Params
    u: int
    x: NDArray[Any]
    requests: dict[Round, bytes]

    def client(self) -> Client:
        return Client(self.params, self.u, rand=replayable(self.u))


def client_script(params: Params) -> ClientScript:
    """For the user in the middle, who adds half of its masks and subtracts the others."""
    u, users = params.n // 2, everyone(params)
    own = decode(Client(params, u, rand=replayable(u)).start(), AdvertiseKeys)
    rand = replayable(0)
    pairs = {v: (KeyPair.generate(rand), KeyPair.generate(rand)) for v in neighbours(u, users).tolist()}
    public = {v: c.public + s.public for v, (c, s) in pairs.items()} | {u: own.c_pk + own.s_pk}
    keys = ShareKeysRequest(users, _rows([public[v] for v in users.tolist()]).reshape(-1, 2, 32))
    session = session_id(params, keys)
    own_key = openssl_public_key(own.c_pk)
    ciphertexts = [
        seal(share_key(c.agree(own_key), session, v, u), v.to_bytes(4, "big") + u.to_bytes(4, "big") + _shares(v))
        for v, (c, _) in pairs.items()
    ]
    requests = {
        Round.SHARE_KEYS: encode(keys),
        Round.MASKED_INPUT_COLLECTION: encode(MaskedInputCollectionRequest(session, users, _rows(ciphertexts))),
        Round.UNMASKING: encode(UnmaskingRequest(session, users)),
    }
    return ClientScript(params, u, random_input(params, u), requests)


@dataclass(frozen=True)
class ServerScript:
    """What all users send when nobody drops out, in the order of their ids, and the sum that must come out."""

    params: Params
    answers: dict[Round, list[bytes]]
    sum: NDArray[Any]


def server_script(params: Params) -> ServerScript:
    """Keys and shares are true ones; ciphertexts, which no server can read, are random bytes; and pairwise masks are
    left out, because they cancel and the server could not tell either."""
    rand = replayable(0)
    users = everyone(params)
    public = [KeyPair.generate(rand).public + KeyPair.generate(rand).public for _ in users]
    session = session_id(params, ShareKeysRequest(users, _rows(public).reshape(-1, 2, 32)))
    b = shamir.random_scalars(params.n, rand)
    masks = [self_mask(b[u - 1].tobytes(), session, u) for u in users.tolist()]
    total = np.zeros(params.m, params.dtype)
    shares = shamir.share(b, params.t, users, rand=rand)
    answers = {
        Round.ADVERTISE_KEYS: [encode(AdvertiseKeys(keys[:32], keys[32:])) for keys in public],
        Round.SHARE_KEYS: [
            encode(ShareKeys(session, mask.commitment, _random_ciphertexts(params.n - 1, rand))) for mask in masks
        ],
        Round.MASKED_INPUT_COLLECTION: [
            encode(MaskedInputCollection(session, _masked_input(params, session, u, masks[u - 1].seed, total)))
            for u in users.tolist()
        ],
        Round.UNMASKING: [encode(Unmasking(session, held)) for held in shares],
    }
    return ServerScript(params, answers, total)


def _rows(items: list[bytes]) -> Octets:
    return np.frombuffer(b"".join(items), np.uint8).reshape(len(items), -1)


def _shares(v: int) -> bytes:
    """Two elements of the field."""
    return shamir.random_scalars(2, replayable(v)).tobytes()


def _random_ciphertexts(count: int, rand: RandomBytes) -> Octets:
    return np.frombuffer(rand(count * CIPHERTEXT_BYTES), np.uint8).reshape(count, CIPHERTEXT_BYTES)


def _masked_input(params: Params, session: bytes, u: int, seed: bytes, total: NDArray[Any]) -> bytes:
    """y_u = x_u + PRG(b_u), packed; x_u is added to `total`."""
    y = random_input(params, u)
    vector.add(total, y, params.modulus)
    masking.mask_add(y, seed, modulus=params.modulus, nonce=prg_nonce(session))
    return vector.pack(y, params.modulus).tobytes()
