"""Peer files: what the parties of advertised tasks hold before there is one."""

import json
from pathlib import Path
from typing import Any

import pytest

from secagg.dap import peer_file, task_file
from secagg.dap.messages import Role
from secagg.dap.peer_file import AggregatorPeer, CollectorPeer, new_peers
from secagg.dap.secrets import token_hash
from secagg.dap.task_file import CollectorKey, Decided
from secagg.dap.taskprov import advertised_task
from secagg.errors import LocalProtocolError, RemoteProtocolError
from secagg.http.base64url import base64url

from ..support.tasks import HELPER_URL, LEADER_URL, make_task

KEY = CollectorKey.generate(3)
URLS = (LEADER_URL, HELPER_URL)
DECIDED = Decided(None, bytes(range(32)), b"leader-token", b"collector-token")
TASK = advertised_task(make_task().encoded)


def made(**options: Any) -> dict[str, dict[str, Any]]:
    return {name: peer_file.to_document(peer) for name, peer in new_peers(*URLS, KEY, **options).items()}


@pytest.mark.parametrize("name", peer_file.PARTIES)
def test_a_file_gives_the_peer_back(name: str, tmp_path: Path) -> None:
    document = made()[name]
    task_file.write_secret(tmp_path / "a.json", json.dumps(document))
    peer = peer_file.load(tmp_path / "a.json")
    assert peer_file.to_document(peer) == document


def test_what_each_party_holds() -> None:
    documents, config = made(decided=DECIDED), base64url(KEY.config.encode())
    shared = {"kind": "secagg dap peer", "version": 1, "leader": LEADER_URL, "helper": HELPER_URL}
    aggregators = {**shared, "verify_key_init": base64url(bytes(range(32))), "collector_hpke_config": config}
    assert documents["leader"] == {
        **aggregators,
        "party": "leader",
        "leader_token": "leader-token",
        "collector_token_hash": base64url(token_hash(b"collector-token")),
    }
    assert documents["helper"] == {
        **aggregators,
        "party": "helper",
        "leader_token_hash": base64url(token_hash(b"leader-token")),
    }
    private = base64url(KEY.private_key.private_bytes)
    own = {"hpke_config": config, "hpke_private_key": private, "token": "collector-token"}
    assert documents["collector"] == {**shared, **own, "party": "collector"}


def test_what_nobody_decides_is_drawn() -> None:
    one, other = made(), made()
    for name, field in (("helper", "verify_key_init"), ("leader", "leader_token"), ("collector", "token")):
        assert one[name][field] != other[name][field]


def test_a_collector_may_keep_its_key() -> None:
    peer = new_peers(*URLS, KEY.config)["collector"]
    assert isinstance(peer, CollectorPeer)
    assert peer.private_key is None
    assert peer_file.from_document(peer_file.to_document(peer)) == peer


def test_tokens_themselves_may_stand_for_their_hashes() -> None:
    document = {**made()["helper"], "leader_token": "leader-token"}
    del document["leader_token_hash"]
    peer = peer_file.from_document(document)
    assert isinstance(peer, AggregatorPeer)
    assert (peer.secrets.role, peer.secrets.peer_token) == (Role.HELPER, token_hash(b"leader-token"))


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [("helper", {"kind": "secagg dap task"}, "not a file of kind 'secagg dap peer'"),
     ("helper", {"version": 2}, "up to version 1: use a newer program"),
     ("helper", {"party": "client"}, "party must be one of leader, helper, collector"),
     ("helper", {"party": "leader"}, "leader_token must be text"),
     ("helper", {"leader": "leader.example"}, "leader must be the URL of a server: write it like"),
     ("helper", {"helper": None}, "helper must be text"),
     ("helper", {"verify_key_init": "AAAA"}, "verify_key_init must have 32 bytes"),
     ("helper", {"verify_key_init": "AA=="}, "verify_key_init must be URL-safe base64"),
     ("helper", {"more": 1}, "unknown fields: more"),
     ("leader", {"leader_token": "two words"}, "leader_token: a token must have"),
     ("collector", {"hpke_private_key": base64url(bytes(31) + b"\1")}, "does not belong to its key")],
)  # fmt: skip
def test_a_malformed_file(name: str, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(RemoteProtocolError, match=reason):
        peer_file.from_document({**made()[name], **changes})


def test_a_secret_of_another_length() -> None:
    with pytest.raises(LocalProtocolError, match="verify_key_init must have 32 bytes"):
        made(decided=Decided(None, bytes(16)))


def test_the_collector_of_a_task() -> None:
    peer = new_peers(LEADER_URL.rstrip("/"), HELPER_URL, KEY, decided=DECIDED)["collector"]
    assert isinstance(peer, CollectorPeer)
    party = peer.party(TASK)
    assert (party.task, party.config, party.token) == (TASK, KEY.config, "collector-token")
    with pytest.raises(LocalProtocolError, match="this task is not advertised"):
        peer.party(make_task())
    other = advertised_task(make_task(helper_url="https://other.example").encoded)
    with pytest.raises(LocalProtocolError, match=r"Helper are .*other\.example, and the peer's are"):
        peer.party(other)


def test_no_secret_is_shown() -> None:
    for peer in new_peers(*URLS, KEY, decided=DECIDED).values():
        assert "token" not in repr(peer)
        assert repr(bytes(range(32))) not in repr(peer)
