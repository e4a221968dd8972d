"""An instruction set caps what every subject uses (csrc/isa.c)."""

import os
import sys

import pytest

from secagg import _kernels

from .support.processes import ran

# What each subject takes where the newest row in use is this one, on a CPU that has all older rows.
SUBJECTS = ("masks", "packing", "hkdf", "agreement", "turboshake", "noise", "signatures", "shamir", "rounding")
TAKEN = {
    "portable": ("portable",) * 9,
    "aesni": ("aesni", *("portable",) * 8),
    "avx2": ("aesni", *("avx2",) * 6, "portable", "avx2"),
    "vaes": ("vaes", *("avx2",) * 6, "portable", "avx2"),
    "vaes512": ("vaes512", "avx2", "avx2", "vaes512", "vaes512", "avx2", "vaes512", "vaes512", "avx2"),
    "neon": ("portable", "neon", *("portable",) * 7),
    "armv8": ("armv8", "neon", "armv8", *("portable",) * 6),
    "sha3": ("armv8", "neon", "armv8", "portable", "sha3", *("portable",) * 4),
}


def taken() -> tuple[str, ...]:
    return tuple(_kernels.isa_of(subject) for subject in SUBJECTS)


def test_a_row_caps_every_subject(isa: str) -> None:
    assert tuple(_kernels.SUBJECTS) == SUBJECTS
    assert taken() == TAKEN[isa]


def test_the_environment_caps_every_subject() -> None:
    script = "from secagg import _kernels; print(*map(_kernels.isa_of, _kernels.SUBJECTS))"
    for name in _kernels.isa_available():
        done = ran(sys.executable, "-c", script, env=os.environ | {"SECAGG_ISA": name}, text=True)
        assert tuple(done.stdout.split()) == TAKEN[name], done.stderr


def test_without_a_cap_the_newest_is_in_use() -> None:
    before = _kernels.isa()
    _kernels.isa_use()
    assert _kernels.isa() == _kernels.isa_available()[-1]
    _kernels.isa_use(before)


X86 = ("portable", "aesni", "avx2", "vaes", "vaes512")
ZEN = ("AuthenticAMD", 0x19)


@pytest.mark.skipif("vaes512" not in _kernels.isa_built(), reason="the table of rows is another CPU's")
@pytest.mark.parametrize(
    ("subject", "vendor", "family", "names", "row"),
    [
        ("masks", *ZEN, X86, "vaes"),
        ("masks", *ZEN, X86[:-1], "vaes"),
        ("masks", *ZEN, X86[:2], "aesni"),
        ("masks", *ZEN, ("portable", "aesni", "avx2", "vaes512"), "vaes512"),
        ("masks", "AuthenticAMD", 0x1A, X86, "vaes512"),
        ("masks", "GenuineIntel", 0x19, X86, "vaes512"),
        ("masks", "GenuineIntel", 6, X86, "vaes512"),
        ("agreement", *ZEN, X86, "vaes512"),
        ("agreement", *ZEN, X86[:3], "avx2"),
        ("shamir", *ZEN, X86, "vaes512"),
        ("shamir", *ZEN, X86[:-1], "portable"),
        ("packing", "", 0, ("portable",), "portable"),
    ],
)
def test_a_family_of_cpus_prefers_its_own_rows(
    subject: str, vendor: str, family: int, names: tuple[str, ...], row: str
) -> None:
    assert _kernels.isa_chosen(subject, vendor, family, names) == row


def test_no_row_is_preferred_without_the_portable_one() -> None:
    with pytest.raises(ValueError, match="every CPU has the portable row"):
        _kernels.isa_chosen("masks", "", 0, ("avx2",))


def test_every_preference_has_its_reason() -> None:
    assert all(len(_kernels.isa_reason(subject)) > 10 for subject in SUBJECTS)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_subject_has_kernels_of_these_rows(subject: str) -> None:
    of_subject = {row[SUBJECTS.index(subject)] for row in TAKEN.values()}
    assert _kernels.isa_with(subject) == tuple(name for name in _kernels.isa_available() if name in of_subject)
