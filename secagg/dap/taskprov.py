"""Tasks that are advertised in a header of each request: draft-ietf-ppm-dap-taskprov-04.

Whoever makes such a task, its Author, tells Clients and Collector the task configuration. They and the Leader put it
into the header, and the Aggregators derive all else: the task ID from the configuration, and the verification key from
a secret that they share. The ID tells such a task from others, so nothing more is stored of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ..arguments import octets, whole
from ..codec import UInt
from ..errors import LocalProtocolError, RemoteProtocolError, require
from ..http.structured import parse_byte_sequence, write_byte_sequence
from .dialect import ADVERTISED
from .messages import TASK_ID_SIZE, BatchMode, TaskConfiguration
from .task import Task

__all__ = ["advertised_task", "derive_task_id", "derive_verify_key"]

HEADER = "DAP-Taskprov"
VERIFY_KEY_INIT_SIZE = 32
_TASK_ID_SALT = sha256(b"dap-taskprov task id").digest()
_VERIFY_KEY_SALT = sha256(b"dap-taskprov").digest()
_VERIFY_KEY_SIZE_MAX = 255 * 32  # of HKDF-SHA256


@dataclass(frozen=True, repr=False)
class AnyModeConfiguration(TaskConfiguration):
    """A task configuration of any batch mode: one that is not known here is no reason to ignore it, but to opt out.

    Attributes:
        batch_mode: its number.
    """

    batch_mode: Annotated[int, UInt(1)]  # type: ignore[assignment]


def derive_task_id(configuration: bytes) -> bytes:
    """The ID of an advertised task (section 3.3): SHA-256(SHA-256("dap-taskprov task id") || task_config).

    Args:
        configuration: the encoded TaskConfiguration.
    """
    return sha256(_TASK_ID_SALT + octets(configuration, "configuration")).digest()


def derive_verify_key(verify_key_init: bytes, task_id: bytes, size: int) -> bytes:
    """The verification key of an advertised task (section 3.4).

    HKDF-Expand(HKDF-Extract(SHA-256("dap-taskprov"), verify_key_init), task_id, size), both with SHA-256.

    Args:
        verify_key_init: 32 bytes that only the two Aggregators share.
        task_id: 32 bytes.
        size: bytes of such a key of the task's VDAF.

    Raises:
        LocalProtocolError: an argument has another length.
    """
    init, info, length = octets(verify_key_init, "verify_key_init"), octets(task_id, "task_id"), whole(size, "size")
    require(len(init) == VERIFY_KEY_INIT_SIZE, f"verify_key_init must have {VERIFY_KEY_INIT_SIZE} bytes")
    require(len(info) == TASK_ID_SIZE, f"a task ID must have {TASK_ID_SIZE} bytes")
    require(1 <= length <= _VERIFY_KEY_SIZE_MAX, f"size must be 1 .. {_VERIFY_KEY_SIZE_MAX}, got {length}")
    return HKDF(SHA256(), length, _VERIFY_KEY_SALT, info).derive(init)


def advertised_task(configuration: bytes) -> Task:
    """The task that an Author has made. Whether to take part in it is for a `TaskPolicy` to say.

    Args:
        configuration: the encoded TaskConfiguration.

    Raises:
        RemoteProtocolError: it is malformed.
        LocalProtocolError: it asks for something that this package does not do.
    """
    encoded = octets(configuration, "configuration")
    return Task(derive_task_id(encoded), decode_configuration(encoded), ADVERTISED)


def decode_configuration(configuration: bytes) -> TaskConfiguration:
    """An advertised task configuration.

    Args:
        configuration: encoded.

    Raises:
        RemoteProtocolError: it is malformed.
        LocalProtocolError: its batch mode is not known here.
    """
    mode = AnyModeConfiguration.decode(configuration).batch_mode
    if mode not in {known.value for known in BatchMode}:
        raise LocalProtocolError(f"batch mode {mode} is not supported: use time-interval or leader-selected")
    return TaskConfiguration.decode(configuration)


def is_advertised(task: Task) -> bool:
    """Whether a task's ID follows from its configuration, so that requests have to advertise it.

    Args:
        task: of any dialect.
    """
    return task.id == derive_task_id(task.encoded)


def advertisement(task: Task) -> dict[str, str]:
    """The header with which a request advertises its task (section 3.2); none if the task is not of this kind.

    Args:
        task: that the request is about.
    """
    return {HEADER: write_byte_sequence(task.encoded)} if is_advertised(task) else {}


def read_advertisement(lines: Sequence[str]) -> bytes | None:
    """The encoded TaskConfiguration that a request advertises; None if there is none, or the field must be ignored
    (section 3.2): it is no Byte Sequence, or its bytes are no TaskConfiguration.

    Args:
        lines: the values of all its header lines of this name.
    """
    configuration = parse_byte_sequence(lines[0]) if len(lines) == 1 else None
    if configuration is None:
        return None
    try:
        AnyModeConfiguration.decode(configuration)
    except RemoteProtocolError:
        return None
    return configuration
