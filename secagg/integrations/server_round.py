"""The server's side of one round of a framework, which does no I/O: which bytes go to which node, and what comes of it.

The caller sends each node its request, and hands in replies, refusals and errors as they come. `end_exchange` closes an
exchange: nodes that have not answered have dropped out. After the last one there is an outcome.

    round = ServerRound(settings, nodes, model, task=...)
    while True:
        ... send round.requests; call round.receive(node, reply) or round.refuse(node, reason) ...
        if round.end_exchange():
            break
    round.outcome.arrays
"""

import os
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..arguments import convert, octets, whole
from ..errors import LocalProtocolError, RemoteProtocolError, require
from ..protocol.deliveries import Stray
from ..protocol.graph import COMPLETE, Graph
from ..protocol.identity import Roster
from ..protocol.messages import Round
from ..protocol.params import Model, Params
from ..protocol.server import Fault, Server
from ..protocol.thresholds import Threat
from ..shamir import RandomBytes
from .arrays import Arrays, require_finite
from .coding import Coding, RoundCoding
from .freshness import fresh_nonce
from .metrics import Value
from .wire import Invitation, Reply, RoundRequest

__all__ = ["RoundOutcome", "RoundSettings", "ServerRound"]

REASON_CHARACTERS = 500  # of what a node says, in logs

Node = TypeVar("Node", bound=Hashable)


@dataclass(frozen=True, kw_only=True, eq=False)
class RoundSettings:
    """What the server asks for in every round. Each site compares it with a policy of its own.

    Attributes:
        coding: how updates are encoded.
        roster: everyone's verification keys, for the active model; None for the semi-honest model.
        threat: see `Params`, and so are n_corrupt, t, min_users, graph and min_joined.
        n_corrupt: None for the default of `Params`.
        t: None for the default of `Params`.
        min_users: None for the default of `Params`.
        graph: the complete graph, or a sparse one for a thousand nodes and more; see `Params.sparse`.
        min_joined: None for the default of `Params`.
        application: what sessions are for, as sites may ask for it.
    """

    coding: Coding
    roster: Roster | None = None
    threat: Threat = Threat.COLLUDING
    n_corrupt: int | None = None
    t: int | None = None
    min_users: int | None = None
    graph: Graph = COMPLETE
    min_joined: int | None = None
    application: bytes = b""

    def __post_init__(self) -> None:
        convert(self, whole, "n_corrupt", "t", "min_users", "min_joined")
        convert(self, octets, "application")

    def params(self, coding: RoundCoding, n: int, nonce: bytes | None = None) -> Params:
        """The parameters of a round.

        Args:
            coding: of the round.
            n: how many nodes are invited.
            nonce: of the session; None for a fresh one that says no time.

        Raises:
            LocalProtocolError: there are no such parameters for n nodes.
        """
        return coding.params(
            whole(n, "n"),
            application=self.application,
            nonce=nonce,
            model=Model.SEMI_HONEST if self.roster is None else Model.ACTIVE,
            threat=self.threat,
            n_corrupt=self.n_corrupt,
            t=self.t,
            min_users=self.min_users,
            graph=self.graph,
            min_joined=self.min_joined,
        )


@dataclass(frozen=True, eq=False)
class RoundOutcome(Generic[Node]):
    """What a round has come to.

    Attributes:
        arrays: the model, to which the mean change was added, by name.
        metrics: by name: sums of counts, and weighted means of the others.
        weight: the sum of the survivors' weights, which is noisy in a round with noise; without weights, how many
            survivors there are.
        survivors: the nodes whose updates are in the mean, in the order in which they were invited.
        left: by node, why it is out of the round; among them nodes that left after their update was in.
        mean_error: bound on the absolute error of each mean before it is rounded to its dtype; None with noise.
        deviation: standard deviation of the noise in each mean; None without noise.
        guarantee: what the round reveals of one node's data at most, in words; None without noise.
    """

    arrays: dict[str, NDArray[Any]]
    metrics: dict[str, Value]
    weight: float
    survivors: tuple[Node, ...]
    left: dict[Node, str] = field(default_factory=dict)
    mean_error: float | None = None
    deviation: float | None = None
    guarantee: str | None = None


class ServerRound(Generic[Node]):
    """The server in one round.

    Args:
        settings: what the server asks for.
        nodes: who is invited, 2 or more, all different.
        received: the model that the nodes are sent to be trained, by name.
        task: all that steers training at every node beside the model, as its own adapter encodes what it has received;
            see `encoded_task`.
        dtypes: by name, of the resulting arrays, where it is not that of `received`.
        executor: removes masks; see `Server`.
        clock: POSIX seconds.
        rand: source of random bytes.

    Attributes:
        params: the session's parameters.
        requests: by node, the bytes that are due to it now, beside the model in the first exchange.

    Raises:
        LocalProtocolError: there are too few nodes for what the settings ask, or the model cannot be averaged.
    """

    def __init__(
        self,
        settings: RoundSettings,
        nodes: Sequence[Node],
        received: Arrays,
        *,
        task: bytes,
        dtypes: Mapping[str, np.dtype[Any]] | None = None,
        executor: Executor | None = None,
        clock: Callable[[], float] = time.time,
        rand: RandomBytes = os.urandom,
    ) -> None:
        require(len(set(nodes)) == len(nodes), "a node is invited twice")
        self._coding = settings.coding.fitted(received, task)
        require_finite(received, self._coding.form)
        self.params = settings.params(self._coding, len(nodes), fresh_nonce(clock(), rand))
        self._encoded_params = self.params.encode()
        self._received = dict(received)
        self._dtypes = dict(dtypes or {})
        self._server = Server(self.params, roster=settings.roster, executor=executor)
        active = settings.roster is not None
        self._users: dict[Node, int] = {} if active else {node: u for u, node in enumerate(nodes, 1)}
        self._node_of = {user: node for node, user in self._users.items()}
        self._nodes = tuple(nodes)
        self._left: dict[Node, str] = {}
        self._waiting, self._answered = set(nodes), 0
        self._notes: list[str] = []
        self._outcome: RoundOutcome[Node] | None = None
        roster_hash = b"" if settings.roster is None else settings.roster.hash
        self.requests: dict[Node, bytes] = {
            node: Invitation.of(self._encoded_params, roster_hash, self._users.get(node, 0)).encode() for node in nodes
        }

    @property
    def current(self) -> Round | None:
        """The round of the protocol whose answers are due; None once it is over."""
        return self._server.round

    @property
    def waiting(self) -> frozenset[Node]:
        """The nodes that may still answer this exchange."""
        return frozenset(self._waiting)

    @property
    def waiting_count(self) -> int:
        """How many they are, in a time that does not depend on it."""
        return len(self._waiting)

    @property
    def answered(self) -> int:
        """How many nodes have answered this exchange."""
        return self._answered

    @property
    def ready(self) -> bool:
        """Whether enough nodes have answered for the round to go on."""
        return self._server.ready

    @property
    def hopeless(self) -> bool:
        """Whether too few nodes are left for the round to go on, whoever may still answer."""
        return self._answered + len(self._waiting) < self._server.needed

    @property
    def outcome(self) -> RoundOutcome[Node]:
        """What the round has come to. Raises `LocalProtocolError` before its end."""
        if self._outcome is None:
            raise LocalProtocolError("there is no outcome before the round has ended")
        return self._outcome

    def receive(self, node: Node, reply: bytes) -> None:
        """Take a node's reply. A bad one puts the node out, and never ends the round.

        Args:
            node: from whom it comes, as the framework says.
            reply: its bytes.
        """
        data = octets(reply, "reply")
        if node not in self._waiting:
            return  # too late, or a second time
        current = self.current
        try:
            decoded = Reply.decode(data)
            self._take(node, decoded.user, bytes(decoded.message))
        except RemoteProtocolError as error:
            self._leaves(node, f"{error} ({current})")

    def refuse(self, node: Node, reason: str) -> None:
        """Take note that a node does not go on.

        Args:
            node: the node.
            reason: what it says, or what the framework says of it.
        """
        if node in self._waiting:
            self._leaves(node, "".join(c if c.isprintable() else " " for c in str(reason))[:REASON_CHARACTERS])

    def end_exchange(self) -> bool:
        """Close the exchange. Nodes that have not answered have dropped out.

        Returns:
            Whether the round is over, with an outcome.

        Raises:
            Abort: too few nodes have answered; the round is over without an outcome.
            RemoteProtocolError: what the nodes sent adds up to no sum of updates.
            LocalProtocolError: the round is over already.
        """
        current = self.current
        for node in self._nodes:
            if node in self._waiting:
                self._leaves(node, f"no answer in time ({current})")
        try:
            messages = self._server.end_round()
        except BaseException:
            self.requests = {}
            raise
        self.requests = {
            self._node_of[user]: RoundRequest.of(self._encoded_params, user, message).encode()
            for user, message in messages.items()
        }
        self._waiting, self._answered = set(self.requests), 0
        if self._server.round is None:
            self._outcome = self._decoded()
        return self._server.round is None

    def take_notes(self) -> list[str]:
        """Lines for the framework's log since the last call."""
        notes, self._notes = self._notes, []
        return notes

    def _take(self, node: Node, user: int, message: bytes) -> None:
        """Give the protocol a message; it counts once the protocol has accepted it."""
        known = self._users.get(node)
        if known is not None and user != known:
            raise RemoteProtocolError("the node answers for another user")
        if known is None and user in self._node_of:
            raise RemoteProtocolError(f"another node has answered as user {user} already")
        if not self._server.is_waiting_for(user):
            raise RemoteProtocolError(f"user {user} is not expected: is the node's roster another?")
        self._server.receive(user, message)
        if not self._server.has_answered(user):
            raise RemoteProtocolError(self._reason(user))
        self._users[node], self._node_of[user] = user, node
        self._waiting.discard(node)
        self._answered += 1

    def _reason(self, user: int) -> str:
        """Why the protocol did not accept a user's last message."""
        remarks: list[Fault | Stray] = [*self._server.faults, *self._server.strays]
        reasons = [remark.reason for remark in remarks if (remark.client, remark.round) == (user, self.current)]
        return reasons[0] if reasons else "the message was not accepted"

    def _leaves(self, node: Node, reason: str) -> None:
        self._left[node] = reason
        self._waiting.discard(node)
        self._notes.append(f"node {node} is out of the round: {reason}")

    def _decoded(self) -> RoundOutcome[Node]:
        survivors = {self._node_of[user] for user in self._server.survivors}
        decoded = self._coding.decoded(self._server.sum, self.params, len(survivors))
        plan = self._coding.plan(self.params)
        for fault in self._server.faults:
            if fault.round is Round.UNMASKING and fault.client in self._node_of:
                self._notes.append(f"node {self._node_of[fault.client]} is at fault: {fault.reason}")
        outcome = RoundOutcome(
            self._coding.form.moved(self._received, decoded.change, self._dtypes),
            decoded.metrics,
            decoded.weight,
            tuple(node for node in self._nodes if node in survivors),
            dict(self._left),
            decoded.mean_error,
            decoded.deviation,
            None if plan is None else str(plan.guarantee),
        )
        self._notes.append(_summary(outcome, len(self._nodes)))
        return outcome


def _summary(outcome: RoundOutcome[Any], invited: int) -> str:
    """The round in one line."""
    precision = (
        f"error of a mean at most {outcome.mean_error:.3g}"
        if outcome.mean_error is not None
        else f"at most {outcome.guarantee} of each node's data; deviation of a mean {outcome.deviation:.3g}"
    )
    return f"the mean is of {len(outcome.survivors)} of {invited} nodes; {precision}"
