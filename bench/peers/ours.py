"""This package at the work of `bench.peers`."""

import numpy as np

from secagg import Client, Params, Round, Server, masking, shamir
from secagg.primitives import KeyPair, load_public_keys, mask_seed

from ..script import ONE_THREAD, everyone, replayable
from .work import BITS, MODULUS, SECRET_BYTES, Setting, Work


class Ours:
    """`prepare`s and `run`s of each case of `bench.peers`."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._session = Recording(setting.params, setting.dropped)

    def mask(self) -> Work:
        return Work(lambda _: masking.expand(self._setting.m, bytes(16), bits=BITS))

    def masks(self) -> Work:
        acc = np.zeros(self._setting.m, np.uint32)
        seeds = np.random.default_rng(0).integers(0, 256, (self._setting.masks, masking.SEED_BYTES), np.uint8)
        signs = np.ones(len(seeds), np.int8)
        return Work(lambda _: masking.mask_sum(acc, seeds, signs, bits=BITS))

    def share(self) -> Work:
        secret, xs = np.zeros((1, SECRET_BYTES), np.uint8), everyone(self._setting.params)
        return Work(lambda _: shamir.share(secret, self._setting.params.t, xs))

    def reconstruct(self) -> Work:
        """From the first t shares, coefficients included."""
        params, survivors = self._setting.params, self._setting.survivors
        secrets = shamir.random_scalars(len(survivors), replayable(0))
        xs = np.asarray(survivors, np.uint32)[: params.t]
        shares = shamir.share(secrets, params.t, xs)

        def run(_: object) -> object:
            shamir._lagrange.cache_clear()
            return shamir.reconstruct(shares, xs)

        return Work(run, check=lambda found: np.array_equal(found, secrets))

    def agree(self) -> Work:
        own, *others = (KeyPair.generate(replayable(u)) for u in range(1, self._setting.n + 1))
        xs = np.frombuffer(b"".join(other.public for other in others), np.uint8).reshape(-1, 32)
        session = bytes(32)

        def run(_: object) -> list[bytes]:
            points = [point for point in load_public_keys(xs) if point is not None]
            return [mask_seed(own.agree(point), session, 1, v) for v, point in enumerate(points, 2)]

        return Work(run)

    def client(self) -> Work:
        return Work(self._session.answer, self._session.client)

    def unmask(self) -> Work:
        return Work(
            self._session.unmask, self._session.server, check=lambda found: np.array_equal(found, self._session.sum)
        )


class Recording:
    """A session in which users drop out before MaskedInputCollection, ready to be replayed by one party at a time."""

    def __init__(self, params: Params, dropped: int) -> None:
        self._params = params
        self._input = np.arange(params.m, dtype=params.dtype) % params.max_value
        self.sum = (params.n - dropped) * self._input % MODULUS
        self.requests: dict[Round, bytes] = {}  # to the last user
        self.answers: dict[Round, dict[int, bytes]] = {}
        clients = {u: Client(params, u, rand=replayable(u)) for u in range(1, params.n + 1)}
        server = Server(params)
        requests = dict.fromkeys(clients, b"")
        while (current := server.round) is not None:
            due = {u: request for u, request in requests.items() if self._stays(u, current, dropped)}
            self.answers[current] = {u: self._answer(clients[u], current, request) for u, request in due.items()}
            self.requests[current] = requests[params.n]
            for u, answer in self.answers[current].items():
                server.receive(u, answer)
            requests = server.end_round()

    @staticmethod
    def _stays(u: int, current: Round, dropped: int) -> bool:
        return u > dropped or current < Round.MASKED_INPUT_COLLECTION

    def _answer(self, client: Client, current: Round, request: bytes) -> bytes:
        if current is Round.MASKED_INPUT_COLLECTION:
            client.set_input(self._input)
        return client.receive(request) if request else client.start()

    def client(self) -> Client:
        """The last user, who has advertised its keys."""
        client = Client(self._params, self._params.n, rand=replayable(self._params.n))
        client.start()
        return client

    def answer(self, client: Client) -> bytes:
        """From everyone's public keys to y_u."""
        client.receive(self.requests[Round.SHARE_KEYS])
        client.set_input(self._input)
        return client.receive(self.requests[Round.MASKED_INPUT_COLLECTION])

    def server(self) -> Server:
        """A server of one thread that awaits the shares, with nothing remembered from earlier."""
        server = Server(self._params, executor=ONE_THREAD)
        for current, answers in self.answers.items():
            if current is not Round.UNMASKING:
                self._play(server, answers)
        shamir._lagrange.cache_clear()
        return server

    def unmask(self, server: Server) -> object:
        self._play(server, self.answers[Round.UNMASKING])
        return server.sum

    @staticmethod
    def _play(server: Server, answers: dict[int, bytes]) -> None:
        for u, answer in answers.items():
            server.receive(u, answer)
        server.end_round()
