"""The server of Fig. 4, as a state machine that does no I/O.

The caller moves bytes: `receive(client_id, data)` takes in what a client sent, `end_round()` closes the round and gives
each client's next request. One client's bad message ends nothing: its sender is dropped and listed in `faults`.
"""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import shamir, vector
from ..codec import Ids
from ..errors import Abort, LocalProtocolError, RemoteProtocolError
from ..primitives import KeyPair, PublicKey, are_public_keys, load_public_keys, self_mask
from .messages import (
    CIPHERTEXT_BYTES,
    SEMI_HONEST,
    AdvertiseKeys,
    Answer,
    MaskedInputCollection,
    MaskedInputCollectionRequest,
    Round,
    ShareKeys,
    ShareKeysRequest,
    Unmasking,
    UnmaskingRequest,
    decode,
    encode,
    session_id,
)
from .params import Params, neighbours, with_neighbours
from .unmask import Progress, Unmasker

_CIPHERTEXT = np.dtype(("V", CIPHERTEXT_BYTES))  # one item, so that numpy moves it whole


class Fault(NamedTuple):
    """A message that the server refused: who sent it, in which round, and what was wrong with it."""

    client: int
    round: Round
    reason: str


class Server:
    """The server in one session.

    Args:
        params: the session's parameters, the same for everyone.
        threads: how many share the expansion of masks when they are removed.
        progress: called with (done, total) dropped users as their masks are removed, the server's one long step.

    Attributes:
        faults: the messages refused so far, the first of each client and round.
    """

    def __init__(self, params: Params, *, threads: int = 1, progress: Progress | None = None) -> None:
        self.params = params
        self.faults: list[Fault] = []
        self._faulty: set[tuple[int, Round]] = set()
        self._threads = threads
        self._progress = progress or (lambda done, total: None)
        self._rounds: list[type[Answer]] = [AdvertiseKeys, *(request.ANSWER for request in SEMI_HONEST)]
        self._expected = set(range(1, params.n + 1))
        self._answered: set[int] = set()
        self._keys: dict[int, bytes] = {}
        self._seen_keys: set[bytes] = set()
        self._result: NDArray[Any] | None = None

    @property
    def round(self) -> Round | None:
        """The round whose messages are due; None once the session has ended."""
        return self._rounds[0].ROUND if self._rounds else None

    @property
    def waiting(self) -> frozenset[int]:
        """The users who may still answer this round; empty once the session has ended."""
        return frozenset(self._expected - self._answered if self._rounds else ())

    @property
    def ready(self) -> bool:
        """Whether enough users have answered (t) for `end_round` to go on."""
        return bool(self._rounds) and len(self._answered) >= self.params.t

    @property
    def sum(self) -> NDArray[Any]:
        """The sum of x_u over `survivors`, mod R: shape [m], uint32 or uint64 (`Params.dtype`)."""
        if self._result is None:
            raise LocalProtocolError("there is no sum until the last round has ended")
        return self._result

    @property
    def survivors(self) -> tuple[int, ...]:
        """U3, the users whose inputs are in the sum."""
        if self._result is None:
            raise LocalProtocolError("there are no survivors until the last round has ended")
        return tuple(self._u3.tolist())

    def receive(self, client_id: int, data: bytes) -> None:
        """Take a message that the transport knows to come from this client.

        A bad one is listed in `faults`, and its sender is left out of this round and of all that follow; a second
        message to the same round is listed too, and the first one stands. Only a client's first fault of a round is
        listed, so that no client can fill the memory.

        Raises:
            LocalProtocolError: the session has ended, or there is no such client; the caller knows who is connected.
        """
        if not self._rounds:
            raise LocalProtocolError("this session has ended")
        if not 1 <= client_id <= self.params.n:
            raise LocalProtocolError(f"client ids are 1 .. n = {self.params.n}, got {client_id}")
        try:
            self._receive(client_id, data)
        except RemoteProtocolError as error:
            fault = Fault(client_id, self._rounds[0].ROUND, str(error))
            if (client_id, fault.round) not in self._faulty:
                self._faulty.add((client_id, fault.round))
                self.faults.append(fault)
            if client_id not in self._answered:
                self._expected.discard(client_id)

    def end_round(self) -> dict[int, bytes]:
        """Close the round: who has not answered has dropped out. Returns each remaining client's next request, by id.

        After the last round the dictionary is empty and `sum` is there.

        Raises:
            Abort: fewer than t users answered; the session has ended.
            RemoteProtocolError: a secret cannot be reconstructed from the shares; the session has ended.
        """
        if not self._rounds:
            raise LocalProtocolError("this session has ended")
        rounds, self._rounds = self._rounds, []  # any error ends the machine
        if len(self._answered) < self.params.t:
            raise Abort(str(rounds[0].ROUND), len(self._answered), self.params.t)
        users = np.array(sorted(self._answered), np.uint32)
        requests = self._CLOSE[rounds[0]](self, users)
        self._expected, self._answered, self._rounds = set(users.tolist()), set(), rounds[1:]
        return requests

    def _receive(self, u: int, data: bytes) -> None:
        if u in self._answered:
            raise RemoteProtocolError("has answered this round already")
        if u not in self._expected:
            raise RemoteProtocolError("is not expected in this round")
        answer = decode(data, self._rounds[0])
        self._TAKE[type(answer)](self, u, answer)
        self._answered.add(u)

    def _take_keys(self, u: int, answer: AdvertiseKeys) -> None:
        pair = (answer.c_pk, answer.s_pk)
        if len({*pair} - self._seen_keys) != 2:
            raise RemoteProtocolError("a public key was advertised before")
        if not are_public_keys(np.frombuffer(b"".join(pair), np.uint8).reshape(2, 32)):
            raise RemoteProtocolError("a public key is not on the curve")
        self._seen_keys.update(pair)
        self._keys[u] = answer.c_pk + answer.s_pk

    def _open_share_keys(self, users: Ids) -> dict[int, bytes]:
        """All of U1 get the same list of everyone's keys."""
        keys = np.frombuffer(b"".join(self._keys[u] for u in users.tolist()), np.uint8).reshape(-1, 2, 32)
        request = ShareKeysRequest(users, keys)
        self._u1, self._s_pk = users, keys[:, 1]
        self._positions = np.zeros(int(users[-1]) + 1, np.intp)
        self._positions[users] = np.arange(len(users))
        self._session = session_id(self.params, request)
        self._commitments: dict[int, bytes] = {}
        self._ciphertexts = np.empty((len(users), len(users)), _CIPHERTEXT)  # [recipient, sender]
        return dict.fromkeys(users.tolist(), encode(request))

    def _take_ciphertexts(self, u: int, answer: ShareKeys) -> None:
        self._check_session(answer.session)
        recipients = neighbours(u, self._u1)
        if len(answer.ciphertexts) != len(recipients):
            raise RemoteProtocolError(f"{len(answer.ciphertexts)} ciphertexts for {len(recipients)} recipients")
        self._ciphertexts[self._index(recipients), self._index(u)] = answer.ciphertexts.view(_CIPHERTEXT)[:, 0]
        self._commitments[u] = answer.commitment

    def _open_masked_input_collection(self, users: Ids) -> dict[int, bytes]:
        """Each of U2 gets the ciphertexts that were made for it."""
        requests = {}
        for u in users.tolist():
            received = self._ciphertexts[self._index(u), self._index(neighbours(u, users))]
            received = received.view(np.uint8).reshape(-1, CIPHERTEXT_BYTES)
            requests[u] = encode(MaskedInputCollectionRequest(self._session, users, received))
        self._u2 = users
        self._ciphertexts = np.empty((0, 0), _CIPHERTEXT)
        self._sum = np.zeros(self.params.m, self.params.dtype)
        return requests

    def _take_masked_input(self, u: int, answer: MaskedInputCollection) -> None:
        """Check y_u whole, then add it: the server never holds two."""
        self._check_session(answer.session)
        if not vector.packed_check(answer.y, self.params.m, self.params.modulus):
            raise RemoteProtocolError("the masked input has a wrong length, an entry >= R or dirty padding")
        vector.packed_add(self._sum, answer.y, self.params.modulus)

    def _open_unmasking(self, users: Ids) -> dict[int, bytes]:
        """All of U3 get the list U3."""
        self._u3 = users
        self._shares = np.empty((len(self._u1), len(self._u1), 32), np.uint8)  # [holder, dealer]
        return dict.fromkeys(users.tolist(), encode(UnmaskingRequest(self._session, users)))

    def _take_shares(self, u: int, answer: Unmasking) -> None:
        self._check_session(answer.session)
        dealers = with_neighbours(u, self._u2)
        if len(answer.shares) != len(dealers):
            raise RemoteProtocolError(f"{len(answer.shares)} shares for {len(dealers)} users")
        if not shamir.in_field(answer.shares):
            raise RemoteProtocolError("a share is not an element of the field")
        self._shares[self._index(u), self._index(dealers)] = answer.shares

    def _finish(self, users: Ids) -> dict[int, bytes]:
        """Reconstruct one secret of everyone in U2 and take the masks out of the sum."""
        secrets = self._reconstruct(users)
        unmasker = Unmasker(self.params, self._session, self._sum, self._threads)
        dropped = np.setdiff1d(self._u2, self._u3).tolist()
        unmasker.remove_self_masks([self._self_mask_seed(u, secrets[u]) for u in self._u3.tolist()])
        public_keys = self._public_keys(self._u3) if dropped else {}
        for done, v in enumerate(dropped, 1):
            unmasker.remove_pairwise_masks(self._mask_key_pair(v, secrets[v]), v, public_keys)
            self._progress(done, len(dropped))
        self._result = self._sum
        return {}

    def _public_keys(self, users: Ids) -> dict[int, PublicKey]:
        """Their s_pk, which were checked on arrival."""
        points = load_public_keys(self._s_pk[self._index(users)])
        return {u: point for u, point in zip(users.tolist(), points, strict=True) if point is not None}

    def _reconstruct(self, users: Ids) -> dict[int, bytes]:
        """For v in U2, b_v or s_v_sk, whichever the users were asked for. Dealers with the same first t holders go
        together, so that Lagrange's coefficients serve them all (section 7.2)."""
        groups: dict[bytes, list[int]] = {}
        for v in self._u2.tolist():
            holders = with_neighbours(v, users)[: self.params.t]
            if len(holders) < self.params.t:
                raise Abort(f"shares of user {v}'s secret", len(holders), self.params.t)
            groups.setdefault(holders.tobytes(), []).append(v)
        secrets: dict[int, bytes] = {}
        for key, dealers in groups.items():
            holders = np.frombuffer(key, np.uint32)
            shares = self._shares[np.ix_(self._index(holders), self._index(dealers))]
            secrets.update(zip(dealers, map(bytes, shamir.reconstruct(shares, holders)), strict=True))
        return secrets

    def _self_mask_seed(self, u: int, b: bytes) -> bytes:
        mask = self_mask(b, self._session, u)
        if mask.commitment != self._commitments[u]:
            raise RemoteProtocolError(f"the shares of user {u}'s b do not match its commitment")
        return mask.seed

    def _mask_key_pair(self, v: int, s_sk: bytes) -> KeyPair:
        try:
            pair = KeyPair.from_secret(s_sk)
        except ValueError:
            pair = None
        if pair is None or pair.public != self._public(v):
            raise RemoteProtocolError(f"the shares of user {v}'s s_sk do not match the advertised s_pk")
        return pair

    def _public(self, u: int) -> bytes:
        return bytes(self._s_pk[self._index(u)])

    def _index(self, users: Ids | list[int] | int) -> Any:
        """Where users stand in U1."""
        return self._positions[users]

    def _check_session(self, session: bytes) -> None:
        if session != self._session:
            raise RemoteProtocolError("the message belongs to another session")

    _TAKE: ClassVar[dict[type[Answer], Callable[..., None]]] = {
        AdvertiseKeys: _take_keys,
        ShareKeys: _take_ciphertexts,
        MaskedInputCollection: _take_masked_input,
        Unmasking: _take_shares,
    }
    _CLOSE: ClassVar[dict[type[Answer], Callable[..., dict[int, bytes]]]] = {
        AdvertiseKeys: _open_share_keys,
        ShareKeys: _open_masked_input_collection,
        MaskedInputCollection: _open_unmasking,
        Unmasking: _finish,
    }
