"""Writes shamir.json: known answers for sharing over Z_q, from plain Python integers alone.

Run: python -m tests.vectors.make_shamir
"""

import json
from hashlib import shake_256
from pathlib import Path

Q = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
LARGEST_X = 2**32 - 1


def some_scalars(label: str, n: int) -> list[int]:
    stream = shake_256(label.encode()).digest(48 * n)
    return [int.from_bytes(stream[48 * i : 48 * i + 48], "big") % Q for i in range(n)]


def polynomial_at(x: int, constant: int, coefficients: list[int]) -> int:
    return sum(c * pow(x, k, Q) for k, c in enumerate([constant, *coefficients])) % Q


def lagrange_at_0(xs: list[int]) -> list[int]:
    result = []
    for x in xs:
        coefficient = 1
        for other in xs:
            if other != x:
                coefficient = coefficient * other * pow(other - x, -1, Q) % Q
        result.append(coefficient)
    return result


def hexadecimal(scalar: int) -> str:
    return scalar.to_bytes(32, "big").hex()


def case(name: str, t: int, xs: list[int], secrets: list[int], coefficients: list[list[int]]) -> dict[str, object]:
    rows = list(zip(secrets, coefficients, strict=True))
    return {
        "name": name,
        "t": t,
        "xs": xs,
        "secrets": [hexadecimal(s) for s in secrets],
        "coefficients": [[hexadecimal(c) for c in row] for row in coefficients],
        "shares": [[hexadecimal(polynomial_at(x, s, row)) for s, row in rows] for x in xs],
        "lagrange": [hexadecimal(c) for c in lagrange_at_0(xs)],
    }


def random_case(name: str, t: int, xs: list[int], s: int) -> dict[str, object]:
    drawn = some_scalars(name, s * t)
    return case(name, t, xs, drawn[:s], [drawn[s + j * (t - 1) : s + (j + 1) * (t - 1)] for j in range(s)])


def cases() -> list[dict[str, object]]:
    return [
        random_case("one share is the secret", 1, [7], 2),
        random_case("threshold 1 of 3", 1, [1, 2, 3], 1),
        random_case("3 of 5", 3, [1, 2, 3, 4, 5], 2),
        random_case("all of 4, unsorted", 4, [900, 2, 77, 13], 1),
        random_case("large x-coordinates", 5, [1, LARGEST_X, LARGEST_X - 1, 2**31, 2**31 - 1, 2**16, 2**20 + 7], 2),
        random_case("20 of 24", 20, list(range(1, 25)), 1),
        case("secrets at the ends of the field", 2, [1, 2, LARGEST_X], [0, 1, Q - 1], [[5], [Q - 5], [0]]),
        case("all coefficients 0", 4, [1, 2, 3, 4], [0, Q - 1], [[0, 0, 0], [0, 0, 0]]),
        case("all coefficients q - 1", 12, [1, 2, *range(3, 11), 1000, LARGEST_X], [Q - 1], [[Q - 1] * 11]),
    ]


def main() -> None:
    document = {
        "_comment": "shares[i][j] = secrets[j] + sum of coefficients[j][k-1] * xs[i]^k mod q; lagrange is over all xs,"
        " at 0. Scalars are 32 bytes, big-endian.",
        "source": "make_shamir.py, plain Python integers",
        "cases": cases(),
    }
    path = Path(__file__).with_name("shamir.json")
    path.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
