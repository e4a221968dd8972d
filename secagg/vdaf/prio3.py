"""Prio3 (section 7.2), over batches of reports.

Messages are the bytes that travel: a batch of them is one array with a row for each report (`Rows`), and the message
of one report is `bytes`. A report that fails at any step is rejected alone; later steps carry it along as rejected.

A batch is worked on in blocks of reports. Beside its arguments and results it needs about 1 MiB of memory, or that of
16 of the Leader's input shares where this is more, however large it is. Functions hold no state and release the GIL for
most of their time, so batches may run in as many threads as there are cores.

Noise is added to aggregate shares before they are sent, in place and in constant time, by a plan of `secagg.dp`:
`plan.noise_for(Party.AGGREGATOR).add_to(agg_share, prio3.field.MODULUS)`.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secagg import _vdaf
from secagg.arguments import array, flag, in_place, octets, whole
from secagg.codec import Octets
from secagg.errors import RemoteProtocolError, require

from .auxiliary import Auxiliary
from .circuits import Valid
from .draft import Draft
from .field import Elements, Field64
from .flp import Flp
from .rows import Messages, Rows, VerifyStates, one_row, require_rows

_OVERFLOW = "a field element is not below the modulus"
_BLOCK_BYTES = 1 << 19  # of the Leader's input shares that are worked on at once
_LANES = 8  # XOF states that are computed at once, at most


class Prio3:
    """A VDAF of SHARES Aggregators for one validity circuit, as one draft has it.

    Args:
        algorithm: identifier, 32 bits.
        valid: the circuit.
        draft: what the Clients speak.
        shares: number of Aggregators, 2 .. 255.
        proofs: independent proofs of each measurement, 1 .. 255; over Field64 with joint randomness, from 3 on (draft
            8: from 2 on; section 9.7).

    Attributes:
        ID: algorithm identifier.
        SHARES: number of Aggregators; the first is the Leader, number 0, the others are Helpers.
        PROOFS: independent proofs of each measurement.
        NONCE_SIZE: bytes of a report's nonce.
        RAND_SIZE: bytes of randomness that `shard` uses.
        VERIFY_KEY_SIZE: bytes of the Aggregators' common key.
        PUBLIC_SHARE_SIZE: bytes of a public share (this and the other sizes: section 7.2.7).
        LEADER_SHARE_SIZE: bytes of the Leader's input share.
        HELPER_SHARE_SIZE: bytes of a Helper's input share.
        VERIFIER_SHARE_SIZE: bytes of a verifier share.
        VERIFIER_MESSAGE_SIZE: bytes of a verifier message.
        VERIFY_STATE_SIZE: bytes of an encoded verification state.
        OUT_SHARE_SIZE: bytes of an output share, and of an encoded aggregate share.
        ROUNDS: of verification.
        draft: as given.
        field: of the circuit.
        flp: the proof system for the circuit.

    Raises:
        LocalProtocolError: shares or proofs are out of range.
    """

    NONCE_SIZE = 16
    ROUNDS = 1

    def __init__(self, algorithm: int, valid: Valid, draft: Draft, shares: int, proofs: int = 1) -> None:
        shares, proofs = whole(shares, "shares"), whole(proofs, "proofs")
        require(2 <= shares <= 255, f"shares must be 2 .. 255, got {shares}")
        self.ID = whole(algorithm, "algorithm")
        self.SHARES = shares
        self.PROOFS = proofs
        self.draft = draft
        self.flp = Flp(valid, draft)
        minimum = draft.multiproof64 if self.flp.JOINT_RAND_LEN and valid.field is Field64 else 1  # section 9.7
        require(minimum <= proofs <= 255, f"proofs must be {minimum} .. 255 for this circuit and field, got {proofs}")
        self.field = valid.field
        self._blind_size = draft.seed_size if self.flp.JOINT_RAND_LEN else 0
        self._set_sizes()

    def _set_sizes(self) -> None:
        flp, element = self.flp, self.field.ENCODED_SIZE
        seed, blind = self.draft.seed_size, self._blind_size
        self.VERIFY_KEY_SIZE = seed
        self.PUBLIC_SHARE_SIZE = self.SHARES * blind
        self.LEADER_SHARE_SIZE = (flp.MEAS_LEN + flp.PROOF_LEN * self.PROOFS) * element + blind
        self.HELPER_SHARE_SIZE = self.draft.helper_seeds * seed + blind
        self.RAND_SIZE = (self.SHARES - 1) * self.HELPER_SHARE_SIZE + blind + seed
        self.VERIFIER_SHARE_SIZE = flp.VERIFIER_LEN * self.PROOFS * element + blind
        self.VERIFIER_MESSAGE_SIZE = blind
        self.OUT_SHARE_SIZE = flp.OUTPUT_LEN * element
        self.VERIFY_STATE_SIZE = self.OUT_SHARE_SIZE + blind

    def input_share_size(self, agg_id: int) -> int:
        """Bytes of the input shares of one Aggregator: the Leader, 0, or any Helper."""
        return self.HELPER_SHARE_SIZE if whole(agg_id, "agg_id") else self.LEADER_SHARE_SIZE

    # Sharding (section 7.2.1).

    def shard_batch(
        self, ctx: bytes, measurements: Any, nonces: Octets | Sequence[bytes], rand: Octets | None = None
    ) -> tuple[Rows, list[Rows]]:
        """Splits measurements into public shares and one input share for each Aggregator (the draft's shard).

        Args:
            ctx: the application's context; empty in draft 8.
            measurements: [n, ...] of integers, as the circuit takes them.
            nonces: n of NONCE_SIZE bytes from a cryptographic random generator, such as `os.urandom`.
            rand: uint8[n, RAND_SIZE], secret and never used again; from the operating system by default.

        Returns:
            The n public shares, and for each Aggregator, by number, its n input shares.

        Raises:
            ValueError: a measurement is out of range.
            LocalProtocolError: another argument has the wrong size.
        """
        valid = self.flp.valid
        integers = valid.check(measurements)
        n = len(integers)
        if rand is None:
            rand = np.frombuffer(os.urandom(n * self.RAND_SIZE), np.uint8).reshape(n, self.RAND_SIZE)
        rand_rows = require_rows(rand, n, self.RAND_SIZE, "rand")
        nonce_rows = require_rows(nonces, n, self.NONCE_SIZE, "nonces")
        public_shares = np.empty((n, self.PUBLIC_SHARE_SIZE), np.uint8)
        input_shares = [np.empty((n, self.input_share_size(j)), np.uint8) for j in range(self.SHARES)]
        derive = self._auxiliary(ctx)
        for block in self._blocks(n):
            self._shard(
                derive,
                public_shares[block],
                [rows[block] for rows in input_shares],
                valid.encode(integers[block]),
                nonce_rows[block],
                rand_rows[block],
            )
        return Rows(public_shares), [Rows(rows) for rows in input_shares]

    def _shard(
        self,
        derive: Auxiliary,
        public_shares: Octets,
        input_shares: list[Octets],
        meas: Elements,
        nonces: Octets,
        rand: Octets,
    ) -> None:
        """Writes public and input shares of one block of reports."""
        bits, helpers = self.field.bits, range(1, self.SHARES)
        helper_size, seed_size = self.HELPER_SHARE_SIZE, self.draft.seed_size

        # The randomness is, in order: for each Helper its input share (its seeds and its blind), the Leader's blind,
        # the seed of the prove randomness.
        for j in helpers:
            input_shares[j][:] = rand[:, (j - 1) * helper_size : j * helper_size]
        leader_blinds = rand[:, len(helpers) * helper_size : -seed_size]
        prove_seeds = rand[:, -seed_size:]

        # Shard the encoded measurement: the Leader's share is what remains after the Helpers' shares.
        leader_meas, leader_proofs = self._leader_share(input_shares[0])
        helper_meas = [derive.helper_meas_share(j, input_shares[j]) for j in helpers]
        _vdaf.subtract(bits, leader_meas, meas, helper_meas[0])
        for meas_share in helper_meas[1:]:
            _vdaf.subtract(bits, leader_meas, leader_meas, meas_share)

        # Each Aggregator's part of the joint randomness, from its blind and its share; together the public share.
        blinds = [leader_blinds, *(self._blinds(input_shares[j]) for j in helpers)]
        joint_rand_parts = [
            derive.joint_rand_part(j, blinds[j], meas_share, nonces)
            for j, meas_share in enumerate([leader_meas, *helper_meas])
        ]
        public_shares[:] = np.concatenate(joint_rand_parts, axis=1)

        # Generate the proofs under prove and joint randomness, and shard them as the measurement.
        self._prove(derive, leader_proofs, meas, prove_seeds, public_shares)
        for j in helpers:
            _vdaf.subtract(bits, leader_proofs, leader_proofs, derive.helper_proofs_share(j, input_shares[j]))

        # The Leader's input share ends in its blind, as the Helpers' do.
        self._blinds(input_shares[0])[:] = leader_blinds

    def _prove(
        self, derive: Auxiliary, proofs: Elements, meas: Elements, prove_seeds: Octets, joint_rand_parts: Octets
    ) -> None:
        """Writes all proofs of each measurement, F[n, PROOFS * PROOF_LEN] (flp.prove)."""
        prove_rands = derive.prove_rands(prove_seeds)
        joint_rands = derive.joint_rands(derive.joint_rand_seed(joint_rand_parts))
        for proof, *rands in zip(self._split_proofs(proofs), prove_rands, joint_rands, strict=True):
            self.flp.prove(proof, meas, *rands)

    # Verification (section 7.2.2).

    def verify_init_batch(
        self,
        verify_key: bytes,
        ctx: bytes,
        agg_id: int,
        nonces: Octets | Sequence[bytes],
        public_shares: Messages,
        input_shares: Messages,
    ) -> tuple[VerifyStates, Rows]:
        """An Aggregator's first step of verification (the draft's verify_init).

        Args:
            verify_key: VERIFY_KEY_SIZE bytes that the Aggregators share and no Client knows.
            ctx: the application's context; empty in draft 8.
            agg_id: which Aggregator this is, 0 the Leader.
            nonces: n of NONCE_SIZE bytes.
            public_shares: n of PUBLIC_SHARE_SIZE bytes.
            input_shares: n of input_share_size(agg_id) bytes, as decrypted.

        Returns:
            Verification states, which the Aggregator keeps, and verifier shares, which it sends.

        Raises:
            LocalProtocolError: an argument of ours has the wrong size. A share that is wrong rejects its report
                instead.
        """
        # Arguments of our own raise; what the Clients sent rejects their reports.
        verify_key, agg_id = octets(verify_key, "verify_key"), whole(agg_id, "agg_id")
        require(len(verify_key) == self.VERIFY_KEY_SIZE, f"verify_key must have {self.VERIFY_KEY_SIZE} bytes")
        require(0 <= agg_id < self.SHARES, f"agg_id must be 0 .. {self.SHARES - 1}, got {agg_id}")
        public_rows = Rows.of(public_shares, self.PUBLIC_SHARE_SIZE, "public share")
        input_rows = Rows.of(input_shares, self.input_share_size(agg_id), "input share").reject(public_rows.rejected)
        n = len(input_rows)
        require(len(public_rows) == n, f"{len(public_rows)} public shares and {n} input shares")
        nonce_rows = require_rows(nonces, n, self.NONCE_SIZE, "nonces")

        joint_rand_seeds = np.empty((n, self._blind_size), np.uint8)
        verifier_shares = np.empty((n, self.VERIFIER_SHARE_SIZE), np.uint8)
        canonical, test_point_ok = np.ones(n, bool), np.ones(n, bool)
        out_shares = self._out_shares(agg_id, input_rows.data)
        derive = self._auxiliary(ctx)
        for block in self._blocks(n):
            # Expand the input share: a Helper's is a seed, the Leader's is a vector, which must be canonical.
            encoded = input_rows.data[block]
            meas, proofs = self._expand_input_share(derive, agg_id, encoded)
            if agg_id:
                out_shares[block] = self.flp.valid.truncate(meas)
            else:
                _vdaf.check(self.field.bits, canonical[block], self._elements(encoded))

            # Compute this Aggregator's part of the joint randomness, put it in place of the one in the public share,
            # and derive the joint randomness seed from all parts.
            joint_rand_parts = derive.joint_rand_part(agg_id, self._blinds(encoded), meas, nonce_rows[block])
            joint_rand_seeds[block] = self._corrected_seeds(derive, agg_id, public_rows.data[block], joint_rand_parts)

            # Query the measurement and proofs (flp.query). A verifier share is what that gives for each proof, and this
            # Aggregator's part of the joint randomness.
            query_rands = derive.query_rands(verify_key, nonce_rows[block])
            joint_rands = derive.joint_rands(joint_rand_seeds[block])
            self._query(verifier_shares[block], test_point_ok[block], meas, proofs, query_rands, joint_rands)
            self._blinds(verifier_shares[block])[:] = joint_rand_parts

        # The state is the output share, and the seed that the verifier message must confirm.
        input_rows = input_rows.require(canonical, "input share: " + _OVERFLOW)
        rejected = input_rows.require(test_point_ok, "the query's test point is a root of unity").rejected
        verifier_shares[list(rejected)] = 0  # at a root of unity a share would give an output away
        return VerifyStates(self.field.rows(out_shares), joint_rand_seeds, rejected), Rows(verifier_shares, rejected)

    def _query(
        self,
        verifier_shares: Octets,
        test_point_ok: NDArray[np.bool_],
        meas: Elements,
        proofs: Elements,
        query_rands: list[Elements],
        joint_rands: list[Elements],
    ) -> None:
        """Writes shares of verifiers; clears `test_point_ok` where a test point is a root of unity (flp.query)."""
        verifiers = self._split_proofs(self._elements(verifier_shares))
        for verifier, proof, query_rand, joint_rand in zip(
            verifiers, self._split_proofs(proofs), query_rands, joint_rands, strict=True
        ):
            self.flp.query(verifier, test_point_ok, meas, proof, query_rand, joint_rand, self.SHARES)

    def _corrected_seeds(
        self, derive: Auxiliary, agg_id: int, public_shares: Octets, joint_rand_parts: Octets
    ) -> Octets:
        """Joint randomness seeds from the parts in the public shares, but for the Aggregator's own part."""
        size = self._blind_size
        before, after = public_shares[:, : agg_id * size], public_shares[:, (agg_id + 1) * size :]
        return derive.joint_rand_seed(np.concatenate([before, joint_rand_parts, after], axis=1))

    def _expand_input_share(self, derive: Auxiliary, agg_id: int, input_shares: Octets) -> tuple[Elements, Elements]:
        """Shares of measurement and proofs."""
        if agg_id:
            return derive.helper_meas_share(agg_id, input_shares), derive.helper_proofs_share(agg_id, input_shares)
        return self._leader_share(input_shares)

    def _out_shares(self, agg_id: int, input_shares: Octets) -> Elements:
        """F[n, OUTPUT_LEN]: the Leader's, which for most circuits are a view into its input shares, or memory for a
        Helper's."""
        if agg_id:
            return self.field.empty(len(input_shares), self.flp.OUTPUT_LEN)
        return self.flp.valid.truncate(self._leader_share(input_shares)[0])

    def verifier_shares_to_message_batch(self, ctx: bytes, verifier_shares: Sequence[Messages]) -> Rows:
        """Combines verifier shares into verifier messages (the draft's verifier_shares_to_message).

        Args:
            ctx: the application's context; empty in draft 8.
            verifier_shares: by Aggregator, in their order: n of VERIFIER_SHARE_SIZE bytes.

        Returns:
            n verifier messages; reports whose measurement or proof is not valid are rejected.

        Raises:
            LocalProtocolError: not one batch from each Aggregator, or batches of different sizes.
        """
        require(
            len(verifier_shares) == self.SHARES,
            f"verifier shares of {self.SHARES} Aggregators are needed, got {len(verifier_shares)}",
        )
        batches = [Rows.of(rows, self.VERIFIER_SHARE_SIZE, "verifier share") for rows in verifier_shares]
        n = len(batches[0])
        require(all(len(batch) == n for batch in batches), "the Aggregators' batches have different sizes")

        # Unshard the verifiers, and decide for each proof (flp.decide).
        batches = [self._require_canonical(batch, "verifier share") for batch in batches]
        verifiers = self._elements(batches[0].data).copy()
        for batch in batches[1:]:
            _vdaf.add(self.field.bits, verifiers, verifiers, self._elements(batch.data))
        valid = np.ones(n, bool)
        for verifier in self._split_proofs(verifiers):
            self.flp.decide(valid, verifier)

        # The verifier message is the joint randomness seed, from the parts that the Aggregators computed.
        joint_rand_parts = np.concatenate([self._blinds(batch.data) for batch in batches], axis=1)
        messages = Rows(self._auxiliary(ctx).joint_rand_seed(joint_rand_parts))
        for batch in batches:
            messages = messages.reject(batch.rejected)
        return messages.require(valid, "the proof does not hold: the measurement is not valid")

    def verify_next_batch(self, states: VerifyStates | Rows | Sequence[bytes], messages: Messages) -> Rows:
        """An Aggregator's last step of verification (the draft's verify_next).

        Args:
            states: from `verify_init_batch`, or as they were encoded.
            messages: n verifier messages, of VERIFIER_MESSAGE_SIZE bytes.

        Returns:
            n output shares; reports whose Client used another joint randomness seed are rejected.

        Raises:
            LocalProtocolError: states and messages differ in number, or states have the wrong size.
        """
        states = states if isinstance(states, VerifyStates) else self._decode_states(states)
        message_rows = Rows.of(messages, self.VERIFIER_MESSAGE_SIZE, "verifier message")
        require(len(message_rows) == len(states), f"{len(states)} states and {len(message_rows)} verifier messages")
        out_shares = Rows(states.out_shares, states.rejected).reject(message_rows.rejected)
        same_seed = (states.joint_rand_seeds == message_rows.data).all(axis=1)
        return out_shares.require(same_seed, "the joint randomness is not the Client's")

    def _decode_states(self, states: Rows | Sequence[bytes]) -> VerifyStates:
        size, name = self.VERIFY_STATE_SIZE, "verification states"
        if isinstance(states, Rows):
            rows = Rows.of(states, size, name)
        else:
            rows = Rows(require_rows(states, len(states), size, name))
        return VerifyStates(rows.data[:, : self.OUT_SHARE_SIZE], self._blinds(rows.data), rows.rejected)

    # Validity of aggregation parameters (section 7.2.3): Prio3 has none.

    def is_valid(self, agg_param: None, previous_agg_params: Sequence[None]) -> bool:
        """Whether a report may be verified: once, and never again.

        Args:
            agg_param: None.
            previous_agg_params: one None for each time that the report was verified before.
        """
        return not previous_agg_params

    def encode_agg_param(self, agg_param: None) -> bytes:
        """The encoded aggregation parameter: no bytes."""
        return b""

    def decode_agg_param(self, encoded: bytes) -> None:
        """Checks an encoded aggregation parameter.

        Raises:
            RemoteProtocolError: it is not empty.
        """
        if octets(encoded, "encoded"):
            raise RemoteProtocolError(f"aggregation parameter: 0 bytes expected, got {len(encoded)}")

    # Aggregation and unsharding (sections 7.2.4 and 7.2.5).

    def agg_init(self) -> Elements:
        """The aggregate share of no reports: F[OUTPUT_LEN] of zeros."""
        return self.field.zeros(self.flp.OUTPUT_LEN)

    def agg_update(self, agg_share: Elements, out_shares: Rows | bytes) -> None:
        """Adds output shares to an aggregate share, in place.

        Args:
            agg_share: F[OUTPUT_LEN], changed.
            out_shares: of a batch, without those that are rejected; or one, of OUT_SHARE_SIZE bytes.

        Raises:
            LocalProtocolError: an output share has another size.
        """
        agg_share = in_place(agg_share, "agg_share")
        size, name = self.OUT_SHARE_SIZE, "output share"
        if isinstance(out_shares, bytes | bytearray | memoryview):
            rows = Rows(require_rows([bytes(out_shares)], 1, size, name))
        else:
            rows = Rows.of(out_shares, size, name)
        _vdaf.accumulate(self.field.bits, agg_share, self.field.elements(rows.data), rows.accepted)

    def aggregate(self, out_shares: Rows) -> Elements:
        """The aggregate share, F[OUTPUT_LEN], of all reports of a batch that are not rejected."""
        agg_share = self.agg_init()
        self.agg_update(agg_share, out_shares)
        return agg_share

    def merge(self, agg_shares: Sequence[Elements]) -> Elements:
        """The sum, F[OUTPUT_LEN], of aggregate shares, F[OUTPUT_LEN] each."""
        total = self.agg_init()
        _vdaf.accumulate(
            self.field.bits,
            total,
            np.stack([array(share, "an aggregate share") for share in agg_shares]),
            np.ones(len(agg_shares), bool),
        )
        return total

    def encode_agg_share(self, agg_share: Elements) -> bytes:
        """An aggregate share, F[OUTPUT_LEN], as OUT_SHARE_SIZE bytes (section 7.2.7)."""
        return array(agg_share, "agg_share").tobytes()

    def decode_agg_share(self, encoded: bytes) -> Elements:
        """The aggregate share, F[OUTPUT_LEN], that is encoded.

        Raises:
            RemoteProtocolError: it does not have OUT_SHARE_SIZE bytes, or an element is not below the modulus.
        """
        encoded = octets(encoded, "encoded")
        if len(encoded) != self.OUT_SHARE_SIZE:
            raise RemoteProtocolError(f"aggregate share: {self.OUT_SHARE_SIZE} bytes expected, got {len(encoded)}")
        elements, canonical = self.field.elements(one_row(encoded)), np.ones(1, bool)
        _vdaf.check(self.field.bits, canonical, elements)
        if not canonical[0]:
            raise RemoteProtocolError("aggregate share: " + _OVERFLOW)
        return elements.copy().reshape(elements.shape[1:])

    def unshard(
        self, agg_shares: Sequence[Elements], num_measurements: int, *, signed: bool = False, room: int = 0
    ) -> Any:
        """The aggregate result (the draft's unshard).

        Args:
            agg_shares: one of every Aggregator, F[OUTPUT_LEN].
            num_measurements: how many were aggregated, 0 .. 2^64 - 1.
            signed: whether results are -(p - 1) / 2 .. (p - 1) / 2 instead of 0 .. p - 1, as noise makes sums negative.
            room: a bound on the |noise| of an entry, such as `secagg.dp.Plan.room()`; 0 without noise.

        Returns:
            An integer, or a list of OUTPUT_LEN integers, as the circuit has it.

        Raises:
            LocalProtocolError: the number of shares is wrong; or so many measurements, with this noise, may sum up to
                more than the field holds (see `capacity`), and the result would be wrong by a multiple of p.
        """
        num_measurements, signed = whole(num_measurements, "num_measurements"), flag(signed, "signed")
        require(len(agg_shares) == self.SHARES, f"{self.SHARES} aggregate shares are needed, got {len(agg_shares)}")
        self._require_capacity(num_measurements, signed, whole(room, "room"))
        output = self.field.ints(self.merge(agg_shares))
        half = self.field.MODULUS // 2
        return self.flp.valid.decode([x - self.field.MODULUS if signed and x > half else x for x in output])

    def capacity(self, *, signed: bool = False, room: int = 0) -> int:
        """The largest number of measurements whose sum the field holds, whatever they are.

        Args:
            signed: as for `unshard`.
            room: as for `unshard`.

        Returns:
            The number; negative where not even the noise fits.
        """
        return (self._max_result(flag(signed, "signed")) - whole(room, "room")) // self.flp.valid.MAX_ENTRY

    def _max_result(self, signed: bool) -> int:
        """The largest aggregate result that the field holds."""
        return self.field.MODULUS // 2 if signed else self.field.MODULUS - 1

    def _require_capacity(self, count: int, signed: bool, room: int) -> None:
        require(0 <= count < 1 << 64, f"num_measurements must be 0 .. 2^64 - 1, got {count}")
        require(room >= 0, f"room must be at least 0, got {room}")
        require(signed or room == 0, "noise can make sums negative: with room for noise, results must be signed")
        capacity = self.capacity(signed=signed, room=room)
        noise = f", and noise up to {room:,}," if room else ""
        require(
            count <= capacity,
            f"{count:,} measurements of up to {self.flp.valid.MAX_ENTRY:,} each{noise} may sum up to more than"
            f" {self._max_result(signed):,}, the largest result: {max(capacity, 0):,} measurements fit",
        )

    # One report: the same steps on a batch of one.

    def shard(self, ctx: bytes, measurement: Any, nonce: bytes, rand: bytes | None = None) -> tuple[bytes, list[bytes]]:
        """`shard_batch` of one measurement.

        Args:
            ctx: the application's context; empty in draft 8.
            measurement: as the circuit takes it.
            nonce: NONCE_SIZE bytes.
            rand: RAND_SIZE bytes, secret and never used again; from the operating system by default.

        Returns:
            Its public share, and its input shares by Aggregator.
        """
        rand_row = None if rand is None else one_row(octets(rand, "rand"))
        public_shares, input_shares = self.shard_batch(ctx, [measurement], one_row(octets(nonce, "nonce")), rand_row)
        return public_shares[0], [rows[0] for rows in input_shares]

    def verify_init(
        self, verify_key: bytes, ctx: bytes, agg_id: int, nonce: bytes, public_share: bytes, input_share: bytes
    ) -> tuple[bytes, bytes]:
        """`verify_init_batch` of one report.

        Args:
            verify_key: VERIFY_KEY_SIZE bytes.
            ctx: the application's context; empty in draft 8.
            agg_id: which Aggregator this is, 0 the Leader.
            nonce: NONCE_SIZE bytes.
            public_share: PUBLIC_SHARE_SIZE bytes.
            input_share: input_share_size(agg_id) bytes.

        Returns:
            Its encoded state and its verifier share.

        Raises:
            ReportRejected: a share is malformed.
        """
        nonces = one_row(octets(nonce, "nonce"))
        public_shares, input_shares = [octets(public_share, "public_share")], [octets(input_share, "input_share")]
        states, verifier_shares = self.verify_init_batch(verify_key, ctx, agg_id, nonces, public_shares, input_shares)
        return states.encode()[0], verifier_shares[0]

    def verifier_shares_to_message(self, ctx: bytes, verifier_shares: Sequence[bytes]) -> bytes:
        """`verifier_shares_to_message_batch` of one report.

        Args:
            ctx: the application's context; empty in draft 8.
            verifier_shares: one of each Aggregator, in their order.

        Raises:
            ReportRejected: the measurement or a proof is not valid, or a share is malformed.
        """
        batches = [[octets(share, "a verifier share")] for share in verifier_shares]
        return self.verifier_shares_to_message_batch(ctx, batches)[0]

    def verify_next(self, verify_state: bytes, verifier_message: bytes) -> bytes:
        """`verify_next_batch` of one report.

        Args:
            verify_state: as `verify_init` gave it.
            verifier_message: VERIFIER_MESSAGE_SIZE bytes.

        Returns:
            Its output share.

        Raises:
            ReportRejected: the Client used another joint randomness seed, or the message is malformed.
        """
        states, messages = [octets(verify_state, "verify_state")], [octets(verifier_message, "verifier_message")]
        return self.verify_next_batch(states, messages)[0]

    # Helpers.

    def _auxiliary(self, ctx: bytes) -> Auxiliary:
        return Auxiliary(self.draft, self.ID, self.flp, self.PROOFS, octets(ctx, "ctx"))

    def _blinds(self, rows: Octets) -> Octets:
        """The seeds at the end of messages; of no bytes without joint randomness."""
        return rows[:, rows.shape[1] - self._blind_size :]

    def _elements(self, rows: Octets) -> Elements:
        """The field elements of messages, up to the seed."""
        return self.field.elements(rows[:, : rows.shape[1] - self._blind_size])

    def _leader_share(self, rows: Octets) -> tuple[Elements, Elements]:
        """Measurement and proofs in the Leader's input shares."""
        elements = self._elements(rows)
        return elements[:, : self.flp.MEAS_LEN], elements[:, self.flp.MEAS_LEN :]

    def _split_proofs(self, elements: Elements) -> list[Elements]:
        return np.split(elements, self.PROOFS, axis=1)

    def _require_canonical(self, rows: Rows, name: str) -> Rows:
        canonical = np.ones(len(rows), bool)
        _vdaf.check(self.field.bits, canonical, self._elements(rows.data))
        return rows.require(canonical, f"{name}: {_OVERFLOW}")

    def _blocks(self, n: int) -> Iterator[slice]:
        """Slices of a batch whose intermediate results are small enough to stay in the cache."""
        step = _LANES * max(1, _BLOCK_BYTES // (_LANES * self.LEADER_SHARE_SIZE))
        return (slice(start, start + step) for start in range(0, n, step))
