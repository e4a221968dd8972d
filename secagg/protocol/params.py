"""The setup of Fig. 4: what all parties of a session agree on before it starts."""

import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Annotated, Any, Protocol, Self

import numpy as np

from ..arguments import assign, flag, octets, whole
from ..codec import Opaque, Struct, UInt
from ..errors import ArgumentTypeError, LocalProtocolError, RemoteProtocolError, require
from ..vector import dtype
from .finder import Choice, find
from .graph import COMPLETE, CompleteGraph, Graph, GraphCodec, Sparse
from .sparse import Cohort, is_connected, least_min_users, least_threshold, most_corrupt
from .thresholds import Model as Model  # which everybody asks of this module
from .thresholds import (
    Threat,
    check_corrupt,
    check_min_inputs,
    check_min_joined,
    check_min_users,
    check_quorum,
    check_shares,
    default_corrupt,
    default_threshold,
    majority,
)

NONCE_BYTES_MIN = 16
CONTEXT_BYTES_MAX = (1 << 16) - 1


class NoisePlan(Protocol):
    """What a session has to know about noise that its clients add, such as a `secagg.dp.Plan` for clients.

    It is defined beside `Params` and not in `secagg.noisy`, because `Params.for_inputs(noise=plan)` must refuse a plan
    for another session: noise that is added by `Client.set_input` meets no other check.
    """

    @property
    def length(self) -> int:
        """The length of a noise vector."""

    @property
    def parties(self) -> int:
        """How many clients add noise."""

    @property
    def honest(self) -> int:
        """How many clients in the sum must add their noise, and keep it secret."""

    def room(self) -> int:
        """A bound on the absolute value of each entry of the sum of all clients' noise."""


@dataclass(frozen=True, init=False)
class Params(Struct):
    """The public parameters of one session; every party must hold the same, byte for byte.

    A value that is None or left out is computed when the object is made, and travels as that number.

    Attributes:
        n: number of users, 2 .. 2**32 - 1; their ids are 1..n, or with a roster any n users of the roster.
        m: length of each user's vector.
        modulus: R, 2 .. 2**64; sums are mod R. Powers of two are fastest.
        max_value: largest input element, R_U - 1. By default the largest for which no sum can overflow.
        room: bound on the absolute value of each element of the sum of all clients' noise; see `Client.set_input`.
        model: how corrupt parties may behave.
        threat: against whom inputs are protected; gives the defaults of n_corrupt and t.
        n_corrupt: n_C, how many corrupt users may pool what they know with the server. It holds for any n users that
            the server may choose, and not only on average.
        t: threshold: how many shares reveal a secret. `quorum` says how many users must take part because of it. By
            default the least that the threat, or in a sparse graph the degree, allows.
        min_users: how many users' inputs must be in the sum, `quorum` or more. By default `quorum`; in a sparse graph
            as many as keep the honest ones connected.
        graph: who shares with whom: the complete graph, or `Sparse(degree)`. See `sparse`.
        min_joined: how many users must have joined, |U1|, `quorum` or more. By default `quorum`, in a sparse graph nine
            in ten.
        nonce: 16 .. 255 bytes that no other session uses. By default 16 fresh bytes from the operating system.
        context: what the application binds the session to, such as a hash of model and task; below 65536 bytes.

    Args:
        allow_single_input: accept `min_inputs` = 1 where it is refused otherwise, for tests: the sum may then be one
            honest user's input. This is not a parameter of the session: it is neither encoded nor compared, and
            `decode` refuses parameters that need it.

    Raises:
        LocalProtocolError: the values contradict one another, or the model does not allow them. In the active model,
            and where clients and server may collude, `min_inputs` must be at least 2. A sparse graph must protect every
            input but for a probability of 2^-40, also against a server that may try 2^64 graphs.
    """

    n: Annotated[int, UInt(4)]
    m: Annotated[int, UInt(8)]
    modulus: Annotated[int, UInt(9)]
    max_value: Annotated[int, UInt(9)]
    room: Annotated[int, UInt(9)]
    model: Annotated[Model, UInt(1, Model)]
    threat: Annotated[Threat, UInt(1, Threat)]
    n_corrupt: Annotated[int, UInt(4)]
    t: Annotated[int, UInt(4)]
    min_users: Annotated[int, UInt(4)]
    graph: Annotated[Graph, GraphCodec()]
    min_joined: Annotated[int, UInt(4)]
    nonce: Annotated[bytes, Opaque(1)]
    context: Annotated[bytes, Opaque(2)]

    def __init__(
        self,
        *,
        n: int,
        m: int,
        modulus: int,
        max_value: int | None = None,
        room: int = 0,
        model: Model = Model.SEMI_HONEST,
        threat: Threat = Threat.COLLUDING,
        n_corrupt: int | None = None,
        t: int | None = None,
        min_users: int | None = None,
        graph: Graph = COMPLETE,
        min_joined: int | None = None,
        nonce: bytes | None = None,
        context: bytes = b"",
        allow_single_input: bool = False,
    ) -> None:
        assign(self, whole, n=n, m=m, modulus=modulus, room=room)
        assign(self, _member(Model), model=model)
        assign(self, _member(Threat), threat=threat)
        assign(self, octets, nonce=os.urandom(NONCE_BYTES_MIN) if nonce is None else nonce, context=context)
        self._check_sizes()
        assign(self, whole, max_value=self._largest_value() if max_value is None else max_value)
        self._check_sum()
        assign(self, whole, n_corrupt=default_corrupt(self.n, self.threat) if n_corrupt is None else n_corrupt)
        check_corrupt(self.n, self.threat, self.n_corrupt)
        assign(self, _graph, graph=graph)
        self._assign_counts(t, min_users, min_joined)
        self._check_thresholds(flag(allow_single_input, "allow_single_input"))

    @classmethod
    def for_inputs(
        cls, max_value: int, *, n: int, m: int, room: int | None = None, noise: NoisePlan | None = None, **others: Any
    ) -> Self:
        """Params whose R is the smallest power of two for which no sum of n inputs in [0, max_value] can overflow.

        Noise that clients add mod R after the range check of their inputs needs room on both sides: the sum is then in
        [-room, n * max_value + room], and is not checked.

        Args:
            max_value: largest input element, 1 or more.
            n: number of users.
            m: length of each user's vector.
            room: bound on the absolute value of each element of the sum of all clients' noise; by default 0.
            noise: in place of room, the plan of the noise. Over all entries together, the sum of a `secagg.dp.Plan`
                wraps around with a chance of at most 2^-40; for another chance give room=plan.room(chance).
            others: further arguments of `Params`.

        Raises:
            LocalProtocolError: no R up to 2**64 is large enough, room and noise are both given, the plan is not for the
                clients of this session, or an argument is one that `Params` refuses.
        """
        require(
            room is None or noise is None,
            "room and noise both say how much room the noise needs: give one",
        )
        max_value, n, m = whole(max_value, "max_value"), whole(n, "n"), whole(m, "m")
        room = noise.room() if noise is not None else 0 if room is None else whole(room, "room")
        largest = n * max_value + 2 * room
        if max_value < 1 or room < 0 or largest >= 1 << 64:
            raise LocalProtocolError(f"n * max_value + 2 * room must be 1 .. 2**64 - 1, got {largest}")
        params = cls(n=n, m=m, modulus=1 << largest.bit_length(), max_value=max_value, room=room, **others)
        if noise is not None:
            params.check_noise(noise)
        return params

    @classmethod
    def decode(cls, data: bytes | memoryview) -> Self:
        """The parameters that `encode` gave these bytes for.

        Args:
            data: the bytes.

        Raises:
            RemoteProtocolError: the bytes do not encode `Params`, or `Params` refuses the values.
        """
        try:
            return super().decode(data)
        except ArgumentTypeError:
            raise  # the caller gave no bytes
        except LocalProtocolError as error:
            raise RemoteProtocolError(str(error)) from None

    @staticmethod
    def sparse(
        n: int,
        *,
        corrupt: int,
        dropouts: int,
        model: Model = Model.SEMI_HONEST,
        min_joined: int | None = None,
        liars: int = 0,
    ) -> Choice:
        """The sparse graph of the smallest degree that protects every input, and the threshold that goes with it.

        It is for `Params(**Params.sparse(...).settings, m=..., modulus=...)`. The complete graph comes back where a
        sparse one would need a degree above n / 2; see `Choice.complete`.

        Args:
            n: number of users, 2 .. 2**32 - 1.
            corrupt: n_C, how many of them may be corrupt.
            dropouts: how many of those who joined may leave before the session ends. They must not choose to by their
                neighbours.
            model: how corrupt parties may behave.
            min_joined: how many users join at least; by default nine in ten.
            liars: how many wrong shares of every secret are to be corrected.

        Returns:
            The choice, in which an input is unprotected with probability 2^-40 at most (2^-104 in the active model),
            and a session fails with 2^-20 although no more users leave.

        Raises:
            LocalProtocolError: the numbers contradict one another, or no graph is enough.
        """
        n, kind = whole(n, "n"), _member(Model)(model, "model")
        joined = _nine_in_ten(n) if min_joined is None else whole(min_joined, "min_joined")
        cohort = Cohort(n, joined, whole(corrupt, "corrupt"), Model(kind))
        return find(cohort, whole(dropouts, "dropouts"), whole(liars, "liars"))

    @property
    def quorum(self) -> int:
        """How many users ShareKeys, ConsistencyCheck and Unmasking need. It is not on the wire.

        In the complete graph it is t, as everyone holds a share of every secret. In a sparse one any two quorums have
        an honest user in common.
        """
        return self.t if self.graph == COMPLETE else majority(self.n, self.n_corrupt)

    @property
    def min_holders(self) -> int:
        """How many holders of a user's shares, itself included, must be in U2. It is not on the wire.

        In a sparse graph it is t; in the complete one the quorum, as all users are holders.
        """
        return self.quorum if self.graph == COMPLETE else self.t

    @property
    def holders(self) -> int:
        """How many users hold a share of one secret, if all join: n, or degree + 1."""
        return self.graph.degree + 1 if isinstance(self.graph, Sparse) else self.n

    @property
    def corrupt_holders(self) -> int:
        """c: how many holders of an honest user's shares may be corrupt: n_corrupt, or fewer in a sparse graph.

        There are more with a probability that the model allows.
        """
        return most_corrupt(self._cohort, self.graph.degree) if isinstance(self.graph, Sparse) else self.n_corrupt

    @property
    def bits(self) -> int:
        """ceil(log2 R): bits of one element of a masked vector on the wire."""
        return (self.modulus - 1).bit_length()

    @property
    def packed_size(self) -> int:
        """Bytes of a masked vector on the wire: ceil(m * bits / 8)."""
        return (self.m * self.bits + 7) // 8

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of vectors mod R: uint32 when R <= 2**32, else uint64."""
        return dtype(self.modulus)

    @property
    def min_inputs(self) -> int:
        """The smallest number of honest users' inputs in the sum that the server learns (Fig. 5's last column)."""
        return self.min_users - self.n_corrupt

    @property
    def max_liars(self) -> int:
        """How many wrong shares of one secret can be corrected when all its holders unmask: floor((holders - t) / 2).

        When k of them unmask it is floor((k - t) / 2). Holders are all n users, or in a sparse graph degree + 1: those
        are few, and more of them than this may be corrupt; see `corrupt_holders`, and `liars` of `sparse`.
        """
        return (self.holders - self.t) // 2

    def difference(self, other: "Params") -> tuple[str, ...]:
        """The names of the fields in which two `Params` differ; empty for those of one session.

        Args:
            other: the other party's parameters.
        """
        return tuple(field.name for field in fields(self) if getattr(self, field.name) != getattr(other, field.name))

    def check_noise(self, noise: NoisePlan) -> None:
        """Check that a plan's promise holds in this session.

        Args:
            noise: the plan of the noise that clients add.

        Raises:
            LocalProtocolError: the plan is for vectors of another length or for other clients, a sum may have fewer
                honest inputs than the plan counts on, or the noise needs more room.
        """
        require(
            noise.length == self.m,
            f"the noise is for vectors of {noise.length} entries, but the session's have {self.m}: an entry without"
            " noise would be released exactly",
        )
        require(
            noise.parties == self.n,
            f"the noise is for {noise.parties} parties, but the session has {self.n} clients: make the plan for noise"
            " that these clients add",
        )
        require(
            noise.honest <= self.min_inputs,
            f"the noise counts on {noise.honest} honest clients in every sum, but min_users - n_corrupt leaves"
            f" {self.min_inputs}: raise min_users, or make the plan for fewer",
        )
        require(noise.room() <= self.room, f"the noise needs room = {noise.room()}, but there is {self.room}")

    def _largest_value(self) -> int:
        """The largest input for which no sum can overflow."""
        largest = (self.modulus - 1 - 2 * self.room) // self.n
        require(largest >= 1, f"R = {self.modulus} is too small for {self.n} inputs")
        return largest

    def _check_sizes(self) -> None:
        require(2 <= self.n < 1 << 32, f"n must be 2 .. 2**32 - 1, got {self.n}")
        require(2 <= self.modulus <= 1 << 64, f"modulus must be 2 .. 2**64, got {self.modulus}")
        require(self.room >= 0, f"room must be at least 0, got {self.room}")
        require(self.m >= 1 and self.packed_size < 1 << 32, f"a vector must take 1 .. 2**32 - 1 bytes, m = {self.m}")
        require(
            NONCE_BYTES_MIN <= len(self.nonce) <= 255,
            f"nonce must be {NONCE_BYTES_MIN} .. 255 bytes, got {len(self.nonce)}",
        )
        require(len(self.context) <= CONTEXT_BYTES_MAX, f"context must be below 65536 bytes, got {len(self.context)}")
        power_of_two = self.modulus & (self.modulus - 1) == 0
        require(
            power_of_two or self.n * self.m * self.modulus <= 1 << 90,
            "n * m * R exceeds 2**90: masks mod this R would be measurably biased; use a power of two for R",
        )

    def _check_sum(self) -> None:
        require(self.max_value >= 1, f"max_value must be at least 1, got {self.max_value}")
        largest = self.n * self.max_value + 2 * self.room
        require(
            largest < self.modulus,
            f"the sum can reach {largest}, which R = {self.modulus} cannot hold; see Params.for_inputs",
        )

    @property
    def _cohort(self) -> Cohort:
        return Cohort(self.n, self.min_joined, self.n_corrupt, self.model)

    def _assign_counts(self, t: int | None, min_users: int | None, min_joined: int | None) -> None:
        """Over all users, and per neighbourhood: what was given, or the least that is allowed."""
        if isinstance(self.graph, Sparse):
            assign(self, whole, min_joined=_nine_in_ten(self.n) if min_joined is None else min_joined)
            check_min_joined(self.n, self.quorum, self.min_joined)
            self._check_degree(self.graph.degree)
            least = least_threshold(self.model, self.graph.degree, self.corrupt_holders)
            assign(self, whole, t=least if t is None else t)
            fewest = least_min_users(self._cohort, self.graph.degree)
            assign(self, whole, min_users=fewest if min_users is None else min_users)
        else:
            least = default_threshold(self.n, self.threat, self.n_corrupt)
            assign(self, whole, t=least if t is None else t)
            assign(self, whole, min_users=self.quorum if min_users is None else min_users)
            assign(self, whole, min_joined=self.quorum if min_joined is None else min_joined)

    def _check_thresholds(self, allow_single_input: bool) -> None:
        if isinstance(self.graph, Sparse):
            self._check_sparse(self.graph.degree)
        else:
            check_shares(self.n, self.t, self.n_corrupt)
        check_min_users(self.n, self.quorum, self.min_users)
        check_min_joined(self.n, self.quorum, self.min_joined)
        if self.model is Model.ACTIVE and self.threat is not Threat.CLIENTS_ONLY:
            check_quorum(self.n, self.quorum, self.n_corrupt)
        if not allow_single_input and (self.model is Model.ACTIVE or self.threat is Threat.COLLUDING):
            check_min_inputs(self.min_users, self.n_corrupt)

    def _check_degree(self, degree: int) -> None:
        require(
            degree + 1 < self.min_joined,
            f"degree = {degree} must be below min_joined - 1 = {self.min_joined - 1}, or there is no circle; use the"
            " complete graph",
        )

    def _check_sparse(self, degree: int) -> None:
        """The model's conditions, in the active one (C) and (D) of docs/sparse-graph.md; see `protocol.sparse`."""
        c = self.corrupt_holders
        least = least_threshold(self.model, degree, c)
        require(
            least <= self.t <= degree,
            f"threshold t must be {least} .. degree = {degree} where a user may have c = {c} corrupt neighbours, got"
            f" {self.t}; see Params.sparse",
        )
        require(
            is_connected(self._cohort, degree, self.min_users),
            f"min_users = {self.min_users} and degree = {degree} leave sums of a part of the honest users known with a"
            " probability above 2^-41; raise one of them, see Params.sparse",
        )


def _nine_in_ten(n: int) -> int:
    return -(-9 * n // 10)


def _graph(value: Graph, name: str) -> Graph:
    require(isinstance(value, CompleteGraph | Sparse), f"{name} must be COMPLETE or Sparse(degree)")
    return value


def _member(kind: type[IntEnum]) -> Callable[[int, str], IntEnum]:
    """A check for `assign`: that a number is a value of this enum."""

    def check(value: int, name: str) -> IntEnum:
        try:
            return kind(whole(value, name))
        except ValueError as error:
            raise LocalProtocolError(f"{name} has an unknown value: {error}") from None

    return check
