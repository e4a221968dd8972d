"""The tables of parameters: `python -m docs.generate.tables` writes them between their marks in the pages.

Thresholds and bytes are what the package computes; seconds are what `python -m bench.paper` measured.
"""

import csv
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import numpy as np

from bench.tables import number, table
from secagg import Model, Params, Threat
from secagg.protocol import messages as m
from secagg.protocol.thresholds import default_corrupt, default_threshold, max_corrupt
from secagg.signatures import SIGNATURE_BYTES

ROOT = Path(__file__).parents[2]
FIGURES = ROOT / "bench" / "results" / "figures"
COUNTS = (10, 100, 1000)
LENGTH, LARGEST = 100_000, 2**16 - 1


class Traffic(NamedTuple):
    """Bytes that a client sends and receives in a session where everybody stays."""

    sent: int
    received: int


def traffic(params: Params) -> Traffic:
    """The lengths of a client's messages, encoded with zeros for contents."""
    session, hash_ = bytes(m.SESSION_BYTES), bytes(32)
    users, nobody = np.arange(1, params.n + 1, dtype=np.uint32), np.empty(0, np.uint32)
    signatures = np.zeros((params.n if params.model is Model.ACTIVE else 0, SIGNATURE_BYTES), np.uint8)
    ciphertexts = np.zeros((params.n - 1, m.CIPHERTEXT_BYTES), np.uint8)
    key = bytes(m.KEY_BYTES)
    messages: dict[type[m.Message], m.Message] = {
        m.ShareKeysRequest: m.ShareKeysRequest(users, np.zeros((params.n, 2, m.KEY_BYTES), np.uint8), signatures),
        m.ShareKeys: m.ShareKeys(session, hash_, ciphertexts),
        m.MaskedInputCollectionRequest: m.MaskedInputCollectionRequest(session, users, ciphertexts),
        m.MaskedInputCollection: m.MaskedInputCollection(session, hash_, bytes(params.packed_size), nobody),
        m.ConsistencyCheckRequest: m.ConsistencyCheckRequest(session, users),
        m.ConsistencyCheck: m.ConsistencyCheck(session, hash_),
        m.UnmaskingRequest: m.UnmaskingRequest(session, users, signatures),
        m.Unmasking: m.Unmasking(session, np.zeros((params.n, m.SHARE_BYTES), np.uint8)),
    }
    requests = m.ROUNDS[params.model]
    answers = [m.AdvertiseKeys(key, key), *(messages[request.ANSWER] for request in requests)]
    signed = SIGNATURE_BYTES if params.model is Model.ACTIVE else 0
    return Traffic(
        sent=sum(len(m.encode(answer)) + signed for answer in answers),
        received=sum(len(m.encode(messages[request])) for request in requests),
    )


def parameters() -> Iterator[str]:
    """For each number of users and each threat: what `Params` takes, and what a session weighs."""
    header = ("n", "who may lie", "t", "min_users", "may drop out", "R", "client sends", "client receives")
    yield from table(header, (_row(n, *case) for n in COUNTS for case in _CASES))


_CASES = (
    ("nobody, but n_C clients and the server pool what they see", Model.SEMI_HONEST, Threat.COLLUDING),
    ("the server alone", Model.ACTIVE, Threat.SERVER_ONLY),
    ("the server and n_C clients", Model.ACTIVE, Threat.COLLUDING),
)


def _row(n: int, who: str, model: Model, threat: Threat) -> list[str]:
    params = Params.for_inputs(LARGEST, n=n, m=LENGTH, model=model, threat=threat, nonce=bytes(16))
    sent, received = traffic(params)
    who = who.replace("n_C", f"{params.n_corrupt}")
    dropouts = f"{n - params.min_users}"
    return [
        f"{n:,}",
        who,
        f"{params.t}",
        f"{params.min_users}",
        dropouts,
        f"2^{params.bits}",
        f"{sent:,}",
        f"{received:,}",
    ]


def thresholds() -> Iterator[str]:
    """Fig. 5, with what the code takes for it."""
    header = ("threat model", "n_C", "least t", "least honest inputs in the sum", *(f"n = {n:,}" for n in COUNTS))
    rows = (
        (Threat.CLIENTS_ONLY, "any below t", "n_C + 1, but 2 or more", "t - n_C"),
        (Threat.SERVER_ONLY, "0", "floor(n/2) + 1", "t"),
        (Threat.COLLUDING, "ceil(n/3) - 1", "floor(2n/3) + 1", "t - n_C"),
    )
    yield from table(
        header, ([f"`Threat.{row[0].name}`", *row[1:], *(_defaults(n, row[0]) for n in COUNTS)] for row in rows)
    )


def _defaults(n: int, threat: Threat) -> str:
    corrupt = default_corrupt(n, threat)
    assert threat is not Threat.COLLUDING or corrupt == max_corrupt(n)
    t = default_threshold(n, threat, corrupt)
    return f"n_C = {corrupt}, t = {t}"


def seconds() -> Iterator[str]:
    """What was measured, on which machine."""
    yield from (FIGURES / "machine.txt").read_text().splitlines()
    yield ""
    header = ("n", "client", *(f"server, {dropouts} % gone" for dropouts in (0, 10, 30)))
    rows = (
        [f"{n:,}", _measured("client", n, 0), *(_measured("server", n, dropouts) for dropouts in (0, 10, 30))]
        for n in (100, 200, 500, 1000)
    )
    yield from table(header, rows)


def _measured(role: str, n: int, dropouts: int) -> str:
    """The mean of a session's rounds together."""
    total = fmean(milliseconds for *point, milliseconds in _times() if point == [role, n, LENGTH, dropouts])
    return f"{number(total)} ms"


@cache
def _times() -> list[tuple[str, int, int, int, float]]:
    with (FIGURES / "times.csv").open() as lines:
        rounds = ("AdvertiseKeys", "ShareKeys", "MaskedInputCollection", "Unmasking")
        return [
            (row["role"], int(row["n"]), int(row["m"]), int(row["dropouts"]), sum(float(row[each]) for each in rounds))
            for row in csv.DictReader(lines)
        ]


TABLES: dict[str, Callable[[], Iterator[str]]] = {
    "parameters": parameters,
    "thresholds": thresholds,
    "seconds": seconds,
}
_MARKED = re.compile(r"(<!-- docs\.generate\.tables: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def written(page: str) -> str:
    """A page with its tables as they are now."""

    def filled(match: re.Match[str]) -> str:
        return match.group(1) + "\n" + "\n".join(TABLES[match.group(2)]()).strip() + "\n\n" + match.group(3)

    return _MARKED.sub(filled, page)


def pages() -> list[Path]:
    """The pages that have such tables."""
    return [path for path in sorted((ROOT / "docs").rglob("*.md")) if _MARKED.search(path.read_text())]


if __name__ == "__main__":
    for path in pages():
        path.write_text(written(path.read_text()))
