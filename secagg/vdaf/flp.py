"""The fully linear proof system of section 7.3 (FlpBBCGGI19), over a batch of n reports at once."""

from numpy import bool_
from numpy.typing import NDArray

from secagg import _vdaf

from .circuits import Valid
from .draft import Draft
from .field import Elements
from .gadgets import gadget_poly_len, wire_poly_len


class Flp:
    """Prover and verifier for one validity circuit; every circuit of the draft has one gadget.

    In draft 20 query randomness reduces a circuit's outputs to one, v; in draft 8 powers of the last element of the
    joint randomness do.

    Attributes:
        valid: the circuit.
        draft: whose choices hold.
        reduces: whether v is more than the circuit's one output.
        MEAS_LEN, OUTPUT_LEN: elements of an encoded measurement and of an aggregatable output.
        JOINT_RAND_LEN, PROVE_RAND_LEN, QUERY_RAND_LEN: elements of randomness.
        PROOF_LEN, VERIFIER_LEN: elements of a proof and of a verifier.
    """

    def __init__(self, valid: Valid, draft: Draft) -> None:
        arity = valid.GADGET.ARITY
        self.valid = valid
        self.draft = draft
        self.reduces = reduces = valid.EVAL_OUTPUT_LEN > 1 or valid.REDUCES_ONE
        self.MEAS_LEN = valid.MEAS_LEN
        self.OUTPUT_LEN = valid.OUTPUT_LEN
        self.JOINT_RAND_LEN = valid.JOINT_RAND_LEN + (reduces and not draft.query_reduces)
        self.PROVE_RAND_LEN = arity
        self.QUERY_RAND_LEN = 1 + valid.EVAL_OUTPUT_LEN * (reduces and draft.query_reduces)
        self.PROOF_LEN = arity + gadget_poly_len(valid.GADGET.DEGREE, wire_poly_len(valid.GADGET_CALLS))
        self.VERIFIER_LEN = 1 + arity + 1

    def prove(self, proof: Elements, meas: Elements, prove_rand: Elements, joint_rand: Elements) -> None:
        """Writes proofs that measurements are valid (section 7.3.3).

        Args:
            proof: F[n, PROOF_LEN], written.
            meas: F[n, MEAS_LEN], encoded measurements.
            prove_rand: F[n, PROVE_RAND_LEN].
            joint_rand: F[n, JOINT_RAND_LEN].
        """
        self.valid.GADGET.prove(proof, meas, prove_rand, joint_rand[:, : self.valid.JOINT_RAND_LEN])

    def query(
        self,
        verifier: Elements,
        ok: NDArray[bool_],
        meas: Elements,
        proof: Elements,
        query_rand: Elements,
        joint_rand: Elements,
        num_shares: int,
    ) -> None:
        """Writes shares of verifiers from shares of measurements and proofs (section 7.3.4).

        Args:
            verifier: F[n, VERIFIER_LEN], written.
            ok: bool[n], cleared where the test point is a root of unity: the verifier would give an output away.
            meas: F[n, MEAS_LEN], shares of encoded measurements.
            proof: F[n, PROOF_LEN], shares of proofs.
            query_rand: F[n, QUERY_RAND_LEN].
            joint_rand: F[n, JOINT_RAND_LEN].
            num_shares: how many parties there are.
        """
        valid = self.valid

        # Evaluate the wires' polynomials and the gadget polynomial at the test point t, and the gadget at each call.
        gadget_outputs = valid.field.empty(len(meas), valid.GADGET_CALLS)
        t, wire_rand = query_rand[:, -1:], joint_rand[:, : valid.JOINT_RAND_LEN]
        valid.GADGET.query(verifier[:, 1:], gadget_outputs, ok, meas, proof, t, wire_rand, num_shares)

        # Evaluate the circuit, and reduce its outputs to v, the first element of the verifier.
        outputs = valid.outputs(meas, gadget_outputs, num_shares)
        if self.reduces:
            rand = self._coefficients(query_rand, joint_rand)
            _vdaf.dot(valid.field.bits, verifier[:, :1], outputs, rand)
        else:
            verifier[:, :1] = outputs

    def _coefficients(self, query_rand: Elements, joint_rand: Elements) -> Elements:
        """The factors that reduce the circuit's outputs: F[n, EVAL_OUTPUT_LEN]."""
        count, field = self.valid.EVAL_OUTPUT_LEN, self.valid.field
        if self.draft.query_reduces:
            return query_rand[:, :count]
        powers, r = field.empty(len(joint_rand), count), joint_rand[:, -1:]
        powers[:, :1] = r
        for i in range(1, count):
            _vdaf.multiply(field.bits, powers[:, i : i + 1], powers[:, i - 1 : i], r)
        return powers

    def decide(self, ok: NDArray[bool_], verifier: Elements) -> None:
        """Decides which measurements are valid (section 7.3.5).

        Args:
            ok: bool[n], cleared where the measurement is not valid.
            verifier: F[n, VERIFIER_LEN], sums of all parties' shares.
        """
        self.valid.GADGET.decide(ok, verifier)
