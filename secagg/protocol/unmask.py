"""The masks of Fig. 4 as calls of `mask_sum`: which seeds, which signs; and the server's removal of them."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from .. import masking
from ..codec import Ids, Octets
from ..primitives import KeyPair, PublicKey, mask_seed
from .params import Params, neighbours

Progress = Callable[[int, int], None]
"""Called with (done, total) as long work goes on."""


def prg_nonce(session: bytes) -> bytes:
    """Where the PRG's counter starts in this session."""
    return session[: masking.NONCE_BYTES]


def seed_array(seeds: bytes) -> Octets:
    """Seeds one after the other as the kernels take them, uint8 [k, 16]."""
    return np.frombuffer(seeds, np.uint8).reshape(-1, masking.SEED_BYTES)


def pairwise_signs(u: int, others: Ids) -> NDArray[np.int8]:
    """D_{u,v} for v over `others`: 1 where u > v, -1 where u < v (Fig. 4, round 2)."""
    return np.where(others < u, 1, -1).astype(np.int8)


class Unmasker:
    """Takes masks out of the sum of the y_u, in place.

    Args:
        params: the session's.
        session: its id.
        acc: the sum of y_u over U3; becomes the sum of x_u.
        threads: how many share the expansion of masks.
    """

    def __init__(self, params: Params, session: bytes, acc: NDArray[np.generic], threads: int = 1) -> None:
        self._params = params
        self._session = session
        self._acc = acc
        self._threads = threads

    def remove(self, seeds: bytes, signs: NDArray[np.int8]) -> None:
        """acc := acc - sum of signs * PRG(seeds)."""
        masking.mask_sum(
            self._acc,
            seed_array(seeds),
            -signs,
            modulus=self._params.modulus,
            nonce=prg_nonce(self._session),
            threads=self._threads,
        )

    def remove_self_masks(self, seeds: list[bytes]) -> None:
        """Take out p_u for every u in U3."""
        self.remove(b"".join(seeds), np.ones(len(seeds), np.int8))

    def remove_pairwise_masks(self, dropped: KeyPair, v: int, survivors: Mapping[int, PublicKey]) -> None:
        """Take out p_{u,v}, which each survivor u added for v, whose s_sk was reconstructed."""
        users = neighbours(v, list(survivors))
        agreed = (dropped.agree(survivors[u]) for u in users.tolist())
        seeds = b"".join(mask_seed(x, self._session, u, v) for x, u in zip(agreed, users.tolist(), strict=True))
        self.remove(seeds, -pairwise_signs(v, users))
