"""The fuzzer's corpus, replayed without the fuzzer, and what decoding may allocate."""

import tracemalloc
from pathlib import Path

import pytest

from fuzz.dap import DAP, STRUCTS_09
from fuzz.dap import STRUCTS as DAP_STRUCTS
from fuzz.decoders import CORPUS, DECODERS, MESSAGES, Sample
from secagg import Params
from secagg.codec import Struct
from secagg.dap.privacy.extension import Privacy
from secagg.protocol.saved import Header

FILES = sorted(path for path in CORPUS.glob("*/*"))
STRUCTS: list[type[Struct]] = [*MESSAGES, Params, Sample, Privacy, Header, *DAP_STRUCTS]
NAMED = [*(kind.__name__ for kind in STRUCTS), *(f"Dap09{kind.__name__}" for kind in STRUCTS_09)]
LENGTH = b"\xff\xff\xff\xff"


def test_every_decoder_has_a_corpus() -> None:
    assert {path.parent.name for path in FILES} == set(DECODERS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_corpus_is_taken_and_what_is_near_it_breaks_no_invariant(path: Path) -> None:
    data, check = path.read_bytes(), DECODERS[path.parent.name]
    assert check(data)
    for i in range(len(data)):
        check(data[:i])
        check(data[:i] + bytes([data[i] ^ 1 << i % 8]) + data[i + 1 :])


def test_every_dap_message_has_a_corpus() -> None:
    assert {kind.__name__ for kind in DAP_STRUCTS} <= set(DAP)
    assert {f"Dap09{kind.__name__}" for kind in STRUCTS_09} <= set(DAP)


@pytest.mark.parametrize("name", sorted(set(DECODERS) - set(DAP)))
def test_decoders_refuse_each_other_s_corpus_or_take_it_whole(name: str) -> None:
    taken = {path.parent.name for path in FILES if DECODERS[name](path.read_bytes())}
    assert taken == {name}


def peak(name: str, data: bytes) -> int:
    """The most bytes that decoding allocates at any moment."""
    check = DECODERS[name]
    check(data)
    tracemalloc.start()
    try:
        check(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", NAMED)
def test_a_declared_length_allocates_nothing(name: str) -> None:
    """2**32 - 1 bytes are declared at every place where a length could stand."""
    data = next(path for path in FILES if path.parent.name == name).read_bytes()
    for i in range(2, len(data)):
        assert peak(name, data[:i] + LENGTH) < 20_000
        assert peak(name, data[:i] + LENGTH + data[i + 4 :]) < 20_000


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
def test_long_messages_allocate_a_small_multiple_of_themselves(kind: type[Struct]) -> None:
    """A megabyte of what the last field holds, and a megabyte too much."""
    data = next(path for path in FILES if path.parent.name == kind.__name__).read_bytes()
    body = bytes(1 << 20)
    for i in range(2, len(data)):
        assert peak(kind.__name__, data[:i] + len(body).to_bytes(4, "big") + body) < 4 * len(body)
    assert peak(kind.__name__, data + body) < 4 * len(body)


@pytest.mark.parametrize(
    ("name", "item"),
    [
        ("UploadErrors", bytes(16) + b"\2"),
        ("AggregationJobResp", bytes(16) + b"\1"),
        ("UploadRequest", CORPUS.joinpath("Report", "dap").read_bytes()),
        ("PlaintextInputShare", (1 << 15).to_bytes(2, "big") + bytes(1 << 15) + b"\0\0\0\1s"),
    ],
)
def test_lists_of_structs_allocate_a_bounded_multiple_of_themselves(name: str, item: bytes) -> None:
    """An object for each item and each field of it, of which the smallest has 4 bytes on the wire."""
    data = item * (1 if name == "PlaintextInputShare" else (1 << 17) // len(item))
    assert DECODERS[name](data)
    assert peak(name, data) < 64 * len(data)


@pytest.mark.parametrize("oid", [b"\x2b\x65\x71", b"\x2b\x65\x26"], ids=["Ed448 of 32 bytes", "unknown"])
def test_identity_of_another_algorithm_is_refused(oid: bytes) -> None:
    """What the fuzzer found: `cryptography` has errors for these that are no ValueError."""
    data = (CORPUS / "Identity" / "pkcs8").read_bytes()
    assert b"\x2b\x65\x70" in data
    assert not DECODERS["Identity"](data.replace(b"\x2b\x65\x70", oid))
