"""The user of Fig. 4, as a state machine that does no I/O.

The caller moves bytes: `start()` returns the first message, `receive(request)` the answer to each request of the
server. The last answer ends the machine and drops its secrets, and so does every error that `receive` raises, with one
exception: a request to a round that was answered already changes nothing. If it is the request that was answered, it
gets the same bytes again; if it is another, it is refused.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import masking, shamir, vector
from ..arguments import array, octets, whole
from ..codec import Ids, Octets
from ..errors import Abort, LocalProtocolError, RemoteProtocolError
from ..primitives import KeyPair, PublicKey, load_public_keys, mask_seed, seal, self_mask, share_key, unseal
from ..shamir import RandomBytes
from .authentication import PARAMS_DIFFER, Pki
from .identity import Identity, Roster
from .messages import (
    CIPHERTEXT_BYTES,
    ROUNDS,
    AdvertiseKeys,
    Answer,
    ConsistencyCheck,
    ConsistencyCheckRequest,
    MaskedInputCollection,
    MaskedInputCollectionRequest,
    Request,
    Round,
    ShareKeys,
    ShareKeysRequest,
    Unmasking,
    UnmaskingRequest,
    decode,
    encode,
    rounds_of,
    session_id,
    signed,
    type_of,
    users_hash,
)
from .params import Params
from .unmask import pairwise_signs, prg_nonce, seed_array

S_SK, B = 0, 1  # the two secrets that each user shares, in the order of Fig. 4's plaintext


@dataclass(frozen=True, repr=False, eq=False)
class _Advertised:
    """After round 0: the user's own keys."""

    c: KeyPair
    s: KeyPair


@dataclass(frozen=True, repr=False, eq=False)
class _Peer:
    """What round 1 agreed with another user v: the key that opens e_{v,u}, and the seed s_{u,v} of p_{u,v}."""

    unseal_key: bytes
    mask_seed: bytes


@dataclass(frozen=True, repr=False, eq=False)
class _Shared:
    """After round 1. `own_shares` are u's shares of its own s_sk and b."""

    session: bytes
    users: Ids
    peers: dict[int, _Peer]
    b_seed: bytes
    own_shares: Octets


@dataclass(frozen=True, repr=False, eq=False)
class _Masked:
    """After round 2: U2, and the shares [k, 2, 32] of (s_sk, b) that u holds, one row for each of `dealers`."""

    session: bytes
    users: Ids
    dealers: Ids
    shares: Octets


@dataclass(frozen=True, repr=False, eq=False)
class _Checked:
    """After round 3 (active model): U3, which u has signed and will not change."""

    masked: _Masked
    u3: Ids


@dataclass(frozen=True, repr=False, eq=False)
class _Answered:
    """The SHA-256 of the last request, and the bytes that answered it: no answer is computed twice."""

    request: bytes
    answer: bytes


class Client:
    """One user u in one session (Fig. 4).

    The input is hidden from those whom `params.threat` names; in the semi-honest model only if they follow the
    protocol.

    Args:
        params: the session's parameters, the same for everyone.
        user_id: u, 1..n; with a roster, one of the roster's users.
        x: the input, if it is known already; see `set_input`.
        identity: u's long-term key pair; in the active model only.
        roster: everyone's verification keys, from the trusted party; in the active model only.
        rand: source of random bytes for this session's keys and shares, such as `os.urandom`.

    Raises:
        LocalProtocolError: an argument is wrong, or a method is called at the wrong moment.
    """

    def __init__(
        self,
        params: Params,
        user_id: int,
        x: ArrayLike | None = None,
        *,
        identity: Identity | None = None,
        roster: Roster | None = None,
        rand: RandomBytes = os.urandom,
    ) -> None:
        self._pki = Pki(params, roster)
        user_id = whole(user_id, "user id")
        if user_id not in self._pki:
            raise LocalProtocolError(f"user id must be {self._pki.users_text}, got {user_id}")
        self.params = params
        self.user_id = user_id
        self._identity = self._pki.check_identity(self.user_id, identity)
        self._scope = self._pki.setup
        self._rand = rand
        self._x: NDArray[Any] | None = None
        self._state: object = None
        self._requests = ROUNDS[params.model]
        self._rounds_answered = 0  # how many rounds were answered, round 0 among them
        self._last_answer: _Answered | None = None
        self._started = False
        self._session: bytes | None = None
        if x is not None:
            self.set_input(x)

    def set_input(self, x: ArrayLike, noise: ArrayLike | None = None) -> None:
        """Set x_u any time before round 2.

        Args:
            x: integers, shape [m], each 0 .. params.max_value.
            noise: int64, shape [m], for differential privacy. It is added to x mod R after the range check, and is not
                checked; `params.room` bounds the sum of all clients' noise.

        Raises:
            LocalProtocolError: x or the noise does not fit the parameters, or round 2 was answered already.
        """
        if self.finished or isinstance(self._state, _Masked | _Checked):
            raise LocalProtocolError("the input was sent in round 2: it cannot be set any more")
        checked = _checked_input(x, self.params)
        if noise is not None:
            _add_noise(checked, noise, self.params)
        self._x = checked

    @property
    def session(self) -> bytes | None:
        """The session's id, 32 bytes, which depends on everyone's fresh keys; None before round 1."""
        return self._session

    @property
    def finished(self) -> bool:
        """Whether the machine has ended, with success or without; it then answers no new request."""
        return self._started and self._state is None

    @property
    def answered(self) -> Round | None:
        """The last round that this client answered; None before `start`."""
        return rounds_of(self.params)[self._rounds_answered - 1] if self._rounds_answered else None

    def start(self, announced: bytes | None = None) -> bytes:
        """Round 0, AdvertiseKeys: make fresh key pairs for this session.

        Args:
            announced: the server's `Params.encode()`, where the server sends it to be compared.

        Returns:
            The first message for the server.

        Raises:
            RemoteProtocolError: the server's Params are not this client's; the error names the fields that differ. The
                client has not started then.
            LocalProtocolError: the client has started already, or its identity has used this session's nonce before.
        """
        if self._started:
            raise LocalProtocolError("this client has started already; every session needs a new Client")
        if announced is not None and (differing := self.params.difference(Params.decode(announced))):
            raise RemoteProtocolError(f"the server's Params differ from this client's in {', '.join(differing)}")
        self._started = True
        if self._identity is not None:
            self._identity.claim(self.params.nonce)  # used twice, it would let a server replay a session

        # Fig. 4, round 0: (c_pk, c_sk) and (s_pk, s_sk) <- KA.gen; sends c_pk || s_pk, in the active model || sigma_u.
        state = _Advertised(KeyPair.generate(self._rand), KeyPair.generate(self._rand))
        message = self._encode(AdvertiseKeys(state.c.public, state.s.public))
        self._state, self._rounds_answered = state, 1
        return message

    def receive(self, data: bytes) -> bytes:
        """Take the server's next request and return the answer to send.

        A transport may deliver a request twice. The request that was answered last gets the same bytes again, also
        after the last round, until `forget_answer` is called. Nothing is computed for it.

        Args:
            data: the request's bytes.

        Returns:
            The answer's bytes.

        Raises:
            RemoteProtocolError: the request is not what Fig. 4 allows here. If the round was answered already, to
                another request, nothing has changed and the client goes on; see `finished`.
            Abort: too few users, or too few shares, are left.
            LocalProtocolError: the input is due and missing, or the machine has ended.
        """
        # A request that was answered gets the same answer, and another one to the same round never gets any.
        data = octets(data, "data")
        digest = hashlib.sha256(data).digest()
        if self._last_answer is not None and digest == self._last_answer.request:
            return self._last_answer.answer
        if self._state is None and self._last_answer is None:
            raise LocalProtocolError("start() has not been called" if not self._started else "this client has ended")
        self._check_unanswered(data)

        # The step of Fig. 4 that this round asks for.
        state, self._state, self._last_answer = self._state, None, None  # any error ends the machine
        try:
            request = decode(data, self._requests[self._rounds_answered - 1])
            after, answer = self._HANDLERS[type(request)](self, state, request)
            encoded = self._encode(answer)
        except BaseException:
            self._x = None
            raise
        self._rounds_answered += 1
        self._state, self._last_answer = after, _Answered(digest, encoded)
        return encoded

    def forget_answer(self) -> None:
        """Drop the bytes of the last answer, once the server is known to have them; the request is refused then."""
        self._last_answer = None

    def _check_unanswered(self, data: bytes) -> None:
        """Raises `RemoteProtocolError` for a request to a round that was answered. A second answer would reveal what
        the first did not, such as shares for a second U3."""
        kind = next((kind for kind in self._requests[: self._rounds_answered - 1] if type_of(data) == kind.TYPE), None)
        if kind is not None:
            raise RemoteProtocolError(f"{kind.ANSWER.ROUND} has been answered, and this is not the last request again")
        if self._state is None:
            raise LocalProtocolError("this client has ended")

    def _encode(self, answer: Answer) -> bytes:
        """The message, and in the active model its signature."""
        if self._identity is None:
            return encode(answer)
        return encode(answer) + self._identity.sign(signed(self._scope, self.user_id, answer))

    def _share_keys(self, state: _Advertised, request: ShareKeysRequest) -> tuple[_Shared, ShareKeys]:
        """Round 1: check everyone's keys, share s_sk and b, and agree on every key that the session needs."""
        # Fig. 4, round 1: check that |U1| >= t, that all public keys differ, and every sigma_v.
        u, users = self.user_id, request.users
        _check_users(users, u, self.params.quorum)
        if len(users) > self.params.n or not all(v in self._pki for v in users.tolist()):
            raise RemoteProtocolError(
                f"user ids must be {self._pki.users_text}, and no more than n of them: {PARAMS_DIFFER}, for one in n"
            )
        neighbours = self.params.graph.neighbours(u, users)
        public_keys = _check_keys(request, u, state, neighbours)
        advertised = (AdvertiseKeys(bytes(keys[0]), bytes(keys[1])) for keys in request.keys)
        self._pki.check_all(self._pki.setup, users, advertised, request.signatures)
        session = self._scope = self._session = session_id(self.params, self._pki.roster_hash, request)

        # Sample b_u; the server gets a commitment to it, beside what Fig. 4 sends.
        b = shamir.random_scalars(1, self._rand)
        own = self_mask(b.tobytes(), session, u)

        # SS.share s_u^sk and b_u, t-out-of-|U1|, among the holders.
        holders = self.params.graph.holders(u, users)
        secrets = np.concatenate([np.frombuffer(state.s.secret, np.uint8).reshape(1, 32), b])
        shares = shamir.share(secrets, self.params.t, holders, rand=self._rand)

        # e_{u,v} = AE.enc(KA.agree(c_u^sk, c_v^pk), u || v || shares), and already s_{u,v} for round 2's p_{u,v}.
        peers: dict[int, _Peer] = {}
        ciphertexts = np.empty((len(neighbours), CIPHERTEXT_BYTES), np.uint8)
        for row, v in enumerate(neighbours.tolist()):
            c_pk, s_pk = public_keys[v]
            agreed = state.c.agree(c_pk)
            peers[v] = _Peer(
                share_key(agreed, session, sender=v, recipient=u), mask_seed(state.s.agree(s_pk), session, u, v)
            )
            plaintext = _route(u, v) + shares[row + (v > u)].tobytes()
            ciphertexts[row] = np.frombuffer(
                seal(share_key(agreed, session, sender=u, recipient=v), plaintext), np.uint8
            )

        own_shares = shares[np.searchsorted(holders, u)]
        return _Shared(session, users, peers, own.seed, own_shares), ShareKeys(session, own.commitment, ciphertexts)

    def _mask_input(
        self, state: _Shared, request: MaskedInputCollectionRequest
    ) -> tuple[_Masked, MaskedInputCollection]:
        """Round 2: open the shares of everyone in U2 and send y_u."""
        # Fig. 4, round 2: learn U2, and abort if it is too small.
        u = self.user_id
        _check_session(request.session, state.session)
        _check_users(request.users, u, self.params.quorum, within=state.users)

        # Decrypt e_{v,u} now, and not in round 4: what does not open is a share that u does not hold.
        senders = self.params.graph.neighbours(u, request.users)
        opened, shares = self._open(state, senders, request.ciphertexts)
        dealers = np.append(senders[opened], np.uint32(u))
        if len(dealers) < self.params.t:
            raise Abort("too few shares can be opened", len(dealers), self.params.t)
        order = np.argsort(dealers)
        masked = _Masked(
            state.session, request.users, dealers[order], np.concatenate([shares, state.own_shares[None]])[order]
        )

        # y_u = x_u + p_u + sum of p_{u,v} over v in U2, whether or not the shares of v opened.
        y = self._masked_input(state, senders)
        return masked, MaskedInputCollection(state.session, users_hash(request.users), y, senders[~opened])

    def _open(self, state: _Shared, senders: Ids, ciphertexts: Octets) -> tuple[NDArray[np.bool_], Octets]:
        """Which of the e_{v,u} open, v over senders, and the shares [k, 2, 32] in those that do.

        A ciphertext that does not open is a missing share: aborting for it would let any user end the session.
        """
        if len(ciphertexts) != len(senders):
            raise RemoteProtocolError(f"{len(ciphertexts)} ciphertexts for {len(senders)} senders")
        shares = np.zeros((len(senders), 2, 32), np.uint8)
        opened = np.zeros(len(senders), np.bool_)
        for row, v in enumerate(senders.tolist()):
            plaintext = unseal(state.peers[v].unseal_key, ciphertexts[row].tobytes())
            if plaintext is not None and plaintext[:8] == _route(v, self.user_id):
                shares[row] = np.frombuffer(plaintext, np.uint8, offset=8).reshape(2, 32)
                opened[row] = shamir.in_field(shares[row])
        return opened, shares[opened]

    def _masked_input(self, state: _Shared, senders: Ids) -> bytes:
        """y_u = x_u + PRG(b_u) + sum over v of D_{u,v} PRG(s_{u,v}), D = 1 for u > v and -1 for u < v; packed."""
        if self._x is None:
            raise LocalProtocolError("the input is due: call set_input() before round 2")
        y, self._x = self._x, None

        # p_u = PRG(b_u) is added, and p_{u,v} = D_{u,v} PRG(s_{u,v}) for every v; all in one pass over y.
        seeds = state.b_seed + b"".join(state.peers[v].mask_seed for v in senders.tolist())
        signs = np.append(np.int8(1), pairwise_signs(self.user_id, senders))
        masking.mask_sum(y, seed_array(seeds), signs, modulus=self.params.modulus, nonce=prg_nonce(state.session))
        return vector.pack(y, self.params.modulus).tobytes()

    def _check_consistency(self, state: _Masked, request: ConsistencyCheckRequest) -> tuple[_Checked, ConsistencyCheck]:
        """Round 3 (active model): sign U3, once."""
        # Fig. 4, round 3: check that U3 is a subset of U2, contains u, and has at least t members; sign it.
        self._check_u3(state, request.session, request.users)
        return _Checked(state, request.users), ConsistencyCheck(state.session, users_hash(request.users))

    def _unmask(self, state: _Masked | _Checked, request: UnmaskingRequest) -> tuple[None, Unmasking]:
        """Round 4: one share of each dealer, of b for those in U3, of s_sk for the others: never both."""
        # Fig. 4, round 4: in the active model check U4 and every sigma'_v on u's own U3, in the semi-honest one U3.
        if isinstance(state, _Checked):
            masked, u3 = state.masked, state.u3
            self._check_u4(state, request)
        else:
            masked, u3 = state, request.users
            self._check_u3(state, request.session, u3)
            self._pki.check_all(self._scope, u3, (), request.signatures)

        # The share of b_v for v in U3, and that of s_v^sk for v in U2 \ U3.
        kind = np.where(np.isin(masked.dealers, u3), B, S_SK)
        return None, Unmasking(masked.session, masked.shares[np.arange(len(kind)), kind])

    def _check_u3(self, state: _Masked, session: bytes, u3: Ids) -> None:
        _check_session(session, state.session)
        _check_users(u3, self.user_id, self.params.min_users, within=state.users)

    def _check_u4(self, state: _Checked, request: UnmaskingRequest) -> None:
        """A quorum of U3 has signed the U3 that u has."""
        _check_session(request.session, state.masked.session)
        _check_users(request.users, None, self.params.quorum, within=state.u3)
        agreed = repeat(ConsistencyCheck(state.masked.session, users_hash(state.u3)), len(request.users))
        self._pki.check_all(state.masked.session, request.users, agreed, request.signatures)

    _HANDLERS: ClassVar[dict[type[Request], Callable[..., tuple[object, Answer]]]] = {
        ShareKeysRequest: _share_keys,
        MaskedInputCollectionRequest: _mask_input,
        ConsistencyCheckRequest: _check_consistency,
        UnmaskingRequest: _unmask,
    }


def _checked_input(x: ArrayLike, params: Params) -> NDArray[Any]:
    """A copy of x in the dtype of vectors mod R, every element in range."""
    values = array(x, "x")
    if values.shape != (params.m,) or values.dtype.kind not in "iu":
        raise LocalProtocolError(f"input must be integers of shape [{params.m}], got {values.dtype} {values.shape}")
    if values.min() < 0 or values.max() > params.max_value:
        raise LocalProtocolError(f"every element of the input must be 0 .. {params.max_value}")
    return values.astype(params.dtype)


def _add_noise(x: NDArray[Any], noise: ArrayLike, params: Params) -> None:
    """x := x + noise mod R, in place."""
    values = array(noise, "noise")
    if values.shape != x.shape or values.dtype != np.int64:
        raise LocalProtocolError(f"noise must be int64 of shape [{params.m}], got {values.dtype} {values.shape}")
    if params.room == 0:
        raise LocalProtocolError("these params leave no room for noise; see Params.for_inputs(room=...)")
    vector.add_signed(x, np.ascontiguousarray(values), params.modulus)


def _route(sender: int, recipient: int) -> bytes:
    """u || v, the first eight bytes of Fig. 4's plaintext."""
    return sender.to_bytes(4, "big") + recipient.to_bytes(4, "big")


def _check_users(users: Ids, u: int | None, needed: int, within: Ids | None = None) -> None:
    """Check a list U_k: strictly ascending, a subset of U_{k-1}, with u itself in it, and long enough."""
    if np.any(users[1:] <= users[:-1]):
        raise RemoteProtocolError("the list of users is not strictly ascending")
    if within is not None and not np.isin(users, within).all():
        raise RemoteProtocolError("the list names users that the round before did not name")
    if u is not None and u not in users:
        raise RemoteProtocolError("the list of users omits this user itself")
    if len(users) < needed:
        reason = "too few users are left (but the server goes on: its quorum or min_users may differ)"
        raise Abort(reason, len(users), needed)


def _check_session(session: bytes, expected: bytes) -> None:
    if session != expected:
        raise RemoteProtocolError(f"the request belongs to another session, or {PARAMS_DIFFER}")


def _check_keys(
    request: ShareKeysRequest, u: int, own: _Advertised, neighbours: Ids
) -> dict[int, tuple[PublicKey, PublicKey]]:
    """Every neighbour's two public keys, once all 2|U1| keys differ and u's own are as u sent them."""
    # u's own keys are in the list as u sent them, and all keys differ.
    users, keys = request.users, request.keys
    if len(keys) != len(users):
        raise RemoteProtocolError(f"{len(keys)} key pairs for {len(users)} users")
    if keys[users == u].tobytes() != own.c.public + own.s.public:
        raise RemoteProtocolError("the list does not hold this user's own keys")
    if len({key.tobytes() for key in keys.reshape(-1, 32)}) != 2 * len(users):
        raise RemoteProtocolError("two of the public keys are equal")

    # Each neighbour's c_v^pk and s_v^pk are x-coordinates of points.
    points = load_public_keys(keys[np.searchsorted(users, neighbours)].reshape(-1, 32))
    pairs: dict[int, tuple[PublicKey, PublicKey]] = {}
    for v, c_pk, s_pk in zip(neighbours.tolist(), points[::2], points[1::2], strict=True):
        if c_pk is None or s_pk is None:
            raise RemoteProtocolError("a public key is not on the curve", client=v)
        pairs[v] = c_pk, s_pk
    return pairs
