"""What Prio3 derives from seeds (section 7.2.6), for a batch of reports at once."""

import numpy as np

from secagg.codec import Octets
from secagg.errors import require

from .draft import Draft
from .field import Elements
from .flp import Flp
from .xof import XofInput, XofTurboShake128

USAGE_MEAS_SHARE = 1
USAGE_PROOF_SHARE = 2
USAGE_JOINT_RANDOMNESS = 3
USAGE_PROVE_RANDOMNESS = 4
USAGE_QUERY_RANDOMNESS = 5
USAGE_JOINT_RAND_SEED = 6
USAGE_JOINT_RAND_PART = 7

_VDAF = 0  # algorithm class
_MAX_CTX = (1 << 16) - 1 - 8


class Auxiliary:
    """Derivations of one VDAF in one application context.

    Input shares are uint8[n, size] and seeds uint8[n, seed_size]; row i of a result belongs to report i.

    Args:
        draft: whose XOF and tags these are.
        algorithm: identifier of the VDAF.
        flp: the proof system, which knows the lengths.
        proofs: of each measurement.
        ctx: the application's context; empty in draft 8.

    Raises:
        LocalProtocolError: the context is too long, or the draft has none.
    """

    def __init__(self, draft: Draft, algorithm: int, flp: Flp, proofs: int, ctx: bytes) -> None:
        require(len(ctx) <= _MAX_CTX, f"the application context may have at most {_MAX_CTX} bytes, got {len(ctx)}")
        require(draft.context or not ctx, f"draft {draft.number} has no application context")
        self._prefix = bytes([draft.version, _VDAF]) + algorithm.to_bytes(4, "big")
        self._ctx = ctx
        self._draft = draft
        self._flp = flp
        self._field = flp.valid.field
        self._proofs = proofs
        self._xof = XofTurboShake128(draft)

    def domain_separation_tag(self, usage: int) -> bytes:
        """The tag of one usage (section 6.2.3): VERSION, class, ID, usage and the application's context."""
        return self._prefix + usage.to_bytes(2, "big") + self._ctx

    def helper_meas_share(self, agg_id: int, shares: Octets) -> Elements:
        """A Helper's shares of measurements, F[n, MEAS_LEN], from its input shares."""
        seeds = shares[:, : self._draft.seed_size]
        return self._vec(len(shares), self._flp.MEAS_LEN, USAGE_MEAS_SHARE, seeds, bytes([agg_id]))

    def helper_proofs_share(self, agg_id: int, shares: Octets) -> Elements:
        """A Helper's shares of proofs, F[n, PROOF_LEN * PROOFS], from its input shares."""
        size = self._draft.seed_size
        start = size * (self._draft.helper_seeds - 1)
        seeds, binder = shares[:, start : start + size], bytes([self._proofs, agg_id])
        return self._vec(len(shares), self._flp.PROOF_LEN * self._proofs, USAGE_PROOF_SHARE, seeds, binder)

    def prove_rands(self, prove_seeds: Octets) -> list[Elements]:
        """Prove randomness from its seeds: for each proof, F[n, PROVE_RAND_LEN]."""
        return self._rands(len(prove_seeds), self._flp.PROVE_RAND_LEN, USAGE_PROVE_RANDOMNESS, prove_seeds)

    def query_rands(self, verify_key: bytes, nonces: Octets) -> list[Elements]:
        """Query randomness from the verification key and nonces: for each proof, F[n, QUERY_RAND_LEN]."""
        return self._rands(len(nonces), self._flp.QUERY_RAND_LEN, USAGE_QUERY_RANDOMNESS, verify_key, nonces)

    def joint_rands(self, joint_rand_seeds: Octets) -> list[Elements]:
        """Joint randomness from its seeds: for each proof, F[n, JOINT_RAND_LEN]."""
        n, length = len(joint_rand_seeds), self._flp.JOINT_RAND_LEN
        if not length:
            return [self._field.empty(n, 0)] * self._proofs
        return self._rands(n, length, USAGE_JOINT_RANDOMNESS, joint_rand_seeds)

    def joint_rand_part(self, agg_id: int, blinds: Octets, meas_share: Elements, nonces: Octets) -> Octets:
        """An Aggregator's parts of the joint randomness: uint8[n, seed_size], or uint8[n, 0] if the circuit has none.

        Args:
            agg_id: whose parts.
            blinds: uint8[n, seed_size], from its input shares.
            meas_share: F[n, MEAS_LEN], its shares of measurements.
            nonces: uint8[n, NONCE_SIZE].
        """
        if not self._flp.JOINT_RAND_LEN:
            return blinds
        dst = self.domain_separation_tag(USAGE_JOINT_RAND_PART)
        return self._xof.derive_seed(len(blinds), blinds, dst, bytes([agg_id]), nonces, meas_share)

    def joint_rand_seed(self, joint_rand_parts: Octets) -> Octets:
        """Joint randomness seeds, uint8[n, seed_size], from all parts, uint8[n, SHARES * seed_size].

        Both have no bytes if the circuit has no joint randomness.
        """
        if not self._flp.JOINT_RAND_LEN:
            return joint_rand_parts
        dst, zeros = self.domain_separation_tag(USAGE_JOINT_RAND_SEED), bytes(self._draft.seed_size)
        return self._xof.derive_seed(len(joint_rand_parts), zeros, dst, joint_rand_parts)

    def _rands(self, n: int, length: int, usage: int, seed: XofInput, *binder: XofInput) -> list[Elements]:
        """For each proof, F[n, length]; all from one stream a report."""
        stream = self._vec(n, length * self._proofs, usage, seed, bytes([self._proofs]), *binder)
        return np.split(stream, self._proofs, axis=1)

    def _vec(self, n: int, length: int, usage: int, seed: XofInput, *binder: XofInput) -> Elements:
        out = self._field.empty(n, length)
        self._xof.expand_into_vec(self._field, out, seed, self.domain_separation_tag(usage), *binder)
        return out
