"""What a client draws in a session: all of it follows from one secret seed and from what the server has asked.

A client that is restored from an old copy of its state draws again what it drew before, if the request is the same, and
something unrelated if it is another. So an answer that is computed twice has equal bytes, and no key ever encrypts a
second plaintext. What round k draws are the first bytes of AES-256 in counter mode, from counter 0, under

    key = HKDF-SHA256(seed, info = "secagg v1 randomness\\0" || setup id || k || SHA-256(request of round k)), 32 bytes,

without a salt; round 0 has no request, and nothing stands there. `k` is one byte. The setup id covers Params and
roster. The secret of a client's noise is HKDF-SHA256(seed, info = "secagg v1 noise\\0"), 16 bytes: the noise depends on
the input besides, by its context (`secagg.dp.seeds`).
"""

from typing import Self

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ..arguments import octets
from ..errors import require
from ..shamir import RandomBytes
from .messages import Round

SEED_BYTES = 32
_NOISE_SECRET_BYTES = 16


class Randomness:
    """The random bytes of one client in one session.

    Args:
        seed: secret, 32 uniform bytes.
        setup: the setup's id, which covers Params and roster.

    Attributes:
        seed: as given.
    """

    def __init__(self, seed: bytes, setup: bytes) -> None:
        self.seed = seed
        self._setup = setup

    @classmethod
    def drawn(cls, rand: RandomBytes, setup: bytes) -> Self:
        """From a fresh seed, which is the only thing that a client asks of `rand`."""
        return cls(drawn_seed(rand), setup)

    def of_round(self, current: Round, request: bytes = b"") -> RandomBytes:
        """The stream of a round, from its beginning.

        Args:
            current: the round.
            request: SHA-256 of the request that is answered; no bytes for round 0.
        """
        info = b"secagg v1 randomness\0" + self._setup + bytes((current,)) + request
        stream = Cipher(AES256(_derived(self.seed, 32, info)), CTR(bytes(16))).encryptor()
        return lambda size: stream.update(bytes(size))


def drawn_seed(rand: RandomBytes) -> bytes:
    """A fresh seed.

    Args:
        rand: source of random bytes, such as `os.urandom`.

    Raises:
        LocalProtocolError: rand returned another number of bytes.
    """
    seed = octets(rand(SEED_BYTES), "what rand returns")
    require(len(seed) == SEED_BYTES, f"rand must return {SEED_BYTES} bytes, got {len(seed)}")
    return seed


def noise_secret(seed: bytes) -> bytes:
    """The secret that a client's noise is drawn from, 16 bytes."""
    return _derived(seed, _NOISE_SECRET_BYTES, b"secagg v1 noise\0")


def _derived(seed: bytes, size: int, info: bytes) -> bytes:
    return HKDF(SHA256(), size, None, info).derive(seed)
