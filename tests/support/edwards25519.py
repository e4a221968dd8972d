"""The group of Ed25519 in Python's integers (RFC 8032, section 5.1), and its verification as OpenSSL has it."""

from hashlib import sha512

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT = pow(2, (P - 1) // 4, P)  # of -1

Point = tuple[int, int]
NEUTRAL: Point = (0, 1)


def add(p: Point, q: Point) -> Point:
    """The sum of two points."""
    (a, b), (c, d) = p, q
    product = D * a * b * c * d % P
    return (a * d + b * c) * pow(1 + product, -1, P) % P, (b * d + a * c) * pow(1 - product, -1, P) % P


def times(k: int, p: Point) -> Point:
    """k P, by the same law in projective coordinates, which take one inversion."""
    x, y, z = 0, 1, 1
    for bit in bin(k)[2:]:
        x, y, z = _sum((x, y, z), (x, y, z))
        if bit == "1":
            x, y, z = _sum((x, y, z), (*p, 1))
    inverse = pow(z, -1, P)
    return x * inverse % P, y * inverse % P


def _sum(p: tuple[int, int, int], q: tuple[int, int, int]) -> tuple[int, int, int]:
    (a, b, z), (c, d, w) = p, q
    zw = z * w % P
    square, product = zw * zw % P, D * (a * c % P) * (b * d % P) % P
    f, g = square - product, square + product
    return zw * f * (a * d + b * c) % P, zw * g * (b * d + a * c) % P, f * g % P


def negative(p: Point) -> Point:
    return -p[0] % P, p[1]


def decode(encoded: bytes) -> Point | None:
    """The point, if there is one; y need not be below P, and the sign of x = 0 may be 1."""
    number = int.from_bytes(encoded, "little")
    sign, y = number >> 255, number % 2**255 % P
    x_squared = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(x_squared, (P + 3) // 8, P)
    x = x if x * x % P == x_squared else x * ROOT % P
    if x * x % P != x_squared:
        return None
    return (x if x & 1 == sign else -x % P), y


def encode(p: Point) -> bytes:
    return (p[1] | (p[0] & 1) << 255).to_bytes(32, "little")


def found(encoded: bytes) -> Point:
    """The point of bytes that do encode one."""
    point = decode(encoded)
    assert point is not None
    return point


B = found((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
TORSION = [
    times(i, found(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"))) for i in range(8)
]
"""The points of small order; those with an odd index have order 8."""


def small_encodings() -> list[bytes]:
    """All bytes that are taken for a point of small order: of y and of y + P, where they fit, with both signs of x."""
    ys = {y for _, y in TORSION} | {y + P for _, y in TORSION if y + P < 2**255}
    return [(y | sign << 255).to_bytes(32, "little") for y in sorted(ys) for sign in (0, 1)]


def hashed(r: bytes, key: bytes, message: bytes) -> int:
    return int.from_bytes(sha512(r + key + message).digest(), "little") % L


def signed(a: int, key: bytes, k: int, r: bytes, message: bytes) -> bytes:
    """The signature that a signer of secret a and nonce k makes under these encodings of A and R."""
    return r + ((k + hashed(r, key, message) * a) % L).to_bytes(32, "little")


def is_key(encoded: bytes) -> bool:
    """Whether these bytes encode, canonically, a point of order L."""
    point = decode(encoded)
    return point not in (None, NEUTRAL) and encode(point) == encoded and times(L, point) == NEUTRAL


def verify(key: bytes, signature: bytes, message: bytes) -> bool:
    """RFC 8032, section 5.1.7, without the factor 8."""
    point, s = decode(key), int.from_bytes(signature[32:], "little")
    if point is None or s >= L:
        return False
    h = hashed(signature[:32], key, message)
    return encode(add(times(s, B), negative(times(h, point)))) == signature[:32]


RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24"
        "655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aee"
        "b00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28d"
        "c027beceea1ec40a",
    ),
]
"""Section 7.1, tests 1 to 3: private key, public key, message, signature."""
