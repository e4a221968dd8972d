"""FLARE's homomorphic encryption with the parameters that it provisions: CKKS by TenSEAL, and one key for all sites."""

from typing import Any

import numpy as np
import tenseal
from numpy.typing import NDArray
from nvflare.fuel.utils import fobs
from nvflare.lighter.impl.he import HEBuilder


class Encryption:
    """What `HEModelEncryptor`, the aggregator and `HEModelDecryptor` calculate, on one array."""

    def __init__(self) -> None:
        builder = HEBuilder()
        self._sites = tenseal.context(
            tenseal.SCHEME_TYPE.CKKS,
            poly_modulus_degree=builder.poly_modulus_degree,
            coeff_mod_bit_sizes=builder.coeff_mod_bit_sizes,
            encryption_type=tenseal.ENCRYPTION_TYPE.SYMMETRIC,
        )
        self._sites.global_scale = 2**builder.scale_bits
        without_key = self._sites.serialize(save_secret_key=False, save_galois_keys=False, save_relin_keys=False)
        self._server = tenseal.context_from(without_key)

    def encrypt(self, values: NDArray[Any], share: float) -> bytes:
        """A site's part of the weighted mean, as its reply carries it."""
        vector = tenseal.ckks_vector(self._sites, values * share)
        encoded: bytes = fobs.dumps({"w": vector.serialize()})
        return encoded

    def add(self, total: Any, sent: bytes) -> Any:
        """The sum of what was sent so far, in the server's hands."""
        vector = tenseal.ckks_vector_from(self._server, fobs.loads(sent)["w"])
        return vector if total is None else total + vector

    def encoded(self, total: Any) -> bytes:
        """The sum as each site's next task carries it."""
        data: bytes = fobs.dumps({"w": total.serialize()})
        return data

    def decrypt(self, data: bytes, length: int) -> NDArray[Any]:
        """The mean, at a site."""
        vector = tenseal.ckks_vector_from(self._sites, fobs.loads(data)["w"])
        return np.array(vector.decrypt()[:length])
