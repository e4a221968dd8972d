"""The server of Fig. 4, as a state machine that does no I/O.

The caller moves bytes: `receive(client_id, data)` takes what a client sent, and `end_round()` closes the round and
returns each client's next request. A bad message does not end the session: its sender is dropped and listed in
`faults`. A message may come twice. A message that proves nothing against its sender is listed in `strays`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from itertools import chain, compress
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import shamir, vector
from ..arguments import octets, whole
from ..codec import Ids, Octets
from ..errors import Abort, LocalProtocolError, RemoteProtocolError, require
from ..primitives import KeyPair, are_public_keys, self_mask
from ..signatures import SIGNATURE_BYTES
from .authentication import PARAMS_DIFFER, Claim, Pki
from .checkpoint import VERSION, Checkpoint, Remark, packed_slices, pairs
from .deliveries import Deliveries, Delivery, Stray, StrayMessage
from .graph import positions
from .identity import Roster
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
    session_id,
    type_of,
    users_hash,
    users_needed,
)
from .params import Model, Params
from .reconstruct import Reconstruction, WrongShare, blame
from .unmask import Progress, Removal, Revealed, seed_array

_CIPHERTEXT = np.dtype(("V", CIPHERTEXT_BYTES))  # one item, so that numpy moves it whole


def _exhaust(steps: Iterator[int]) -> None:
    for _ in steps:
        pass


def _unchanging(data: bytes | memoryview) -> bytes | memoryview:
    """The bytes themselves where nobody can change them through this name, and otherwise a copy."""
    plain = isinstance(data, memoryview) and data.readonly and data.c_contiguous and data.format == "B"
    return data if plain else octets(data, "data")


class Fault(NamedTuple):
    """What a client did wrong.

    It sent a message that the server refused, two different messages in one round, or shares that it must have
    falsified.

    Attributes:
        client: the client's user id.
        round: the round in which it did so.
        reason: what is wrong.
    """

    client: int
    round: Round
    reason: str


class Server:
    """The server in one session (Fig. 4).

    Args:
        params: the session's parameters, the same for everyone.
        roster: everyone's verification keys; in the active model only.
        executor: runs the removal of masks, which is the server's only long step: any `concurrent.futures.Executor`.
            The server does not shut it down, and `end_round` itself must not run on it. Its tasks hold secrets of this
            session. By default threads, one for each CPU.
        progress: called with (done, total) as masks are removed, in tasks of about the same work.

    Attributes:
        params: the session's parameters.
        executor: as above; it may be replaced.
        faults: the first fault of each client and round so far.
        disputes: shares that did not open or that others contradict, as (holder, dealer), where it is not proven which
            of the two has lied.

    Raises:
        LocalProtocolError: parameters and roster do not belong together.
    """

    def __init__(
        self,
        params: Params,
        *,
        roster: Roster | None = None,
        executor: Executor | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.params = params
        self.executor = executor
        self.faults: list[Fault] = []
        self.disputes: list[WrongShare] = []
        self._deliveries = Deliveries()
        self._pki = Pki(params, roster)
        self._progress = progress or (lambda done, total: None)
        self._rounds: list[type[Answer]] = [AdvertiseKeys, *(request.ANSWER for request in ROUNDS[params.model])]
        self._kinds: dict[int | None, type[Answer]] = {kind.TYPE: kind for kind in self._rounds}
        self._requests = iter(ROUNDS[params.model])
        self._scope = self._pki.setup
        self._expected = set(self._pki.users)
        self._answered: set[int] = set()
        self._keys: dict[int, bytes] = {}
        self._signatures: dict[int, bytes] = {}
        self._seen_keys: set[bytes] = set()
        self._unopened: set[WrongShare] = set()
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
    def answered(self) -> frozenset[int]:
        """The users whose message of this round is in; empty once the session has ended."""
        return frozenset(self._answered if self._rounds else ())

    @property
    def waiting_count(self) -> int:
        """How many are in `waiting`, in a time that does not depend on it."""
        return len(self._expected) - self.answered_count if self._rounds else 0

    @property
    def answered_count(self) -> int:
        """How many are in `answered`, likewise."""
        return len(self._answered) if self._rounds else 0

    def is_waiting_for(self, client_id: int) -> bool:
        """Whether a user is in `waiting`.

        Args:
            client_id: the user id of the client.
        """
        client_id = whole(client_id, "client id")
        return bool(self._rounds) and client_id in self._expected and client_id not in self._answered

    def has_answered(self, client_id: int) -> bool:
        """Whether a user is in `answered`.

        Args:
            client_id: the user id of the client.
        """
        return bool(self._rounds) and whole(client_id, "client id") in self._answered

    @property
    def strays(self) -> list[Stray]:
        """Messages that changed nothing and are nobody's fault, for the operator of the transport.

        They are the first stray of each client and round so far.
        """
        return self._deliveries.strays

    @property
    def ready(self) -> bool:
        """Whether enough users have answered for `end_round`. In a sparse graph it may abort all the same, where too
        few of one user's neighbours are among them."""
        return bool(self._rounds) and len(self._answered) >= self.needed

    @property
    def sum(self) -> NDArray[Any]:
        """The sum of x_u over `survivors`, mod R: uint32[m] or uint64[m] (`Params.dtype`).

        Raises `LocalProtocolError` before the last round has ended.
        """
        if self._result is None:
            raise LocalProtocolError("there is no sum until the last round has ended")
        return self._result

    @property
    def survivors(self) -> tuple[int, ...]:
        """U3, the users whose inputs are in the sum, ascending.

        Raises `LocalProtocolError` before the last round has ended.
        """
        if self._result is None:
            raise LocalProtocolError("there are no survivors until the last round has ended")
        return tuple(self._u3.tolist())

    @property
    def needed(self) -> int:
        """How many users must answer this round; 0 once the session has ended."""
        return users_needed(self.params, self._rounds[0].ROUND) if self._rounds else 0

    def receive(self, client_id: int, data: bytes | memoryview, *, digest: bytes | None = None) -> None:
        """Take a message that, as the transport says, comes from this client.

        The bytes of a message that was accepted in any round may come again at any time, and change nothing. All other
        messages are treated so:

        - A message that is not proven to be this client's in this session is listed in `strays`, and the client can
          still answer. The proof is its signature. In the semi-honest model nothing is signed: there the channel
          vouches for the client, and the message itself names the session. A message for an earlier round that this
          client did not answer, and a message of a user beyond the n-th, are strays as well.
        - A second, different message for a round that the client has answered is listed in `faults`. The first message
          stands, and the client stays.
        - Any other bad message is listed in `faults`, and its sender is left out of this and all later rounds.

        Only the first fault and the first stray of a client in a round are listed, so that no client can fill the
        memory.

        Args:
            client_id: the user id of the client.
            data: the message's bytes. A read-only memoryview, such as one of a file, is not copied; its bytes must stay
                as they are until this returns.
            digest: the SHA-256 of the bytes, where the caller has it: `checkpoint` needs it of every masked input.

        Raises:
            LocalProtocolError: the session has ended, or there is no client with this id.
        """
        _exhaust(self._take([self._delivery(client_id, data, digest)]))

    def receive_all(self, messages: Mapping[int, bytes | memoryview]) -> None:
        """`receive` of one message of each of these clients, with the same outcome.

        Their signatures are verified several at a time, from four messages on.

        Args:
            messages: by client id, the message's bytes, as for `receive`.

        Raises:
            LocalProtocolError: the session has ended, or there is no client with such an id; no message was taken.
        """
        _exhaust(self.receive_each(messages))

    def receive_each(
        self, messages: Mapping[int, bytes | memoryview], digests: Mapping[int, bytes] | None = None
    ) -> Iterator[int]:
        """`receive_all` for a caller who wants to see what each message changes.

        All signatures are verified before the first message is taken. A message whose turn does not come, since the
        caller stops before, is not taken.

        Args:
            messages: as for `receive_all`.
            digests: by client id, the SHA-256 of the bytes; as for `receive`, it may be missing.

        Yields:
            The client's id of each message as it has been taken, in the order of `messages`.

        Raises:
            LocalProtocolError: as for `receive_all`.
        """
        known = {whole(u, "client id"): digest for u, digest in (digests or {}).items()}
        bodies = {whole(u, "client id"): data for u, data in messages.items()}
        yield from self._take([self._delivery(u, data, known.get(u)) for u, data in bodies.items()])

    def end_round(self) -> dict[int, bytes]:
        """Close the round. Users who have not answered have dropped out.

        Returns:
            The next request of each remaining client, by user id. After the last round it is empty, and there is a
            `sum`.

        Raises:
            Abort: too few users answered, or a secret cannot be recovered from the shares; the session has ended.
            LocalProtocolError: the session has ended before.
            Exception: what `executor` raises in the last round, for example when a worker dies. Nothing is lost: the
                round can be ended again, with another executor if necessary.
        """
        if not self._rounds:
            raise LocalProtocolError("this session has ended")
        # Fig. 4: the server collects messages from enough users (U_k), otherwise it aborts.
        rounds, self._rounds = self._rounds, []  # any error ends the machine
        needed = users_needed(self.params, rounds[0].ROUND)
        if len(self._answered) < needed:
            raise Abort(self._shortage(rounds[0].ROUND), len(self._answered), needed)
        users = np.array(sorted(self._answered), np.uint32)

        # It sends the next request to all of U_k, or unmasks the sum.
        request = next(self._requests, None)
        requests = self._finish() if request is None else self._OPEN[request](self, users)
        self._expected, self._answered, self._rounds = set(users.tolist()), set(), rounds[1:]
        return requests

    def _shortage(self, current: Round) -> str:
        """Which round too few users answered, and a possible reason if there are strays."""
        strays = {stray.client for stray in self.strays if stray.round == current} - self._answered
        hint = f" (from {len(strays)} more there are only strays: maybe {PARAMS_DIFFER})"
        return f"{current}{hint if strays else ''}"

    def checkpoint(self) -> bytes:
        """All that round 2, MaskedInputCollection, has told so far: the sum of the masked inputs, and whose they are.

        A server of the same session that has received the messages of rounds 0 and 1, and has ended these rounds with
        the same users, goes on from it: see `resume`.

        Raises:
            LocalProtocolError: another round is due, or a masked input came without its digest.
        """
        return b"".join(self.checkpoint_parts())

    def checkpoint_parts(self) -> Iterator[bytes]:
        """The same, piece by piece: it is as long as a masked input. No message may be received meanwhile."""
        self._require_masked_inputs()
        users = sorted(self._answered)
        head = Checkpoint(
            version=VERSION,
            session=self._session,
            u2_hash=self._u2_hash,
            users=np.array(users, np.uint32),
            digests=self._deliveries.digests(users, Round.MASKED_INPUT_COLLECTION),
            refused=np.setdiff1d(self._u2, sorted(self._expected)).astype(np.uint32),
            unopened=pairs(self._unopened),
            faults=tuple(Remark(*fault) for fault in self.faults),
            strays=tuple(Remark(*stray) for stray in self.strays),
        )
        return chain([head.encode()], packed_slices(self._sum, self.params.modulus))

    def resume(self, data: bytes | memoryview) -> dict[int, bytes]:
        """Go on from a checkpoint, in place of the masked inputs that are in it.

        Args:
            data: what `checkpoint` gave.

        Returns:
            The SHA-256 of each message that is in the checkpoint, by user id.

        Raises:
            RemoteProtocolError: the bytes are no checkpoint of this session and this U2.
            LocalProtocolError: another round is due, or a masked input has come already.
        """
        # It is of this round, and its lists are those of a server that has U2.
        self._require_masked_inputs()
        require(not self._answered and self._expected == set(self._u2.tolist()), "a masked input has come already")
        saved, y = Checkpoint.split(_unchanging(data))
        self._check_session(saved.session)
        saved.check(y, self._u2, self._u2_hash, self.params)
        unopened = {u: saved.dealers_of(u) for u in saved.users.tolist()}
        held = {u: self._dealers_held(u, self._graph.holders(u), dealers) for u, dealers in unopened.items()}

        # The sum, who is in it, and what was noted on the way.
        self._sum = vector.unpack(y, self.params.m, self.params.modulus)
        self._held.update(held)
        self._unopened = {WrongShare(*pair) for pair in saved.unopened.tolist()}
        self._answered = set(saved.users.tolist())
        self._expected -= set(saved.refused.tolist())
        self.faults[:] = [Fault(*remark.fields) for remark in saved.faults]
        self._deliveries.restore([Stray(*remark.fields) for remark in saved.strays])
        digests = dict(zip(saved.users.tolist(), map(bytes, saved.digests), strict=True))
        for u, digest in digests.items():
            self._deliveries.accept(Delivery(u, b"", digest), Round.MASKED_INPUT_COLLECTION)
        return digests

    def _require_masked_inputs(self) -> None:
        require(self.round is Round.MASKED_INPUT_COLLECTION, "a checkpoint is of MaskedInputCollection only")

    def _report(self, fault: Fault) -> None:
        if (fault.client, fault.round) not in ((known.client, known.round) for known in self.faults):
            self.faults.append(fault)

    def _delivery(self, client_id: int, data: bytes | memoryview, digest: bytes | None = None) -> Delivery:
        client_id = whole(client_id, "client id")
        if client_id not in self._pki:
            raise LocalProtocolError(f"client ids must be {self._pki.users_text}, got {client_id}")
        return Delivery(client_id, _unchanging(data), None if digest is None else octets(digest, "digest"))

    def _take(self, deliveries: Sequence[Delivery]) -> Iterator[int]:
        """Messages of one round, of different clients or a single one; their senders as each is taken."""
        # Equal bytes change nothing, even after the end.
        fresh = [not self._deliveries.repeats(each) for each in deliveries]
        if any(fresh) and not self._rounds:
            raise LocalProtocolError("this session has ended")

        # The signatures of all are verified together.
        claims = [self._claim(each) for each in compress(deliveries, fresh)]
        doubted = zip(claims, self._doubts(claims), strict=True)
        for delivery, is_fresh in zip(deliveries, fresh, strict=True):
            if is_fresh:
                self._take_claim(delivery, *next(doubted))
            yield delivery.user

    def _take_claim(self, delivery: Delivery, claim: Claim, doubt: str | None) -> None:
        """A stray leaves the client in the session; a fault drops it, unless it has answered this round already."""
        current = self._rounds[0].ROUND
        try:
            self._receive(delivery, claim, doubt)
        except StrayMessage as stray:
            self._deliveries.note(Stray(claim.user, current, stray.reason))
        except RemoteProtocolError as error:
            self._report(Fault(claim.user, current, error.reason))
            if claim.user not in self._answered:
                self._expected.discard(claim.user)

    def _claim(self, delivery: Delivery) -> Claim:
        message, signature = self._pki.split(delivery.data)
        kind = self._kinds.get(type_of(message))
        scope = self._pki.setup if kind is AdvertiseKeys else self._scope
        return Claim(scope, delivery.user, kind, message, signature)

    def _doubts(self, claims: Sequence[Claim]) -> list[str | None]:
        """Why each is a stray: its round has ended without it, or it is not proven to be its user's; or None."""
        if not claims:  # also after the end
            return []
        due = self._rounds[0].ROUND
        late = [
            each.kind is not None
            and due > each.kind.ROUND
            and not self._deliveries.answered(each.user, each.kind.ROUND)
            for each in claims
        ]
        doubts = iter(self._pki.reasons_to_doubt([each for each, ended in zip(claims, late, strict=True) if not ended]))
        return ["the round that it answers has ended" if ended else next(doubts) for ended in late]

    def _receive(self, delivery: Delivery, claim: Claim, doubt: str | None) -> None:
        # Strays: a round that has ended, and what is not proven to be u's.
        u, kind, due = claim.user, claim.kind, self._rounds[0]
        if doubt is not None:
            raise StrayMessage(doubt)

        # Faults: a second answer to one round, and a message of a user who was dropped.
        if kind is not None and self._deliveries.answered(u, kind.ROUND):
            self._report(Fault(u, kind.ROUND, "has answered this round in two ways"))
            return
        if u not in self._expected:
            raise RemoteProtocolError("is not expected in this round")
        if len(self._answered) == self.params.n and u not in self._answered:
            raise StrayMessage("the session has n users already")

        # The message of the round that is due.
        answer = decode(claim.message, due)
        self._TAKE[type(answer)](self, u, answer)
        self._signatures[u] = claim.signature
        self._answered.add(u)
        self._deliveries.accept(delivery, due.ROUND)

    def _signatures_of(self, users: Ids) -> Octets:
        """The users' signatures of the round that ends; none in the semi-honest model."""
        joined = b"".join(self._signatures[u] for u in users.tolist())
        return np.frombuffer(joined, np.uint8).reshape(-1, SIGNATURE_BYTES)

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
        # Fig. 4, round 0, server: send {(v, c_v^pk, s_v^pk, sigma_v)} of U1 to everyone in U1.
        keys = np.frombuffer(b"".join(self._keys[u] for u in users.tolist()), np.uint8).reshape(-1, 2, 32)
        request = ShareKeysRequest(users, keys, self._signatures_of(users))

        # Round 1's answers are bound to the session's id, which the list gives.
        self._u1, self._s_pk = users, keys[:, 1]
        self._session = self._scope = session_id(self.params, self._pki.roster_hash, request)
        self._commitments: dict[int, bytes] = {}

        # So is the graph, of U1 now and of U2 later. There is a ciphertext for each pair of a sender and a neighbour.
        self._graph = self.params.graph.over(self._session, users)
        self._ciphertexts = np.empty(self._graph.size, _CIPHERTEXT)
        return dict.fromkeys(users.tolist(), encode(request))

    def _take_ciphertexts(self, u: int, answer: ShareKeys) -> None:
        self._check_session(answer.session)
        holders = self._graph.holders(u)
        if len(answer.ciphertexts) != len(holders) - 1:
            raise RemoteProtocolError(f"{len(answer.ciphertexts)} ciphertexts for {len(holders) - 1} recipients")
        cells = self._graph.row(u, holders)[holders != u]
        self._ciphertexts[cells] = answer.ciphertexts.view(_CIPHERTEXT)[:, 0]
        self._commitments[u] = answer.commitment

    def _open_masked_input_collection(self, users: Ids) -> dict[int, bytes]:
        """Each of U2 gets the ciphertexts that were made for it."""
        # Fig. 4, round 1, server: send {e_{v,u}} over v in U2 to every u in U2; of its neighbours, and who they are.
        requests, graph = {}, self._graph.within(users)
        for u in users.tolist():
            near = graph.holders(u)
            received = self._ciphertexts[self._graph.column(near, u)[near != u]].view(np.uint8)
            ciphertexts = received.reshape(-1, CIPHERTEXT_BYTES)
            requests[u] = encode(MaskedInputCollectionRequest(self._session, near, ciphertexts))

        # Round 2 begins: no y_u is in the sum, and no share has come.
        self._u2, self._graph = users, graph
        self._u2_hash = users_hash(users)
        self._ciphertexts = np.empty(0, _CIPHERTEXT)
        self._sum = np.zeros(self.params.m, self.params.dtype)
        self._held: dict[int, Ids] = {}
        self._reconstruction = Reconstruction(graph, self.params.t, self._liars, self._verify_secret)
        return requests

    def _take_masked_input(self, u: int, answer: MaskedInputCollection) -> None:
        """Check all of y_u, then add it: the server never holds two masked vectors."""
        # Fig. 4, round 2, server: collect y_u, masked against this U2; it is a vector over Z_R.
        self._check_session(answer.session)
        near = self._graph.holders(u)
        if answer.u2_hash != self._shown_hash(near):
            raise RemoteProtocolError("has masked its input for another list than U2")
        held = self._dealers_held(u, near, answer.unopened)
        if not vector.packed_check(answer.y, self.params.m, self.params.modulus):
            raise RemoteProtocolError("the masked input has a wrong length, an entry >= R or dirty padding")

        # It passed all checks: add it to the sum of the others.
        vector.packed_add(self._sum, answer.y, self.params.modulus)
        self._held[u] = held
        self._unopened |= {WrongShare(u, v) for v in answer.unopened.tolist()}

    def _shown_hash(self, near: Ids) -> bytes:
        """The hash of the part of U2 that a user was shown, which in the complete graph is all of it."""
        return self._u2_hash if len(near) == len(self._u2) else users_hash(near)

    def _dealers_held(self, u: int, near: Ids, unopened: Ids) -> Ids:
        """The dealers whose shares u holds: those near it, itself included, but for those whose shares did not open."""
        if not len(unopened):
            return near
        senders = near[near != u]
        if np.any(unopened[1:] <= unopened[:-1]) or not np.isin(unopened, senders).all():
            raise RemoteProtocolError("the list of unopened ciphertexts is not an ascending part of U2")
        held = near[~np.isin(near, unopened)]
        if len(held) < self.params.t:
            raise RemoteProtocolError(f"only {len(held)} ciphertexts opened")
        return held

    def _open_consistency_check(self, users: Ids) -> dict[int, bytes]:
        """All of U3 get the list U3."""
        self._u3, self._in_sum = users, frozenset(users.tolist())
        return dict.fromkeys(users.tolist(), encode(ConsistencyCheckRequest(self._session, users)))

    def _take_consistency_check(self, u: int, answer: ConsistencyCheck) -> None:
        self._check_session(answer.session)
        if answer.u3_hash != users_hash(self._u3):
            raise RemoteProtocolError("has signed another list than U3")

    def _open_unmasking(self, users: Ids) -> dict[int, bytes]:
        """All of U3 get the list U3, or all of U4 the list U4 with its signatures of U3. In a sparse graph it is a
        quorum of U4: nobody needs more."""
        named = users
        if self.params.model is Model.SEMI_HONEST:
            self._u3, self._in_sum = users, frozenset(users.tolist())
        elif not self._graph.complete:
            named = users[: self.params.quorum]
        request = UnmaskingRequest(self._session, named, self._signatures_of(named))
        return dict.fromkeys(users.tolist(), encode(request))

    def _take_shares(self, u: int, answer: Unmasking) -> None:
        self._check_session(answer.session)
        dealers = self._held[u]
        if len(answer.shares) != len(dealers):
            raise RemoteProtocolError(f"{len(answer.shares)} shares for {len(dealers)} users")
        if not shamir.in_field(answer.shares):
            raise RemoteProtocolError("a share is not an element of the field")
        self._reconstruction.add(u, dealers, answer.shares)

    def _finish(self) -> dict[int, bytes]:
        """Recover one secret of everyone in U2, and remove the masks from the sum."""
        # Fig. 4, round 4: SS.recon b_u for u in U3 and s_v^sk for v in U2 \ U3. Blame is settled even if that fails.
        try:
            recovered = self._reconstruction.secrets()
        finally:
            self._settle(self._reconstruction)

        # z = sum of y_u - sum of p_u + sum of p_{v,u}: the removal gives what is to be added to the sum of y_u.
        self._rounds = [Unmasking]  # it is open until the sum is there, whatever becomes of the executor
        removal = Removal(self.params, self._session, self._graph, self._revealed(recovered), self._progress)
        total = removal.run(self.executor)
        vector.add(total, self._sum, self.params.modulus)
        self._result = total
        return {}

    def _settle(self, shares: Reconstruction) -> None:
        """List who must have lied about shares as faults, and the pairs where that is not proven as disputes."""
        holders, dealers, disputes = blame(self._unopened | shares.wrong, self._liars)
        for u in sorted(holders):
            self._report(Fault(u, Round.UNMASKING, "holds wrong shares of more users than can have lied"))
        for v in sorted(dealers):
            self._report(Fault(v, Round.SHARE_KEYS, "dealt wrong shares to more users than can have lied"))
        for v in sorted(shares.impostors):
            self._report(Fault(v, Round.SHARE_KEYS, "dealt shares of another secret than it committed to"))
        self.disputes[:] = sorted(disputes | shares.doubtful)

    @property
    def _liars(self) -> int:
        """How many may have lied where a share is wrong, of the holders of one user's shares: c, but at least 1, or one
        lie would blame two."""
        return max(1, self.params.corrupt_holders)

    def _verify_secret(self, v: int, secret: bytes) -> bytes | KeyPair | None:
        """The seed of p_v, if v is in U3 and this is its b; else v's key pair, if this is its s_sk."""
        # b_v for v in U3: its commitment is that of round 1.
        if v in self._in_sum:
            mask = self_mask(secret, self._session, v)
            return mask.seed if mask.commitment == self._commitments[v] else None

        # s_v^sk for v in U2 \ U3: its public key is that of round 0.
        try:
            pair = KeyPair.from_secret(secret)
        except ValueError:
            return None
        return pair if pair.public == bytes(self._s_pk[self._index(v)]) else None

    def _revealed(self, recovered: dict[int, Any]) -> Revealed:
        """The recovered secrets of survivors and of dropped users."""
        dropped = np.setdiff1d(self._u2, self._u3)
        return Revealed(
            self._u3,
            seed_array(b"".join(recovered[u] for u in self._u3.tolist())),
            self._s_pk[self._index(self._u3)],
            dropped,
            np.frombuffer(b"".join(recovered[v].secret for v in dropped.tolist()), np.uint8).reshape(-1, 32),
        )

    def _index(self, users: Ids | list[int] | int) -> Any:
        """The positions of users in U1."""
        return positions(users, self._u1)

    def _check_session(self, session: bytes) -> None:
        if session != self._session:
            raise RemoteProtocolError("the message belongs to another session")

    _TAKE: ClassVar[dict[type[Answer], Callable[..., None]]] = {
        AdvertiseKeys: _take_keys,
        ShareKeys: _take_ciphertexts,
        MaskedInputCollection: _take_masked_input,
        ConsistencyCheck: _take_consistency_check,
        Unmasking: _take_shares,
    }
    _OPEN: ClassVar[dict[type[Request], Callable[..., dict[int, bytes]]]] = {
        ShareKeysRequest: _open_share_keys,
        MaskedInputCollectionRequest: _open_masked_input_collection,
        ConsistencyCheckRequest: _open_consistency_check,
        UnmaskingRequest: _open_unmasking,
    }
