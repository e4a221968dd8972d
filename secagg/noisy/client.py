"""A client that adds its share of the noise, and books on its own ledger what each session costs its data."""

import os
import time
from collections.abc import Callable
from hashlib import sha256
from os import PathLike
from typing import Any, Self

from numpy.typing import ArrayLike, NDArray

from ..arguments import array
from ..codec import UInt
from ..dp import BudgetExceeded, Ledger, Party, Plan
from ..dp.known_noise import plain
from ..errors import LocalProtocolError, require
from ..protocol.client import MAX_AGE, Client
from ..protocol.identity import Identity, Roster
from ..protocol.messages import Round
from ..protocol.params import Params
from ..protocol.randomness import drawn_seed, noise_secret
from ..protocol.saved import Counter, Key
from ..shamir import RandomBytes
from .bound import Counts, InputBound
from .sum import NoisySum


class NoisyClient:
    """One user in one session, as `Client`, with noise by a plan and a ledger that it does not exceed.

    **When the cost is booked.** `start` refuses a session that the ledger cannot pay for; nothing has been sent then,
    and nothing is booked. The cost is on the ledger (on disk, if the ledger has a file) after the masked input was made
    and before `receive` returns it. A session that ends earlier costs nothing, whether the user leaves it or a bad
    request or too few users end it. After a crash at any moment, everything that may have left this machine is paid
    for; at worst, something is paid for that did not leave it.

    **Under which name it is booked.** The batch id is the session's id (`Client.session`) in hexadecimal, which depends
    on the user's fresh keys. To send the same answer again costs nothing. A user who starts again pays again, even with
    the same nonce: noise is drawn anew then, and two sums of one input under two noises reveal more than one sum.

    **Which inputs are accepted.** The plan's noise covers inputs that are no further apart than its sensitivity. Any
    other input is refused, because the ledger would book less than it costs.

    Args:
        params: the session's parameters, with room for the noise: `NoisySum.params`, `Params.for_inputs(noise=plan)`.
        plan: the plan of noise that clients add: a `NoisySum`, which knows its encodings, or a plan made by hand.
        user_id: u; see `Client`.
        x: the input, if it is known already; see `set_input`.
        ledger: this user's own ledger. A ledger that the server keeps does not protect anybody from the server.
        bound: the inputs that a plan made by hand covers: a `Ball` or any other `InputBound`. By default `Counts`:
            counts around 0, or all of 0 .. params.max_value.
        identity: u's long-term key pair; see `Client`.
        roster: everyone's verification keys; see `Client`.
        rand: source of random bytes; it is asked once, for the secret seed that keys, shares and noise follow from.
            Equal inputs of one client get equal noise, of which one is sent; other inputs get unrelated noise.

    Attributes:
        params: the session's parameters.
        plan: the plan of noise.
        user_id: u.

    Raises:
        LocalProtocolError: the plan is not for this session's clients, it does not cover the input, a bound is given
            beside a `NoisySum`, the plan has several rounds and the ledger does not count them, or `Client` refuses an
            argument.
    """

    def __init__(
        self,
        params: Params,
        plan: Plan | NoisySum[Any],
        user_id: int,
        x: ArrayLike | None = None,
        *,
        ledger: Ledger,
        bound: InputBound | None = None,
        identity: Identity | None = None,
        roster: Roster | None = None,
        rand: RandomBytes = os.urandom,
    ) -> None:
        if isinstance(plan, NoisySum):
            require(bound is None, "a NoisySum has its own bound: leave out bound")
            bound, plan = plan.bound, plan.plan
        require(
            plan.place.party is Party.CLIENT,
            f"by this plan {plan.place.party.value} adds the noise: make a distributed or a local plan",
        )
        params.check_noise(plan)
        require(
            plan.rounds == 1 or (ledger.releases is not None and ledger.releases <= plan.per_client),
            f"of the {plan.rounds:,} rounds of this plan one user joins {plan.per_client:,} at most: give a ledger that"
            " counts them, plan.ledger(path, begun=...)",
        )
        self.params = params
        self.plan = plan
        self._bound = bound or Counts(plan.sensitivity, params.m, params.max_value)
        self._ledger = ledger
        seed = drawn_seed(rand)
        self._noise_secret: bytes | None = noise_secret(seed)
        self._client: Client | None = Client(params, user_id, identity=identity, roster=roster, rand=lambda _: seed)
        self.user_id = self._client.user_id
        if x is not None:
            self.set_input(x)

    def set_input(self, x: ArrayLike) -> None:
        """Set x_u any time before round 2, and draw its noise.

        Args:
            x: integers, shape [m], each 0 .. params.max_value, and covered by the plan's noise: what `NoisySum.encode`
                returns.

        Raises:
            LocalProtocolError: x is not such an input, or round 2 was answered already, or the client is saved. An
                earlier input stays.
        """
        # The input is one that the plan's noise covers.
        values = array(x, "x")
        require(
            values.shape == (self.params.m,) and values.dtype.kind in "iu",
            f"input must be integers of shape [{self.params.m}], got {values.dtype} {values.shape}",
        )
        require(
            self._bound.holds(values),
            f"the input is beyond the plan's sensitivity, {self.plan.sensitivity}: the noise would not hide it, and the"
            " ledger would book too little. Encode the input with a NoisySum and give it to this client in place of the"
            " plan, or give the bound of the inputs that the plan covers",
        )

        # This user's share of the noise.
        noise = self.plan.noise_for(Party.CLIENT).sample(rand=self._secret, context=self._noise_context(values))
        self._machine().set_input(values, noise)

    def _noise_context(self, x: NDArray[Any]) -> bytes:
        """What this user's noise is bound to: if `rand` repeats itself, other values still get unrelated noise."""
        user, values = UInt(4).write(self.user_id), sha256(x.tobytes()).digest()
        return self.params.encode(b"secagg noisy client") + user + values

    def _secret(self, size: int) -> bytes:
        """What this client's noise is drawn from, as long as its input can be set."""
        if self._noise_secret is None:
            raise LocalProtocolError("the input of a client that is saved, or has sent it, cannot be set any more")
        return self._noise_secret

    @property
    def session(self) -> bytes | None:
        """The session's id, which names the release in the ledger; None before round 1."""
        return self._client.session if self._client is not None else None

    @property
    def finished(self) -> bool:
        """Whether the machine has ended, with success or without."""
        return self._client is None or self._client.finished

    @property
    def answered(self) -> Round | None:
        """The last round that this client answered; None before `start`."""
        return self._client.answered if self._client is not None else None

    def start(self, announced: bytes | None = None) -> bytes:
        """Round 0, as `Client.start`.

        Args:
            announced: the server's `Params.encode()`; see `Client.start`.

        Returns:
            The first message for the server.

        Raises:
            BudgetExceeded: the rest of the budget does not pay for the session; the user has not joined, and the file
                of a saved client is removed.
        """
        client = self._machine()
        if client.answered is None and not self._ledger.affords(
            self.plan.guarantee, total_variation=self.plan.total_variation
        ):
            self.leave()
            self._client = None
            raise BudgetExceeded(
                f"a session at {self.plan.guarantee} would exceed {self._ledger.total} after"
                f" {len(self._ledger.spent)} releases: this user does not join"
            )
        return client.start(announced)

    def receive(self, data: bytes) -> bytes:
        """Take the server's next request and return the answer to send, as `Client.receive`.

        If the request that was answered last comes again, it gets the same bytes: no noise is drawn, and nothing is
        booked.

        Args:
            data: the request's bytes.

        Returns:
            The answer's bytes.

        Raises:
            BudgetExceeded: other sessions have spent the budget in the meantime. The masked input is dropped, and the
                machine has ended.
        """
        client = self._machine()
        try:
            return client.receive(data, before=self._pay)
        finally:
            if client.finished:
                self._noise_secret = None

    @property
    def answer(self) -> bytes | None:
        """The bytes of the last answer; see `Client.answer`."""
        return self._client.answer if self._client is not None else None

    def forget_answer(self) -> None:
        """Drop the bytes of the last answer; see `Client.forget_answer`."""
        self._machine().forget_answer()

    def save(
        self,
        path: str | PathLike[str],
        *,
        key: Key,
        counter: Counter | None = None,
        clock: Callable[[], float] = time.time,
        rand: RandomBytes = os.urandom,
    ) -> None:
        """Put the client away, as `Client.save`, with its input, its noise and what the session costs.

        The masked input is made, the ledger pays, the state is written, and the answer returned, in this order. After a
        crash between any two of them, the same request gets the same bytes, and the session is paid for once.

        Args:
            path: as for `Client.save`, and so are the others.
            key: 32 secret bytes, or the path of their file.
            counter: notices an older file that was put back.
            clock: POSIX seconds.
            rand: source of the nonces of encryption, and of a key that is made.

        Raises:
            LocalProtocolError: as for `Client.save`.
            OSError: as for `Client.save`.
        """
        binding = _cost_binding(self.plan)
        self._machine().save(path, key=key, counter=counter, binding=binding, clock=clock, rand=rand)
        self._noise_secret = None

    @classmethod
    def load(
        cls,
        path: str | PathLike[str],
        *,
        params: Params,
        plan: Plan | NoisySum[Any],
        user_id: int,
        ledger: Ledger,
        key: Key,
        identity: Identity | None = None,
        roster: Roster | None = None,
        counter: Counter | None = None,
        max_age: float = MAX_AGE,
        clock: Callable[[], float] = time.time,
        rand: RandomBytes = os.urandom,
    ) -> Self:
        """The client that was put away, as `Client.load`.

        Args:
            path: the file.
            params: the session's parameters.
            plan: a plan of the same cost as the one that the client was saved with.
            user_id: u.
            ledger: this user's own ledger, with the file that it had.
            key: as for `save`.
            identity: u's long-term key pair; in the active model only.
            roster: everyone's verification keys; in the active model only.
            counter: the counter that `save` was given.
            max_age: how many seconds after `save` the state is still good; an older file is removed.
            clock: POSIX seconds.
            rand: source of the nonces of encryption.

        Raises:
            LocalProtocolError: as for `Client.load`, also where the plan has another cost.
            OSError: the file cannot be read.
        """
        client = cls(params, plan, user_id, ledger=ledger, identity=identity, roster=roster)
        client._noise_secret = None
        client._client = Client.load(
            path,
            params=params,
            user_id=user_id,
            key=key,
            identity=identity,
            roster=roster,
            counter=counter,
            binding=_cost_binding(client.plan),
            max_age=max_age,
            clock=clock,
            rand=rand,
        )
        return client

    def leave(self) -> None:
        """Leave the session; see `Client.leave`."""
        self._noise_secret = None
        if self._client is not None:
            self._client.leave()

    def _pay(self, current: Round) -> None:
        """Book the release before the masked input leaves. Whatever prevents it ends the machine, so that it never
        leaves; no other answer costs anything."""
        if current is Round.MASKED_INPUT_COLLECTION:
            client = self._machine()
            assert client.session is not None
            self._ledger.spend(self.plan.guarantee, client.session.hex(), total_variation=self.plan.total_variation)
            self._noise_secret = None

    def _machine(self) -> Client:
        if self._client is None:
            raise LocalProtocolError("this client has ended")
        return self._client


def _cost_binding(plan: Plan) -> bytes:
    """What a saved state is bound to besides, so that it is loaded by this class alone, and for the same cost."""
    guarantee = plain(plan.guarantee)  # as versions that did not know laws of noise wrote it
    cost = {"guarantee": type(guarantee).__name__, **vars(guarantee), "tv": plan.total_variation}
    text = ", ".join(f"{name} = {value}" for name, value in cost.items())
    return sha256(b"secagg noisy client v1\0" + text.encode()).digest()
