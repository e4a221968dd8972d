"""Flower's SecAgg+ (package `flwr`): its own functions, its client's steps, and its server's `unmask_stage`.

Complete graph: every user is everyone's neighbour, as in ours. Only transport is left out.
"""

import importlib.metadata
import logging
import os
from types import SimpleNamespace
from typing import Any

import numpy as np
from flwr.app import ConfigRecord, RecordDict
from flwr.client.mod.secure_aggregation.secaggplus_mod import (
    SecAggPlusState,
    _collect_masked_vectors,
    _setup,
    _share_keys,
)
from flwr.common import ndarrays_to_parameters, parameters_to_ndarrays
from flwr.common.secure_aggregation.crypto.shamir import combine_shares, create_shares
from flwr.common.secure_aggregation.crypto.symmetric_encryption import encrypt, generate_shared_key
from flwr.common.secure_aggregation.ndarrays_arithmetic import parameters_addition, parameters_mod
from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS, Key, Stage
from flwr.common.secure_aggregation.secaggplus_utils import pseudo_rand_gen, share_keys_plaintext_concat
from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD
from flwr.server.workflow.constant import Key as WorkflowKey
from flwr.server.workflow.secure_aggregation.secaggplus_workflow import SecAggPlusWorkflow, WorkflowState
from flwr.supercore.primitives.asymmetric import (
    bytes_to_private_key,
    bytes_to_public_key,
    generate_key_pairs,
    private_key_to_bytes,
    public_key_to_bytes,
)
from flwr.supercore.task_identity import TaskIdentity

from .work import MODULUS, SECRET_BYTES, Setting, Work

VERSION = importlib.metadata.version("flwr")
Pair = tuple[bytes, bytes]
Arrays = list[Any]

# Quantizing with these is the identity on integers, and the weight is 1.
TARGET_RANGE = 1 << 22
CLIPPING_RANGE = TARGET_RANGE / 2

logging.getLogger("flwr").setLevel(logging.WARNING)
TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 0  # what a message wants to know of its sender


def key_pair() -> Pair:
    """Secret and public key as Flower stores and sends them: PEM."""
    private, public = generate_key_pairs()
    return private_key_to_bytes(private), public_key_to_bytes(public)


def shared_key(secret: bytes, public: bytes) -> bytes:
    """Keys are loaded anew for each use, as in Flower's client and server."""
    key: bytes = generate_shared_key(bytes_to_private_key(secret), bytes_to_public_key(public))
    return key


class Flower:
    """`prepare`s and `run`s of each case of `bench.peers`."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._pairs: dict[int, tuple[Pair, Pair]] = {u: (key_pair(), key_pair()) for u in range(1, setting.n + 1)}

    def mask(self) -> Work:
        return Work(lambda _: self._prg(bytes(SECRET_BYTES)))

    def masks(self) -> Work:
        seeds = [os.urandom(SECRET_BYTES) for _ in range(self._setting.masks)]

        def run(_: object) -> Arrays:
            acc: Arrays = [np.zeros(1, np.int64), np.zeros(self._setting.m, np.int64)]
            for seed in seeds:
                acc = parameters_addition(acc, self._prg(seed))
            return list(parameters_mod(acc, MODULUS))

        return Work(run)

    def share(self) -> Work:
        return Work(lambda _: create_shares(bytes(SECRET_BYTES), self._setting.params.t, self._setting.n))

    def reconstruct(self) -> Work:
        """The first survivor's secret alone."""
        secret = os.urandom(SECRET_BYTES)
        shares = self._shares(secret)
        return Work(
            lambda _: combine_shares(shares), parts=len(self._setting.survivors), check=lambda found: found == secret
        )

    def agree(self) -> Work:
        own = self._pairs[1][0][0]
        publics = [mask_pair[1] for u, (mask_pair, _) in self._pairs.items() if u != 1]
        return Work(lambda _: [shared_key(own, public) for public in publics])

    def client(self) -> Work:
        """User 1 from everyone's public keys to its masked vector; keys are made and received before."""
        setting = self._setting
        others = range(2, setting.n + 1)
        shares = self._shares(bytes(SECRET_BYTES))[0], self._shares(self._pairs[2][0][0])[0]
        x = ndarrays_to_parameters([setting.total % TARGET_RANGE - CLIPPING_RANGE])

        def prepare() -> tuple[SecAggPlusState, ConfigRecord, ConfigRecord]:
            state = SecAggPlusState(nid=1)
            _setup(state, self._configuration())
            keys = ConfigRecord({str(u): [c_pair[1], s_pair[1]] for u, (c_pair, s_pair) in self._pairs.items()})
            keys["1"] = [state.pk1, state.pk2]
            received = [
                encrypt(shared_key(self._pairs[u][1][0], state.pk2), share_keys_plaintext_concat(u, 1, *shares))
                for u in others
            ]
            return state, keys, ConfigRecord({Key.CIPHERTEXT_LIST: received, Key.SOURCE_LIST: list(others)})

        def run(prepared: tuple[SecAggPlusState, ConfigRecord, ConfigRecord]) -> object:
            state, keys, received = prepared
            _share_keys(state, keys)
            return _collect_masked_vectors(state, received, 1, x)

        return Work(run, prepare)

    def unmask(self) -> Work:
        """`unmask_stage` as if only a slice of the users had to be unmasked; all survivors answer."""
        setting = self._setting
        dropped, users = setting.slice_of_users
        survivors = set(setting.survivors)
        seeds = {u: os.urandom(SECRET_BYTES) for u in users}
        secrets = {**seeds, dropped: self._pairs[dropped][0][0]}
        shares = {u: self._shares(secret) for u, secret in secrets.items()}
        grid = SimpleNamespace(
            send_and_receive=lambda messages, timeout: [
                self._answer(u, {v: held[i] for v, held in shares.items()}) for i, u in enumerate(survivors)
            ]
        )
        masked = self._masked(seeds, dropped)
        workflow = SecAggPlusWorkflow(setting.n, setting.params.t)

        def prepare() -> WorkflowState:
            return WorkflowState(
                sampled_node_ids=set(secrets),
                active_node_ids=set(survivors),
                threshold=setting.params.t,
                clipping_range=CLIPPING_RANGE,
                quantization_range=TARGET_RANGE,
                mod_range=MODULUS,
                nid_to_neighbours={u: survivors | {u} for u in range(1, setting.n + 1)},
                nid_to_publickeys={u: [c_pair[1], s_pair[1]] for u, (c_pair, s_pair) in self._pairs.items()},
                aggregate_ndarrays=[array.copy() for array in masked],
                legacy_results=[(None, SimpleNamespace(parameters=None))],
            )

        def run(state: WorkflowState) -> Any:
            workflow.unmask_stage(grid, self._context(), state)
            return state.legacy_results[0][1].parameters

        def is_right(parameters: Any) -> bool:
            (found,) = parameters_to_ndarrays(parameters)
            return np.array_equal(found + len(survivors) * CLIPPING_RANGE, setting.total)

        return Work(run, prepare, parts=setting.dropped, check=is_right)

    def _prg(self, seed: bytes) -> Arrays:
        """The weight's mask and the vector's."""
        return list(pseudo_rand_gen(seed, MODULUS, [(1,), (self._setting.m,)]))

    def _shares(self, secret: bytes) -> list[bytes]:
        """Those of all survivors, on lines: reconstruction costs the same whatever the degree, but sharing less."""
        return list(create_shares(secret, 2, self._setting.n)[self._setting.dropped :])

    def _masked(self, seeds: dict[int, bytes], dropped: int) -> Arrays:
        """Weight 1 and the vector, with the masks that are still on them."""
        secret = self._pairs[dropped][0][0]
        acc = [np.array([TARGET_RANGE]), self._setting.total]
        for seed in seeds.values():
            acc = parameters_addition(acc, self._prg(seed))
        for u in self._setting.survivors:  # u adds, because u > dropped
            acc = parameters_addition(acc, self._prg(shared_key(secret, self._pairs[u][0][1])))
        return list(parameters_mod(acc, MODULUS))

    def _answer(self, u: int, held: dict[int, bytes]) -> Any:
        """u's shares, as the network would bring them."""
        record = ConfigRecord({Key.NODE_ID_LIST: list(held), Key.SHARE_LIST: list(held.values())})
        content = RecordDict({RECORD_KEY_CONFIGS: record})
        return SimpleNamespace(content=content, has_error=lambda: False, metadata=SimpleNamespace(src_node_id=u))

    def _configuration(self) -> ConfigRecord:
        return ConfigRecord(
            {
                Key.STAGE: Stage.SETUP,
                Key.SAMPLE_NUMBER: self._setting.n,
                Key.SHARE_NUMBER: self._setting.n,
                Key.THRESHOLD: self._setting.params.t,
                Key.CLIPPING_RANGE: CLIPPING_RANGE,
                Key.TARGET_RANGE: TARGET_RANGE,
                Key.MOD_RANGE: MODULUS,
                Key.MAX_WEIGHT: 1.0,
            }
        )

    @staticmethod
    def _context() -> Any:
        records = {MAIN_CONFIGS_RECORD: {WorkflowKey.CURRENT_ROUND: 1}}
        strategy = SimpleNamespace(aggregate_fit=lambda *arguments: (None, {}))
        return SimpleNamespace(state=SimpleNamespace(config_records=records), strategy=strategy)
