"""A whole session in one process, over the bytes of real messages, with times and sizes as in section 7.3."""

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arguments import whole
from ..shamir import RandomBytes
from .client import Client
from .identity import Identity, Roster
from .messages import Round
from .params import Model, Params
from .server import Fault, Server

Inputs = Mapping[int, ArrayLike] | Callable[[int], ArrayLike]
Drops = Mapping[Round, Collection[int]]
Progress = Callable[[Round, int, int], None]

_AT_ONCE = 16  # answers that the server takes in together, as many as fill the lanes in which it verifies signatures


@dataclass
class Cost:
    """What one round cost the server and the users.

    Attributes:
        server_seconds: the server's time for the whole round.
        client_seconds: each user's own time, by user id.
        sent: how many bytes each user sent, by user id.
        received: how many bytes each user received, by user id.
    """

    server_seconds: float = 0.0
    client_seconds: dict[int, float] = field(default_factory=dict)
    sent: dict[int, int] = field(default_factory=dict)
    received: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Simulation:
    """The result of a simulated session.

    Attributes:
        params: the session's parameters.
        sum: the sum of x_u over `survivors`, mod R, `params.dtype`[m].
        survivors: U3, ascending.
        answered: by round, who answered it: U1, U2, U3 and U5, in the active model also U4.
        costs: by round, what it cost.
        faults: what clients did wrong; see `Server.faults`.
    """

    params: Params
    sum: NDArray[Any]
    survivors: tuple[int, ...]
    answered: dict[Round, tuple[int, ...]]
    costs: dict[Round, Cost]
    faults: list[Fault]


def simulate(
    params: Params,
    inputs: Inputs,
    *,
    noises: Inputs | None = None,
    drops: Drops | None = None,
    rand: RandomBytes = os.urandom,
    threads: int = 1,
    progress: Progress | None = None,
) -> Simulation:
    """Run all n users and the server through one session; in the active model with identities made for it.

    Args:
        params: the session's parameters.
        inputs: by user id, x_u; or a function that makes it when it is due, so that not all exist at once.
        noises: by user id, what the user adds to its input, int64[m]; or a function that makes it. See
            `Client.set_input`. Making it counts as the user's time.
        drops: by round, the users who drop out before they send their message of the round.
        rand: source of random bytes for all users.
        threads: how many users are computed at once, and how many threads remove the server's masks. With more than
            one, the times are those of busy threads.
        progress: called with (round, users done, all users); at the end again for Unmasking, with the tasks into which
            the server cuts the removal of masks.

    Raises:
        Abort: fewer users are left than a round needs, `params.quorum` or `params.min_users`.
        LocalProtocolError: `params` does not allow an input.
    """
    threads = whole(threads, "threads")
    with ThreadPoolExecutor(threads) as pool:
        session = _Session(params, inputs, noises, rand, pool, progress or (lambda name, done, total: None))
        while session.server.round is not None:
            vanished = {whole(u, "drops") for u in (drops or {}).get(session.server.round, ())}
            session.play_round(vanished, pool.map if threads > 1 else map)
    return session.result()


class _Session:
    """The state of a simulation between rounds."""

    def __init__(
        self,
        params: Params,
        inputs: Inputs,
        noises: Inputs | None,
        rand: RandomBytes,
        pool: Executor,
        progress: Progress,
    ) -> None:
        # Fig. 4, setup: in the active model a trusted party gives everyone the keys d_v^pk.
        identities = {u: Identity.generate() for u in range(1, params.n + 1)} if params.model is Model.ACTIVE else {}
        roster = Roster({u: identity.verification_key for u, identity in identities.items()}) if identities else None

        # The server, and users 1 .. n.
        self.server = Server(
            params, roster=roster, executor=pool, progress=lambda *steps: progress(Round.UNMASKING, *steps)
        )
        self._clients = {
            u: Client(params, u, identity=identities.get(u), roster=roster, rand=rand) for u in range(1, params.n + 1)
        }
        self._requests: dict[int, bytes] = dict.fromkeys(self._clients, b"")
        self._inputs, self._noises = _function(inputs), None if noises is None else _function(noises)
        self._progress = progress
        self._costs: dict[Round, Cost] = {}
        self._answered: dict[Round, tuple[int, ...]] = {}

    def play_round(self, vanished: set[int], run: Callable[..., Iterator[tuple[int, bytes]]]) -> None:
        """Let every user but the vanished answer, and the server close the round."""
        # Each user answers the last request; in round 0 there is none.
        current = self.server.round
        assert current is not None
        cost = self._costs[current] = Cost()
        users = [u for u in self._requests if u not in vanished]
        answers = run(lambda u: (u, self._answer(u, current, cost)), users)
        while arrived := dict(islice(answers, _AT_ONCE)):
            # The server takes some answers in.
            with _stopwatch() as elapsed:
                self.server.receive_all(arrived)
            cost.server_seconds += elapsed()
            for u, answer in arrived.items():
                cost.sent[u], cost.received[u] = len(answer), len(self._requests[u])
                self._clients[u].forget_answer()  # it has arrived, and all masked inputs at once would fill the memory
                self._progress(current, len(cost.sent), len(users))

        # The server closes the round: U_k is who answered.
        answered = self.server.answered
        self._answered[current] = tuple(u for u in users if u in answered)
        with _stopwatch() as elapsed:
            self._requests = self.server.end_round()
        cost.server_seconds += elapsed()

    def _answer(self, u: int, current: Round, cost: Cost) -> bytes:
        client, request = self._clients[u], self._requests[u]
        x = self._inputs(u) if current is Round.MASKED_INPUT_COLLECTION else None
        with _stopwatch() as elapsed:
            if x is not None:
                client.set_input(x, None if self._noises is None else self._noises(u))
            answer = client.receive(request) if request else client.start()
        cost.client_seconds[u] = elapsed()
        return answer

    def result(self) -> Simulation:
        return Simulation(
            self.server.params, self.server.sum, self.server.survivors, self._answered, self._costs, self.server.faults
        )


@contextmanager
def _stopwatch() -> Iterator[Callable[[], float]]:
    """Yields a function that returns the seconds spent in the block, once the block has ended."""
    times = [time.perf_counter()]
    yield lambda: times[1] - times[0]
    times.append(time.perf_counter())


def expected_sum(params: Params, inputs: Inputs, users: Iterable[int], *, noises: Inputs | None = None) -> NDArray[Any]:
    """The sum of x_u over `users`, and of their noise, mod R, computed without the protocol, to check a simulation.

    Args:
        params: the session's parameters.
        inputs: as for `simulate`.
        users: the users in the sum.
        noises: as for `simulate`.
    """
    # Sums mod 2**64 and in int64.
    total, noise = np.zeros(params.m, np.uint64), np.zeros(params.m, np.int64)
    for u in users:
        total += np.asarray(_function(inputs)(u)).astype(np.uint64)
        if noises is not None:
            noise += np.asarray(_function(noises)(u))

    # mod R: exact in uint64 where R divides 2**64, otherwise in Python's integers.
    if (1 << 64) % params.modulus == 0:
        return ((total + noise.view(np.uint64)) & np.uint64(params.modulus - 1)).astype(params.dtype)
    return np.asarray((total.astype(object) + noise.astype(object)) % params.modulus).astype(params.dtype)


def _function(values: Inputs) -> Callable[[int], ArrayLike]:
    return values if callable(values) else values.__getitem__
