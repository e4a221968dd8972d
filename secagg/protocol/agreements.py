"""What a client agrees with its neighbours in round 1 of Fig. 4, and a second look at it where a ciphertext does not
open."""

from dataclasses import dataclass, field
from hmac import compare_digest

import numpy as np

from ..codec import Ids, Octets
from ..primitives import LIVE, SHARE_KEY_BYTES, load_public_keys, mask_seed, mask_seeds, share_key, share_keys
from .client_state import Advertised, Peer
from .graph import positions


@dataclass(frozen=True, repr=False, eq=False)
class Agreements:
    """KA.agree of u's two private keys with the public keys of its neighbours, and what follows from it.

    It holds the private keys, and so lives in a client's memory alone, until round 2 is answered.

    Attributes:
        u: the user's id.
        session: the session's id.
        own: u's keys.
        neighbours: the v, ascending.
        public_keys: their (c_v^pk, s_v^pk), uint8[k, 2, 32], points on the curve.
        disagreements: how often kernels and OpenSSL had disagreed before these were made.
    """

    u: int
    session: bytes
    own: Advertised
    neighbours: Ids
    public_keys: Octets
    disagreements: int = field(default_factory=lambda: LIVE.disagreements)

    def made(self) -> tuple[dict[int, Peer], Octets]:
        """Each neighbour's `Peer`, and the keys of the ciphertexts e_{u,v}, uint8[k, 28].

        Once a kernel has computed wrongly, OpenSSL makes all of it: agreements, and what is derived from them.
        """
        return self._by_openssl() if LIVE.disagreements else self._by_kernels()

    def _by_kernels(self) -> tuple[dict[int, Peer], Octets]:
        us = np.full(len(self.neighbours), self.u, np.uint32)

        # KA.agree(c_u^sk, c_v^pk): the keys of e_{v,u} and of e_{u,v}.
        agreed = self.own.c.agree_with(self.public_keys[:, 0])
        unseal_keys = share_keys(agreed, self.session, self.neighbours, us)
        seal_keys = share_keys(agreed, self.session, us, self.neighbours)

        # KA.agree(s_u^sk, s_v^pk): s_{u,v}.
        seeds = mask_seeds(self.own.s.agree_with(self.public_keys[:, 1]), self.session, us, self.neighbours)
        rows = zip(self.neighbours.tolist(), unseal_keys, seeds, strict=True)
        return {v: Peer(key.tobytes(), seed.tobytes()) for v, key, seed in rows}, seal_keys

    def _by_openssl(self) -> tuple[dict[int, Peer], Octets]:
        peers, seal_keys = {}, np.empty((len(self.neighbours), SHARE_KEY_BYTES), np.uint8)
        theirs = load_public_keys(self.public_keys.reshape(-1, 32))
        for row, (v, c_pk, s_pk) in enumerate(zip(self.neighbours.tolist(), theirs[::2], theirs[1::2], strict=True)):
            assert c_pk is not None, "round 1 checked all public keys"
            assert s_pk is not None, "round 1 checked all public keys"
            agreed = self.own.c.agree(c_pk)
            seal_keys[row] = np.frombuffer(share_key(agreed, self.session, sender=self.u, recipient=v), np.uint8)
            peers[v] = Peer(
                share_key(agreed, self.session, sender=v, recipient=self.u),
                mask_seed(self.own.s.agree(s_pk), self.session, self.u, v),
            )
        return peers, seal_keys

    def confirmed(self, peers: dict[int, Peer], unopened: Ids) -> bool:
        """Whether OpenSSL makes the same keys of the e_{v,u}, v over `unopened`, and no other client of this process
        has found meanwhile that it does not. Otherwise nothing that the kernels made is good, and `made` is OpenSSL's
        from now on."""
        if LIVE.disagreements != self.disagreements:
            return False
        publics = load_public_keys(self.public_keys[positions(unopened, self.neighbours), 0])
        for v, public in zip(unopened.tolist(), publics, strict=True):
            assert public is not None, "round 1 checked all public keys"
            key = share_key(self.own.c.agree(public), self.session, sender=v, recipient=self.u)
            if not compare_digest(key, peers[v].unseal_key):
                LIVE.disagreed()
                return False
        return True
