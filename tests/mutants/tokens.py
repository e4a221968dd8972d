"""Mutants of the rotation of a task's tokens: who is let in, and who is locked out."""

from .mutant import Mutant

_STORE = ("tests/dap/store/test_tokens.py",)


def _mutant(name: str, place: str, old: str, new: str, breaks: str) -> Mutant:
    return Mutant(f"token-{name}", f"secagg.dap.{place}", old, new, breaks, _STORE)


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
        "tx.execute(delete(old_tokens).where(old_tokens.c.task == own))",
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
        "in-the-clear",
        "store.tokens:accept_token",
        "tx.vault.seal(present, _place(task_id))",
        "present",
        "The database reveals the hash of a token that is accepted.",
    ),
)
