"""An instruction set caps what every subject uses (csrc/isa.c)."""

import os
import sys

import pytest

from secagg import _kernels

from .support.processes import ran

# What each subject takes where the newest row in use is this one, on a CPU that has all older rows.
SUBJECTS = ("masks", "packing", "hkdf", "agreement", "turboshake")
TAKEN = {
    "portable": ("portable",) * 5,
    "aesni": ("aesni", "portable", "portable", "portable", "portable"),
    "avx2": ("aesni", "avx2", "avx2", "avx2", "avx2"),
    "vaes": ("vaes", "avx2", "avx2", "avx2", "avx2"),
    "vaes512": ("vaes512", "avx2", "avx2", "vaes512", "vaes512"),
    "neon": ("portable", "neon", "portable", "portable", "portable"),
    "armv8": ("armv8", "neon", "armv8", "portable", "portable"),
    "sha3": ("armv8", "neon", "armv8", "portable", "sha3"),
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


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_subject_has_kernels_of_these_rows(subject: str) -> None:
    of_subject = {row[SUBJECTS.index(subject)] for row in TAKEN.values()}
    assert _kernels.isa_with(subject) == tuple(name for name in _kernels.isa_available() if name in of_subject)
