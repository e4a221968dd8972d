"""A client that adds its part of the noise, and keeps account of what its data has cost it."""

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
    """One user in one session, as `Client`, whose input gets noise by a plan and who does not exceed its ledger.

    **What is spent when.** `start` refuses to join a session that the ledger cannot pay for; nothing has been sent
    then, and nothing is spent. The cost is on the ledger, on disk if it has a file, once the masked input is made and
    before `receive` returns it. So a session that the user leaves earlier, or that a bad request or too few users end,
    costs nothing; and a crash at any moment has paid for whatever may have left this machine, at worst for nothing.

    **Under which name.** The batch id is the session's (`Client.session`), in hexadecimal, which depends on the user's
    fresh keys: sending the same answer again costs nothing, while a user who starts again, be it with the same nonce,
    pays again. That is as it must be: noise is drawn anew then, and two sums of one input under two noises tell more
    than one of them does.

    **Which inputs are taken.** The plan's noise covers inputs that are no further apart than its sensitivity says. An
    input outside of these is refused: its ledger would book less than it costs.

    Args:
        params: the session's parameters, with room for the noise: `NoisySum.params`, `Params.for_inputs(noise=plan)`.
        plan: of noise that clients add: a `NoisySum`, which knows what it encodes to, or a plan made by hand.
        user_id, x, identity, roster: as for `Client`.
        bound: the inputs that a plan made by hand covers, where they are neither counts around 0 nor all of
            0 .. params.max_value: `Ball`, or an `InputBound` of one's own. By default `Counts`.
        ledger: this user's own: one that the server keeps protects nobody from the server.
        rand: source of random bytes, for keys and shares and for the noise's seed.

    Raises:
        LocalProtocolError: the plan is not for this session's clients, the input is not one that it covers, a bound is
            given beside a `NoisySum`, or as for `Client`.
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
            require(bound is None, "a NoisySum has a bound of its own: leave out bound")
            bound, plan = plan.bound, plan.plan
        require(
            plan.place.party is Party.CLIENT,
            f"by this plan {plan.place.party.value} adds the noise: make a distributed or a local one",
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
            x: integers, shape [m], each 0 .. params.max_value, and within the plan's sensitivity: what
                `NoisySum.encode` gives.

        Raises:
            LocalProtocolError: x is no such input. The one before it, if any, stays.
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
            " ledger would book too little. Encode it by the NoisySum that this client is given in the plan's place,"
            " or give the bound of the inputs that the plan is for",
        )

        # This user's share of the noise.
        noise = self.plan.noise_for(Party.CLIENT).sample(rand=self._rand, context=self._noise_context(values))
        self._machine().set_input(values, noise)

    def _noise_context(self, x: NDArray[Any]) -> bytes:
        """What this user's noise is for: should `rand` repeat itself, other values still get unrelated noise."""
        user, values = UInt(4).write(self.user_id), sha256(x.tobytes()).digest()
        return self.params.encode(b"secagg noisy client") + user + values

    @property
    def session(self) -> bytes | None:
        """The session's id, which names the release in the ledger; None before round 1 and after the end."""
        return self._client.session if self._client is not None else None

    @property
    def finished(self) -> bool:
        """Whether the machine has ended, well or not."""
        return self._client is None or self._client.finished

    def start(self, announced: bytes | None = None) -> bytes:
        """Round 0, as `Client.start`.

        Raises:
            BudgetExceeded: what is left does not pay for the session; the user has not joined.
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

        The last request again gets the same bytes again: no noise is drawn for it and nothing is spent.

        Raises:
            BudgetExceeded: other sessions have spent in the meantime what this one needs; its masked input is dropped,
                and the machine has ended.
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
        """As `Client.forget_answer`."""
        self._machine().forget_answer()

    def _spend(self, client: Client) -> None:
        """Record the release; whatever prevents that ends the machine, so that its masked input never leaves."""
        assert client.session is not None
        self._ledger.spend(self.plan.guarantee, client.session.hex(), total_variation=self.plan.total_variation)

    def _machine(self) -> Client:
        if self._client is None:
            raise LocalProtocolError("this client has ended")
        return self._client
