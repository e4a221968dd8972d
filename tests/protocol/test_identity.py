"""Long-term identities and the roster: what is kept, what is refused, and who can read it."""

import hashlib
import os
import pickle
import random
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519

from secagg import Identity, LocalProtocolError, Roster
from secagg.protocol.identity import verify_each

from ..support.edwards25519 import RFC_8032, TORSION, B, D, L, P, add, encode, times
from ..support.processes import workers


def identity_of(private: str) -> Identity:
    return Identity(ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(private)))


def pem(private: serialization.PrivateFormat, key: Callable[[], object], password: bytes | None = None) -> bytes:
    encryption = serialization.NoEncryption() if password is None else serialization.BestAvailableEncryption(password)
    made: bytes = key().private_bytes(serialization.Encoding.PEM, private, encryption)  # type: ignore[attr-defined]
    return made


def write_private(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.chmod(0o600)
    return path


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A key file."""
    path = tmp_path / "user.key"
    Identity.generate().save(path)
    return path


# --- keys and signatures ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("private", "public", "message", "signature"), RFC_8032)
def test_signatures_are_those_of_rfc_8032(private: str, public: str, message: str, signature: str) -> None:
    identity = identity_of(private)
    assert identity.verification_key.hex() == public
    assert identity.sign(bytes.fromhex(message)).hex() == signature
    assert Roster({1: bytes.fromhex(public)}).verify(1, bytes.fromhex(signature), bytes.fromhex(message))


def test_verify_refuses_everything_else() -> None:
    one, two = Identity.generate(), Identity.generate()
    roster = Roster({1: one.verification_key, 2: two.verification_key})
    signature = one.sign(b"message")
    assert roster.verify(1, signature, b"message")
    assert not roster.verify(2, signature, b"message")
    assert not roster.verify(3, signature, b"message")
    assert not roster.verify(1, signature, b"messagf")
    assert not any(roster.verify(1, signature[:length], b"message") for length in range(64))
    assert not roster.verify(1, signature + b"\0", b"message")
    assert not any(
        roster.verify(1, bytes(byte ^ (i == at) for i, byte in enumerate(signature)), b"message") for at in range(64)
    )


def test_a_signature_with_s_raised_by_the_group_order_is_refused() -> None:
    """Malleability (RFC 8032, section 5.1.7): S must be below L."""
    identity = Identity.generate()
    signature = identity.sign(b"message")
    s = int.from_bytes(signature[32:], "little") + 2**252 + 27742317777372353535851937790883648493
    forged = signature[:32] + s.to_bytes(32, "little")
    assert not Roster({1: identity.verification_key}).verify(1, forged, b"message")


def test_signatures_under_keys_of_several_rosters_are_told_apart() -> None:
    """As many as several lanes take at a time, and fewer, some of them nobody's."""
    users = [Identity.generate() for _ in range(9)]
    messages = [bytes([i]) * i for i in range(9)]
    signatures = [user.sign(message) for user, message in zip(users, messages, strict=True)]
    keys: list[bytes | None] = [user.verification_key for user in users]
    assert verify_each(keys, signatures, messages) == [True] * 9
    keys[1], keys[4], signatures[6], messages[7] = None, keys[5], signatures[6][:-1], b"another"
    expected = [i not in (1, 4, 6, 7) for i in range(9)]
    assert verify_each(keys, signatures, messages) == expected
    for i in range(9):
        assert verify_each(keys[i:], signatures[i:], messages[i:]) == expected[i:]
    assert verify_each([], [], []) == []
    with pytest.raises(LocalProtocolError, match="one signature and one message"):
        verify_each(keys, signatures, messages[1:])


def test_identities_differ() -> None:
    assert len({Identity.generate().verification_key for _ in range(20)}) == 20


# --- the key file -----------------------------------------------------------------------------------------------


def test_save_and_load_keep_the_key(tmp_path: Path) -> None:
    identity = Identity.generate()
    identity.save(tmp_path / "user.key")
    loaded = Identity.load(tmp_path / "user.key")
    assert loaded.verification_key == identity.verification_key
    assert loaded.sign(b"x") == identity.sign(b"x")


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_key_file_has_mode_600_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        Identity.generate().save(tmp_path / "user.key")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "user.key").stat().st_mode) == 0o600


def test_save_overwrites_no_file(saved: Path) -> None:
    content = saved.read_bytes()
    with pytest.raises(FileExistsError):
        Identity.generate().save(saved)
    assert saved.read_bytes() == content


def test_save_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(FileExistsError):
        Identity.generate().save(tmp_path / "link")
    assert not (tmp_path / "target").exists()


def test_a_key_that_cannot_be_written_whole_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        Identity.generate().save(tmp_path / "user.key")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o666])
def test_a_key_open_to_others_is_refused(saved: Path, mode: int) -> None:
    saved.chmod(mode)
    with pytest.raises(LocalProtocolError, match="readable by its owner only"):
        Identity.load(saved)


def test_a_key_that_its_owner_may_only_read_is_taken(saved: Path) -> None:
    saved.chmod(0o400)
    Identity.load(saved)


PKCS8, TRADITIONAL = serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL
OTHER_KEYS: dict[str, Callable[[], bytes]] = {
    "P-256": lambda: pem(PKCS8, lambda: ec.generate_private_key(ec.SECP256R1())),
    "P-256, SEC1": lambda: pem(TRADITIONAL, lambda: ec.generate_private_key(ec.SECP256R1())),
    "X25519": lambda: pem(PKCS8, x25519.X25519PrivateKey.generate),
    "RSA": lambda: pem(PKCS8, lambda: rsa.generate_private_key(65537, 2048)),
}


@pytest.mark.parametrize("kind", OTHER_KEYS)
def test_keys_of_another_kind_are_refused(tmp_path: Path, kind: str) -> None:
    path = write_private(tmp_path / "user.key", OTHER_KEYS[kind]())
    with pytest.raises(LocalProtocolError, match="does not hold an Ed25519 key"):
        Identity.load(path)


def test_an_encrypted_key_is_refused(tmp_path: Path) -> None:
    path = write_private(tmp_path / "user.key", pem(PKCS8, ed25519.Ed25519PrivateKey.generate, b"password"))
    with pytest.raises(LocalProtocolError, match="cannot load an identity"):
        Identity.load(path)


def test_a_public_key_is_no_identity(tmp_path: Path) -> None:
    public = (
        ed25519.Ed25519PrivateKey.generate()
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(LocalProtocolError, match="cannot load an identity"):
        Identity.load(write_private(tmp_path / "user.key", public))


def test_every_truncation_of_a_key_file_is_refused(saved: Path) -> None:
    content = saved.read_bytes()
    for length in range(len(content) - 1):  # without its last line feed it is whole
        saved.write_bytes(content[:length])
        with pytest.raises(LocalProtocolError, match="cannot load an identity"):
            Identity.load(saved)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir(mode=0o700)
    for name in ("missing", "folder"):
        with pytest.raises(LocalProtocolError, match=f"cannot load an identity from .*{name}"):
            Identity.load(tmp_path / name)


def test_nothing_shows_the_private_key(saved: Path) -> None:
    content = saved.read_text()
    secret = content.splitlines()[1]
    identity = Identity.load(saved)
    raw = identity._private.private_bytes_raw()
    saved.write_text(content.replace("-----END", "----END"))
    with pytest.raises(LocalProtocolError) as refused:
        Identity.load(saved)
    texts = [repr(identity), str(identity), str(refused.value), repr(refused.value)]
    assert refused.value.__cause__ is None
    for text in texts:
        assert secret not in text
        assert raw.hex() not in text
        assert str(raw)[2:-1] not in text
    with pytest.raises(TypeError):
        pickle.dumps(identity)


# --- nonces -----------------------------------------------------------------------------------------------------

NONCES = [bytes([value]) * 16 for value in range(8)]


def store_of(identity: Identity, folder: Path) -> Path:
    """The file of nonces of a key in a folder of state."""
    return folder / (hashlib.sha256(identity.verification_key).hexdigest() + ".nonces")


def refuses(identity: Identity, nonce: bytes) -> bool:
    try:
        identity.claim(nonce)
    except LocalProtocolError as error:
        return "with this nonce already" in str(error)
    return False


def test_a_nonce_is_claimed_once() -> None:
    identity = Identity.generate()
    for nonce in NONCES:
        identity.claim(nonce)
    assert all(refuses(identity, nonce) for nonce in NONCES)
    identity.claim(NONCES[0] + b"\0")  # longer ones are others
    Identity.generate().claim(NONCES[0])


def test_nonces_outlive_the_process(saved: Path) -> None:
    Identity.load(saved).claim(NONCES[0])
    again = Identity.load(saved)
    assert refuses(again, NONCES[0])
    again.claim(NONCES[1])
    assert all(refuses(Identity.load(saved), nonce) for nonce in NONCES[:2])


def test_two_loads_at_once_share_their_nonces(saved: Path) -> None:
    one, two = Identity.load(saved), Identity.load(saved)
    one.claim(NONCES[0])
    assert refuses(two, NONCES[0])


def _claim_all(path: Path) -> int:
    identity = Identity.load(path)
    return sum(not refuses(identity, nonce) for nonce in NONCES)


def test_processes_that_race_claim_each_nonce_once(saved: Path) -> None:
    with workers(3) as pool:
        assert sum(pool.map(_claim_all, [saved] * 3)) == len(NONCES)


def test_a_claim_stands_on_disk_before_it_returns(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = set()

    def fsync(number: int) -> None:
        synced.add(os.fstat(number).st_ino)

    monkeypatch.setattr(os, "fsync", fsync)
    identity = Identity.load(saved)
    identity.claim(NONCES[0])
    nonces = store_of(identity, saved.parent)
    assert {nonces.stat().st_ino, saved.parent.stat().st_ino} <= synced
    assert nonces.read_text().splitlines()[1:] == [NONCES[0].hex()]


@pytest.mark.parametrize("written", range(1, 33))
def test_a_line_torn_in_an_old_file_hides_no_later_nonce(saved: Path, written: int) -> None:
    saved.with_name("user.key.nonces").write_text(NONCES[0].hex() + "\n" + NONCES[1].hex()[:written])
    Identity.load(saved).claim(NONCES[2])
    assert all(refuses(Identity.load(saved), nonce) for nonce in (NONCES[0], NONCES[2]))
    assert refuses(Identity.load(saved), NONCES[1]) == (written == 32)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_nonces_that_cannot_be_read_stop_the_claim(saved: Path, content: bytes | None, old: bool) -> None:
    identity = Identity.load(saved)
    path = saved.with_name("user.key.nonces") if old else store_of(identity, saved.parent)
    path.mkdir() if content is None else path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match=r"cannot|is no"):
            identity.claim(NONCES[0])


# --- rosters ----------------------------------------------------------------------------------------------------


def keys(count: int) -> dict[int, bytes]:
    """The same every time."""
    return {
        u: ed25519.Ed25519PrivateKey.from_private_bytes(bytes([u]) * 32).public_key().public_bytes_raw()
        for u in range(1, count + 1)
    }


def encoded(y: int, sign: int = 0) -> bytes:
    return (y | sign << 255).to_bytes(32, "little")


def order_8() -> list[int]:
    """The y-coordinates of the points of order 8: doubled they have y = 0, so d y^4 + 2 y^2 = 1."""
    root = pow(1 + D, (P + 3) // 8, P)
    root = root if root * root % P == (1 + D) % P else root * pow(2, (P - 1) // 4, P) % P
    squares = [(sign * root - 1) * pow(D, -1, P) % P for sign in (1, -1)]
    roots = {pow(square, (P + 3) // 8, P) * factor % P for square in squares for factor in (1, pow(2, (P - 1) // 4, P))}
    return [y for root in roots for y in (root, P - root) if root * root % P in squares]


def test_the_hash_is_over_ids_and_keys_in_order() -> None:
    entries = b"".join(u.to_bytes(4, "big") + key for u, key in keys(3).items())
    assert Roster(keys(3)).hash == hashlib.sha256(b"secagg roster v1" + entries).digest()


def test_order_changes_nothing() -> None:
    items = list(keys(20).items())
    rosters = [Roster(dict(random.Random(seed).sample(items, len(items)))) for seed in range(5)]
    assert len({roster.hash for roster in rosters}) == 1
    assert all(roster.users.tolist() == list(range(1, 21)) for roster in rosters)


def test_any_change_changes_the_hash() -> None:
    base = keys(4)
    changed = [
        {u: key for u, key in base.items() if u != 4},
        base | {5: keys(5)[5]},
        base | {4: keys(5)[5]},
        {1: base[2], 2: base[1], 3: base[3], 4: base[4]},
        {1: base[1], 2: base[2], 3: base[3], 5: base[4]},
        {},
    ]
    assert len({Roster(entries).hash for entries in [base, *changed]}) == 7


def test_a_roster_tells_who_is_in_it() -> None:
    roster = Roster(keys(3))
    assert len(roster) == 3
    assert [u in roster for u in (0, 1, 3, 4)] == [False, True, True, False]
    assert {u: roster.key(u) for u in (1, 2, 3)} == keys(3)


@pytest.mark.parametrize("u", [0, -1, 1 << 32])
def test_ids_out_of_range_are_refused(u: int) -> None:
    with pytest.raises(LocalProtocolError, match="user ids must be"):
        Roster({u: keys(1)[1]})


@pytest.mark.parametrize("u", [1, (1 << 32) - 1])
def test_ids_at_the_ends_are_taken(u: int) -> None:
    assert Roster({u: keys(1)[1]}).users.tolist() == [u]


def test_equal_keys_are_refused() -> None:
    with pytest.raises(LocalProtocolError, match="two users of the roster have the same key"):
        Roster(keys(3) | {7: keys(3)[2]})


MALFORMED = (
    {
        "empty": b"",
        "31 bytes": keys(1)[1][:31],
        "33 bytes": keys(1)[1] + b"\0",
        "y = p": encoded(P),
        "y = p + 3, which is y = 3": encoded(P + 3),
        "y = 2^255 - 1": encoded(2**255 - 1),
        "not on the curve": encoded(2),
        "not on the curve, other sign": encoded(2, 1),
        "the neutral element": encoded(1),
        "the neutral element, other sign": encoded(1, 1),
        "order 2": encoded(P - 1),
        "order 4": encoded(0),
        "order 4, other sign": encoded(0, 1),
    }
    | {f"mixed order, {i} of 8": encode(add(times(L - 5, B), TORSION[i])) for i in range(1, 8)}
    | {
        f"order 8, number {number}, sign {sign}": encoded(y, sign)
        for number, y in enumerate(order_8())
        for sign in (0, 1)
    }
)


@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed_keys_are_refused(kind: str) -> None:
    with pytest.raises(LocalProtocolError, match="the roster's key of user 2 is malformed"):
        Roster({1: keys(1)[1], 2: MALFORMED[kind]})


def test_points_of_order_8_are_on_the_curve() -> None:
    assert len(order_8()) == 2
    for y in order_8():
        x_squared = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
        assert pow(x_squared, (P - 1) // 2, P) == 1
        assert (D * y**4 + 2 * y * y - 1) % P == 0


# --- the roster file --------------------------------------------------------------------------------------------


def read(folder: Path, text: str) -> Roster:
    path = folder / "roster"
    path.write_bytes(text.encode())
    return Roster.read(path)


def line(u: object) -> str:
    return f"{u} {keys(3)[3].hex()}"


def test_write_and_read_keep_the_roster(tmp_path: Path) -> None:
    roster = Roster(keys(12))
    roster.write(tmp_path / "roster")
    again = Roster.read(tmp_path / "roster")
    assert (again.hash, again.users.tolist()) == (roster.hash, roster.users.tolist())
    again.write(tmp_path / "roster again")
    assert (tmp_path / "roster").read_bytes() == (tmp_path / "roster again").read_bytes()


def test_comments_blank_lines_and_spaces_are_nothing(tmp_path: Path) -> None:
    one, two = (key.hex() for key in keys(2).values())
    text = f"# the roster of \u00fcser group 7\n\n 2\t{two.upper()}  # Bob\r\n   \n1   {one}#Alice"
    assert read(tmp_path, text).hash == Roster(keys(2)).hash
    assert len(read(tmp_path, "")) == 0


@pytest.mark.parametrize(
    "entry",
    ["x", "1", line(""), line("x"), line("-1"), line("+1"), line("1.0"), line("0x1"), line("01"), line("1_0"),
     line("\u0661"), line("1\n"), line("12345678901"), line(1)[:-1], line(1) + "0", line(1) + " 2", line(1)[:-1] + "g",
     f"1\u00a0{keys(1)[1].hex()}", f"1,{keys(1)[1].hex()}", f"\ufeff{line(1)}", f"{line(1)}\x0b{line(2)}"],
)  # fmt: skip
def test_other_lines_are_refused_by_number(tmp_path: Path, entry: str) -> None:
    with pytest.raises(LocalProtocolError, match="roster, line 2: expected a user id and a key"):
        read(tmp_path, f"# head\n{entry}\n")


def test_an_id_listed_twice_is_refused_even_with_the_same_key(tmp_path: Path) -> None:
    with pytest.raises(LocalProtocolError, match="line 3: user 5 is listed twice"):
        read(tmp_path, f"{line(5)}\n\n{line(5)}\n")


@pytest.mark.parametrize("u", [0, 1 << 32])
def test_a_file_with_an_id_out_of_range_is_refused(tmp_path: Path, u: int) -> None:
    with pytest.raises(LocalProtocolError, match=f"got {u}"):
        read(tmp_path, line(u))


def test_a_file_with_a_malformed_or_repeated_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LocalProtocolError, match="user 1 is malformed"):
        read(tmp_path, f"1 {encoded(2).hex()}")
    with pytest.raises(LocalProtocolError, match="the same key"):
        read(tmp_path, f"{line(1)}\n{line(2)}")


def test_a_roster_that_is_no_text_or_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe1 00")
    for name, reason in (("binary", "not UTF-8"), ("missing", "cannot read a roster"), (".", "cannot read a roster")):
        with pytest.raises(LocalProtocolError, match=reason):
            Roster.read(tmp_path / name)
