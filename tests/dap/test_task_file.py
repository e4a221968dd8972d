"""Party files: what each party of a task holds."""

import json
from pathlib import Path
from typing import Any

import pytest

from secagg.dap import task_file
from secagg.dap.messages import BatchMode, HpkeConfig, Role
from secagg.dap.secrets import token_hash
from secagg.dap.task_file import AggregatorParty, ClientParty, CollectorKey, CollectorParty, new_parties
from secagg.errors import LocalProtocolError, RemoteProtocolError, SecAggError
from secagg.http.base64url import base64url

from ..support.tasks import make_task

CONFIGURATION = make_task().configuration
KEY = CollectorKey.generate(3)


def made(**options: Any) -> dict[str, Any]:
    return {name: task_file.to_document(party) for name, party in new_parties(CONFIGURATION, KEY, **options).items()}


@pytest.mark.parametrize("name", task_file.PARTIES)
def test_a_file_gives_the_party_back(name: str, tmp_path: Path) -> None:
    document = made()[name]
    path = tmp_path / "a.json"
    task_file.write_secret(path, json.dumps(document))
    assert path.stat().st_mode & 0o777 == 0o600
    party = task_file.load(path)
    assert task_file.to_document(party) == document
    assert party.task.configuration == CONFIGURATION


def test_parties_fit_together() -> None:
    parties = new_parties(CONFIGURATION, KEY)
    leader, helper, collector = parties["leader"], parties["helper"], parties["collector"]
    assert isinstance(leader, AggregatorParty)
    assert isinstance(helper, AggregatorParty)
    assert isinstance(collector, CollectorParty)
    assert leader.secrets.verify_key == helper.secrets.verify_key
    assert token_hash(leader.secrets.peer_token) == helper.secrets.peer_token
    assert token_hash(collector.token.encode()) == leader.secrets.collector_token
    assert helper.secrets.collector_token == b""
    assert leader.secrets.collector_config == helper.secrets.collector_config == collector.config == KEY.config
    assert collector.private_key == KEY.private_key
    assert len({party.task.id for party in parties.values()}) == 1
    assert new_parties(CONFIGURATION, KEY)["client"].task.id != leader.task.id


def test_nobody_holds_what_is_anothers() -> None:
    parties = new_parties(CONFIGURATION, KEY)
    files = {name: json.dumps(task_file.to_document(each)) for name, each in parties.items()}
    leader, collector = parties["leader"], parties["collector"]
    assert isinstance(leader, AggregatorParty)
    assert isinstance(collector, CollectorParty)
    assert isinstance(parties["client"], ClientParty)
    assert set(json.loads(files["client"])) == {"kind", "version", "party", "task_id", "task_configuration"}
    for name in ("client", "leader", "helper"):
        assert base64url(KEY.private_key.private_bytes) not in files[name]
        assert collector.token not in files[name]
    for name in ("client", "helper", "collector"):
        assert leader.secrets.peer_token.decode() not in files[name]
    for party in parties.values():
        assert leader.secrets.peer_token.decode() not in repr(party)
        assert collector.token not in repr(party)


def test_a_collector_may_keep_its_key_to_itself() -> None:
    document = {name: task_file.to_document(party) for name, party in new_parties(CONFIGURATION, KEY.config).items()}
    assert document["collector"]["hpke_private_key"] is None
    party = task_file.from_document(document["collector"])
    assert isinstance(party, CollectorParty)
    assert party.private_key is None
    assert task_file.key_from_document(task_file.key_document(KEY)) == KEY
    assert task_file.config_from_text(base64url(KEY.config.encode())) == KEY.config


def test_sizes_of_selected_batches() -> None:
    selected = make_task(batch_mode=BatchMode.LEADER_SELECTED).configuration
    for size, expected in ((0, 3), (3, 3), (7, 7)):
        leader = new_parties(selected, KEY, batch_size=size)["leader"]
        assert isinstance(leader, AggregatorParty)
        assert leader.secrets.batch_size == expected
    with pytest.raises(LocalProtocolError, match="batch_size must be at least min_batch_size, 3"):
        new_parties(selected, KEY, batch_size=2)
    with pytest.raises(LocalProtocolError, match="batch_size is only for tasks whose Leader selects the batches"):
        new_parties(CONFIGURATION, KEY, batch_size=7)


HELPER, COLLECTOR = made()["helper"], made()["collector"]
OTHER_SUITE = base64url(HpkeConfig(1, 0x10, 1, 1, bytes(32)).encode())


@pytest.mark.parametrize(
    ("document", "reason"),
    [([], "not a file of kind"),
     ({}, "not a file of kind"),
     (HELPER | {"kind": "x"}, "not a file of kind"),
     (HELPER | {"version": 2}, "use a newer program"),
     (HELPER | {"party": "nobody"}, "party must be one of client, leader, helper, collector"),
     (HELPER | {"party": "leader"}, "the secrets belong to another party"),
     (HELPER | {"more": ""}, "unknown fields: more"),
     (HELPER | {"task_id": ""}, "a task ID must have 32 bytes"),
     (HELPER | {"task_id": 3}, "task_id must be text"),
     (HELPER | {"task_id": HELPER["task_id"] + "="}, "task_id must be URL-safe base64"),
     (HELPER | {"task_id": "+" * 43}, "task_id must be URL-safe base64"),
     (HELPER | {"secrets": ""}, "message ends early"),
     ({name: HELPER[name] for name in HELPER if name != "secrets"}, "secrets must be text"),
     (HELPER | {"task_configuration": HELPER["task_configuration"][:-4]}, "message ends early"),
     (COLLECTOR | {"hpke_private_key": base64url(bytes(31))}, "an X25519 private key must have 32 bytes"),
     (COLLECTOR | {"hpke_private_key": base64url(bytes(32))}, "does not belong to its key"),
     (COLLECTOR | {"hpke_config": OTHER_SUITE}, "HPKE suite")],
)  # fmt: skip
def test_refused_with_a_reason(document: object, reason: str) -> None:
    with pytest.raises(SecAggError, match=reason):
        task_file.from_document(document)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"kind": 1, "kind": 1}', b"[" * 100_000],
)
def test_what_is_no_file_of_ours(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(RemoteProtocolError, match=r"a\.json is not a file of `secagg dap`"):
        task_file.load(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff", r"a\.json is not UTF-8 text, in line 1: save it as UTF-8"),
        (b" " * (1 << 20) + b"{}", r"a\.json has more than 1,048,576 bytes"),
    ],
)
def test_what_is_no_text_of_ours(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    for load in (task_file.load, task_file.load_key):
        with pytest.raises(LocalProtocolError, match=reason):
            load(path)


def test_a_key_file_needs_its_key() -> None:
    with pytest.raises(RemoteProtocolError, match="hpke_private_key is missing"):
        task_file.key_from_document(task_file.key_document(KEY) | {"hpke_private_key": None})


def test_an_aggregator_is_of_one_role() -> None:
    party = task_file.from_document(HELPER)
    assert isinstance(party, AggregatorParty)
    assert party.secrets.role is Role.HELPER
