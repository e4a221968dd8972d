"""Mutants of a task's tokens, their rotation, and those of Clients: who is let in, and who is locked out."""

from .mutant import Mutant

_STORE = ("tests/dap/store/test_tokens.py",)
_CLIENTS = ("tests/dap/store/test_client_tokens.py",)
_STRANGERS = ("tests/attacks/dap/test_uploads_of_strangers.py",)


def _mutant(name: str, place: str, old: str, new: str, breaks: str, tests: tuple[str, ...] = _STORE) -> Mutant:
    return Mutant(f"token-{name}", f"secagg.dap.{place}", old, new, breaks, tests)


MUTANTS = (
    _mutant(
        "lasts",
        "store.tasks:TaskRecord.accepted",
        "now >= self.old_token.until",
        "False",
        "A token that was replaced is accepted for ever.",
    ),
    _mutant(
        "ends-at-once",
        "store.tokens:accept_token",
        "tx.execute(insert(old_tokens).values(task=key, hash=sealed, until=until))",
        "None",
        "Whoever shows the old token is refused before the new one is there.",
    ),
    _mutant(
        "third",
        "store.tokens:accept_token",
        "old is None or now >= old.until",
        "True",
        "A second rotation locks out the party that shows the first token.",
    ),
    _mutant(
        "same",
        "store.tokens:accept_token",
        "digest != present",
        "True",
        "The token's own end locks out the party that shows it.",
    ),
    _mutant(
        "of-a-deleted-task",
        "store.tasks:delete_task",
        "tx.execute(delete(tokens).where(tokens.c.task == own))",
        "None",
        "A deleted task's secrets are not all gone.",
    ),
    _mutant(
        "unknown-to-servers",
        "aggregator.directory:Directory.task",
        "latest = with_vdaf(latest, record)",
        "latest = record",
        "A server refuses the new token until it is started again.",
    ),
    _mutant(
        "unknown-to-workers",
        "store.tasks:KnownTasks.find",
        "known is None or row.secrets != sealed",
        "known is None",
        "A worker shows the old token until it is started again.",
    ),
    _mutant(
        "in-another-header",
        "aggregator.peer:HttpPeer._send",
        "token_header(record.secrets.peer_token.decode('ascii'))",
        "{'Authorization': f'Bearer {record.secrets.peer_token.decode()}'}",
        "The Leader's token is never shown in the header that its Helper asks for.",
        ("tests/dap/aggregator/test_peer.py",),
    ),
    _mutant(
        "hashed-with-its-header",
        "secrets:token_hash",
        "_bare(token)",
        "token",
        "A token that names its header is recognised by nobody.",
        ("tests/dap/test_secrets.py",),
    ),
    _mutant(
        "in-the-clear",
        "store.tokens:accept_token",
        "tx.vault.seal(present, _place(task_id))",
        "present",
        "The database reveals the hash of a token that is accepted.",
    ),
    _mutant(
        "of-a-stranger",
        "store.tasks:TaskRecord.takes_uploads_of",
        "token is not None and token_hash(token) in self.client_tokens",
        "token is not None",
        "Any token is a Client's.",
        _STRANGERS,
    ),
    _mutant(
        "of-clients-unasked",
        "server.leader:LeaderResources.upload",
        "_authenticate_client(context, request, record)",
        "None",
        "Whoever has no token uploads to a task for those who have one.",
        _STRANGERS,
    ),
    _mutant(
        "of-strangers-uncounted",
        "server.leader:_authenticate_client",
        "context.metrics.count_unauthorized(record.task)",
        "None",
        "Nobody sees that uploads are refused for their token.",
        _STRANGERS,
    ),
    _mutant(
        "of-clients-last",
        "store.client_tokens:delete_client_token",
        "len(names) > 1 or to_everybody",
        "True",
        "A task opens to everybody with its last token.",
        _CLIENTS,
    ),
    _mutant(
        "of-clients-in-the-clear",
        "store.client_tokens:add_client_token",
        "tx.vault.seal(digest, _place(task_id, name))",
        "digest",
        "The database reveals the hashes of tokens.",
        _CLIENTS,
    ),
    _mutant(
        "of-clients-moved",
        "store.client_tokens:_place",
        "b'client token' + task_id + name.encode()",
        "b'client token' + name.encode()",
        "A token of another task is accepted by whoever can write to the database.",
        _CLIENTS,
    ),
)
