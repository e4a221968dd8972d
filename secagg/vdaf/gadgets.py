"""The gadgets (appendix A): the non-linear parts of validity circuits, proved and checked for many reports at once.

No call takes the output of another call. So the kernels of `secagg._vdaf` compute a proof directly from the encoded
measurement, and a share of the verifier directly from shares of both.
"""

from abc import ABC, abstractmethod
from functools import cache

from numpy import bool_
from numpy.typing import NDArray

from secagg import _vdaf

from .field import Elements, Field


def next_power_of_2(n: int) -> int:
    """The least power of 2 that is at least n >= 1."""
    return 1 << (n - 1).bit_length()


def wire_poly_len(calls: int) -> int:
    """p: values that define a wire polynomial, one a call and the seed, padded to a power of 2 (section 7.3.2)."""
    return next_power_of_2(1 + calls)


def gadget_poly_len(degree: int, p: int) -> int:
    """Values, or coefficients, that define a gadget polynomial (section 7.3.2)."""
    return degree * (p - 1) + 1


class Gadget(ABC):
    """A gadget in one field, with its proof as one draft writes polynomials (appendix A).

    Attributes:
        ARITY: inputs; the output is one element.
        DEGREE: arithmetic degree of the output as a polynomial in the inputs.
        field: of inputs and output.
        monomial: whether a gadget polynomial travels as coefficients (draft 8) and not as values at roots of unity.
    """

    ARITY: int
    DEGREE: int

    def __init__(self, field: Field, monomial: bool) -> None:
        self.field = field
        self.monomial = monomial

    @abstractmethod
    def prove(self, proof: Elements, meas: Elements, prove_rand: Elements, joint_rand: Elements) -> None:
        """Writes proofs: the wires' seeds, F[n, ARITY], and the gadget polynomial (section 7.3.3).

        Args:
            proof: F[n, PROOF_LEN], written.
            meas: F[n, MEAS_LEN], encoded measurements.
            prove_rand: F[n, ARITY], the wires' seeds.
            joint_rand: F[n, JOINT_RAND_LEN of the circuit], what its wires use of the joint randomness.
        """

    @abstractmethod
    def query(
        self,
        checks: Elements,
        outputs: Elements,
        ok: NDArray[bool_],
        meas: Elements,
        proof: Elements,
        t: Elements,
        joint_rand: Elements,
        num_shares: int,
    ) -> None:
        """Evaluates shares of the polynomials at the test points, and the calls (section 7.3.4).

        Args:
            checks: F[n, ARITY + 1], written: the wires' polynomials and the gadget's at t.
            outputs: F[n, GADGET_CALLS], written: what the calls give.
            ok: bool[n], cleared where t is a root of unity.
            meas: F[n, MEAS_LEN], shares of encoded measurements.
            proof: F[n, PROOF_LEN], shares of proofs.
            t: F[n, 1], test points.
            joint_rand: F[n, JOINT_RAND_LEN of the circuit].
            num_shares: how many parties there are.
        """

    @abstractmethod
    def decide(self, ok: NDArray[bool_], verifier: Elements) -> None:
        """Clears ok where the verifier shows no valid measurement (section 7.3.5).

        Args:
            ok: bool[n], cleared where v is not 0, or the gadget's polynomial at t is not the gadget of the wires'.
            verifier: F[n, 1 + ARITY + 1], sums of all shares: v, and what `query` writes to `checks`.
        """


class ParallelSum(Gadget):
    """The sum of `count` products (appendix A.3).

    For each x of the encoded measurement, padded with zeros, its inputs are r^k * x and x - 1 / num_shares, with r from
    the joint randomness: all products are 0 if all x are 0 or 1.
    """

    DEGREE = 2

    def __init__(self, field: Field, monomial: bool, count: int) -> None:
        super().__init__(field, monomial)
        self.count = count
        self.ARITY = 2 * count

    def wire_rand_and_offset(self, joint_rand: Elements, num_shares: int) -> tuple[Elements, Elements]:
        """r, F[n or 1, calls or 1], and what is subtracted from x, F[1]."""
        return joint_rand, share_of(self.field, 1, num_shares)

    def prove(self, proof: Elements, meas: Elements, prove_rand: Elements, joint_rand: Elements) -> None:
        """See `Gadget.prove`."""
        r, offset = self.wire_rand_and_offset(joint_rand, 1)
        _vdaf.mul_prove(self.field.bits, proof, meas, prove_rand, r, offset, self.count, self.monomial)

    def query(
        self,
        checks: Elements,
        outputs: Elements,
        ok: NDArray[bool_],
        meas: Elements,
        proof: Elements,
        t: Elements,
        joint_rand: Elements,
        num_shares: int,
    ) -> None:
        """See `Gadget.query`."""
        r, offset = self.wire_rand_and_offset(joint_rand, num_shares)
        _vdaf.mul_query(self.field.bits, checks, outputs, ok, meas, proof, t, r, offset, self.count, self.monomial)

    def decide(self, ok: NDArray[bool_], verifier: Elements) -> None:
        """See `Gadget.decide`."""
        _vdaf.mul_decide(self.field.bits, ok, verifier)


class Mul(ParallelSum):
    """x * y (appendix A.1); both inputs are the one element of the measurement."""

    def __init__(self, field: Field, monomial: bool) -> None:
        super().__init__(field, monomial, count=1)

    def wire_rand_and_offset(self, joint_rand: Elements, num_shares: int) -> tuple[Elements, Elements]:
        """1 and 0: the inputs are x and x."""
        return share_of(self.field, 1, 1), share_of(self.field, 0, 1)


class PolyEval(Gadget):
    """A polynomial (appendix A.2); the input of a call is one element of the measurement.

    Args:
        coefficients: integers, lowest first; the last is not 0.
    """

    ARITY = 1

    def __init__(self, field: Field, monomial: bool, coefficients: tuple[int, ...]) -> None:
        super().__init__(field, monomial)
        self.DEGREE = len(coefficients) - 1
        self._poly = field.array(coefficients)

    def prove(self, proof: Elements, meas: Elements, prove_rand: Elements, joint_rand: Elements) -> None:
        """See `Gadget.prove`."""
        _vdaf.poly_prove(self.field.bits, proof, meas, prove_rand, self._poly, self.monomial)

    def query(
        self,
        checks: Elements,
        outputs: Elements,
        ok: NDArray[bool_],
        meas: Elements,
        proof: Elements,
        t: Elements,
        joint_rand: Elements,
        num_shares: int,
    ) -> None:
        """See `Gadget.query`."""
        _vdaf.poly_query(self.field.bits, checks, outputs, ok, meas, proof, t, self._poly, self.monomial)

    def decide(self, ok: NDArray[bool_], verifier: Elements) -> None:
        """See `Gadget.decide`."""
        _vdaf.poly_decide(self.field.bits, ok, verifier, self._poly)


@cache
def share_of(field: Field, value: int, num_shares: int) -> Elements:
    """F[1]: value / num_shares, the share of a constant that each of num_shares parties adds."""
    share = field.array([value * pow(num_shares, -1, field.MODULUS)])
    share.flags.writeable = False
    return share
