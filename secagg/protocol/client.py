"""The user of Fig. 4, as a state machine that does no I/O.

The caller moves bytes: `start()` returns the first message, `receive(request)` the answer to each request of the
server. The last answer ends the machine and drops its secrets, and so does every error that `receive` raises, with one
exception: a request to a round that was answered already changes nothing. If it is the request that was answered, it
gets the same bytes again; if it is another, it is refused.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from itertools import repeat
from os import PathLike
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import masking, shamir, vector
from ..arguments import octets, real, whole
from ..codec import Ids, Octets
from ..errors import Abort, LocalProtocolError, RemoteProtocolError, require
from ..primitives import self_mask
from ..shamir import RandomBytes
from .agreements import Agreements
from .authentication import PARAMS_DIFFER, Pki
from .ciphertexts import open_shares, seal_shares
from .client_state import Advertised, Answered, Checked, Masked, Memory, Peer, Shared, State
from .graph import positions
from .identity import Identity, Roster
from .inputs import checked_input, with_noise
from .messages import (
    CIPHERTEXT_BYTES,
    HEADER_BYTES,
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
    signed_body,
    type_of,
    users_hash,
)
from .params import Params
from .randomness import Randomness
from .requests import TOO_FEW, TOO_FEW_HOLDERS, TOO_FEW_JOINED, check_keys, check_session, check_users, neighbours_keys
from .saved import ClientFile, Counter, Key
from .stored import Owner
from .unmask import pairwise_signs, prg_nonce, seed_array

MAX_AGE = 30 * 86400.0  # seconds that a saved client is kept
S_SK, B = 0, 1  # the two secrets that each user shares, in the order of Fig. 4's plaintext


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
        rand: source of random bytes, such as `os.urandom`; it is asked once, for the 32 bytes of the secret seed that
            all keys and shares of the session follow from.

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
        self._randomness: Randomness | None = Randomness.drawn(rand, self._pki.setup)
        self._x: NDArray[Any] | None = None
        self._state: State | None = None
        self._agreements: Agreements | None = None  # between rounds 1 and 2
        self._requests = ROUNDS[params.model]
        self._rounds_answered = 0  # how many rounds were answered, round 0 among them
        self._last_answer: Answered | None = None
        self._started = False
        self._session: bytes | None = None
        self._file: ClientFile | None = None  # of a client that is saved
        if x is not None:
            self.set_input(x)

    def set_input(self, x: ArrayLike, noise: ArrayLike | None = None) -> None:
        """Set x_u any time before round 2.

        Args:
            x: integers, shape [m], each 0 .. params.max_value.
            noise: int64, shape [m], for differential privacy. It is added to x mod R after the range check, and is not
                checked; `params.room` bounds the sum of all clients' noise.

        Raises:
            LocalProtocolError: x or the noise does not fit the parameters, round 2 was answered already, or the client
                is saved: a copy of it could be given another input under the same masks.
        """
        require(self._file is None, "the input of a saved client cannot be set any more")
        if self.finished or isinstance(self._state, Masked | Checked):
            raise LocalProtocolError("the input was sent in round 2: it cannot be set any more")
        self._x = with_noise(checked_input(x, self.params), noise, self.params)

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

        # Fig. 4, round 0: (c_pk, c_sk) and (s_pk, s_sk) <- KA.gen; sends c_pk || s_pk, in the active model || sigma_u.
        with self._turn():
            if self._identity is not None:
                self._identity.claim(self.params.nonce)  # used twice, it would let a server replay a session
            state = Advertised.drawn(self._drawn)
            message = self._encode(AdvertiseKeys(state.c.public, state.s.public))
            self._state, self._rounds_answered, self._last_answer = state, 1, Answered(b"", message)
        return message

    def receive(self, data: bytes, *, before: Callable[[Round], None] | None = None) -> bytes:
        """Take the server's next request and return the answer to send.

        A transport may deliver a request twice. The request that was answered last gets the same bytes again, also
        after the last round, until `forget_answer` is called. Nothing is computed for it.

        Args:
            data: the request's bytes.
            before: called with the round once its answer is made, and before it is written or returned. What it raises
                ends the machine, and the answer never leaves.

        Returns:
            The answer's bytes.

        Raises:
            RemoteProtocolError: the request is not what Fig. 4 allows here. If the round was answered already, to
                another request, nothing has changed and the client goes on; see `finished`.
            Abort: too few users, or too few shares, are left.
            LocalProtocolError: the input is due and missing, or the machine has ended; or another process went on with
                the state of this saved client.
            OSError: the state of a saved client cannot be written.
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
        with self._turn():
            state, self._state, self._last_answer = self._state, None, None
            request = decode(data, self._requests[self._rounds_answered - 1])
            after, answer = self._HANDLERS[type(request)](self, state, request)
            encoded = self._encode(answer)
            if before is not None:
                before(answer.ROUND)
            self._rounds_answered += 1
            self._state, self._last_answer = after, Answered(digest, encoded)
        return encoded

    @property
    def answer(self) -> bytes | None:
        """The bytes of the last answer, to be sent again, also after `load`; None if there is none, or if it was
        forgotten."""
        return None if self._last_answer is None else self._last_answer.answer

    def forget_answer(self) -> None:
        """Drop the bytes of the last answer, once the server is known to have them; the request is refused then.

        After the last round, this removes the file of a saved client; before, its next state replaces the answer.

        Raises:
            LocalProtocolError: another process went on with the state of this saved client.
            OSError: the file cannot be removed.
        """
        self._last_answer = None
        if self._file is not None and self.answered is Round.UNMASKING:
            self.leave()

    def save(
        self,
        path: str | PathLike[str],
        *,
        key: Key,
        counter: Counter | None = None,
        binding: bytes = b"",
        clock: Callable[[], float] = time.time,
        rand: RandomBytes = os.urandom,
    ) -> None:
        """Put the client away, before `start` and with its input, so that `load` brings it back in another process.

        From now on `start` and `receive` write the state after a round before they return the round's answer, and raise
        an error in place of answering if another process went on with the file. What ends the machine for a reason of
        this machine, such as a full disk, leaves the file: load it again. What the server did wrong ends it for good.

        Args:
            path: the file, which must not exist, in a folder that others may not write to. FILE.lock stands beside it.
            key: 32 secret bytes that the state is encrypted under; or the path of a file that holds them, which is made
                with mode 600 if it does not exist. Such a file protects where one of the two files leaks alone.
            counter: notices an older file that was put back; one counter for this file.
            binding: what else the state belongs to, at most 255 bytes, not secret; `load` must be given the same.
            clock: POSIX seconds.
            rand: source of the nonces of encryption, 12 bytes for each write, and of a key that is made. No bytes may
                come twice under one key.

        Raises:
            LocalProtocolError: the client has started, has no input or is saved already; the file exists; the key, its
                file or the folder is refused.
            OSError: a file cannot be written. The client has ended: its state may be in the file.
        """
        require(self._file is None, "this client is saved already")
        require(not self._started, "a client is saved before it starts: an older state of it would not be on disk")
        require(self._x is not None, "a client is saved with its input: call set_input() before")
        file = ClientFile(path, self._owner(binding), key, counter=counter, rand=rand, make_key=True)
        try:
            file.make(self._memory(), int(clock()))
        except LocalProtocolError:
            raise  # nothing was written
        except BaseException:  # the file may be there, and whoever loads it must be the only one to go on
            self.leave()
            raise
        self._file = file

    @classmethod
    def load(
        cls,
        path: str | PathLike[str],
        *,
        params: Params,
        user_id: int,
        key: Key,
        identity: Identity | None = None,
        roster: Roster | None = None,
        counter: Counter | None = None,
        binding: bytes = b"",
        max_age: float = MAX_AGE,
        clock: Callable[[], float] = time.time,
        rand: RandomBytes = os.urandom,
    ) -> Self:
        """The client that was put away, after the last round that it answered; `answer` has that round's bytes.

        Args:
            path: the file.
            params: the session's parameters; as for `Client`, and so are user_id, identity and roster.
            user_id: u.
            key: as for `save`; a file that does not exist is refused.
            identity: u's long-term key pair; in the active model only.
            roster: everyone's verification keys; in the active model only.
            counter: the counter that `save` was given.
            binding: as for `save`.
            max_age: how many seconds after `save` the state is still good; an older file is removed.
            clock: POSIX seconds.
            rand: as for `save`.

        Raises:
            LocalProtocolError: the file is of other Params, of another roster, user, identity or binding, or sealed
                under another key; it is damaged, a copy, too old, or older than its counter; there is none; or `Client`
                refuses an argument.
            OSError: the file cannot be read.
        """
        client = cls(params, user_id, identity=identity, roster=roster)
        client._file = ClientFile(path, client._owner(binding), key, counter=counter, rand=rand)
        client._remember(client._file.load(clock(), real(max_age, "max_age")))
        return client

    def leave(self) -> None:
        """Leave the session: the machine ends, drops all that it knows, and removes the file of a saved client.

        Raises:
            LocalProtocolError: another process went on with the state of this saved client; its file stays.
            OSError: the file cannot be removed.
        """
        self._started = True
        self._end()
        if self._file is not None:
            self._file.remove()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """A round's work. Once it is done, the state of a saved client is on disk. Any error ends the machine; on disk
        it ends where the server is at fault, and otherwise the round has not been."""
        try:
            with nullcontext() if self._file is None else self._file.turn() as write:
                try:
                    yield
                except (RemoteProtocolError, Abort):
                    self._end()
                    if write is not None:
                        with suppress(OSError):  # then the file stays as it was, and nothing was answered
                            write(self._memory())
                    raise
                if write is not None:
                    write(self._memory())
        except BaseException:
            self._end()
            raise

    def _end(self) -> None:
        self._state = self._randomness = self._x = self._last_answer = self._agreements = None

    def _memory(self) -> Memory:
        return Memory(self._rounds_answered, self._state, self._randomness, self._x, self._last_answer, self._session)

    def _remember(self, memory: Memory) -> None:
        self._rounds_answered, self._state, self._last_answer = memory.rounds, memory.state, memory.last
        self._randomness, self._x, self._started = memory.randomness, memory.x, memory.rounds > 0
        if memory.session is not None:
            self._session = self._scope = memory.session

    def _owner(self, binding: bytes) -> Owner:
        key = b"" if self._identity is None else self._identity.verification_key
        binding = octets(binding, "binding")
        require(len(binding) <= 255, f"a binding has at most 255 bytes, got {len(binding)}")
        return Owner(self.params, self.user_id, self._pki, key, binding)

    @property
    def _drawn(self) -> Randomness:
        """What rounds 0 and 1 draw from."""
        assert self._randomness is not None
        return self._randomness

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
        encoded = encode(answer)
        if self._identity is None:
            return encoded
        content = signed_body(self._scope, self.user_id, answer.ROUND, memoryview(encoded)[HEADER_BYTES:])
        return encoded + self._identity.sign(content)

    def _share_keys(self, state: Advertised, request: ShareKeysRequest) -> tuple[Shared, ShareKeys]:
        """Round 1: check everyone's keys, share s_sk and b, and agree on every key that the session needs."""
        # Fig. 4, round 1: check that |U1| >= t, and that all public keys differ.
        u, users = self.user_id, request.users
        self._check_u1(users)
        check_keys(request, u, state)

        # The list gives the session's id, and the id u's neighbours. Check their sigma_v, in the complete graph
        # everyone's. u uses the keys of nobody else; where those are forged, the neighbours of whose they are end.
        session = session_id(self.params, self._pki.roster_hash, request)
        graph = self.params.graph.over(session, users)
        neighbours, holders = graph.neighbours(u, users), graph.holders(u, users)
        advertised = (AdvertiseKeys(bytes(c_pk), bytes(s_pk)) for c_pk, s_pk in request.keys[np.isin(users, holders)])
        self._pki.check_some(self._pki.setup, users, holders, advertised, request.signatures)
        public_keys = neighbours_keys(request, neighbours)
        self._scope = self._session = session

        # Sample b_u; the server gets a commitment to it, beside what Fig. 4 sends.
        rand = self._drawn.of_round(Round.SHARE_KEYS, hashlib.sha256(encode(request)).digest())
        b = shamir.random_scalars(1, rand)
        own = self_mask(b.tobytes(), session, u)

        # SS.share s_u^sk and b_u among the holders, which in the complete graph are all of U1.
        secrets = np.concatenate([np.frombuffer(state.s.secret, np.uint8).reshape(1, 32), b])
        shares = shamir.share(secrets, self.params.t, holders, rand=rand)

        # e_{u,v} = AE.enc(KA.agree(c_u^sk, c_v^pk), u || v || shares), and already s_{u,v} for round 2's p_{u,v}.
        self._agreements = Agreements(u, session, state, neighbours, public_keys)
        peers, keys = self._agreements.made()
        ciphertexts = np.empty((len(neighbours), CIPHERTEXT_BYTES), np.uint8)
        for row, v in enumerate(neighbours.tolist()):
            ciphertexts[row] = seal_shares(keys[row].tobytes(), u, v, shares[row + (v > u)])

        self._randomness = None  # no later round draws anything
        own_shares = shares[positions(u, holders)]
        return Shared(session, users, peers, own.seed, own_shares), ShareKeys(session, own.commitment, ciphertexts)

    def _mask_input(self, state: Shared, request: MaskedInputCollectionRequest) -> tuple[Masked, MaskedInputCollection]:
        """Round 2: open the shares of all neighbours in U2 and send y_u."""
        # Fig. 4, round 2: learn U2, as far as it is u's neighbourhood, and abort if that is too small.
        u = self.user_id
        check_session(request.session, state.session)
        holders = self.params.graph.over(state.session, state.users).holders(u, state.users)
        self._check_u2(state, request.users, holders)

        # Decrypt e_{v,u} now, and not in round 4: what does not open is a share that u does not hold.
        senders = request.users[request.users != u]
        peers, opened, shares = self._opened(state.peers, senders, request.ciphertexts)
        dealers = np.append(senders[opened], np.uint32(u))
        if len(dealers) < self.params.t:
            raise Abort("too few shares can be opened", len(dealers), self.params.t)
        order = np.argsort(dealers)
        others = np.setdiff1d(state.users, holders, assume_unique=True)  # of whom u does not know who is in U2
        masked = Masked(
            state.session,
            np.union1d(request.users, others),
            dealers[order],
            np.concatenate([shares, state.own_shares[None]])[order],
        )

        # y_u = x_u + p_u + sum of p_{u,v} over v in U2, whether or not the shares of v opened.
        y = self._masked_input(replace(state, peers=peers), senders)
        return masked, MaskedInputCollection(state.session, users_hash(request.users), y, senders[~opened])

    def _opened(
        self, peers: dict[int, Peer], senders: Ids, ciphertexts: Octets
    ) -> tuple[dict[int, Peer], NDArray[np.bool_], Octets]:
        """What `open_shares` opens, and with whose keys: OpenSSL tries what does not open, too, before it counts as a
        missing share. A client that was loaded has no private keys any more to try it with."""
        agreements, self._agreements = self._agreements, None
        opened, shares = open_shares(peers, senders, self.user_id, ciphertexts)
        if agreements is not None and not agreements.confirmed(peers, senders[~opened]):
            peers, _ = agreements.made()
            opened, shares = open_shares(peers, senders, self.user_id, ciphertexts)
        return peers, opened, shares

    def _masked_input(self, state: Shared, senders: Ids) -> memoryview:
        """y_u = x_u + PRG(b_u) + sum over v of D_{u,v} PRG(s_{u,v}), D = 1 for u > v and -1 for u < v; packed."""
        if self._x is None:
            raise LocalProtocolError("the input is due: call set_input() before round 2")
        y, self._x = self._x, None

        # p_u = PRG(b_u) is added, and p_{u,v} = D_{u,v} PRG(s_{u,v}) for every v; all in one pass over y.
        seeds = state.b_seed + b"".join(state.peers[v].mask_seed for v in senders.tolist())
        signs = np.append(np.int8(1), pairwise_signs(self.user_id, senders))
        masking.mask_sum(y, seed_array(seeds), signs, modulus=self.params.modulus, nonce=prg_nonce(state.session))
        return vector.pack(y, self.params.modulus).data

    def _check_consistency(self, state: Masked, request: ConsistencyCheckRequest) -> tuple[Checked, ConsistencyCheck]:
        """Round 3 (active model): sign U3, once."""
        # Fig. 4, round 3: check that U3 is a subset of U2, contains u, and has at least t members; sign it.
        self._check_u3(state, request.session, request.users)
        return Checked(state, request.users), ConsistencyCheck(state.session, users_hash(request.users))

    def _unmask(self, state: Masked | Checked, request: UnmaskingRequest) -> tuple[None, Unmasking]:
        """Round 4: one share of each dealer, of b for those in U3, of s_sk for the others: never both."""
        # Fig. 4, round 4: in the active model check U4 and every sigma'_v on u's own U3, in the semi-honest one U3.
        if isinstance(state, Checked):
            masked, u3 = state.masked, state.u3
            self._check_u4(state, request)
        else:
            masked, u3 = state, request.users
            self._check_u3(state, request.session, u3)
            self._pki.check_all(self._scope, u3, (), request.signatures)

        # The share of b_v for v in U3, and that of s_v^sk for v in U2 \ U3.
        kind = np.where(np.isin(masked.dealers, u3), B, S_SK)
        return None, Unmasking(masked.session, masked.shares[np.arange(len(kind)), kind])

    def _check_u1(self, users: Ids) -> None:
        """(D) of docs/sparse-graph.md: so many have joined that no neighbourhood is too corrupt; and they are no more
        than n, of whom the quorum is a majority."""
        check_users(users, self.user_id, self.params.min_joined, reason=TOO_FEW_JOINED)
        if len(users) > self.params.n or not self._pki.knows(users):
            raise RemoteProtocolError(
                f"user ids must be {self._pki.users_text}, and no more than n of them: {PARAMS_DIFFER}, for one in n"
            )

    def _check_u2(self, state: Shared, users: Ids, holders: Ids) -> None:
        """(B): enough of those who hold shares of u's secrets go on. U2 is not signed: a server may show each user
        another one."""
        reason = TOO_FEW if len(holders) == len(state.users) else TOO_FEW_HOLDERS
        check_users(users, self.user_id, self.params.min_holders, within=holders, reason=reason)

    def _check_u3(self, state: Masked, session: bytes, u3: Ids) -> None:
        """(A): u is in U3, and those of its neighbours who are were in its U2."""
        check_session(session, state.session)
        check_users(u3, self.user_id, self.params.min_users, within=state.users)

    def _check_u4(self, state: Checked, request: UnmaskingRequest) -> None:
        """(A): a quorum of U3 has signed the U3 that u has; nobody signs two."""
        check_session(request.session, state.masked.session)
        check_users(request.users, None, self.params.quorum, within=state.u3)
        agreed = repeat(ConsistencyCheck(state.masked.session, users_hash(state.u3)), len(request.users))
        self._pki.check_all(state.masked.session, request.users, agreed, request.signatures)

    _HANDLERS: ClassVar[dict[type[Request], Callable[..., tuple[State | None, Answer]]]] = {
        ShareKeysRequest: _share_keys,
        MaskedInputCollectionRequest: _mask_input,
        ConsistencyCheckRequest: _check_consistency,
        UnmaskingRequest: _unmask,
    }
