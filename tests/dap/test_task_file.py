"""Party files: what each party of a task holds."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from secagg.dap import task_file
from secagg.dap.dialect import DAP_09, DAP_09_CLIENTS, DAP_18, DIALECTS, Dialect
from secagg.dap.messages import BatchMode, HpkeConfig, Role
from secagg.dap.secrets import TaskSecrets, token_hash
from secagg.dap.task_file import AggregatorParty, ClientParty, CollectorKey, CollectorParty, Decided, new_parties
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


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_a_file_names_the_dialect(dialect: Dialect) -> None:
    configuration = make_task(dialect=dialect).configuration
    for party in new_parties(configuration, KEY, dialect=dialect).values():
        document = task_file.to_document(party)
        assert document["dialect"] == dialect.name
        assert task_file.from_document(document).task == party.task


VERSION_1 = {
    "kind": "secagg dap task",
    "version": 1,
    "party": "client",
    "task_id": "ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1-f4CBgoM",
    "task_configuration": (
        "BHRlc3QAG2h0dHBzOi8vbGVhZGVyLmV4YW1wbGUvZGFwLwAWaHR0cHM6Ly9oZWxwZXIuZXhhbXBsZQ"
        "AAAAAAAAEsAAAAAAAAAAMBAAAAAAAEAAgAAAAFAAAAAgAA"
    ),
}
"""As it was written before there were dialects of all parties."""


def test_a_file_from_before_there_were_dialects_speaks_draft_18() -> None:
    party = task_file.from_document(VERSION_1)
    assert party.task == make_task(dialect=DAP_18)
    assert task_file.to_document(party) == VERSION_1 | {"version": 2, "dialect": "dap-18"}
    old = {name: value for name, value in OF_09.items() if name != "dialect"} | {"version": 1}
    assert task_file.from_document(old).task.dialect is DAP_09_CLIENTS


def test_a_file_from_when_only_clients_had_dap_09_goes_on_so() -> None:
    """Its dialect has the same name as that of all parties: its configuration tells them apart."""
    assert OF_09["dialect"] == "dap-09"
    assert task_file.from_document(OF_09).task.dialect is DAP_09_CLIENTS
    of_all = task_file.to_document(ClientParty(make_task(dialect=DAP_09)))
    assert of_all["dialect"] == "dap-09"
    assert task_file.from_document(of_all).task.dialect is DAP_09


def test_an_aggregators_file_from_before_its_fields_had_names() -> None:
    party = task_file.from_document(HELPER_1)
    assert isinstance(party, AggregatorParty)
    assert party.secrets == TaskSecrets(Role.HELPER, bytes(range(32)), KEY.config, token_hash(b"token"))
    assert task_file.from_document(task_file.to_document(party)) == party


BY_HAND = {
    "kind": "secagg dap task",
    "version": 2,
    "task_id": VERSION_1["task_id"],
    "task_configuration": VERSION_1["task_configuration"],
    "dialect": "dap-19",
    "verify_key": base64url(bytes(range(32))),
    "collector_hpke_config": base64url(KEY.config.encode()),
}


def test_a_file_that_other_software_writes() -> None:
    """As docs/operations.md has it: a token, or only its hash."""
    hashed = base64url(token_hash(b"abc-._~+/=="))
    for given in ({"leader_token": "abc-._~+/=="}, {"leader_token_hash": hashed}):
        helper = task_file.from_document(BY_HAND | {"party": "helper"} | given)
        assert isinstance(helper, AggregatorParty)
        assert helper.task == make_task()
        assert helper.secrets == TaskSecrets(Role.HELPER, bytes(range(32)), KEY.config, token_hash(b"abc-._~+/=="))
    for given in ({"collector_token": "abc-._~+/=="}, {"collector_token_hash": hashed}):
        leader = task_file.from_document(BY_HAND | {"party": "leader", "leader_token": "t", "batch_size": 9} | given)
        assert isinstance(leader, AggregatorParty)
        assert leader.secrets == TaskSecrets(
            Role.LEADER, bytes(range(32)), KEY.config, b"t", token_hash(b"abc-._~+/=="), 9
        )


def test_what_others_have_decided_is_not_drawn() -> None:
    decided = Decided(bytes(range(32)), bytes(range(1, 33)), b"leader", b"collector")
    parties = new_parties(CONFIGURATION, KEY, decided=decided)
    leader, helper, collector = parties["leader"], parties["helper"], parties["collector"]
    assert isinstance(leader, AggregatorParty)
    assert isinstance(helper, AggregatorParty)
    assert isinstance(collector, CollectorParty)
    assert {party.task.id for party in parties.values()} == {bytes(range(32))}
    assert leader.secrets.verify_key == helper.secrets.verify_key == bytes(range(1, 33))
    assert (leader.secrets.peer_token, helper.secrets.peer_token) == (b"leader", token_hash(b"leader"))
    assert (leader.secrets.collector_token, collector.token) == (token_hash(b"collector"), "collector")
    drawn = new_parties(CONFIGURATION, KEY, decided=Decided(leader_token=b"leader"))["leader"]
    assert isinstance(drawn, AggregatorParty)
    assert drawn.secrets.peer_token == b"leader"
    assert drawn.secrets.verify_key != leader.secrets.verify_key


@pytest.mark.parametrize(
    ("values", "reason"),
    [({"task_id": bytes(31)}, "a task ID must have 32 bytes"),
     ({"verify_key": bytes(16)}, "verification key of this task's VDAF must have 32 bytes"),
     ({"verify_key": b""}, "verification key of this task's VDAF must have 32 bytes"),
     ({"leader_token": b""}, "a token must have 1 .. 1,024"),
     ({"leader_token": b"a\r\nx: y"}, "a token must have 1"),
     ({"leader_token": b"a\n"}, "a token must have 1"),
     ({"collector_token": b"=a"}, "a token must have 1"),
     ({"collector_token": b"x" * 1025}, "a token must have 1 .. 1,024")],
)  # fmt: skip
def test_what_others_must_not_have_decided(values: dict[str, bytes], reason: str) -> None:
    with pytest.raises(LocalProtocolError, match=reason):
        new_parties(CONFIGURATION, KEY, decided=Decided(**values))


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
    public = {"kind", "version", "party", "task_id", "task_configuration", "dialect"}
    assert set(json.loads(files["client"])) == public
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


LEADER, HELPER, COLLECTOR = (made()[name] for name in ("leader", "helper", "collector"))
OWN = {"dialect", "verify_key", "collector_hpke_config", "leader_token_hash"}
HELPER_1 = {name: value for name, value in HELPER.items() if name not in OWN} | {
    "version": 1,
    "secrets": base64url(TaskSecrets(Role.HELPER, bytes(range(32)), KEY.config, token_hash(b"token")).encode()),
}
OF_09 = task_file.to_document(ClientParty(make_task(dialect=DAP_09_CLIENTS)))
OTHER_SUITE = base64url(HpkeConfig(1, 0x10, 1, 1, bytes(32)).encode())


@pytest.mark.parametrize(
    ("document", "reason"),
    [([], "not a file of kind"),
     ({}, "not a file of kind"),
     (HELPER | {"kind": "x"}, "not a file of kind"),
     (HELPER | {"version": 3}, "up to version 2: use a newer program"),
     (HELPER | {"version": 0}, "use a newer program"),
     (HELPER | {"version": True}, "use a newer program"),
     (HELPER | {"version": "2"}, "use a newer program"),
     (HELPER_1 | {"dialect": "dap-19"}, "unknown fields: dialect"),
     (HELPER | {"dialect": "dap-20"}, "dialect 'dap-20' is not supported: use a newer program"),
     (OF_09 | {"dialect": "dap-19"}, "the file names dap-19, and the task configuration dap-09"),
     ({name: HELPER[name] for name in HELPER if name != "dialect"}, "dialect must be text"),
     (HELPER | {"party": "nobody"}, "party must be one of client, leader, helper, collector"),
     (HELPER | {"party": "leader"}, "leader_token must be text"),
     (HELPER | {"more": ""}, "unknown fields: more"),
     (HELPER | {"task_id": ""}, "a task ID must have 32 bytes"),
     (HELPER | {"task_id": 3}, "task_id must be text"),
     (HELPER | {"task_id": HELPER["task_id"] + "="}, "task_id must be URL-safe base64"),
     (HELPER | {"task_id": "+" * 43}, "task_id must be URL-safe base64"),
     (HELPER | {"secrets": ""}, "unknown fields: secrets"),
     (HELPER | {"verify_key": 5}, "verify_key must be text"),
     (HELPER | {"leader_token": "t"}, "unknown fields: leader_token_hash"),
     (HELPER | {"leader_token_hash": base64url(bytes(31))}, "leader_token_hash must be URL-safe base64 of 32 bytes"),
     ({name: HELPER[name] for name in HELPER if name != "leader_token_hash"}, "leader_token_hash must be text"),
     (LEADER | {"leader_token": "a b"}, "leader_token: a token must have 1 .. 1,024 letters, digits"),
     (LEADER | {"leader_token": ""}, "leader_token: a token must have 1"),
     (LEADER | {"leader_token": "x" * 1025}, "leader_token: a token must have 1 .. 1,024"),
     (LEADER | {"batch_size": -1}, "batch_size must be a whole number"),
     (LEADER | {"batch_size": True}, "batch_size must be a whole number"),
     (LEADER | {"batch_size": 1 << 63}, "batch_size must be a whole number"),
     (LEADER | {"batch_size": 1.0}, "batch_size must be a whole number"),
     (LEADER | {"collector_hpke_config": OTHER_SUITE}, "HPKE suite"),
     (HELPER_1 | {"secrets": ""}, "message ends early"),
     (HELPER_1 | {"party": "leader"}, "the secrets belong to another party"),
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


LABELS = ("0-99 ms", "100-199 ms", "\u00e9tat", 'a, "b"', 200 * "x")


def test_a_collectors_file_may_name_the_entries_of_a_result() -> None:
    collector = new_parties(CONFIGURATION, KEY)["collector"]
    assert isinstance(collector, CollectorParty)
    assert "labels" not in task_file.to_document(collector)
    named = task_file.to_document(replace(collector, labels=LABELS))
    assert named["labels"] == list(LABELS)
    read = task_file.from_document(json.loads(json.dumps(named)))
    assert isinstance(read, CollectorParty)
    assert read.labels == LABELS


@pytest.mark.parametrize(
    ("labels", "reason"),
    [(LABELS[1:], "there must be 5 labels"),
     ((*LABELS, "one more"), "there must be 5 labels"),
     (("", *LABELS[1:]), "printable characters"),
     (("two\nlines", *LABELS[1:]), "printable characters"),
     (("\u202e", *LABELS[1:]), "printable characters"),
     ((201 * "x", *LABELS[1:]), "1 .. 200 printable"),
     ("abcde", "labels must be a list of texts"),
     ((1, 2, 3, 4, 5), "labels must be a list of texts"),
     ({"a": 1}, "labels must be a list of texts")],
)  # fmt: skip
def test_labels_that_are_none(labels: Any, reason: str) -> None:
    document = made()["collector"] | {"labels": list(labels) if isinstance(labels, tuple) else labels}
    with pytest.raises((RemoteProtocolError, LocalProtocolError), match=re.escape(reason)):
        task_file.from_document(document)


def test_only_the_collectors_file_has_labels() -> None:
    for name in ("client", "leader", "helper"):
        with pytest.raises(RemoteProtocolError, match="unknown fields: labels"):
            task_file.from_document(made()[name] | {"labels": list(LABELS)})
