"""An example call for every public parameter that takes a number, a truth value, bytes or an array.

`CALLS` has, by the name of a function, method or class, calls that succeed. Values of a call are copied before each
use; what cannot be copied, or must be new, is a `Made`. Numbers are as large as the call allows: those that numpy would
overflow tell the most. `EXCEPTIONS` has what is not called, and why.
"""

import hashlib
import itertools
from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from starlette.routing import Route

from secagg import Client, Identity, Params, Quantizer, Roster, Round, Server, Sparse, dp, noisy, vdaf
from secagg.dap.client.collection import Collecting
from secagg.dap.client.upload import TIMEOUT
from secagg.dap.hpke import PrivateKey
from secagg.dap.messages import BatchMode, HpkeConfig, ReportMetadata
from secagg.dap.privacy.extension import Mechanism, Privacy
from secagg.dap.privacy.randomized_response import RandomizedResponse
from secagg.dap.privacy.unary_encoding import UnaryEncoding
from secagg.dap.task_policy import TaskPolicy
from secagg.dap.vdafs import Histogram, Sum
from secagg.http.steps import Progress, Response, Retries, Wait
from secagg.integrations import (
    Coding,
    NodeRefusal,
    RoundSettings,
    ServerRound,
    Site,
    SitePolicy,
    Update,
)
from secagg.primitives import KeyPair
from secagg.protocol.layout import Layout
from secagg.protocol.params import Model
from secagg.service.coordinator import Coordinator
from secagg.service.deadlines import Deadlines
from secagg.service.policy import Policy
from secagg.service.setup import SessionSetup
from secagg.vdaf.circuits import Count

from .public_parameters import public_callables
from .randomness import rand
from .tasks import make_task

REPLACE_ONE = dp.Neighbours.REPLACE_ONE
ZCDP = dp.ZCdp(1)
NONCE, SEED, ONES = bytes(16), bytes(range(16)), bytes([1] * 32)


@dataclass(frozen=True)
class Made:
    """A value that is made for each call."""

    make: Callable[[], Any]


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a public callable.

    Attributes:
        function: what to call, if not the callable itself: for methods with a receiver, and for what gives no result
            to look at by itself.
        values: by parameter.
    """

    function: Callable[..., Any] | None
    values: Mapping[str, Any]

    def arguments(self) -> dict[str, Any]:
        """Fresh values."""
        return {
            name: value.make() if isinstance(value, Made) else deepcopy(value) for name, value in self.values.items()
        }


CALLS: dict[str, list[Call]] = {}


def call(owner: str, function: Callable[..., Any] | None = None, **values: Any) -> None:
    CALLS.setdefault(owner, []).append(Call(function, values))


def on(receiver: Callable[[], Any], owner: str, **values: Any) -> None:
    """A call of a method; what comes out is its result and what has become of the receiver."""
    method = owner.rpartition(".")[2]

    def function(**given: Any) -> Any:
        made = receiver()
        return getattr(made, method)(**given), made

    call(owner, function, **values)


def source(seed: object) -> Callable[[int], bytes]:
    """Other bytes each time, and the same again for the same seed."""
    count = itertools.count()
    return lambda size: hashlib.shake_128(f"{seed} {next(count)}".encode()).digest(size)


def floats(length: int) -> Any:
    return np.linspace(-1, 1, length)


# Kernels.


def words(length: int = 9) -> Any:
    return np.arange(length, dtype=np.uint32)


call("masking.expand", n=100, seed=SEED, bits=24, nonce=bytes(12), offset=100)
call("masking.expand", n=100, seed=SEED, modulus=127, nonce=bytes(12), offset=100)
BYTES = np.frombuffer(SEED, np.uint8)
call("masking.expand", n=100, seed=BYTES, bits=24, nonce=BYTES[:12], offset=100)
call("masking.mask_add", acc=words(), seed=BYTES, bits=24, nonce=BYTES[:12])
call("masking.mask_sum", acc=words(), seeds=BYTES[None], signs=np.array([1], np.int8), bits=24, nonce=BYTES[:12])
for ring in ({"bits": 24}, {"modulus": 127}):
    more: dict[str, Any] = {**ring, "nonce": bytes(12), "offset": 100, "threads": 2}
    call("masking.mask_add", acc=words(), seed=SEED, sign=-1, **more)
    call("masking.mask_sum", acc=words(), seeds=np.ones((2, 16), np.uint8), signs=np.array([1, -1], np.int8), **more)

call("vector.dtype", modulus=127)
call("vector.add", a=words(), b=words(), modulus=127)
call("vector.subtract", a=words(), b=words(), modulus=127)
call("vector.add_signed", a=words(), b=np.full(9, -5), modulus=127)
call("vector.add_signed", a=np.zeros((2, 2), np.uint64), b=np.full(2, -5), modulus=1 << 100)
call("vector.reduce", a=words() * 50, modulus=127)
call("vector.pack", vector=words(), modulus=127)
call("vector.packed_size", n=127, modulus=127)
call("vector.packed_check", packed=bytes(7), n=8, modulus=127)
call("vector.packed_check", packed=np.zeros(7, np.uint8), n=8, modulus=127)
for packed in (bytes(range(14)), np.arange(14, dtype=np.uint8)):
    call("vector.unpack", packed=packed, n=8, modulus=127, offset=8)
    call("vector.packed_add", acc=words(8), packed=packed, modulus=127, offset=8, threads=2)

SCALARS = np.arange(128, dtype=np.uint8).reshape(4, 32)
call("shamir.random_scalars", n=100, rand=rand)
call("shamir.in_field", scalars=SCALARS)
call("shamir.share", secrets=SCALARS, t=3, xs=np.arange(1, 6, dtype=np.uint32), rand=rand)
call("shamir.lagrange", xs=np.arange(1, 6, dtype=np.uint32))
call("shamir.reconstruct_each", shares=np.stack([SCALARS] * 3), xs=np.arange(1, 13, dtype=np.uint32).reshape(3, 4), t=4)
call("shamir.reconstruct", shares=np.stack([SCALARS] * 3), xs=np.arange(1, 4, dtype=np.uint32))

PAIR = KeyPair.from_secret(ONES)
POINTS = np.frombuffer(PAIR.public, np.uint8).reshape(1, 32)
call("primitives.KeyPair", secret=PAIR.secret, public=PAIR.public, _private=Made(lambda: PAIR._private))
call("primitives.KeyPair.agree_with", PAIR.agree_with, publics=POINTS)
call("primitives.KeyPair.from_secret", secret=ONES)
call("primitives.SelfMask", seed=SEED, commitment=ONES)
call("primitives.agree_all", secrets=SCALARS, publics=POINTS)
call(
    "primitives.agree_pairs", secrets=SCALARS, publics=POINTS, secret_of=np.arange(len(SCALARS)),
    public_of=np.zeros(len(SCALARS), int),
)  # fmt: skip
call("primitives.are_public_keys", xs=POINTS)
call("primitives.load_public_keys", xs=POINTS)
call("primitives.mask_seed", agreed=ONES, session=ONES, u=100, v=127)
call(
    "primitives.mask_seeds",
    agreed=SCALARS[:1],
    session=ONES,
    us=np.array([100], np.uint32),
    vs=np.array([127], np.uint32),
)
call("primitives.share_key", agreed=ONES, session=ONES, sender=100, recipient=127)
call(
    "primitives.share_keys",
    agreed=SCALARS[:1],
    session=ONES,
    senders=np.array([100], np.uint32),
    recipients=np.array([127], np.uint32),
)
call("primitives.self_mask", b=ONES, session=ONES, u=100)
call("primitives.seal", key=bytes(28), plaintext=ONES)
call("primitives.unseal", key=bytes(28), ciphertext=ONES)
call("primitives.which_are_public_keys", xs=POINTS)

call("x25519.exchange_all", secrets=SCALARS, publics=SCALARS)
call("x25519.pays", k=100)
call("x25519.public_keys", secrets=SCALARS)

# The protocol.


def params(**others: Any) -> Params:
    return Params(**{"n": 3, "m": 4, "modulus": 1 << 20, "max_value": 100, "nonce": NONCE, **others})


@cache
def identity() -> Identity:
    return Identity.generate()


VERIFIED = np.frombuffer(identity().verification_key, np.uint8).reshape(1, 32)
SIGNED = np.frombuffer(identity().sign(b"message"), np.uint8).reshape(1, 64)
call("signatures.are_keys", keys=VERIFIED)
call("signatures.verify", key=identity().verification_key, signature=SIGNED.tobytes(), message=b"message")
call("signatures.verify_all", keys=VERIFIED, signatures=SIGNED, messages=[b"message"])


def roster() -> Roster:
    return Roster({100: identity().verification_key})


sizes: dict[str, Any] = {
    "n": 100,
    "m": 100,
    "modulus": 1 << 20,
    "max_value": 100,
    "room": 100,
    "n_corrupt": 33,
    "t": 67,
}
call("protocol.params.Params", **sizes, min_users=100, nonce=NONCE, context=b"context")
call("protocol.params.Params", n=100, m=100, modulus=101, max_value=1, nonce=NONCE, allow_single_input=False)
call("protocol.params.Params.for_inputs", max_value=100, n=100, m=100, room=100, nonce=NONCE)
more = {"n": 100, "corrupt": 5, "dropouts": 5, "min_joined": 100, "liars": 1}
call("protocol.params.Params.sparse", lambda **given: Params.sparse(**given).settings, **more)
graph: Any = {"graph": Sparse(12), "min_joined": 100, "min_users": 95}
call("protocol.params.Params", **{**sizes, "n_corrupt": 5, "t": 7}, **graph, nonce=NONCE)
call("protocol.graph.Sparse", degree=100)
on(lambda: Sparse(2), "protocol.graph.Sparse.over", session=ONES, users=np.arange(1, 9, dtype=np.uint32))
call("protocol.params.Params.decode", data=params().encode())
on(params, "codec.Struct.encode", header=b"header")
call("codec.Struct.decode", lambda data: Histogram.decode(data), data=Histogram(100, 5).encode())
call("protocol.client.Client", params=params(), user_id=3, x=np.arange(4), rand=rand)
on(lambda: Client(params(), 3, rand=rand), "protocol.client.Client.set_input", x=np.arange(4))
on(
    lambda: Client(params(room=10), 3, rand=rand),
    "protocol.client.Client.set_input",
    x=np.arange(4),
    noise=np.arange(-2, 2),
)


def _advertised(make: Callable[[], Any]) -> tuple[Any, bytes]:
    """A client after round 0, and the server's request of round 1."""
    client, server = make(), Server(params())
    server.receive(3, client.start())
    for u in (1, 2):
        server.receive(u, Client(params(), u, rand=source(u)).start())
    return client, server.end_round()[3]


def _client() -> Client:
    return Client(params(), 3, rand=source(3))


def _in_a_folder(act: Callable[..., Any]) -> Callable[..., Any]:
    """A call that writes to the path that it is given, in a folder of its own."""

    def function(**given: Any) -> Any:
        with TemporaryDirectory() as folder:
            return act(Path(folder, "client"), **given)

    return function


def _client_with_input() -> Client:
    return Client(params(), 3, np.arange(4), rand=source(3))


@_in_a_folder
def _saved(path: Path, key: bytes, binding: bytes) -> Any:
    _client_with_input().save(path, key=key, binding=binding, rand=source(1), clock=lambda: 0.0)
    return path.read_bytes().partition(b"\n")[2]


@_in_a_folder
def _loaded(path: Path, **given: Any) -> Any:
    client = _client_with_input()
    client.save(path, key=ONES, binding=b"binding", clock=lambda: 0.0)
    answer = client.start()
    loaded = Client.load(path, params=params(), clock=lambda: 100.0, **given)
    return loaded.answer == answer, loaded.answered


call("protocol.client.Client.save", _saved, key=ONES, binding=b"binding")
call("protocol.client.Client.load", _loaded, user_id=3, key=ONES, binding=b"binding", max_age=127)
call("protocol.client.Client.receive", lambda data: _advertised(_client)[0].receive(data), data=_advertised(_client)[1])
on(_client, "protocol.client.Client.start", announced=params().encode())


def _taken(**given: Any) -> Any:
    """What a server then holds, but for the tags of messages, whose key is random."""
    server = Server(params())
    server.receive(**given)
    accepted = {current: list(tags) for current, tags in server._deliveries._accepted.items()}
    return {**vars(server), "_deliveries": None}, server.strays, accepted


def _all_taken(messages: Any) -> Any:
    server = Server(params())
    server.receive_all(messages)
    return server.answered, server.strays, server.faults, server._keys


def _each_taken(messages: Any, digests: Any) -> Any:
    server = Server(params())
    return list(server.receive_each(messages, digests)), server.answered, server._deliveries._digests


def _of_one(method: str, client_id: Any) -> Any:
    server = Server(params())
    server.receive(3, _client().start())
    return getattr(server, method)(client_id)


call("protocol.server.Server.receive", _taken, client_id=3, data=_client().start(), digest=ONES)
call("protocol.server.Server.receive_all", _all_taken, messages={3: _client().start(), 2: b"none"})
call("protocol.server.Server.receive_each", _each_taken, messages={3: _client().start(), 2: b"none"}, digests={3: ONES})
call("protocol.server.Server.has_answered", partial(_of_one, "has_answered"), client_id=3)
call("protocol.server.Server.is_waiting_for", partial(_of_one, "is_waiting_for"), client_id=2)


def _masking() -> Server:
    """A server in round 2, of which two of three users have sent their masked inputs."""
    clients = {u: Client(params(), u, np.arange(4), rand=source(u)) for u in (1, 2, 3)}
    server = Server(params())
    requests = dict.fromkeys(clients, b"")
    for _ in range(2):
        for u, client in clients.items():
            server.receive(u, client.receive(requests[u]) if requests[u] else client.start())
        requests = server.end_round()
    return server


def _resumed(data: bytes) -> Any:
    server = _masking()
    return server.resume(data), server.checkpoint()


call("protocol.server.Server.resume", _resumed, data=_masking().checkpoint())
on(identity, "protocol.identity.Identity.sign", message=b"message")


def _claimed(nonce: bytes) -> Any:
    fresh = Identity.generate()
    fresh.claim(nonce)
    return fresh._used


call("protocol.identity.Identity.claim", _claimed, nonce=NONCE)

call("protocol.identity.Roster", keys={100: identity().verification_key})
on(roster, "protocol.identity.Roster.key", u=100)
on(roster, "protocol.identity.Roster.verify", u=100, signature=identity().sign(b"message"), message=b"message")
on(
    roster,
    "protocol.identity.Roster.verify_all",
    users=[100, 127],
    signatures=[identity().sign(b"message")] * 2,
    messages=[b"message"] * 2,
)
call(
    "protocol.simulate.simulate",
    lambda **given: public_callables()["protocol.simulate.simulate"](**given).sum,
    params=params(room=10, t=2),
    inputs={u: np.arange(4) for u in (1, 2, 3)},
    noises={u: np.arange(4) for u in (1, 2, 3)},
    drops={Round.UNMASKING: [3]},
    threads=2,
    rand=Made(lambda: source(1)),
)

LAYOUT = Layout(((4,),), True)


def quantizer(**others: Any) -> Quantizer[Any]:
    return Quantizer(layout=LAYOUT, clip=1.0, **{"bits": 8, **others})


call("protocol.quantize.Quantizer", layout=LAYOUT, clip=100.0, bits=16, max_weight=100, stochastic=False)
call("protocol.encoding.Encoding.like", Quantizer.like, model=floats(4), clip=100.0, keep_dtypes=True)
call("protocol.encoding.Encoding.like", Quantizer.like, model=[floats(4), floats(2)], clip=100.0)
on(quantizer, "protocol.quantize.Quantizer.params", n=100, context=b"context", nonce=NONCE)
on(quantizer, "protocol.encoding.Encoding.bind", context=b"context")
on(quantizer, "protocol.quantize.Quantizer.clipped", model=floats(4))
on(quantizer, "protocol.quantize.Quantizer.error_bound", survivors=100)
on(lambda: quantizer(max_weight=100), "protocol.quantize.Quantizer.encode", model=floats(4), weight=100, rand=rand)
on(
    quantizer,
    "protocol.quantize.Quantizer.decode",
    total=np.full(4, 10_000, np.uint32),
    params=quantizer().params(100, nonce=NONCE),
    survivors=100,
    unbound=False,
)
call("protocol.quantize.Aggregate", layout=LAYOUT, flat=floats(4), weight=100, sum_error=0.5)

# Noise.

SENSITIVITY = dp.Sensitivity.sum(100, REPLACE_ONE)
VECTOR = dp.Sensitivity.vector_sum(4, 100, REPLACE_ONE)


@cache
def central_plan() -> dp.Plan:
    return dp.Plan.central(ZCDP, SENSITIVITY, 100, isochronous=False)


@cache
def shared_plan() -> dp.Plan:
    return dp.Plan.distributed(ZCDP, SENSITIVITY, 100, clients=100, survivors=90, corrupt=10, isochronous=False)


@cache
def release_loss() -> dp.PrivacyLoss:
    loss = dp.loss_of(dp.PureDp(Fraction(1, 10)))
    assert loss is not None
    return loss


def begun_ledger(make: Callable[..., dp.Ledger], **given: Any) -> Any:
    with TemporaryDirectory() as folder:
        make(Path(folder, "ledger"), begun=False)
        ledger = make(Path(folder, "ledger"), **given)
        return ledger.total, ledger.releases, dict(ledger.spent)


call("dp.budget.PureDp", epsilon=100)
call("dp.budget.PureDp", epsilon=Fraction(3, 100))
call("dp.budget.ZCdp", rho=100)
call("dp.budget.ZCdp", rho=Fraction(3, 100))
call("dp.budget.ApproxDp", epsilon=100, delta=Fraction(1, 100))
call("dp.budget.RenyiDp", xi=100, rho=100)
call("dp.budget.RenyiDp", xi=Fraction(3, 100), rho=Fraction(3, 100))
on(lambda: dp.RenyiDp(Fraction(0), Fraction(1, 100)), "dp.budget.RenyiDp.delta", epsilon=1)
on(lambda: dp.RenyiDp(Fraction(0), Fraction(1, 100)), "dp.budget.RenyiDp.epsilon", delta=Fraction(1, 100))
call("dp.known_noise.LaplaceDp", epsilon=1, change=100, entries=2)
call("dp.known_noise.DiscreteGaussianDp", rho=1, change=10, entries=2)
call("dp.known_noise.GaussianDp", rho=1, mu_squared=2, slack=0)
call("dp.known_noise.SkellamDp", xi=0, rho=1, variance=100, change=10, entries=1)
on(release_loss, "dp.privacy_loss.PrivacyLoss.delta", epsilon=1)
on(release_loss, "dp.privacy_loss.PrivacyLoss.epsilon", delta=Fraction(1, 100))
on(release_loss, "dp.privacy_loss.PrivacyLoss.times", count=3)
on(release_loss, "dp.privacy_loss.PrivacyLoss.cheapest_epsilon", total_variation=Fraction(1, 100))
call("dp.composition.Spent", guarantee=ZCDP, total_variation=0)
call("dp.composition.keeps_budget", total=ZCDP, releases={dp.Spent(ZCDP): 100}, allowance=0)
call("dp.composition.least_epsilon", releases={dp.Spent(ZCDP): 100}, delta=Fraction(1, 100))
call("dp.composition.releases_allowed", total=ZCDP, releases=[], cost=dp.Spent(ZCDP), limit=100, allowance=0)
call("dp.sampling.Invited", people=100, population=1000)
call("dp.sampling.views", lambda **given: dp.views(shared_plan(), **given), population=1000, delta=Fraction(1, 100))
call("dp.rounds.laws_of_run", total=ZCDP, sensitivity=SENSITIVITY, rounds=3, parties=5, length=10)
call("dp.mechanisms.DiscreteLaplace", scale=100)
call("dp.mechanisms.DiscreteLaplace", scale=Fraction(3, 100))
call("dp.mechanisms.DiscreteGaussian", sigma_squared=100)
call("dp.mechanisms.DiscreteGaussian", sigma_squared=Fraction(3, 100))
call("dp.polya.Polya", scale=100, parties=10)
call("dp.polya.Polya", scale=Fraction(3, 100), parties=10)
on(lambda: dp.Polya(Fraction(1), 10), "dp.polya.Polya.epsilon_of", honest=5, sensitivity=SENSITIVITY)
call("dp.distributed.Skellam", variance=100)
call("dp.distributed.Skellam", variance=Fraction(3, 100))
for number in (1, Fraction(1, 3)):
    on(lambda: dp.Skellam(Fraction(9)), "dp.distributed.Skellam.delta", epsilon=number, sensitivity=SENSITIVITY)
on(lambda: dp.DiscreteGaussian(Fraction(100)), "dp.mechanisms.DiscreteGaussian.delta", epsilon=1, sensitivity=VECTOR)
on(
    lambda: dp.DiscreteGaussian(Fraction(100)),
    "dp.mechanisms.DiscreteGaussian.delta",
    epsilon=Fraction(1, 2),
    sensitivity=dp.Sensitivity.histogram(REPLACE_ONE),
)
call("dp.accuracy.Error", confidence=0.5, absolute=100, relative=0.5)
call("dp.accuracy.posterior", budget=dp.PureDp(1), prior=Fraction(1, 3))
call("dp.audit.Audit", runs=100, epsilon=0.5, delta=0.5, claimed=0.5, reach=0.5, failure=0.5)
call(
    "dp.audit.audit",
    plan=dp.Plan.central(dp.PureDp(1), SENSITIVITY, 1),
    x=[100, 1],
    y=[0, 1],
    honest=1,
    runs=1000,
    failure=0.5,
    rand=rand,
)
call("dp.conversion.zcdp_delta", rho=1, epsilon=100)
call("dp.conversion.zcdp_delta", rho=Fraction(1, 3), epsilon=Fraction(7, 3))
call("dp.conversion.zcdp_epsilon", rho=1, delta=Fraction(1, 100))
call("dp.ledger.Ledger", total=ZCDP, allowance=0)
call("dp.ledger.Ledger", total=ZCDP, allowance=Fraction(1, 100))
call("dp.ledger.Ledger", total=ZCDP, releases=100)
call("dp.ledger.Ledger", lambda **given: begun_ledger(partial(dp.Ledger, ZCDP), **given), begun=False)
call("dp.plan.Plan.ledger", lambda **given: begun_ledger(shared_plan().ledger, **given), begun=False)
guaranteed: dict[str, Any] = {"guarantee": dp.ZCdp("0.1"), "total_variation": Fraction(1, 100)}
on(lambda: dp.Ledger(ZCDP, allowance="0.1"), "dp.ledger.Ledger.affords", **guaranteed)
on(lambda: dp.Ledger(ZCDP, allowance="0.1"), "dp.ledger.Ledger.releases_left", **guaranteed, limit=100)
on(lambda: dp.Ledger(ZCDP, allowance="0.1"), "dp.ledger.Ledger.epsilon", delta=Fraction(1, 100))
on(lambda: dp.Ledger(ZCDP, allowance="0.1"), "dp.ledger.Ledger.spend", **guaranteed, batch_id="batch")
call("dp.noise.Noise", sampler=None, length=100)
on(
    lambda: dp.Noise(central_plan()._sampler, 9),
    "dp.noise.Noise.add_to",
    share=words(),
    modulus=1 << 20,
    rand=rand,
)
on(lambda: dp.Noise(central_plan()._sampler, 9), "dp.noise.Noise.add_to", share=np.arange(9), rand=rand)
on(lambda: dp.Noise(central_plan()._sampler, 9), "dp.noise.Noise.sample", rand=rand, context=b"context")
call(
    "dp.plan.Plan",
    budget=ZCDP,
    sensitivity=SENSITIVITY,
    unit=dp.Unit(),
    length=100,
    place=dp.Place.AGGREGATORS,
    parties=100,
    honest=100,
    law=dp.DiscreteGaussian(Fraction(1)),
    isochronous=False,
    rounds=10,
    per_client=3,
)
exact: dict[str, Any] = {
    "budget": ZCDP,
    "sensitivity": SENSITIVITY,
    "length": 100,
    "isochronous": False,
    "rounds": 10,
    "per_client": 3,
}
call("dp.plan.Plan.central", **exact)
call("dp.plan.Plan.aggregators", **exact, count=100, honest=100, polya=True)
call("dp.plan.Plan.distributed", **exact, clients=100, survivors=90, corrupt=10)
call("dp.plan.Plan.local", **exact, clients=100)
on(shared_plan, "dp.plan.Plan.error", confidence=0.5, size=100, parties=100)
on(shared_plan, "dp.plan.Plan.mean_error", parties=100)
on(shared_plan, "dp.plan.Plan.over_noise", parties=100)
on(shared_plan, "dp.plan.Plan.variance", parties=100)
on(shared_plan, "dp.plan.Plan.room", probability=Fraction(1, 100))
call("dp.plan.Unit", reports=100, span="a day")
call("dp.sensitivity.Sensitivity", l1=100, l2_squared=10_000, neighbours=REPLACE_ONE, worst=(100,))
call("dp.sensitivity.Sensitivity", l1=Fraction(1, 3), l2_squared=Fraction(1, 3), neighbours=REPLACE_ONE)
call("dp.sensitivity.Sensitivity.sum", max_value=100, neighbours=REPLACE_ONE, min_value=-100)
call("dp.sensitivity.Sensitivity.sum", max_value=10**5, neighbours=REPLACE_ONE, min_value=-(10**5))
call("dp.sensitivity.Sensitivity.sum", max_value=5, neighbours=dp.Neighbours.ADD_REMOVE, min_value=-128)
call("dp.sensitivity.Sensitivity.sum", max_value=1 << 63, neighbours=REPLACE_ONE)
call("dp.sensitivity.Sensitivity.vector_sum", length=100, max_value=100, neighbours=REPLACE_ONE, min_value=-100)
call("dp.sensitivity.Sensitivity.multihot", length=127, max_weight=100, neighbours=REPLACE_ONE)
call("dp.sensitivity.Sensitivity.l2_bounded", norm_squared=100, length=100, neighbours=REPLACE_ONE, signed=False)
on(lambda: SENSITIVITY, "dp.sensitivity.Sensitivity.times", reports=100)
call(
    "dp.tradeoff.Row",
    place=dp.Place.LOCAL,
    epsilon=100,
    reports=100,
    size=100,
    noise="",
    deviation=0.5,
    error=100,
    relative=0.5,
)
call("dp.tradeoff.plan_at", place=dp.Place.AGGREGATORS, budget=dp.PureDp(1), sensitivity=VECTOR, length=4, reports=100)
call(
    "dp.tradeoff.tradeoff",
    sensitivity=SENSITIVITY,
    length=100,
    epsilons=[1, 2],
    reports=[100],
    share=1,
    confidence=0.5,
)
call(
    "dp.tradeoff.tradeoff",
    sensitivity=dp.Sensitivity.sum(1, REPLACE_ONE),
    length=1,
    epsilons=[1],
    reports=[100],
    delta=Fraction(1, 100),
)
call(
    "dp.tradeoff.epsilon_for",
    relative_error=1,
    count=100,
    plan_for=lambda epsilon: dp.Plan.central(dp.PureDp(epsilon), SENSITIVITY, 1),
    confidence=0.5,
)
rounding = dp.Rounding.CONDITIONAL
call("dp.rounding.rounded_norm_squared", norm=100, length=100, rounding=rounding, beta=Fraction(1, 3))
call(
    "dp.rounding.round_vector", values=floats(9), norm=100, rounding=rounding, beta=Fraction(1, 3), draws=100, rand=rand
)

# Noisy rounds.


def noisy_sum(**others: Any) -> noisy.NoisySum[Any]:
    return noisy.NoisySum(**{"layout": LAYOUT, "clip": 1.0, "budget": ZCDP, "n": 10, "isochronous": False, **others})


def noisy_params() -> Params:
    return noisy_sum().params(nonce=NONCE)


def noisy_client(**others: Any) -> noisy.NoisyClient:
    return noisy.NoisyClient(noisy_params(), noisy_sum().plan, 3, ledger=dp.Ledger(ZCDP), rand=source(3), **others)


corners: dict[str, Any] = {"n": 100, "survivors": 90, "corrupt": 10, "max_weight": 100, "steps": 100, "rotate": True}
call("noisy.sum.NoisySum", layout=LAYOUT, clip=100.0, budget=ZCDP, isochronous=False, **corners)
call("noisy.sum.NoisySum", layout=LAYOUT, clip=100.0, budget=ZCDP, isochronous=True, n=100, max_weight=100)
call("noisy.sum.NoisySum", layout=LAYOUT, clip=100.0, budget=ZCDP, n=10, rounds=10, per_client=3)
call(
    "protocol.encoding.Encoding.like",
    noisy.NoisySum.like,
    model=floats(4),
    keep_dtypes=True,
    clip=100.0,
    budget=ZCDP,
    n=10,
)
on(noisy_sum, "noisy.sum.NoisySum.params", context=b"context", nonce=NONCE)
on(noisy_sum, "protocol.encoding.Encoding.bind", context=b"context")
on(noisy_sum, "noisy.sum.NoisySum.clipped", model=floats(4))
on(noisy_sum, "noisy.sum.NoisySum.encode", model=floats(4), params=noisy_params(), rand=rand, unbound=False)
on(
    lambda: noisy_sum(max_weight=100, steps=100),
    "noisy.sum.NoisySum.encode",
    model=floats(4),
    params=noisy_sum(max_weight=100, steps=100).params(nonce=NONCE),
    weight=100,
    rand=rand,
)
on(
    noisy_sum,
    "noisy.sum.NoisySum.decode",
    total=np.full(4, 1000, noisy_params().dtype),
    params=noisy_params(),
    survivors=10,
    unbound=False,
)
for centre in (127, np.full(4, 127)):
    call("noisy.bound.Ball", sensitivity=VECTOR, doubled_centre=centre)
call("noisy.bound.Counts", sensitivity=VECTOR, length=100, max_value=127)
on(lambda: noisy.Ball(VECTOR, 100), "noisy.bound.Ball.holds", x=np.full(4, 100))
on(lambda: noisy.Counts(VECTOR, 4, 100), "noisy.bound.Counts.holds", x=np.full(4, 100))
call("noisy.sum.Release", layout=LAYOUT, flat=floats(4), weight=100.0, deviation=0.5, over_noise=Fraction(4, 3))
call("noisy.sum.Release", layout=LAYOUT, flat=floats(4), weight=100.0, deviation=0.5, over_noise=2)
call("noisy.rotation.Rotation", length=100, seed=SEED)
on(lambda: noisy.Rotation(4, SEED), "noisy.rotation.Rotation.apply", vector=floats(4))
on(lambda: noisy.Rotation(4, SEED), "noisy.rotation.Rotation.invert", rotated=floats(4))
call(
    "noisy.client.NoisyClient",
    params=noisy_params(),
    plan=noisy_sum().plan,
    user_id=3,
    x=np.zeros(4, int),
    ledger=Made(lambda: dp.Ledger(ZCDP)),
    rand=rand,
)
on(noisy_client, "noisy.client.NoisyClient.set_input", x=np.zeros(4, int))
on(noisy_client, "noisy.client.NoisyClient.start", announced=noisy_params().encode())


def _received(data: bytes) -> bytes:
    client = noisy_client()
    client.start()
    return client.receive(data)


def _noisy_request() -> bytes:
    server = Server(noisy_params())
    server.receive(3, noisy_client().start())
    for u in range(4, 10):
        server.receive(u, Client(noisy_params(), u, rand=source(u)).start())
    return server.end_round()[3]


call("noisy.client.NoisyClient.receive", _received, data=_noisy_request())


@_in_a_folder
def _noisy_saved(path: Path, key: bytes) -> Any:
    noisy_client(x=np.zeros(4, int)).save(path, key=key, rand=source(1), clock=lambda: 0.0)
    return path.read_bytes().partition(b"\n")[2]


@_in_a_folder
def _noisy_loaded(path: Path, **given: Any) -> Any:
    client = noisy_client(x=np.zeros(4, int))
    client.save(path, key=ONES, clock=lambda: 0.0)
    answer = client.start()
    plan, ledger = noisy_sum().plan, dp.Ledger(ZCDP)
    loaded = noisy.NoisyClient.load(path, params=noisy_params(), plan=plan, ledger=ledger, clock=lambda: 100.0, **given)
    return loaded.answer == answer, loaded.finished


call("noisy.client.NoisyClient.save", _noisy_saved, key=ONES)
call("noisy.client.NoisyClient.load", _noisy_loaded, user_id=3, key=ONES, max_age=127)

# Prio3. One report of each kind of message, in the order in which they are made.


def histogram() -> vdaf.Prio3:
    return vdaf.Prio3Histogram(length=4)


def ping_pong() -> vdaf.PingPong:
    return vdaf.PingPong(histogram())


CTX, KEY = b"context", ONES
DRAWN = np.frombuffer(rand(histogram().RAND_SIZE), np.uint8)[None]
PUBLIC, INPUTS = histogram().shard_batch(CTX, [3], [NONCE], DRAWN)
STATES, SHARES = zip(
    *(histogram().verify_init_batch(KEY, CTX, j, [NONCE], PUBLIC, INPUTS[j]) for j in (0, 1)), strict=True
)
MESSAGES = histogram().verifier_shares_to_message_batch(CTX, SHARES)
OUT_SHARES = [histogram().verify_next_batch(state, MESSAGES) for state in STATES]
AGGREGATES = [histogram().aggregate(out) for out in OUT_SHARES]
FIRST_STATES, FIRST_MESSAGES = ping_pong().leader_init(KEY, CTX, [NONCE], PUBLIC, INPUTS[0])
SECOND_MESSAGES = ping_pong().helper_init(KEY, CTX, [NONCE], PUBLIC, INPUTS[1], FIRST_MESSAGES)[1]


def _rows(batch: vdaf.Rows) -> Any:
    return batch.data


def _made(prio3: vdaf.Prio3) -> dict[str, Any]:
    return {name: value for name, value in vars(prio3).items() if isinstance(value, int)}


def sized(name: str, **values: Any) -> None:
    """A variant of Prio3, by its sizes."""
    call(f"vdaf.variants.{name}", lambda **given: _made(getattr(vdaf, name)(**given)), **values)


sized("Prio3Count", shares=100)
sized("Prio3Sum", shares=100, max_measurement=127)
sized("Prio3SumVec", shares=100, length=100, max_measurement=127, chunk_length=100)
sized("Prio3SumVecWithMultiproof", shares=100, length=100, max_measurement=127, chunk_length=100, proofs=100)
sized("Prio3Histogram", shares=100, length=100, chunk_length=100)
sized("Prio3MultihotCountVec", shares=100, length=127, max_weight=100, chunk_length=100)
call(
    "vdaf.prio3.Prio3",
    lambda **given: _made(vdaf.Prio3(**given)),
    algorithm=100,
    valid=Made(lambda: Count(vdaf.Field64, vdaf.DRAFT_20)),
    draft=vdaf.DRAFT_20,
    shares=100,
    proofs=100,
)
on_prio3 = "vdaf.prio3.Prio3."


def prio3_call(method: str, **values: Any) -> None:
    """A call by its result alone."""
    call(f"{on_prio3}{method}", lambda **given: getattr(histogram(), method)(**given), **values)


PUBLIC_NAMES = public_callables()
prio3_call("input_share_size", agg_id=1)
prio3_call("input_share_size", agg_id=0)
prio3_call("shard", ctx=CTX, measurement=3, nonce=NONCE, rand=DRAWN.tobytes())
for nonces in ([NONCE], np.zeros((1, 16), np.uint8)):
    prio3_call("shard_batch", ctx=CTX, measurements=np.array([3]), nonces=nonces, rand=DRAWN)
    one: dict[str, Any] = {"verify_key": KEY, "ctx": CTX, "nonces": nonces}
    for public, leader, helper in ((PUBLIC.data, INPUTS[0].data, INPUTS[1].data), (*map(list, (PUBLIC, *INPUTS)),)):
        prio3_call("verify_init_batch", **one, agg_id=1, public_shares=public, input_shares=helper)
        call(
            "vdaf.pingpong.PingPong.leader_init",
            lambda **given: ping_pong().leader_init(**given),
            **one,
            public_shares=public,
            input_shares=leader,
        )
        for inbound in (FIRST_MESSAGES.data, list(FIRST_MESSAGES)):
            call(
                "vdaf.pingpong.PingPong.helper_init",
                lambda **given: ping_pong().helper_init(**given),
                **one,
                public_shares=public,
                input_shares=helper,
                inbound=inbound,
            )
for inbound in (SECOND_MESSAGES.data, list(SECOND_MESSAGES)):
    call(
        "vdaf.pingpong.PingPong.leader_continued",
        lambda **given: ping_pong().leader_continued(**given),
        states=list(FIRST_STATES.encode()),
        inbound=inbound,
    )
prio3_call(
    "verify_init",
    verify_key=KEY,
    ctx=CTX,
    agg_id=1,
    nonce=NONCE,
    public_share=PUBLIC[0],
    input_share=INPUTS[1][0],
)
prio3_call("verifier_shares_to_message", ctx=CTX, verifier_shares=[share[0] for share in SHARES])
prio3_call("verifier_shares_to_message_batch", ctx=CTX, verifier_shares=[share.data for share in SHARES])
prio3_call("verify_next", verify_state=STATES[1].encode()[0], verifier_message=MESSAGES[0])
for messages in (MESSAGES.data, list(MESSAGES)):
    prio3_call("verify_next_batch", states=list(STATES[1].encode()), messages=messages)
prio3_call("agg_update", agg_share=AGGREGATES[0], out_shares=OUT_SHARES[0][0])
prio3_call("decode_agg_param", encoded=b"")
prio3_call("decode_agg_share", encoded=AGGREGATES[0].tobytes())
prio3_call("encode_agg_share", agg_share=AGGREGATES[0])
prio3_call("merge", agg_shares=AGGREGATES)
prio3_call("unshard", agg_shares=AGGREGATES, num_measurements=1, signed=True)
prio3_call("unshard", agg_shares=AGGREGATES, num_measurements=1, signed=True, room=100)
prio3_call("capacity", signed=True, room=100)

numbers: dict[str, Any] = {
    "number": 100,
    "version": 100,
    "seed_size": 100,
    "dst_prefix": 100,
    "seed_prefix": 100,
    "helper_seeds": 100,
}
flags: dict[str, Any] = dict.fromkeys(
    ("context", "gadget_values", "rand_per_call", "query_reduces", "any_maximum"), False
)
call("vdaf.draft.Draft", **numbers, **flags, multiproof64=100, ids={"Count": 100})
call("vdaf.field.Field", bits=64, generator=7, gen_order=16, cofactor=6)
on(lambda: vdaf.Field128, "vdaf.field.Field.array", values=np.arange(3))
on(lambda: vdaf.Field64, "vdaf.field.Field.elements", rows=np.zeros((2, 8), np.uint8))
on(lambda: vdaf.Field64, "vdaf.field.Field.ints", elements=np.zeros(2, np.uint64))
on(lambda: vdaf.Field64, "vdaf.field.Field.rows", elements=np.zeros((2, 1), np.uint64))
call("vdaf.rows.Rows", data=np.zeros((2, 8), np.uint8))
for batch in (np.zeros((2, 8), np.uint8), [bytes(8), bytes(8)]):
    call("vdaf.rows.Rows.of", messages=batch, size=8, name="message")
on(
    lambda: vdaf.Rows(np.zeros((2, 8), np.uint8)),
    "vdaf.rows.Rows.require",
    passed=np.array([True, False]),
    reason="missing",
)
call("vdaf.rows.VerifyStates", out_shares=np.zeros((2, 8), np.uint8), joint_rand_seeds=np.zeros((2, 8), np.uint8))

# DAP.

RESPONSE = RandomizedResponse(100, Fraction(1))
PRIVACY = Privacy(Mechanism.DISCRETE_LAPLACE, dp.PureDp(1), dp.PureDp(10))


def dap_client(name: str, **values: Any) -> None:
    """A Client, by how many reports go into a request."""

    def batch(**given: Any) -> Any:
        return PUBLIC_NAMES[f"dap.client.upload.{name}"](**given, http=object())._uploader._batch

    call(f"dap.client.upload.{name}", batch, **values)


dap_client("Client", task=make_task(), max_body=10_000, allow_http=False)
dap_client("AsyncClient", task=make_task(), max_body=10_000, allow_http=False)


def _queried(**given: Any) -> Any:
    """A Collector's steps until it waits a second time: what it asks, and how long it waits."""
    key = PrivateKey.from_bytes(ONES)
    config = HpkeConfig(7, 32, 1, 1, key.public_bytes)
    collecting = Collecting(make_task(), key, config, "token", lambda: 1000.0, Retries())
    keep = given.get("keep", False)
    steps = collecting.collect(given.get("batch"), given["confidence"], given["timeout"], keep=keep)
    asked: Any = next(steps)
    location = {"location": collecting._url + "/job", "retry-after": "100"}
    progress, waited = steps.send(Response(200, location, b"")), next(steps)
    assert isinstance(progress, Progress)
    assert isinstance(waited, Wait)
    return asked.content, progress, waited


def dap_collector(name: str, **values: Any) -> None:
    """A Collector, by where it asks."""

    def url(**given: Any) -> Any:
        key = PrivateKey.from_bytes(ONES)
        config = HpkeConfig(7, 32, 1, 1, key.public_bytes)
        made = PUBLIC_NAMES[f"dap.client.collector.{name}"](make_task(), key, config, "token", http=object(), **given)
        return made._collecting._url

    call(f"dap.client.collector.{name}", url, **values)


for collector in ("Collector", "AsyncCollector"):
    dap_collector(collector, allow_http=False)
    collect = f"dap.client.collector.{collector}.collect"
    call(collect, _queried, batch=(300, 600), confidence=0.5, timeout=50, keep=True)
    call(collect, _queried, batch=(300.0, 600.0), confidence=0.5, timeout=TIMEOUT, keep=False)

call("dap.messages.Interval", start=100, duration=100)
call("http.steps.Retries", attempts=100, longest=100.0)
call(
    "dap.privacy.extension.Privacy",
    mechanism=Mechanism.DISCRETE_LAPLACE,
    budget=dp.PureDp(1),
    total=dp.PureDp(10),
    honest=1,
)
on(lambda: PRIVACY, "dap.privacy.extension.Privacy.report", vdaf=Histogram(100, 5), seen=False)
call("dap.privacy.extension.affords", privacy=PRIVACY, plan=PRIVACY.plan(Histogram(100, 5)), spent=5)
call("dap.privacy.extension.least_noise", budget=ZCDP, vdaf=Histogram(100, 5), honest=2)
call("dap.privacy.run.privacy_of_run", total=ZCDP, collections=100, vdaf=Histogram(100, 5), honest=2)
call("dap.privacy.randomized_response.RandomizedResponse", buckets=100, epsilon=1)
call("dap.privacy.randomized_response.RandomizedResponse", buckets=100, epsilon=Fraction(1, 3))
on(lambda: RESPONSE, "dap.privacy.randomized_response.RandomizedResponse.randomize", value=99, rand=rand)
on(lambda: RESPONSE, "dap.privacy.randomized_response.RandomizedResponse.debias", counts=[100, 120], reports=127)
on(
    lambda: RESPONSE,
    "dap.privacy.randomized_response.RandomizedResponse.standard_errors",
    estimates=[100.0, 120.0],
    reports=127,
    entries=2,
)
ENCODING = UnaryEncoding(100, Fraction(1))
UNARY = "dap.privacy.unary_encoding.UnaryEncoding"
call(UNARY, buckets=100, epsilon=1)
call(UNARY, buckets=100, epsilon=Fraction(1, 3))
on(lambda: ENCODING, f"{UNARY}.randomize", value=99, rand=rand)
on(lambda: ENCODING, f"{UNARY}.debias", counts=[100, 120], reports=127)
on(lambda: ENCODING, f"{UNARY}.standard_errors", estimates=[100.0, 120.0], reports=127, entries=2)
call("dap.privacy.extension.pays_for", privacy=PRIVACY, plan=PRIVACY.plan(Histogram(100, 5)), count=5)
call("dap.taskprov.advertised_task", configuration=make_task().encoded)
call("dap.taskprov.derive_task_id", configuration=make_task().encoded)
call("dap.taskprov.derive_verify_key", verify_key_init=ONES, task_id=ONES, size=100)
call(
    "dap.task_policy.TaskPolicy",
    min_batch_size=100,
    report_bytes=100,
    time_precision=100,
    lifetime=100,
    honest=2,
    collections=100,
)
on(
    lambda: TaskPolicy(min_batch_size=3, lifetime=None),
    "dap.task_policy.TaskPolicy.opt_in",
    configuration=make_task().encoded,
    now=1e4,
)
call("dap.task.Task", id=ONES, configuration=make_task().configuration)
on(make_task, "dap.task.Task.input_share_aad", metadata=ReportMetadata(NONCE, 1), public_share=b"share")
on(make_task, "dap.task.Task.precision_time", time=100)
on(make_task, "dap.task.Task.time", seconds=1e4)
configuration: dict[str, Any] = {
    "task_info": b"test",
    "time_precision": 100,
    "min_batch_size": 100,
    "batch_mode": BatchMode.TIME_INTERVAL,
}
call(
    "dap.task.task_configuration",
    **configuration,
    leader_url="https://leader.example",
    helper_url="https://helper.example",
    vdaf=Sum(127),
)
call(
    "dap.messages.TaskConfiguration",
    **configuration,
    leader_aggregator_endpoint=b"https://leader.example",
    helper_aggregator_endpoint=b"https://helper.example",
    batch_config=b"",
    vdaf_type=2,
    vdaf_configuration=b"",
    extensions=(),
)
call("http.base64url.base64url", data=ONES)
call("http.base64url.from_base64url", text="AAAA", size=3)
call("dap.vdafs.Histogram", length=100, chunk_length=100)
call("dap.vdafs.MultihotCountVec", length=127, chunk_length=100, max_weight=100)
call("dap.vdafs.Sum", max_measurement=127)
call("dap.vdafs.SumVec", length=100, max_measurement=127, chunk_length=100)
call("dap.vdafs.decode_vdaf", vdaf_type=4, configuration=Histogram(100, 5).encode())

# The service.

call("service.deadlines.Deadlines", goal=100, seconds={Round.SHARE_KEYS: 100}, grace=100, keep=100)
on(lambda: Deadlines(goal=120), "service.deadlines.Deadlines.enough", may_answer=127)
_SETUP: dict[str, Any] = {
    "name": "sums",
    "params": params(),
    "roster": None,
    "invited": None,
    "deadlines": Deadlines(),
    "created": 100,
}
call("service.setup.SessionSetup", **_SETUP, results_for_participants=False)
call("service.setup.SessionSetup", **{**_SETUP, "invited": (*range(100, 100 + params().n - 1), "ada")})
call("service.setup.SessionSetup.decode", data=SessionSetup(**_SETUP).encode())


def _coordinator(**given: Any) -> Any:
    """What a coordinator knows of tokens, and what it shows."""
    options: dict[str, Any] = {"operator": ONES, "participants": {"ada": SEED * 2}, "metrics_here": True} | given
    made = Coordinator("/nowhere", url="https://coordinator.example", **options)
    paths = [route.path for route in made._app.routes if isinstance(route, Route)]
    return made._gate._operator._names, made._gate._participants._names, paths


def _participants_set(**given: Any) -> Any:
    made = Coordinator("/nowhere", url="https://coordinator.example", operator=ONES)
    made.set_participants(**given)
    return made._gate._participants._names


call(
    "service.coordinator.coordinator.Coordinator",
    _coordinator,
    operator=ONES,
    participants={"ada": SEED * 2, 100: ONES},
    metrics_here=True,
)
call(
    "service.coordinator.coordinator.Coordinator.set_participants",
    _participants_set,
    participants={"ada": ONES, 100: SEED * 2},
)
call(
    "service.coordinator.limits.Limits",
    uploads=100,
    threads=100,
    sessions=100,
    request_bytes=100,
    poll_seconds=100.0,
)
call("protocol.encoding.Encoding.check", quantizer().check, params=quantizer().params(100, nonce=NONCE), unbound=False)
call(
    "service.policy.Policy",
    n_min=100,
    n_max=127,
    min_users=100,
    n_corrupt=100,
    t=100,
    min_inputs=100,
    m=100,
    max_value=100,
    room=100,
    noise=True,
    context=b"context",
    roster=ONES,
    complete_graph=False,
    degree=100,
    allow_http=False,
)
for _method in ("check", "differences"):
    on(
        lambda: Policy(noise=False, n_corrupt=0),
        f"service.policy.Policy.{_method}",
        params=params(),
        roster_hash=ONES,
        noisy=False,
        users=1,
    )

# The integrations.

_CODING = Coding(clip=1.0, max_weight=100)


def _outcome(**given: Any) -> Any:
    """What one reply does to a round."""
    made = ServerRound(
        RoundSettings(coding=_CODING), range(4), {"w": floats(4)}, task=b"", clock=lambda: 0.0, rand=rand
    )
    made.receive(0, **given)
    return made.take_notes()


def _site_policy(**given: Any) -> SitePolicy:
    return SitePolicy(coding=_CODING, accepts=Policy(model=Model.SEMI_HONEST), state=Path("/nowhere"), **given)


def _begun(**given: Any) -> Any:
    """What a site without a folder says to a request that is none."""
    with suppress(NodeRefusal):
        return Site(_site_policy(), "a").begin(train=lambda: Update({}), **given)
    return "refused"


def _admitted(**given: Any) -> Any:
    with suppress(NodeRefusal):
        return Site(_site_policy(), "a").admit(**given)
    return "refused"


def _answered(**given: Any) -> Any:
    with suppress(NodeRefusal):
        return Site(_site_policy(), "a").answer(**given)
    return "refused"


call("integrations.coding.Coding", clip=100.0, bits=16, max_weight=100, stochastic=False)
on(lambda: _CODING, "integrations.coding.Coding.fitted", received={"w": floats(4)}, task=b"task")
call("integrations.coding.Noise", budget=ZCDP, rotate=True, steps=100, rounds=100, per_client=100)
call("integrations.coding.Update", arrays={"w": floats(4)}, weight=100, metrics={"loss": 100})
call("integrations.metrics.Metric", max_value=100, length=100)
call("integrations.metrics.Metric", bound=100.0)
call("integrations.metrics.Metric.count", max_value=100, length=100)
call("integrations.metrics.Metric.mean", bound=100.0, length=100)
call(
    "integrations.server_round.RoundSettings",
    coding=_CODING,
    n_corrupt=100,
    t=100,
    min_users=100,
    min_joined=100,
    application=b"context",
)
on(
    lambda: RoundSettings(coding=_CODING),
    "integrations.server_round.RoundSettings.params",
    coding=_CODING.fitted({"w": floats(4)}, b""),
    n=100,
    nonce=NONCE,
)
call("integrations.server_round.ServerRound.receive", _outcome, reply=b"none")
call("integrations.site.Site.begin", _begun, request=b"none", received={"w": floats(4)}, task=b"task", evaluation=True)
call("integrations.site.Site.admit", _admitted, request=b"none", received={"w": floats(4)}, task=b"", evaluation=True)
call("integrations.site.Site.answer", _answered, request=b"none")
call("integrations.policy.SitePolicy", _site_policy, nonce_age=100.0, keep=100.0, application=b"context")

_RESULT = "made by this package alone, for callers to read"
EXCEPTIONS = {
    "errors.Abort": _RESULT,
    "errors.RemoteProtocolError": _RESULT,
    "errors.ReportRejected": _RESULT,
    "protocol.deliveries.Stray": _RESULT,
    "dp.privacy_loss.PrivacyLoss": _RESULT,
    "dp.sampling.Views": _RESULT,
    "protocol.server.Fault": _RESULT,
    "protocol.simulate.Simulation": _RESULT,
    "dap.client.upload.UploadResult": _RESULT,
    "dap.client.collection.Collection": _RESULT,
    "http.steps.Progress": _RESULT,
    "http.steps.Unreachable": _RESULT,
    "noisy.bound.InputBound": "a protocol, of which there are no objects",
    "noisy.bound.InputBound.holds": "whoever has a bound of their own writes it",
    "vdaf.rows.Rows(rejected)": "positions that are looked up, and never calculated with",
    "vdaf.rows.Rows.reject": "positions that are looked up, and never calculated with",
    "vdaf.rows.VerifyStates(rejected)": "positions that are looked up, and never calculated with",
    "vdaf.field.Field.empty": "given to numpy as they are, as a shape",
    "vdaf.field.Field.zeros": "given to numpy as they are, as a shape",
    "protocol.params.Params.for_inputs(others)": "those of Params",
    "protocol.encoding.Encoding.like(others)": "those of Quantizer and of NoisySum",
    "protocol.quantize.Quantizer.params(others)": "those of Params.for_inputs",
    "noisy.sum.NoisySum.params(others)": "those of Params.for_inputs",
    "dap.client.upload.AsyncClient.upload": "measurements go to Prio3.shard_batch as they are",
    "dap.client.upload.Client.upload": "measurements go to Prio3.shard_batch as they are",
    "service.contribution.Contribution": _RESULT,
    "service.participation.Standing": _RESULT,
    "service.policy.Policy.filled(known)": "those of Policy",
    "service.participant.Participant(key)": "a path, or bytes that Client.save checks",
    "service.participant.AsyncParticipant(key)": "a path, or bytes that Client.save checks",
    "service.participant.Participant.contribute": "takes a coordinator: tests/service/test_participation.py",
    "service.participant.AsyncParticipant.contribute": "takes a coordinator: tests/service/test_participation.py",
    "integrations.server_round.RoundOutcome": _RESULT,
    "integrations.site.Admitted": _RESULT,
    "integrations.task.encoded_task": "numbers of numpy are other values: tests/integrations/test_task.py",
    "integrations.server_round.ServerRound": "makes fresh keys and a nonce: tests/integrations/test_rounds.py",
    "dap.vdafs.vdaf": "parameters go to the VDAF's own class as they are",
}
