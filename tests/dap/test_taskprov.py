"""The ID, the key and the header of advertised tasks (draft-ietf-ppm-dap-taskprov-04)."""

import hmac
from base64 import b64encode
from hashlib import sha256

import pytest

from secagg.dap.dialect import ADVERTISED, DAP_09_CLIENTS, DAP_19
from secagg.dap.messages import Interval, TaskConfiguration, TaskExtension
from secagg.dap.taskprov import (
    HEADER,
    advertised_task,
    advertisement,
    derive_task_id,
    derive_verify_key,
    is_advertised,
    read_advertisement,
)
from secagg.dap.vdafs import Count
from secagg.errors import LocalProtocolError, RemoteProtocolError

from ..support.tasks import make_task

EXAMPLE = (
    ":BHRlc3QAG2h0dHBzOi8vbGVhZGVyLmV4YW1wbGUuY29tLwAbaHR0cHM6Ly9oZWxwZXIuZXhhbXBsZS5jb20vAAAAAAAAADwAAAAAAAAACgEAAAAA"
    "AAEAAAAUAAEAEAAAAAAAAAA8AAAAAAAAAGQ=:"
)
"""The draft's example (section 3.2)."""

CONFIGURATION = make_task().encoded


def with_mode(mode: int) -> bytes:
    """CONFIGURATION in another batch mode."""
    at = CONFIGURATION.index(b"\x00\x00\x00\x00\x00\x00\x00\x03\x01") + 8
    return CONFIGURATION[:at] + bytes([mode]) + CONFIGURATION[at + 1 :]


def test_the_drafts_example() -> None:
    configuration = read_advertisement([EXAMPLE])
    assert configuration is not None
    task = advertised_task(configuration)
    assert task.configuration.task_info == b"test"
    assert (task.leader_url, task.helper_url) == ("https://leader.example.com", "https://helper.example.com")
    assert (task.time_precision, task.min_batch_size, task.by_time) == (60, 10, True)
    assert (task.vdaf, task.interval) == (Count(), Interval(60, 100))
    assert advertisement(task) == {HEADER: EXAMPLE}
    assert task.dialect is ADVERTISED is DAP_19


def test_a_verification_key_as_daphne_derives_it() -> None:
    """Secret, task ID and key are those of a test of Cloudflare's implementation."""
    task_id = bytes.fromhex("b4769bb063a8b3312af74297f30fdbf8e0b71c2eb2481f591d1d7de66a4ce34f")
    secret = bytes.fromhex("1a2a3f1bebb4bbe455eaacee291a0f32d7e1bc6c751005607b81dac3a7da761d")
    key = bytes.fromhex("fbd17db5390f949ee32d2634dc499f5b91287bcc317c0761dd04e835c2ab1333")
    assert derive_verify_key(secret, task_id, 32) == key


def twin_of_hkdf(salt: bytes, secret: bytes, info: bytes, size: int) -> bytes:
    """RFC 5869, sections 2.2 and 2.3."""
    key, made, block, count = hmac.digest(salt, secret, "sha256"), b"", b"", 0
    while len(made) < size:
        count += 1
        block = hmac.digest(key, block + info + bytes([count]), "sha256")
        made += block
    return made[:size]


@pytest.mark.parametrize("size", [1, 16, 32, 33, 100])
def test_ids_and_keys_of_a_twin(size: int) -> None:
    task_id = sha256(sha256(b"dap-taskprov task id").digest() + CONFIGURATION).digest()
    assert derive_task_id(CONFIGURATION) == advertised_task(CONFIGURATION).id == task_id
    expected = twin_of_hkdf(sha256(b"dap-taskprov").digest(), bytes(range(32)), task_id, size)
    assert derive_verify_key(bytes(range(32)), task_id, size) == expected


@pytest.mark.parametrize(
    ("secret", "task_id", "size", "reason"),
    [(bytes(31), bytes(32), 32, "verify_key_init must have 32 bytes"),
     (bytes(32), bytes(31), 32, "a task ID must have 32 bytes"),
     (bytes(32), bytes(32), 0, "size must be 1"), (bytes(32), bytes(32), 8161, "size must be 1 .. 8160")],
)  # fmt: skip
def test_keys_are_derived_from_what_the_draft_asks_for(secret: bytes, task_id: bytes, size: int, reason: str) -> None:
    with pytest.raises(LocalProtocolError, match=reason):
        derive_verify_key(secret, task_id, size)


def test_only_tasks_whose_id_follows_from_their_configuration_are_advertised() -> None:
    task = advertised_task(CONFIGURATION)
    assert is_advertised(task)
    assert advertisement(task) == {HEADER: f":{b64encode(CONFIGURATION).decode()}:"}
    assert not is_advertised(make_task())
    assert advertisement(make_task()) == {}


def test_what_is_no_configuration_is_ignored() -> None:
    """Section 3.2: a value MUST be a Byte Sequence, and a valid TaskConfiguration; otherwise it MUST be ignored."""
    good = f":{b64encode(CONFIGURATION).decode()}:"
    assert read_advertisement([good]) == read_advertisement([f"{good};v=1"]) == CONFIGURATION
    assert read_advertisement([]) is None
    assert read_advertisement([good, good]) is None
    assert read_advertisement([good.strip(":")]) is None
    assert read_advertisement([f'"{good}"']) is None
    for bad in (b"", CONFIGURATION[:-1], CONFIGURATION + b"\0", bytes(100)):
        assert read_advertisement([f":{b64encode(bad).decode()}:"]) is None


def test_another_batch_mode_is_no_reason_to_ignore_it_but_to_opt_out() -> None:
    assert read_advertisement([f":{b64encode(with_mode(7)).decode()}:"]) == with_mode(7)
    with pytest.raises(LocalProtocolError, match="batch mode 7 is not supported"):
        advertised_task(with_mode(7))


def test_a_configuration_that_is_malformed_or_asks_for_too_much() -> None:
    with pytest.raises(RemoteProtocolError, match="ends early"):
        advertised_task(CONFIGURATION[:-1])
    fields = vars(make_task().configuration)
    unknown = TaskConfiguration(**fields | {"extensions": (TaskExtension(0x7777, b""),)})
    with pytest.raises(LocalProtocolError, match=r"task extensions .* are not supported"):
        advertised_task(unknown.encode())


def test_a_dialect_that_a_configuration_states_counts() -> None:
    """It is for a policy to refuse: see tests/dap/test_task_policy.py."""
    assert advertised_task(make_task(dialect=DAP_09_CLIENTS).encoded).dialect is DAP_09_CLIENTS
