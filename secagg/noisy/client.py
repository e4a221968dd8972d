"""A client that adds its share of the noise, and books on its own ledger what each session costs its data."""

import os
from hashlib import sha256
from typing import Any

from numpy.typing import ArrayLike, NDArray

from ..arguments import array
from ..codec import UInt
from ..dp import BudgetExceeded, Ledger, Party, Plan
from ..errors import LocalProtocolError, SecAggError, require
from ..protocol.client import Client
from ..protocol.identity import Identity, Roster
from ..protocol.messages import Round
from ..protocol.params import Params
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
        rand: source of random bytes for keys, shares and the seed of the noise.

    Attributes:
        params: the session's parameters.
        plan: the plan of noise.
        user_id: u.

    Raises:
        LocalProtocolError: the plan is not for this session's clients, it does not cover the input, a bound is given
            beside a `NoisySum`, or `Client` refuses an argument.
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
        self.params = params
        self.plan = plan
        self._bound = bound or Counts(plan.sensitivity, params.m, params.max_value)
        self._ledger = ledger
        self._rand = rand
        self._client: Client | None = Client(params, user_id, identity=identity, roster=roster, rand=rand)
        self.user_id = self._client.user_id
        if x is not None:
            self.set_input(x)

    def set_input(self, x: ArrayLike) -> None:
        """Set x_u any time before round 2, and draw its noise.

        Args:
            x: integers, shape [m], each 0 .. params.max_value, and covered by the plan's noise: what `NoisySum.encode`
                returns.

        Raises:
            LocalProtocolError: x is not such an input. An earlier input stays.
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
        noise = self.plan.noise_for(Party.CLIENT).sample(rand=self._rand, context=self._noise_context(values))
        self._machine().set_input(values, noise)

    def _noise_context(self, x: NDArray[Any]) -> bytes:
        """What this user's noise is bound to: if `rand` repeats itself, other values still get unrelated noise."""
        user, values = UInt(4).write(self.user_id), sha256(x.tobytes()).digest()
        return self.params.encode(b"secagg noisy client") + user + values

    @property
    def session(self) -> bytes | None:
        """The session's id, which names the release in the ledger; None before round 1."""
        return self._client.session if self._client is not None else None

    @property
    def finished(self) -> bool:
        """Whether the machine has ended, with success or without."""
        return self._client is None or self._client.finished

    def start(self, announced: bytes | None = None) -> bytes:
        """Round 0, as `Client.start`.

        Args:
            announced: the server's `Params.encode()`; see `Client.start`.

        Returns:
            The first message for the server.

        Raises:
            BudgetExceeded: the rest of the budget does not pay for the session; the user has not joined.
        """
        client = self._machine()
        if not self._ledger.affords(self.plan.guarantee, total_variation=self.plan.total_variation):
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
        # The machine answers. Whatever interrupts it, other than an error of the protocol, ends this client as well.
        client, self._client = self._machine(), None
        before = client.answered
        try:
            answer = client.receive(data)
        except SecAggError:
            self._client = client
            raise

        # A masked input is on the ledger before it leaves this machine; no other answer costs anything.
        if client.answered is Round.MASKED_INPUT_COLLECTION and before is not client.answered:
            self._spend(client)
        self._client = client
        return answer

    def forget_answer(self) -> None:
        """Drop the bytes of the last answer; see `Client.forget_answer`."""
        self._machine().forget_answer()

    def _spend(self, client: Client) -> None:
        """Book the release. Whatever prevents it ends the machine, so that its masked input never leaves."""
        assert client.session is not None
        self._ledger.spend(self.plan.guarantee, client.session.hex(), total_variation=self.plan.total_variation)

    def _machine(self) -> Client:
        if self._client is None:
            raise LocalProtocolError("this client has ended")
        return self._client
