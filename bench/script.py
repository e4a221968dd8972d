"""One party's messages for a whole session, made beforehand, so that the other party can be timed alone.

The measured party replays: its randomness is a seeded generator's, so the same messages fit every time it runs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from secagg import Client, Identity, Model, Params, Roster, Round, Server, masking, rounds_of, shamir, vector
from secagg.codec import Ids, Octets
from secagg.primitives import KeyPair, seal, self_mask, share_key
from secagg.protocol.messages import (
    CIPHERTEXT_BYTES,
    AdvertiseKeys,
    Answer,
    ConsistencyCheck,
    ConsistencyCheckRequest,
    MaskedInputCollection,
    MaskedInputCollectionRequest,
    ShareKeys,
    ShareKeysRequest,
    Unmasking,
    UnmaskingRequest,
    decode,
    encode,
    session_id,
    signed,
    users_hash,
)
from secagg.protocol.params import neighbours
from secagg.protocol.pki import Pki
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


def identity(u: int) -> Identity:
    """User u's, always the same key; a new one remembers no nonces, so that a session can be replayed."""
    return Identity(Ed25519PrivateKey.from_private_bytes(u.to_bytes(32, "big")))


@dataclass(frozen=True)
class Cast:
    """Who takes part, and how they sign where the model asks for it."""

    params: Params
    roster: Roster | None

    @classmethod
    def of(cls, params: Params) -> "Cast":
        everyones_keys = {u: identity(u).verification_key for u in everyone(params).tolist()}
        return cls(params, Roster(everyones_keys) if params.model is Model.ACTIVE else None)

    @property
    def pki(self) -> Pki:
        return Pki(self.params, self.roster)

    def client(self, u: int) -> Client:
        own = identity(u) if self.roster else None
        return Client(self.params, u, identity=own, roster=self.roster, rand=replayable(u))

    def server(self) -> Server:
        return Server(self.params, roster=self.roster)

    def session(self, keys: ShareKeysRequest) -> bytes:
        return session_id(self.params, self.pki.roster_hash, keys)

    def signature(self, scope: bytes, u: int, answer: Answer) -> bytes:
        """Empty in the semi-honest model."""
        return identity(u).sign(signed(scope, u, answer)) if self.roster else b""

    def signatures(self, scope: bytes, answers: dict[int, Answer]) -> Octets:
        joined = b"".join(self.signature(scope, u, answer) for u, answer in answers.items())
        return np.frombuffer(joined, np.uint8).reshape(-1, 64)

    def encoded(self, scope: bytes, answers: dict[int, Answer]) -> list[bytes]:
        return [encode(answer) + self.signature(scope, u, answer) for u, answer in answers.items()]

    def share_keys_request(self, advertised: dict[int, AdvertiseKeys]) -> ShareKeysRequest:
        keys = _rows([answer.c_pk + answer.s_pk for answer in advertised.values()]).reshape(-1, 2, 32)
        return ShareKeysRequest(everyone(self.params), keys, self.signatures(self.pki.setup, {**advertised}))


@dataclass(frozen=True)
class ClientScript:
    """What the server sends to user u when nobody drops out."""

    cast: Cast
    u: int
    x: NDArray[Any]
    requests: dict[Round, bytes]

    def client(self) -> Client:
        return self.cast.client(self.u)


def client_script(params: Params) -> ClientScript:
    """For the user in the middle, who adds half of its masks and subtracts the others."""
    cast = Cast.of(params)
    u, users = params.n // 2, everyone(params)
    own = decode(cast.pki.split(cast.client(u).start())[0], AdvertiseKeys)
    rand = replayable(0)
    pairs = {v: (KeyPair.generate(rand), KeyPair.generate(rand)) for v in neighbours(u, users).tolist()}
    advertised = {v: AdvertiseKeys(c.public, s.public) for v, (c, s) in pairs.items()} | {u: own}
    keys = cast.share_keys_request({v: advertised[v] for v in users.tolist()})
    session = cast.session(keys)
    own_key = openssl_public_key(own.c_pk)
    ciphertexts = [
        seal(share_key(c.agree(own_key), session, v, u), v.to_bytes(4, "big") + u.to_bytes(4, "big") + _shares(v))
        for v, (c, _) in pairs.items()
    ]
    agreed: dict[int, Answer] = dict.fromkeys(users.tolist(), ConsistencyCheck(session, users_hash(users)))
    requests = {
        Round.SHARE_KEYS: encode(keys),
        Round.MASKED_INPUT_COLLECTION: encode(MaskedInputCollectionRequest(session, users, _rows(ciphertexts))),
        Round.CONSISTENCY_CHECK: encode(ConsistencyCheckRequest(session, users)),
        Round.UNMASKING: encode(UnmaskingRequest(session, users, cast.signatures(session, agreed))),
    }
    requests = {current: request for current, request in requests.items() if current in rounds_of(params)}
    return ClientScript(cast, u, random_input(params, u), requests)


@dataclass(frozen=True)
class ServerScript:
    """What all users send when nobody drops out, in the order of their ids, and the sum that must come out."""

    cast: Cast
    answers: dict[Round, list[bytes]]
    sum: NDArray[Any]

    def server(self) -> Server:
        return self.cast.server()


def server_script(params: Params) -> ServerScript:
    """Keys and shares are true ones; ciphertexts, which no server can read, are random bytes; and pairwise masks are
    left out, because they cancel and the server could not tell either."""
    cast = Cast.of(params)
    rand = replayable(0)
    users = everyone(params)
    ids: list[int] = users.tolist()
    advertised = {u: AdvertiseKeys(KeyPair.generate(rand).public, KeyPair.generate(rand).public) for u in ids}
    session = cast.session(cast.share_keys_request(advertised))
    b = shamir.random_scalars(params.n, rand)
    masks = {u: self_mask(b[u - 1].tobytes(), session, u) for u in ids}
    total = np.zeros(params.m, params.dtype)
    shares = shamir.share(b, params.t, users, rand=rand)
    none = np.empty(0, np.uint32)
    rounds: dict[Round, Callable[[int], Answer]] = {
        Round.SHARE_KEYS: lambda u: ShareKeys(session, masks[u].commitment, _random_ciphertexts(params.n - 1, rand)),
        Round.MASKED_INPUT_COLLECTION: lambda u: MaskedInputCollection(
            session, users_hash(users), _masked_input(params, session, u, masks[u].seed, total), none
        ),
        Round.CONSISTENCY_CHECK: lambda u: ConsistencyCheck(session, users_hash(users)),
        Round.UNMASKING: lambda u: Unmasking(session, shares[u - 1]),
    }
    answers = {Round.ADVERTISE_KEYS: cast.encoded(cast.pki.setup, {**advertised})}
    for current in rounds_of(params)[1:]:
        answers[current] = [message for u in ids for message in cast.encoded(session, {u: rounds[current](u)})]
    return ServerScript(cast, answers, total)


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
