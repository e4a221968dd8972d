"""What a participant contributes: a vector of integers, a quantized model, or a model with noise.

Each kind says which sessions it fits, makes the client that the session needs, and decodes the sum.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import ArrayLike, NDArray

from ..arguments import array
from ..dp import Ledger
from ..errors import ArgumentTypeError, require
from ..noisy import NoisyClient, NoisySum
from ..protocol.client import Client
from ..protocol.encoding import DecodedSum
from ..protocol.identity import Identity, Roster
from ..protocol.messages import Round
from ..protocol.params import Params
from ..protocol.quantize import Quantizer
from ..protocol.saved import Counter
from ..shamir import RandomBytes
from .policy import Policy

Key = bytes | Path


class Machine(Protocol):
    """What the steps need of a `Client` or a `NoisyClient`."""

    @property
    def answered(self) -> Round | None:
        """The last round that was answered."""

    @property
    def answer(self) -> bytes | None:
        """The bytes that answered it."""

    @property
    def finished(self) -> bool:
        """Whether it answers no new request."""

    def start(self, announced: bytes | None = None) -> bytes:
        """Round 0."""

    def receive(self, data: bytes) -> bytes:
        """A later round."""

    def leave(self) -> None:
        """Remove the state from disk, and wipe it."""


@dataclass(frozen=True, repr=False)
class Place:
    """Who takes part in what, and where its state lies.

    Attributes:
        params: of the session.
        user: the user id.
        identity: in the active model, the user's.
        roster: in the active model, everyone's.
        file: of the state.
        key: that the state is sealed under, or the file of that key.
        counter: of the state; None for none.
        clock: POSIX seconds.
        rand: source of random bytes.
    """

    params: Params
    user: int
    identity: Identity | None
    roster: Roster | None
    file: Path
    key: Key
    counter: Counter | None
    clock: Callable[[], float]
    rand: RandomBytes

    @property
    def _who(self) -> dict[str, Any]:
        return {"identity": self.identity, "roster": self.roster}

    @property
    def _how(self) -> dict[str, Any]:
        return {"key": self.key, "counter": self.counter, "clock": self.clock}


class Input(Protocol):
    """What is contributed."""

    noisy: bool

    def fitted(self, policy: Policy) -> Policy:
        """The policy, with what the input says of a session.

        Raises:
            LocalProtocolError: no session can have both.
        """

    def check(self, params: Params) -> None:
        """Check that the input fits a session.

        Raises:
            LocalProtocolError: it does not.
        """

    def client(self, place: Place) -> Machine:
        """A new client that has the input, saved and not started."""

    def load(self, place: Place) -> Machine:
        """The client that was saved."""

    def decode(self, total: NDArray[Any], params: Params, survivors: int) -> DecodedSum[Any] | None:
        """What the sum stands for; None if it is what it is."""


class Integers:
    """A vector of integers.

    Args:
        x: shape [m], each 0 .. params.max_value.

    Raises:
        LocalProtocolError: this is no vector of integers from 0 on.
    """

    noisy = False

    def __init__(self, x: ArrayLike) -> None:
        values = array(x, "x")
        if values.dtype.kind not in "iu":
            raise ArgumentTypeError(f"x must be integers, got {values.dtype}: for floats give a quantizer")
        require(values.ndim == 1 and len(values) > 0, f"x must be a vector, got shape {list(values.shape)}")
        require(values.min() >= 0, "every element of x must be at least 0")
        self._x = values

    def fitted(self, policy: Policy) -> Policy:
        """See `Input`."""
        return policy.filled(m=len(self._x))

    def check(self, params: Params) -> None:
        """See `Input`."""
        largest = int(self._x.max())
        require(
            largest <= params.max_value,
            f"the input has an element of {largest}, and the session takes 0 .. {params.max_value}",
        )

    def client(self, place: Place) -> Machine:
        """See `Input`."""
        client = Client(place.params, place.user, self._x, **place._who, rand=place.rand)
        client.save(place.file, **place._how)
        return client

    def load(self, place: Place) -> Machine:
        """See `Input`."""
        return Client.load(place.file, params=place.params, user_id=place.user, **place._who, **place._how)

    def decode(self, total: NDArray[Any], params: Params, survivors: int) -> None:
        """See `Input`."""


class Quantized:
    """A model, quantized.

    Args:
        model: shaped like the quantizer's layout.
        weight: of the model; None if and only if the quantizer has no weights.
        quantizer: encodes the model.
        rand: source of the random bytes that decide the rounding.

    Raises:
        LocalProtocolError: the quantizer refuses the model or the weight.
    """

    noisy = False

    def __init__(self, model: Any, weight: int | None, quantizer: Quantizer[Any], rand: RandomBytes) -> None:
        self._quantizer = quantizer
        self._integers = Integers(quantizer.encode(model, weight, rand=rand))

    def fitted(self, policy: Policy) -> Policy:
        """See `Input`."""
        return _bound(policy, self._quantizer)

    def check(self, params: Params) -> None:
        """See `Input`."""
        self._quantizer.check(params)

    def client(self, place: Place) -> Machine:
        """See `Input`."""
        return self._integers.client(place)

    def load(self, place: Place) -> Machine:
        """See `Input`."""
        return self._integers.load(place)

    def decode(self, total: NDArray[Any], params: Params, survivors: int) -> DecodedSum[Any]:
        """See `Input`."""
        return self._quantizer.decode(total, params, survivors)


class Noisy:
    """A model, with noise that the ledger pays for.

    Args:
        model: shaped like the noisy sum's layout.
        weight: of the model; None if and only if the noisy sum has no weights.
        noisy_sum: encodes the model, and plans the noise.
        ledger: this user's own.
        rand: source of the random bytes that decide the rounding.

    Raises:
        LocalProtocolError: the model cannot be flattened.
    """

    noisy = True

    def __init__(
        self,
        model: Any,
        weight: int | None,
        noisy_sum: NoisySum[Any],
        ledger: Ledger,
        rand: RandomBytes,
    ) -> None:
        noisy_sum.layout.flatten(model)  # complains now, and not when a session is there
        self._model = model
        self._weight = weight
        self._noisy_sum = noisy_sum
        self._ledger = ledger
        self._rand = rand

    def fitted(self, policy: Policy) -> Policy:
        """See `Input`."""
        return _bound(policy, self._noisy_sum)

    def check(self, params: Params) -> None:
        """See `Input`."""
        self._noisy_sum.check(params)

    def client(self, place: Place) -> Machine:
        """See `Input`."""
        encoded = self._noisy_sum.encode(self._model, place.params, self._weight, rand=self._rand)
        client = NoisyClient(
            place.params, self._noisy_sum, place.user, encoded, ledger=self._ledger, **place._who, rand=place.rand
        )
        client.save(place.file, **place._how)
        return client

    def load(self, place: Place) -> Machine:
        """See `Input`."""
        return NoisyClient.load(
            place.file,
            params=place.params,
            plan=self._noisy_sum,
            user_id=place.user,
            ledger=self._ledger,
            **place._who,
            **place._how,
        )

    def decode(self, total: NDArray[Any], params: Params, survivors: int) -> DecodedSum[Any]:
        """See `Input`."""
        return self._noisy_sum.decode(total, params, survivors)


def make_input(
    x: Any,
    weight: int | None,
    quantizer: Quantizer[Any] | None,
    noisy_sum: NoisySum[Any] | None,
    ledger: Ledger | None,
    rand: RandomBytes,
) -> Input:
    """The input that the arguments of `Participant.contribute` stand for.

    Raises:
        LocalProtocolError: they do not go together, or there is no such input.
    """
    require(quantizer is None or noisy_sum is None, "give a quantizer or a noisy sum, not both")
    require((noisy_sum is None) == (ledger is None), "a noisy sum needs the user's own ledger, and nothing else does")
    if noisy_sum is not None and ledger is not None:
        return Noisy(x, weight, noisy_sum, ledger, rand)
    if quantizer is not None:
        return Quantized(x, weight, quantizer, rand)
    require(weight is None, "only a quantizer or a noisy sum takes a weight")
    return Integers(x)


def _bound(policy: Policy, encoding: Quantizer[Any] | NoisySum[Any]) -> Policy:
    """The policy, whose context is the application's, as this encoding binds it."""
    fitted = policy.filled(m=encoding.length)
    if fitted.context is None:
        return fitted
    return replace(fitted, context=encoding.bind(fitted.context))
