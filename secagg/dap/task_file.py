"""The file of each party of a task: JSON, with bytes in base64url.

    {"kind": "secagg dap task", "version": 2, "party": "helper", "task_id": "...", "task_configuration": "...",
     "dialect": "dap-19", "verify_key": "...", "collector_hpke_config": "...", "leader_token_hash": "..."}

docs/operations.md says what each field is, for people and programs that make a task elsewhere. Files of version 1 name
no dialect, and have an encoded `TaskSecrets` in place of an Aggregator's fields.

The Client's file is public. Every other file holds secrets, and must reach its party over a confidential channel.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..arguments import convert, octets
from ..durable import create
from ..errors import RemoteProtocolError, require
from ..http.base64url import base64url, from_base64url
from ..shamir import RandomBytes
from ..text import read_text
from .admission import UPLOAD_BYTES, check_endpoints, check_report_size
from .dialect import DEFAULT, UNNAMED, Dialect, find_dialect
from .hpke import AEAD_AES_128_GCM, KDF_HKDF_SHA256, KEM_X25519_HKDF_SHA256, PrivateKey, check_suite
from .messages import TASK_ID_SIZE, HpkeConfig, Role, TaskConfiguration
from .secrets import HASH_BYTES, TOKEN_FORM, TaskSecrets, is_token, token_hash
from .task import Task

KIND, KEY_KIND = "secagg dap task", "secagg dap collector key"
VERSION, KEY_VERSION = 2, 1
TOKEN_BYTES = 32
LABEL_CHARACTERS_MAX = 200
MAX_BYTES = 1 << 20  # of a file
PARTIES = ("client", "leader", "helper", "collector")


@dataclass(frozen=True, repr=False)
class ClientParty:
    """What Clients hold: nothing secret.

    Attributes:
        task: the task.
    """

    task: Task


@dataclass(frozen=True, repr=False)
class AggregatorParty:
    """What the Leader or the Helper holds.

    Attributes:
        task: the task.
        secrets: keys and tokens, with hashes in place of the tokens that this party only has to recognise.
    """

    task: Task
    secrets: TaskSecrets


@dataclass(frozen=True, repr=False)
class CollectorParty:
    """What the Collector holds.

    Attributes:
        task: the task.
        config: the HPKE configuration that aggregate shares are sealed to.
        token: that it shows to the Leader, as `secrets.token_header` takes it.
        private_key: of the configuration; None where the Collector holds it in a file of its own.
        labels: of the result's entries, in their order; none for numbers.

    Raises:
        LocalProtocolError: there are more or fewer labels than entries, or one is not a line of text.
    """

    task: Task
    config: HpkeConfig
    token: str
    private_key: PrivateKey | None
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        entries = self.task.vdaf.entries
        require(len(self.labels) in (0, entries), f"there must be {entries:,} labels, one for each entry of the result")
        written = all(label.isprintable() and 0 < len(label) <= LABEL_CHARACTERS_MAX for label in self.labels)
        require(written, f"a label must have 1 .. {LABEL_CHARACTERS_MAX} printable characters")


Party = ClientParty | AggregatorParty | CollectorParty


@dataclass(frozen=True, repr=False)
class CollectorKey:
    """A Collector's HPKE key pair; any number of tasks may share it.

    Attributes:
        config: the public configuration.
        private_key: secret.
    """

    config: HpkeConfig
    private_key: PrivateKey

    @classmethod
    def generate(cls, number: int = 0, *, rand: RandomBytes = os.urandom) -> "CollectorKey":
        """A new key pair.

        Args:
            number: of the configuration, 0 to 255.
            rand: cryptographic randomness.
        """
        key = PrivateKey.generate(rand)
        return cls(key_config(number, key), key)


@dataclass(frozen=True, repr=False)
class Decided:
    """What somebody else has decided of a new task; what is None is drawn here.

    Attributes:
        task_id: 32 bytes.
        verify_key: the VDAF's verification key, as long as the VDAF asks for.
        leader_token: that the Leader shows to the Helper; `secrets.DAP_AUTH_TOKEN` before it says in which header.
        collector_token: that the Collector shows to the Leader, likewise.

    Raises:
        LocalProtocolError: a token cannot travel in a header.
    """

    task_id: bytes | None = None
    verify_key: bytes | None = None
    leader_token: bytes | None = None
    collector_token: bytes | None = None

    def __post_init__(self) -> None:
        convert(self, octets, *(name for name, value in vars(self).items() if value is not None))
        for token in (self.leader_token, self.collector_token):
            require(token is None or is_token(token), TOKEN_FORM)


def key_config(number: int, key: PrivateKey) -> HpkeConfig:
    """The configuration that tells others of a key.

    Args:
        number: of the configuration, 0 to 255.
        key: the key pair.
    """
    return HpkeConfig(number, KEM_X25519_HKDF_SHA256, KDF_HKDF_SHA256, AEAD_AES_128_GCM, key.public_bytes)


def new_parties(
    configuration: TaskConfiguration,
    collector: CollectorKey | HpkeConfig,
    *,
    dialect: Dialect = DEFAULT,
    decided: Decided = Decided(),
    batch_size: int = 0,
    allow_http: bool = False,
    upload_bytes: int = UPLOAD_BYTES,
    rand: RandomBytes = os.urandom,
) -> dict[str, Party]:
    """A new task, as each of PARTIES holds it.

    Args:
        configuration: of the task.
        collector: the Collector's key pair, or the configuration of a key that the Collector keeps to itself.
        dialect: what the parties speak.
        decided: what is not drawn here.
        batch_size: how many reports the Leader puts into a batch that it selects; 0 for min_batch_size.
        allow_http: whether http may lead to other machines than this one, in a network where nobody listens.
        upload_bytes: the largest upload that the Leader takes, in bytes.
        rand: cryptographic randomness, for the task ID, the verification key and the tokens that nobody has decided.

    Raises:
        LocalProtocolError: the configuration asks for something that this package does not do, or nobody should take
            part in such a task; see `secagg.dap.admission`.
    """
    # The task, and the size of the batches that the Leader selects.
    task = Task(_task_id(rand) if decided.task_id is None else decided.task_id, configuration, dialect)
    check_endpoints(task, allow_http=allow_http)
    check_report_size(task, upload_bytes)
    config, key = (collector, None) if isinstance(collector, HpkeConfig) else (collector.config, collector.private_key)
    size = 0 if task.by_time else batch_size or task.min_batch_size
    require(
        task.by_time or size >= task.min_batch_size,
        f"batch_size must be at least min_batch_size, {task.min_batch_size:,}",
    )
    require(not (task.by_time and batch_size), "batch_size is only for tasks whose Leader selects the batches")

    # The secrets: both Aggregators' verification key, and the tokens that the Leader and the Collector show.
    key_size = task.prio3.VERIFY_KEY_SIZE
    verify_key = rand(key_size) if decided.verify_key is None else decided.verify_key
    require(len(verify_key) == key_size, f"the verification key of this task's VDAF must have {key_size} bytes")
    # Text, so that it travels in a header as it is.
    drawn = [base64url(rand(TOKEN_BYTES)).encode() for _ in range(2)]
    peer_token = drawn[0] if decided.leader_token is None else decided.leader_token
    collector_token = drawn[1] if decided.collector_token is None else decided.collector_token

    # Whoever only has to recognise a token gets its hash.
    leader = TaskSecrets(Role.LEADER, verify_key, config, peer_token, token_hash(collector_token), size)
    helper = TaskSecrets(Role.HELPER, verify_key, config, token_hash(peer_token))
    return {
        "client": ClientParty(task),
        "leader": AggregatorParty(task, leader),
        "helper": AggregatorParty(task, helper),
        "collector": CollectorParty(task, config, collector_token.decode(), key),
    }


def _task_id(rand: RandomBytes) -> bytes:
    """A random task ID that no command line takes for an option."""
    while True:
        drawn = rand(TASK_ID_SIZE)
        if not base64url(drawn).startswith("-"):
            return drawn


def to_document(party: Party) -> dict[str, Any]:
    """The JSON object of a party's file.

    Args:
        party: what the file holds.
    """
    own: dict[str, Any]
    if isinstance(party, ClientParty):
        name, own = "client", {}
    elif isinstance(party, AggregatorParty):
        name, own = party.secrets.role.name.lower(), _own_fields(party.secrets)
    else:
        key = None if party.private_key is None else base64url(party.private_key.private_bytes)
        name = "collector"
        own = {"hpke_config": base64url(party.config.encode()), "hpke_private_key": key, "token": party.token}
        own |= {"labels": list(party.labels)} if party.labels else {}
    shared = {
        "task_id": party.task.text,
        "task_configuration": base64url(party.task.encoded),
        "dialect": party.task.dialect.name,
    }
    return {"kind": KIND, "version": VERSION, "party": name, **shared, **own}


def from_document(document: object) -> Party:
    """The party of a JSON object.

    Args:
        document: what `json.loads` returned.

    Raises:
        RemoteProtocolError: the object is no party's, or a part of it is malformed.
        LocalProtocolError: the task asks for something that this package does not do.
    """
    version, fields = open_fields(document, KIND, VERSION)
    name = fields.text("party")
    if name not in PARTIES:
        raise RemoteProtocolError(f"party must be one of {', '.join(PARTIES)}")
    task = _task(fields, named=version > 1)
    party: Party
    if name == "client":
        party = ClientParty(task)
    elif name == "collector":
        config, key = HpkeConfig.decode(fields.data("hpke_config")), fields.private_key()
        token, labels = fields.text("token"), fields.labels() if version > 1 else ()
        party = CollectorParty(task, checked_config(config, key), token, key, labels)
    else:
        secrets = _secrets(fields, Role[name.upper()]) if version > 1 else TaskSecrets.decode(fields.data("secrets"))
        if secrets.role is not Role[name.upper()]:
            raise RemoteProtocolError("the secrets belong to another party")
        checked_config(secrets.collector_config, None)
        party = AggregatorParty(task, secrets)
    fields.finish()
    return party


def _own_fields(secrets: TaskSecrets) -> dict[str, Any]:
    """What only an Aggregator's file has."""
    both = {
        "verify_key": base64url(secrets.verify_key),
        "collector_hpke_config": base64url(secrets.collector_config.encode()),
    }
    if secrets.role is Role.HELPER:
        return both | {"leader_token_hash": base64url(secrets.peer_token)}
    return both | {
        "leader_token": secrets.peer_token.decode("ascii"),
        "collector_token_hash": base64url(secrets.collector_token),
        "batch_size": secrets.batch_size,
    }


def _secrets(fields: "Fields", role: Role) -> TaskSecrets:
    """The same, read."""
    verify_key = fields.data("verify_key")
    config = HpkeConfig.decode(fields.data("collector_hpke_config"))
    if role is Role.HELPER:
        return TaskSecrets(role, verify_key, config, fields.token_hash("leader_token"))
    token, collector = fields.token("leader_token"), fields.token_hash("collector_token")
    return TaskSecrets(role, verify_key, config, token, collector, fields.number("batch_size"))


def key_document(key: CollectorKey) -> dict[str, Any]:
    """The JSON object of a Collector's key file.

    Args:
        key: what the file holds.
    """
    config, private_key = base64url(key.config.encode()), base64url(key.private_key.private_bytes)
    return {"kind": KEY_KIND, "version": KEY_VERSION, "hpke_config": config, "hpke_private_key": private_key}


def key_from_document(document: object) -> CollectorKey:
    """The key pair of a JSON object.

    Args:
        document: what `json.loads` returned.

    Raises:
        RemoteProtocolError: the object is no Collector's key.
    """
    _, fields = open_fields(document, KEY_KIND, KEY_VERSION)
    config, key = HpkeConfig.decode(fields.data("hpke_config")), fields.private_key()
    fields.finish()
    if key is None:
        raise RemoteProtocolError("hpke_private_key is missing")
    return CollectorKey(checked_config(config, key), key)


def config_from_text(text: str) -> HpkeConfig:
    """A Collector's HPKE configuration.

    Args:
        text: the encoded configuration in base64url.

    Raises:
        RemoteProtocolError: it is malformed.
        HpkeError: it is of another suite than ours.
    """
    return checked_config(HpkeConfig.decode(from_base64url(text, name="an HPKE configuration")), None)


def load(path: Path) -> Party:
    """Read a party's file; where the file is no JSON, the error names it.

    Args:
        path: of the file.

    Raises:
        RemoteProtocolError, LocalProtocolError: see `from_document`.
        OSError: the file cannot be read.
    """
    return from_document(read_json(path))


def load_key(path: Path) -> CollectorKey:
    """Read a Collector's key file.

    Args:
        path: of the file.

    Raises:
        RemoteProtocolError: the file holds no Collector's key.
        LocalProtocolError: it is too long, or not UTF-8.
        OSError: the file cannot be read.
    """
    return key_from_document(read_json(path))


def write_secret(path: Path, text: str) -> None:
    """Write a new file that nobody else may read.

    Args:
        path: of the file.
        text: what it shall hold.

    Raises:
        FileExistsError: there is a file already; it is left as it is.
        OSError: the file cannot be written, as where its folder does not exist.
    """
    create(path, text.encode())


def read_json(path: Path) -> object:
    """What a file holds.

    Args:
        path: of the file.

    Raises:
        RemoteProtocolError: it is no JSON, or an object of it has a member twice.
        LocalProtocolError: it is too long, or not UTF-8.
        OSError: the file cannot be read.
    """
    text = read_text(path, limit=MAX_BYTES)
    try:
        return json.loads(text, object_pairs_hook=_unrepeated)
    except (ValueError, RecursionError):
        raise RemoteProtocolError(f"{path} is not a file of `secagg dap`") from None


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError
    return dict(pairs)


def checked_config(config: HpkeConfig, key: PrivateKey | None) -> HpkeConfig:
    """An HPKE configuration, once it is known to be of our suite, and to belong to its key.

    Args:
        config: the configuration.
        key: its private key, where that is here.

    Raises:
        RemoteProtocolError: it does not belong to the key.
        HpkeError: it is of another suite than ours.
    """
    check_suite(config.kem_id, config.kdf_id, config.aead_id)
    if len(config.public_key) != 32 or (key is not None and key.public_bytes != config.public_key):
        raise RemoteProtocolError("the HPKE configuration does not belong to its key")
    return config


class Fields:
    """The fields of an object; each is taken once, and none may be left in the end.

    Args:
        document: the object.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        self._left = dict(document)

    def text(self, name: str) -> str:
        """ASCII text.

        Args:
            name: of the field.
        """
        value = self._left.pop(name, None)
        if not isinstance(value, str) or not value.isascii():
            raise RemoteProtocolError(f"{name} must be text")
        return value

    def data(self, name: str) -> bytes:
        """Bytes, in base64url.

        Args:
            name: of the field.
        """
        return from_base64url(self.text(name), name=name)

    def number(self, name: str) -> int:
        """A whole number below 2^63.

        Args:
            name: of the field.
        """
        value = self._left.pop(name, None)
        if type(value) is not int or not 0 <= value < 1 << 63:
            raise RemoteProtocolError(f"{name} must be a whole number below 2^63")
        return value

    def token(self, name: str) -> bytes:
        """A token, perhaps after `secrets.DAP_AUTH_TOKEN`.

        Args:
            name: of the field.
        """
        token = self.text(name).encode()
        if not is_token(token):
            raise RemoteProtocolError(f"{name}: {TOKEN_FORM}")
        return token

    def token_hash(self, name: str) -> bytes:
        """The hash of a token; a file has one or the other.

        Args:
            name: of the field with the token; that of the hash ends in `_hash`.
        """
        if name in self._left:
            return token_hash(self.token(name))
        hashed = f"{name}_hash"
        return from_base64url(self.text(hashed), HASH_BYTES, name=hashed)

    def labels(self) -> tuple[str, ...]:
        """Of the result's entries; a file may have none."""
        value = self._left.pop("labels", [])
        if not isinstance(value, list) or not all(isinstance(label, str) for label in value):
            raise RemoteProtocolError("labels must be a list of texts")
        return tuple(value)

    def private_key(self) -> PrivateKey | None:
        """The field `hpke_private_key`; None where that is null."""
        if self._left.get("hpke_private_key", "") is None:
            del self._left["hpke_private_key"]
            return None
        return PrivateKey.from_bytes(self.data("hpke_private_key"))

    def finish(self) -> None:
        """Check that no field is left."""
        if self._left:
            raise RemoteProtocolError(f"unknown fields: {', '.join(sorted(self._left))}")


def _task(fields: Fields, *, named: bool) -> Task:
    """The task of a file, which names its dialect from version 2 on."""
    task_id, configuration = fields.data("task_id"), TaskConfiguration.decode(fields.data("task_configuration"))
    dialect = find_dialect(fields.text("dialect")) if named else UNNAMED
    task = Task(task_id, configuration, dialect)
    if named and task.dialect.name != dialect.name:
        raise RemoteProtocolError(f"the file names {dialect.name}, and the task configuration {task.dialect.name}")
    return task


def open_fields(document: object, kind: str, newest: int) -> tuple[int, Fields]:
    """The version of a file, and its other fields.

    Args:
        document: what `json.loads` returned.
        kind: of file.
        newest: version that this program reads.

    Raises:
        RemoteProtocolError: it is another kind of file, or of a newer version.
    """
    if not isinstance(document, dict) or document.get("kind") != kind:
        raise RemoteProtocolError(f"this is not a file of kind {kind!r}")
    version = document.get("version")
    if type(version) is not int or not 1 <= version <= newest:
        raise RemoteProtocolError(f"this program reads {kind!r} up to version {newest}: use a newer program")
    return version, Fields({name: value for name, value in document.items() if name not in ("kind", "version")})
