"""One party's messages for a whole session, made beforehand, so that the other party can be timed alone.

The measured party replays: its randomness is a seeded generator's, so the same messages fit every time it runs.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from secagg import Client, Identity, Model, Params, Roster, Round, Server, masking, rounds_of, shamir, vector
from secagg.codec import Ids, Octets
from secagg.primitives import KeyPair, mask_seed, seal, self_mask, share_key
from secagg.protocol.authentication import Pki
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
from secagg.protocol.unmask import pairwise_signs, prg_nonce
from secagg.shamir import RandomBytes

from .baselines import openssl_public_key

ONE_THREAD = ThreadPoolExecutor(1)


def replayable(seed: int) -> RandomBytes:
    """A source of random bytes that repeats itself; about as fast as `os.urandom`."""
    return np.random.default_rng(seed).bytes


def everyone(params: Params) -> Ids:
    return np.arange(1, params.n + 1, dtype=np.uint32)


def id_array(users: Iterable[int]) -> Ids:
    """Ascending."""
    return np.array(sorted(users), np.uint32)


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
        if params.model is Model.SEMI_HONEST:
            return cls(params, None)
        return cls(params, Roster({u: identity(u).verification_key for u in everyone(params).tolist()}))

    @property
    def pki(self) -> Pki:
        return Pki(self.params, self.roster)

    def client(self, u: int) -> Client:
        own = identity(u) if self.roster else None
        return Client(self.params, u, identity=own, roster=self.roster, rand=replayable(u))

    def server(self) -> Server:
        """On one thread, like the paper's."""
        return Server(self.params, roster=self.roster, executor=ONE_THREAD)

    def session(self, keys: ShareKeysRequest) -> bytes:
        return session_id(self.params, self.pki.roster_hash, keys)

    def signature(self, scope: bytes, u: int, answer: Answer) -> bytes:
        """Empty in the semi-honest model."""
        return identity(u).sign(signed(scope, u, answer)) if self.roster else b""

    def signatures(self, scope: bytes, answers: dict[int, Answer]) -> Octets:
        joined = b"".join(self.signature(scope, u, answer) for u, answer in answers.items())
        return np.frombuffer(joined, np.uint8).reshape(-1, 64)

    def encoded(self, scope: bytes, u: int, answer: Answer) -> bytes:
        return encode(answer) + self.signature(scope, u, answer)

    def share_keys_request(self, advertised: dict[int, AdvertiseKeys]) -> ShareKeysRequest:
        keys = _rows([answer.c_pk + answer.s_pk for answer in advertised.values()]).reshape(-1, 2, 32)
        return ShareKeysRequest(everyone(self.params), keys, self.signatures(self.pki.setup, {**advertised}))


@dataclass(frozen=True)
class ClientScript:
    """What the server sends to user u."""

    cast: Cast
    u: int
    x: NDArray[Any]
    requests: dict[Round, bytes]

    def client(self) -> Client:
        return self.cast.client(self.u)


def client_script(params: Params, dropped: Iterable[int] = ()) -> ClientScript:
    """For the survivor in the middle, who adds half of its masks and subtracts the others.

    The others in `dropped` vanish before MaskedInputCollection, so that u reveals shares of their s_sk.
    """
    cast = Cast.of(params)
    users = everyone(params)
    u3 = np.setdiff1d(users, id_array(dropped))
    u = int(u3[len(u3) // 2 - 1])
    own = decode(cast.pki.split(cast.client(u).start())[0], AdvertiseKeys)
    rand = replayable(0)
    pairs = {v: (KeyPair.generate(rand), KeyPair.generate(rand)) for v in users[users != u].tolist()}
    advertised = {v: AdvertiseKeys(c.public, s.public) for v, (c, s) in pairs.items()} | {u: own}
    keys = cast.share_keys_request({v: advertised[v] for v in users.tolist()})
    session = cast.session(keys)
    graph, own_key = params.graph.over(session, users), openssl_public_key(own.c_pk)
    ciphertexts = [
        seal(share_key(pairs[v][0].agree(own_key), session, v, u), _pair(v, u) + _shares(v))
        for v in graph.neighbours(u, users).tolist()
    ]
    holders = graph.holders(u, users)
    signers = u3 if graph.complete or cast.roster is None else u3[: params.quorum]
    agreed: dict[int, Answer] = dict.fromkeys(signers.tolist(), ConsistencyCheck(session, users_hash(u3)))
    requests = {
        Round.SHARE_KEYS: encode(keys),
        Round.MASKED_INPUT_COLLECTION: encode(MaskedInputCollectionRequest(session, holders, _rows(ciphertexts))),
        Round.CONSISTENCY_CHECK: encode(ConsistencyCheckRequest(session, u3)),
        Round.UNMASKING: encode(UnmaskingRequest(session, signers, cast.signatures(session, agreed))),
    }
    requests = {current: request for current, request in requests.items() if current in rounds_of(params)}
    return ClientScript(cast, u, random_input(params, u), requests)


class Users:
    """All users of a session, of whom `dropped` vanish before MaskedInputCollection: each one's answers, made when they
    are asked for, so that a server can be fed without all masked inputs in memory.

    Keys, shares and self masks are true ones, and so are the pairwise masks that the survivors share with the dropped,
    which the server must remove. Ciphertexts, which no server can read, are random bytes; and pairwise masks between
    survivors are left out, because they cancel and the server could not tell either.
    """

    def __init__(self, params: Params, dropped: Iterable[int] = ()) -> None:
        rand = replayable(0)
        self.cast = Cast.of(params)
        self._users = everyone(params)
        self._dropped = id_array(dropped)
        self._u3 = np.setdiff1d(self._users, self._dropped)
        pairs = {u: (KeyPair.generate(rand), KeyPair.generate(rand)) for u in self._users.tolist()}
        self._advertised = {u: AdvertiseKeys(c.public, s.public) for u, (c, s) in pairs.items()}
        self._session = self.cast.session(self.cast.share_keys_request(self._advertised))
        self._graph = params.graph.over(self._session, self._users)
        secrets = shamir.random_scalars(params.n, rand)
        self._masks = {u: self_mask(secrets[u - 1].tobytes(), self._session, u) for u in self._users.tolist()}
        for v in self._dropped.tolist():
            secrets[v - 1] = np.frombuffer(pairs[v][1].secret, np.uint8)
        self._shares = self._shared(secrets, rand)  # of s_sk or b, as Unmasking asks
        self._seeds = {u: self._agreed_with(u, pairs) for u in self._u3.tolist()}

    def _shared(self, secrets: Octets, rand: RandomBytes) -> Octets:
        """The shares of all pairs of holder and dealer, uint8 [pairs, 32], as the graph numbers them."""
        t, users = self.cast.params.t, self._users
        if self._graph.complete:
            return shamir.share(secrets, t, users, rand=rand).reshape(-1, 32)
        shares = np.empty((self._graph.size, 32), np.uint8)
        for v in users.tolist():
            holders = self._graph.holders(v, users)
            shares[self._graph.column(holders, v)] = shamir.share(secrets[v - 1 : v], t, holders, rand=rand)[:, 0]
        return shares

    def _agreed_with(self, u: int, pairs: dict[int, tuple[KeyPair, KeyPair]]) -> tuple[Ids, Octets]:
        """The dropped neighbours v of a survivor, and s_{u,v} for each, uint8 [v, 16], by OpenSSL."""
        near, seeds = np.intersect1d(self._dropped, self._graph.neighbours(u, self._users)), b""
        if near.size:
            public = openssl_public_key(self._advertised[u].s_pk)
            agreed = ((v, pairs[v][1].agree(public)) for v in near.tolist())
            seeds = b"".join(mask_seed(key, self._session, u, v) for v, key in agreed)
        return near, np.frombuffer(seeds, np.uint8).reshape(-1, masking.SEED_BYTES)

    @property
    def sum(self) -> NDArray[Any]:
        """The sum of the survivors' inputs: what the server must come to."""
        total = np.zeros(self.cast.params.m, self.cast.params.dtype)
        for u in self._u3.tolist():
            vector.add(total, random_input(self.cast.params, u), self.cast.params.modulus)
        return total

    def answering(self, current: Round) -> list[int]:
        """Who sends a message in this round."""
        ids: list[int] = (self._users if current < Round.MASKED_INPUT_COLLECTION else self._u3).tolist()
        return ids

    def answer(self, current: Round, u: int) -> bytes:
        """What u sends in this round."""
        scope = self.cast.pki.setup if current is Round.ADVERTISE_KEYS else self._session
        return self.cast.encoded(scope, u, self._answer(current, u))

    def _answer(self, current: Round, u: int) -> Answer:
        session, near = self._session, self._graph.holders(u, self._users)
        match current:
            case Round.ADVERTISE_KEYS:
                return self._advertised[u]
            case Round.SHARE_KEYS:
                return ShareKeys(session, self._masks[u].commitment, _random_ciphertexts(len(near) - 1, replayable(u)))
            case Round.MASKED_INPUT_COLLECTION:
                return MaskedInputCollection(session, users_hash(near), self._masked_input(u), np.empty(0, np.uint32))
            case Round.CONSISTENCY_CHECK:
                return ConsistencyCheck(session, users_hash(self._u3))
            case Round.UNMASKING:
                return Unmasking(session, self._shares[self._graph.row(u, near)])

    def _masked_input(self, u: int) -> bytes:
        """y_u = x_u + PRG(b_u) + sum over the dropped v of D_{u,v} PRG(s_{u,v}), packed."""
        params = self.cast.params
        y = random_input(params, u)
        own = np.frombuffer(self._masks[u].seed, np.uint8).reshape(1, -1)
        dropped, seeds = self._seeds[u]
        signs = np.append(np.int8(1), pairwise_signs(u, dropped))
        masking.mask_sum(y, np.concatenate([own, seeds]), signs, modulus=params.modulus, nonce=prg_nonce(self._session))
        return vector.pack(y, params.modulus).tobytes()


@dataclass(frozen=True)
class ServerScript:
    """What `Users` send, by round and sender, and the sum that must come out."""

    cast: Cast
    answers: dict[Round, dict[int, bytes]]
    sum: NDArray[Any]

    def server(self) -> Server:
        return self.cast.server()


def server_script(params: Params, dropped: Iterable[int] = ()) -> ServerScript:
    """All messages of a session in memory, for a server that is timed again and again."""
    users = Users(params, dropped)
    answers = {
        current: {u: users.answer(current, u) for u in users.answering(current)} for current in rounds_of(params)
    }
    return ServerScript(users.cast, answers, users.sum)


def _rows(items: list[bytes]) -> Octets:
    return np.frombuffer(b"".join(items), np.uint8).reshape(len(items), -1)


def _pair(v: int, u: int) -> bytes:
    return v.to_bytes(4, "big") + u.to_bytes(4, "big")


def _shares(v: int) -> bytes:
    """Two elements of the field."""
    return shamir.random_scalars(2, replayable(v)).tobytes()


def _random_ciphertexts(count: int, rand: RandomBytes) -> Octets:
    return np.frombuffer(rand(count * CIPHERTEXT_BYTES), np.uint8).reshape(count, CIPHERTEXT_BYTES)
