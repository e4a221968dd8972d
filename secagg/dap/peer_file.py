"""The files of a peer: what the parties of advertised tasks agree on before there are any. JSON, bytes in base64url.

    {"kind": "secagg dap peer", "version": 1, "party": "helper", "leader": "https://leader.example",
     "helper": "https://helper.example", "verify_key_init": "...", "collector_hpke_config": "...",
     "leader_token_hash": "..."}

docs/operations.md says what each field is. Every file holds secrets, and must reach its party over a confidential
channel. Clients need none: the configuration of a task is all that they are told.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import LocalProtocolError, RemoteProtocolError, require
from ..http.base64url import base64url
from ..http.urls import parse_server_url
from ..shamir import RandomBytes
from .hpke import PrivateKey
from .messages import HpkeConfig, Role
from .secrets import TaskSecrets, token_hash
from .task import Task
from .task_file import (
    TOKEN_BYTES,
    CollectorKey,
    CollectorParty,
    Decided,
    Fields,
    checked_config,
    open_fields,
    read_json,
)
from .taskprov import VERIFY_KEY_INIT_SIZE, is_advertised

KIND, VERSION = "secagg dap peer", 1
PARTIES = ("leader", "helper", "collector")


@dataclass(frozen=True, repr=False)
class AggregatorPeer:
    """What the Leader or the Helper of advertised tasks holds.

    Attributes:
        leader_url: the Leader's URL.
        helper_url: the Helper's URL.
        secrets: of every such task, with the secret that verification keys are derived from in place of such a key.
    """

    leader_url: str
    helper_url: str
    secrets: TaskSecrets


@dataclass(frozen=True, repr=False)
class CollectorPeer:
    """What the Collector of advertised tasks holds.

    Attributes:
        leader_url: the Leader's URL.
        helper_url: the Helper's URL.
        config: the HPKE configuration that aggregate shares are sealed to.
        token: that it shows to the Leader, as `secrets.token_header` takes it.
        private_key: of the configuration; None where the Collector holds it in a file of its own.
    """

    leader_url: str
    helper_url: str
    config: HpkeConfig
    token: str
    private_key: PrivateKey | None

    def party(self, task: Task) -> CollectorParty:
        """What the Collector holds of a task.

        Args:
            task: that is advertised.

        Raises:
            LocalProtocolError: the task is not advertised, or has other Aggregators.
        """
        require(is_advertised(task), "this task is not advertised: its Collector has a file of the task itself")
        own, its = (self.leader_url, self.helper_url), (task.leader_url, task.helper_url)
        require(
            all(parse_server_url(a) == parse_server_url(b) for a, b in zip(own, its, strict=True)),
            f"the task's Leader and Helper are {its[0]} and {its[1]}, and the peer's are {own[0]} and {own[1]}",
        )
        return CollectorParty(task, self.config, self.token, self.private_key)


Peer = AggregatorPeer | CollectorPeer


def new_peers(
    leader_url: str,
    helper_url: str,
    collector: CollectorKey | HpkeConfig,
    *,
    decided: Decided = Decided(),  # noqa: B008  # immutable
    rand: RandomBytes = os.urandom,
) -> dict[str, Peer]:
    """What each of PARTIES holds of advertised tasks that they will have together.

    Args:
        leader_url: the Leader's URL.
        helper_url: the Helper's URL.
        collector: the Collector's key pair, or the configuration of a key that the Collector keeps to itself.
        decided: tokens that somebody else has decided, and as the verification key the secret that such keys are
            derived from.
        rand: cryptographic randomness, for what nobody has decided.

    Raises:
        LocalProtocolError: the secret has another length, or an URL is none of a server.
    """
    urls = parse_server_url(leader_url).text, parse_server_url(helper_url).text
    config, key = (collector, None) if isinstance(collector, HpkeConfig) else (collector.config, collector.private_key)
    init = rand(VERIFY_KEY_INIT_SIZE) if decided.verify_key is None else decided.verify_key
    require(len(init) == VERIFY_KEY_INIT_SIZE, f"verify_key_init must have {VERIFY_KEY_INIT_SIZE} bytes")
    drawn = [base64url(rand(TOKEN_BYTES)).encode() for _ in range(2)]
    peer_token = drawn[0] if decided.leader_token is None else decided.leader_token
    collector_token = drawn[1] if decided.collector_token is None else decided.collector_token

    # Whoever only has to recognise a token gets its hash.
    leader = TaskSecrets(Role.LEADER, init, config, peer_token, token_hash(collector_token))
    helper = TaskSecrets(Role.HELPER, init, config, token_hash(peer_token))
    return {
        "leader": AggregatorPeer(*urls, leader),
        "helper": AggregatorPeer(*urls, helper),
        "collector": CollectorPeer(*urls, config, collector_token.decode(), key),
    }


def to_document(peer: Peer) -> dict[str, Any]:
    """The JSON object of a peer's file.

    Args:
        peer: what the file holds.
    """
    name = "collector" if isinstance(peer, CollectorPeer) else peer.secrets.role.name.lower()
    shared = {"kind": KIND, "version": VERSION, "party": name, "leader": peer.leader_url, "helper": peer.helper_url}
    if isinstance(peer, CollectorPeer):
        key = None if peer.private_key is None else base64url(peer.private_key.private_bytes)
        config = base64url(peer.config.encode())
        return {**shared, "hpke_config": config, "hpke_private_key": key, "token": peer.token}
    secrets = peer.secrets
    own = {
        "verify_key_init": base64url(secrets.verify_key),
        "collector_hpke_config": base64url(secrets.collector_config.encode()),
    }
    if secrets.role is Role.HELPER:
        return {**shared, **own, "leader_token_hash": base64url(secrets.peer_token)}
    tokens = {
        "leader_token": secrets.peer_token.decode("ascii"),
        "collector_token_hash": base64url(secrets.collector_token),
    }
    return {**shared, **own, **tokens}


def from_document(document: object) -> Peer:
    """The peer of a JSON object.

    Args:
        document: what `json.loads` returned.

    Raises:
        RemoteProtocolError: the object is no peer's, or a part of it is malformed.
    """
    _, fields = open_fields(document, KIND, VERSION)
    name = fields.text("party")
    if name not in PARTIES:
        raise RemoteProtocolError(f"party must be one of {', '.join(PARTIES)}")
    urls = _url(fields, "leader"), _url(fields, "helper")
    peer: Peer
    if name == "collector":
        config, key = HpkeConfig.decode(fields.data("hpke_config")), fields.private_key()
        peer = CollectorPeer(*urls, checked_config(config, key), fields.text("token"), key)
    else:
        peer = AggregatorPeer(*urls, _secrets(fields, Role[name.upper()]))
    fields.finish()
    return peer


def load(path: Path) -> Peer:
    """Read a peer's file; where the file is no JSON, the error names it.

    Args:
        path: of the file.

    Raises:
        RemoteProtocolError: see `from_document`.
        LocalProtocolError: the file is too long, or not UTF-8.
        OSError: the file cannot be read.
    """
    return from_document(read_json(path))


def _url(fields: Fields, name: str) -> str:
    try:
        return parse_server_url(fields.text(name)).text
    except LocalProtocolError as error:
        raise RemoteProtocolError(f"{name} must be the URL of a server: {error}") from None


def _secrets(fields: Fields, role: Role) -> TaskSecrets:
    init = fields.data("verify_key_init")
    if len(init) != VERIFY_KEY_INIT_SIZE:
        raise RemoteProtocolError(f"verify_key_init must have {VERIFY_KEY_INIT_SIZE} bytes")
    config = checked_config(HpkeConfig.decode(fields.data("collector_hpke_config")), None)
    if role is Role.HELPER:
        return TaskSecrets(role, init, config, fields.token_hash("leader_token"))
    return TaskSecrets(role, init, config, fields.token("leader_token"), fields.token_hash("collector_token"))
