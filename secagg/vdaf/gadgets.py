"""The gadgets (appendix A): the non-linear parts of validity circuits, proved and checked for many reports at once.

No call of a gadget takes another's output, so the kernels of `secagg._vdaf` work straight from the encoded measurement
to the proof, and from shares of both to a share of the verifier.
"""

from abc import ABC, abstractmethod
from functools import cache

from numpy import bool_
from numpy.typing import NDArray

from secagg import _vdaf

from .field import Elements, Field


def next_power_of_2(n: int) -> int:
    return 1 << (n - 1).bit_length()


def wire_poly_len(calls: int) -> int:
    """p: values that define a wire polynomial, one a call and the seed, padded to a power of 2 (section 7.3.2)."""
    return next_power_of_2(1 + calls)


def gadget_poly_len(degree: int, p: int) -> int:
    """Values, or coefficients, that define a gadget polynomial (section 7.3.2)."""
    return degree * (p - 1) + 1


class Gadget(ABC):
    """ARITY inputs, one output, of arithmetic degree DEGREE, in one field and as one draft writes polynomials."""

    ARITY: int
    DEGREE: int

    def __init__(self, field: Field, monomial: bool) -> None:
        self.field = field
        self.monomial = monomial

    @abstractmethod
    def prove(self, proof: Elements, meas: Elements, prove_rand: Elements, joint_rand: Elements) -> None:
        """Writes F[n, PROOF_LEN]: the wires' seeds, F[n, ARITY], and the gadget polynomial.

        meas is F[n, MEAS_LEN]; joint_rand is what the circuit's wires use of the joint randomness."""

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
        """Writes the wires' and the gadget's polynomial at t, F[n, 1], to F[n, ARITY + 1], and what the calls give to
        F[n, GADGET_CALLS]; clears ok where t is a root of unity."""

    @abstractmethod
    def decide(self, ok: NDArray[bool_], verifier: Elements) -> None:
        """Clears ok where v, the first of F[n, 1 + ARITY + 1], is not 0 or the polynomials do not agree."""


class ParallelSum(Gadget):
    """The sum of `count` products (appendix A.3), fed for each x of the encoded measurement, padded with zeros, the
    pair (r^k * x, x - 1 / num_shares): all products are 0 if all x are 0 or 1. r is joint randomness."""

    DEGREE = 2

    def __init__(self, field: Field, monomial: bool, count: int) -> None:
        super().__init__(field, monomial)
        self.count = count
        self.ARITY = 2 * count

    def wire_rand_and_offset(self, joint_rand: Elements, num_shares: int) -> tuple[Elements, Elements]:
        """r, and what is subtracted from x."""
        return joint_rand, share_of(self.field, 1, num_shares)

    def prove(self, proof: Elements, meas: Elements, prove_rand: Elements, joint_rand: Elements) -> None:
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
        r, offset = self.wire_rand_and_offset(joint_rand, num_shares)
        _vdaf.mul_query(self.field.bits, checks, outputs, ok, meas, proof, t, r, offset, self.count, self.monomial)

    def decide(self, ok: NDArray[bool_], verifier: Elements) -> None:
        _vdaf.mul_decide(self.field.bits, ok, verifier)


class Mul(ParallelSum):
    """x * y (appendix A.1), fed the one element of the measurement as both."""

    def __init__(self, field: Field, monomial: bool) -> None:
        super().__init__(field, monomial, count=1)

    def wire_rand_and_offset(self, joint_rand: Elements, num_shares: int) -> tuple[Elements, Elements]:
        return share_of(self.field, 1, 1), share_of(self.field, 0, 1)


class PolyEval(Gadget):
    """A polynomial (appendix A.2), fed one element of the measurement a call. Its coefficients, lowest first, are
    integers, the highest of them not 0."""

    ARITY = 1

    def __init__(self, field: Field, monomial: bool, coefficients: tuple[int, ...]) -> None:
        super().__init__(field, monomial)
        self.DEGREE = len(coefficients) - 1
        self._poly = field.array(coefficients)

    def prove(self, proof: Elements, meas: Elements, prove_rand: Elements, joint_rand: Elements) -> None:
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
        _vdaf.poly_query(self.field.bits, checks, outputs, ok, meas, proof, t, self._poly, self.monomial)

    def decide(self, ok: NDArray[bool_], verifier: Elements) -> None:
        _vdaf.poly_decide(self.field.bits, ok, verifier, self._poly)


@cache
def share_of(field: Field, value: int, num_shares: int) -> Elements:
    """F[1]: value / num_shares, the share of a constant that each of num_shares parties adds."""
    share = field.array([value * pow(num_shares, -1, field.MODULUS)])
    share.flags.writeable = False
    return share
