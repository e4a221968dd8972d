"""The node's side: what a site answers in a round of a framework, one message in one process.

A framework may start a process for every message, deliver a message twice, and run two at a time. So nothing is kept in
memory: the first message trains, fixes the input and saves the client (`Client.save`), and each later one loads it,
answers, and leaves the next state on disk before the answer is returned. Equal requests get equal bytes.

    admit:  policy -> is the session fresh
    take:   encode what training gave -> claim the nonce -> save -> AdvertiseKeys
    answer: load -> the next round -> the answer

`begin` is the first two, with the training between them.

What puts the node out is a `NodeRefusal`. It has two texts: one for the server, which tells nothing of the node's data,
and one for the node's own log.
"""

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR

from ..arguments import array as plain_array
from ..arguments import flag, octets
from ..dp import Ledger, Plan
from ..durable import Document, make_folder
from ..errors import ArgumentTypeError, LocalProtocolError, RemoteProtocolError, SecAggError, require
from ..noisy import NoisyClient, NoisySum
from ..protocol.client import Client
from ..protocol.messages import Round
from ..protocol.nonces import Nonces
from ..protocol.params import Params
from ..protocol.saved import remove_saved
from ..shamir import RandomBytes
from .arrays import Arrays, UnusableUpdate
from .coding import RoundCoding, Update
from .freshness import is_fresh
from .policy import SitePolicy
from .refusal import NodeRefusal, refusals
from .wire import Invitation, Reply, RoundRequest, decoded_request, name_of

__all__ = ["Admitted", "Site"]

PRIVATE_REASON = "this node's update cannot be used; the node's own log says why"
ROUNDS_COUNTED = 1_000  # what is left of a ledger is counted in rounds, up to here
_FILE = re.compile(r"[0-9a-f]{32}\.client")
_SESSION = re.compile(r"[0-9a-f]{32}")

Machine = Client | NoisyClient


@dataclass(frozen=True, eq=False, repr=False)
class Admitted:
    """A session that a site takes part in, before its training.

    Attributes:
        reply: what was answered when the same request came before; None if training is due.
    """

    reply: bytes | None
    _params: Params
    _user: int
    _coding: RoundCoding
    _received: dict[str, Any]
    _file: Path


class Site:
    """One node, with its policy.

    Args:
        policy: what the site accepts and has.
        name: of this node. Nodes that share a folder of state have different names.
        clock: POSIX seconds.
        rand: source of random bytes.
    """

    def __init__(
        self,
        policy: SitePolicy,
        name: str,
        *,
        clock: Callable[[], float] = time.time,
        rand: RandomBytes = os.urandom,
    ) -> None:
        if not isinstance(name, str):
            raise ArgumentTypeError(f"name must be text, got {type(name).__name__}")
        self.policy = policy
        self._name = name
        self._clock = clock
        self._rand = rand
        self._notes: list[str] = []

    def begin(
        self,
        request: bytes,
        received: Arrays,
        train: Callable[[], Update],
        *,
        task: bytes,
        evaluation: bool = False,
    ) -> bytes:
        """The answer to the first request of a session, which is trained for.

        A request that comes again gets the same bytes, and nothing is trained.

        Args:
            request: what the server sent beside the model.
            received: the model, by name.
            train: trains it, once the site's policy agrees. What it raises passes through.
            task: all that steers the training beside the model, as received; see `encoded_task`.
            evaluation: whether the model is evaluated instead, and metrics alone are summed.

        Returns:
            The reply for the server.

        Raises:
            NodeRefusal: the node takes no part, or cannot keep its state.
        """
        admitted = self.admit(request, received, task=task, evaluation=evaluation)
        return self.take(admitted, train()) if admitted.reply is None else admitted.reply

    def admit(self, request: bytes, received: Arrays, *, task: bytes, evaluation: bool = False) -> Admitted:
        """Whether this site takes part in a session; nothing is sent or spent yet.

        Args:
            request: what the server sent beside the model.
            received: the model, by name.
            task: all that steers the training beside the model, as received; see `encoded_task`.
            evaluation: whether the model is evaluated instead, and metrics alone are summed.

        Returns:
            The session, for `take`.

        Raises:
            NodeRefusal: the node takes no part, or cannot keep its state.
        """
        request, task, evaluation = octets(request, "request"), octets(task, "task"), flag(evaluation, "evaluation")
        received = {name: plain_array(values, f"array {name!r}") for name, values in received.items()}
        with refusals():
            self._remove_old()
            invitation = decoded_request(request)
            if not isinstance(invitation, Invitation):
                raise RemoteProtocolError("the request does not begin a session")
            params = Params.decode(invitation.params)
            user = self._user(invitation, params)
            coding = self._agreed(params, invitation.roster, received, task, evaluation)
            file = self._file(name_of(invitation.params))
            reply = self._answered(params, user, file)
            if reply is None:
                self._check_fresh(params.nonce)
            return Admitted(reply, params, user, coding, received, file)

    def take(self, admitted: Admitted, update: Update) -> bytes:
        """The answer to the first request of a session, once training is done, however long it took.

        If the same request was answered meanwhile, its answer is this one's, and the update is dropped.

        Args:
            admitted: what `admit` gave.
            update: what training gave.

        Returns:
            The reply for the server.

        Raises:
            NodeRefusal: the update cannot be used, the node takes part no longer, or it cannot keep its state.
        """
        params, user, file = admitted._params, admitted._user, admitted._file
        with refusals():
            if (reply := self._answered(params, user, file)) is not None:
                return reply
            x, noisy = self._encoded(admitted._coding, update, admitted._received, params)
            make_folder(file.parent)
            with self._turn():
                if file.exists():  # another process has taken the same session meanwhile
                    return self._first_answer(params, user, file)
                return self._started(self._saved(x, noisy, params, user, file), params, user)

    def answer(self, request: bytes) -> bytes:
        """The answer to a later request.

        Args:
            request: what the server sent.

        Returns:
            The reply for the server.

        Raises:
            NodeRefusal: the node takes part no longer, or cannot keep its state.
        """
        request = octets(request, "request")
        with refusals():
            self._remove_old()
            asked = decoded_request(request)
            if not isinstance(asked, RoundRequest):
                raise RemoteProtocolError("the request begins a session")
            params = Params.decode(asked.params)
            file = self._file(name_of(asked.params))
            require(file.exists(), "this node has no part in the session: it did not join, or its state is gone")
            machine = self._load(params, asked.user, file)
            try:
                message = self._received(machine, asked.message)
            except LocalProtocolError:
                # Another process may have answered the same request meanwhile: then its answer is this one's.
                machine = self._load(params, asked.user, file)
                message = self._received(machine, asked.message)
            self._note_cost(machine)
            return Reply.of(asked.user, message).encode()

    def forget(self, session: str) -> None:
        """Remove what is left of a session that is over.

        Args:
            session: its name; see `session_name`. Any other text is ignored.
        """
        if isinstance(session, str) and _SESSION.fullmatch(session):
            remove_saved(self._file(session))

    def take_notes(self) -> list[str]:
        """Lines for this node's own log since the last call."""
        notes, self._notes = self._notes, []
        return notes

    # --- Before training --------------------------------------------------------------------------------------------

    def _user(self, invitation: Invitation, params: Params) -> int:
        """Which user this node is: in the active model as the roster says, otherwise as the server says."""
        if self.policy.roster is None or self.policy.identity is None:
            if not 1 <= invitation.user <= params.n:
                raise RemoteProtocolError(f"user {invitation.user} is none of 1 .. {params.n}")
            return invitation.user
        own = self.policy.identity.verification_key
        users = [u for u in self.policy.roster.users.tolist() if self.policy.roster.key(u) == own]
        require(bool(users), "this node's identity is not in its own roster")
        return int(users[0])

    def _agreed(
        self, params: Params, roster_hash: bytes, received: Arrays, task: bytes, evaluation: bool
    ) -> RoundCoding:
        """The coding of the round, once the policy agrees with the session."""
        policy = self.policy
        users = None if policy.roster is None else len(policy.roster)
        wanted = policy.evaluation if evaluation else policy.coding
        if wanted is None:
            raise NodeRefusal("this site takes part in no evaluation: its policy has no [evaluation]")
        noisy = policy.coding.noise is not None
        policy.accepts.check(params, roster_hash, noisy=noisy, users=users, where="[protection] of its policy")
        try:
            coding = wanted.fitted(received, task)
            coding.check(params, policy.application)
        except LocalProtocolError as error:
            raise NodeRefusal(f"the session is refused by this site's policy: {error}") from None
        return coding

    def _check_fresh(self, nonce: bytes) -> None:
        """The session was made now, by this site's clock."""
        if not is_fresh(nonce, self._clock(), self.policy.nonce_age):
            raise NodeRefusal(
                f"the session is refused by this site's policy: its nonce is not of the last"
                f" {self.policy.nonce_age:,.0f} seconds by this node's clock"
            )

    # --- The client -------------------------------------------------------------------------------------------------

    def _encoded(self, coding: RoundCoding, update: Update, received: Arrays, params: Params) -> tuple[Any, Any]:
        try:
            coding.check_update(update)
        except LocalProtocolError as error:
            raise NodeRefusal(f"the application's update does not fit: {error}") from None
        try:
            vector = coding.vector(update, received)
            if clipped := coding.clipped(vector):
                self._notes.append(clipped)
            return coding.encoded(update, vector, params, rand=_stream(self._rand))
        except (UnusableUpdate, LocalProtocolError) as error:
            raise NodeRefusal(PRIVATE_REASON, f"this node's update is left out of the round: {error}") from None

    def _saved(self, x: Any, noisy: NoisySum[Any] | None, params: Params, user: int, file: Path) -> Machine:
        """A new client with its input, on disk."""
        policy = self.policy
        if policy.identity is None and not self._claim(params.nonce):  # an identity claims nonces by itself
            raise NodeRefusal("this node has taken part in a session with this nonce already")
        who: dict[str, Any] = {"identity": policy.identity, "roster": policy.roster, "rand": self._rand}
        machine: Machine
        if noisy is None:
            machine = Client(params, user, x, **who)
        else:
            machine = NoisyClient(params, noisy, user, x, ledger=self._ledger, **who)
        machine.save(file, **self._kept)
        return machine

    def _started(self, machine: Machine, params: Params, user: int) -> bytes:
        """The reply with the first message; whatever prevents it, the client is of no more use."""
        try:
            return Reply.of(user, machine.start(params.encode())).encode()
        except SecAggError:
            _leave(machine)
            raise

    def _answered(self, params: Params, user: int, file: Path) -> bytes | None:
        """The reply to a first request, if it came before."""
        if not file.exists():
            return None
        with self._turn():
            return self._first_answer(params, user, file)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One process of this node at a time saves a client and starts it: others find both done, or neither."""
        with Document(self.policy.state / f"{self._owner.hex()[:32]}.begin", "begin").turn():
            yield

    def _first_answer(self, params: Params, user: int, file: Path) -> bytes:
        """The reply to a first request that came before: a crash may have come between saving and starting."""
        machine = self._load(params, user, file)
        if machine.answered is None and not machine.finished:
            return self._started(machine, params, user)
        if machine.answered is Round.ADVERTISE_KEYS and machine.answer is not None:
            return Reply.of(user, machine.answer).encode()
        raise NodeRefusal("this node has gone on with the session already, and does not train for it again")

    def _load(self, params: Params, user: int, file: Path) -> Machine:
        policy = self.policy
        who: dict[str, Any] = {"identity": policy.identity, "roster": policy.roster}
        how: dict[str, Any] = {"params": params, "user_id": user, "max_age": policy.keep, **who, **self._kept}
        if policy.coding.noise is None:
            return Client.load(file, **how)
        return NoisyClient.load(file, plan=policy.coding.saved_plan(params), ledger=self._ledger, **how)

    def _received(self, machine: Machine, message: bytes) -> bytes:
        """The protocol's answer. A machine that has ended by an error is of no more use."""
        try:
            return machine.receive(message)
        except LocalProtocolError:
            raise
        except SecAggError:
            if machine.finished and machine.answer is None:  # it has ended by this error, and not before
                _leave(machine)
            raise

    @property
    def _kept(self) -> dict[str, Any]:
        return {"key": self.policy.key or self.policy.state / "clients.key", "clock": self._clock}

    @property
    def _ledger(self) -> Ledger:
        assert self.policy.ledger is not None
        return self.policy.ledger

    def _claim(self, nonce: bytes) -> bool:
        """A session's nonce is used once by this node, in all its processes."""
        state = self.policy.state
        return Nonces(state / "node", self._owner, state).claim(nonce)

    @property
    def _owner(self) -> bytes:
        """This node among those that share the folder of state."""
        return sha256(b"secagg integrations node v1\0" + self._name.encode()).digest()

    def _file(self, session: str) -> Path:
        who = sha256(f"{session}\n{self._name}".encode()).hexdigest()[:32]
        return self.policy.state / f"{who}.client"

    def _remove_old(self) -> None:
        """Remove what sessions have left that began long ago, whether they ended or not."""
        before = self._clock() - self.policy.keep
        for path in self.policy.state.glob("*.client"):
            if _FILE.fullmatch(path.name):
                remove_saved(path, before=before)

    def _note_cost(self, machine: Machine) -> None:
        """What the round reveals of this node's data, once that is paid for."""
        if isinstance(machine, NoisyClient) and machine.answered is Round.MASKED_INPUT_COLLECTION:
            self._notes.append(
                f"this round reveals at most {machine.plan.guarantee}; {left_of(self._ledger, machine.plan)}"
            )


def left_of(ledger: Ledger, plan: Plan) -> str:
    """What is left of a ledger, in words: how many more rounds of this cost it pays for.

    Args:
        ledger: the node's.
        plan: of the noise.
    """
    rounds = ledger.releases_left(plan.guarantee, total_variation=plan.total_variation, limit=ROUNDS_COUNTED + 1)
    more = f"more than {ROUNDS_COUNTED:,}" if rounds > ROUNDS_COUNTED else f"{rounds:,}"
    return f"of {ledger.total} {len(ledger.spent):,} releases are spent, and {more} more such rounds are left"


def _stream(rand: RandomBytes) -> RandomBytes:
    """Random bytes for rounding, of which an update takes millions: AES-256 in counter mode under a fresh key."""
    stream = Cipher(AES256(octets(rand(32), "what rand returns")), CTR(bytes(16))).encryptor()
    return lambda size: stream.update(bytes(size))


def _leave(machine: Machine) -> None:
    """Remove the state. Another process may have gone on with it, which keeps it then."""
    with suppress(LocalProtocolError, OSError):
        machine.leave()
