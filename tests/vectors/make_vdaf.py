"""Writes vdaf.json and bad_vdaf.json: Prio3 of drafts 20 and 8, from `prio3_twin`.

Run: python -m tests.vectors.make_vdaf
"""

import json
from pathlib import Path
from typing import Any

from Crypto.Hash import TurboSHAKE128

from .prio3_twin import Circuit, Prio3, Vector, count, histogram, multihot, sum_, sum_vec

COMMENT = (
    "Prio3 with other circuits' sizes than the CFRG's vectors have, and for a checkout without those. The schema is"
    " theirs (appendix of draft 20), every operation succeeds."
)
BAD_COMMENT = "Prio3 reports that must be refused by the operation named in `refused_by`; those before it succeed."
SOURCE = "tests/vectors/make_vdaf.py and prio3_twin.py: pycryptodome's TurboSHAKE128 and Python integers"


IDS = {"Count": 1, "Sum": 2, "SumVec": 3, "Histogram": 4, "MultihotCountVec": 5}


def algorithm(draft: int, name: str) -> int:
    if name == "SumVecWithMultiproof" or (draft == 8 and name == "MultihotCountVec"):
        return 0xFFFFFFFF
    return IDS[name] - (draft == 8)


def bytes_for(name: str, size: int) -> bytes:
    stream: bytes = TurboSHAKE128.new(domain=2).update(name.encode()).read(size)
    return stream


def instances(draft: int) -> list[tuple[str, dict[str, int], Circuit, list[Any]]]:
    """Kind, its parameters, circuit and measurements."""
    top = 100 if draft == 20 else 127
    return [
        ("Count", {"shares": 2}, count(draft), [1, 0]),
        ("Sum", {"shares": 4, "max_measurement": top}, sum_(draft, top), [0, 63, 64, top]),
        ("Sum", {"shares": 2, "max_measurement": 1}, sum_(draft, 1), [1, 0]),
        (
            "SumVec",
            {"shares": 2, "length": 3, "max_measurement": top, "chunk_length": 30},
            sum_vec(draft, 3, top, 30),
            [[top, 0, 64]],
        ),
        (
            "SumVecWithMultiproof",
            {"shares": 2, "length": 2, "max_measurement": 1, "chunk_length": 1, "proofs": 3},
            sum_vec(draft, 2, 1, 1, 64),
            [[1, 0], [1, 1]],
        ),
        ("Histogram", {"shares": 2, "length": 20, "chunk_length": 1}, histogram(draft, 20, 1), [19]),
        ("Histogram", {"shares": 3, "length": 7, "chunk_length": 9}, histogram(draft, 7, 9), [0, 6]),
        (
            "MultihotCountVec",
            {"shares": 2, "length": 5, "max_weight": 4, "chunk_length": 3},
            multihot(draft, 5, 4, 3),
            [[True, True, False, True, True], [False] * 5],
        ),
    ]


def case(
    draft: int, name: str, parameters: dict[str, int], circuit: Circuit, measurements: list[Any]
) -> dict[str, Any]:
    title = f"{name} of draft {draft}: {parameters}"
    ctx = b"vectors" if draft == 20 else b""
    prio3 = Prio3(draft, algorithm(draft, name), circuit, parameters["shares"], parameters.get("proofs", 1), ctx)
    key = bytes_for(title + " key", prio3.seed_size)
    reports, totals = [], [[0] * len(circuit.truncate([0] * circuit.meas_len)) for _ in range(prio3.shares)]
    for i, measurement in enumerate(measurements):
        nonce, rand = bytes_for(f"{title} nonce {i}", 16), bytes_for(f"{title} rand {i}", prio3.rand_size)
        report = prio3.shard(circuit.encode(measurement), nonce, rand) | prio3.verify(key, nonce)
        assert prio3.valid
        reports.append({"measurement": measurement, "nonce": nonce.hex(), "rand": rand.hex(), **report})
        shares = zip(totals, map(circuit.truncate, prio3.meas), strict=True)
        totals = [[x + y for x, y in zip(*pair, strict=True)] for pair in shares]
    result = [sum(column) % prio3.p for column in zip(*totals, strict=True)]
    return {
        "name": title,
        "kind": f"Prio3{name}",
        "draft": draft,
        **parameters,
        "ctx": ctx.hex(),
        "verify_key": key.hex(),
        "reports": reports,
        "agg_shares": [prio3.encoded(total).hex() for total in totals],
        "agg_result": result[0] if name in ("Count", "Sum") else result,
    }


def bad_case(
    name: str, draft: int, kind: str, parameters: dict[str, int], circuit: Circuit, encoded: Vector
) -> dict[str, Any]:
    """A measurement that is not valid, proved as if it were."""
    title = f"{name}, draft {draft}"
    ctx = b"vectors" if draft == 20 else b""
    prio3 = Prio3(draft, algorithm(draft, kind), circuit, 2, 1, ctx)
    key, nonce = bytes_for(title + " key", prio3.seed_size), bytes_for(title + " nonce", 16)
    report = prio3.shard(encoded, nonce, bytes_for(title + " rand", prio3.rand_size)) | prio3.verify(key, nonce)
    assert not prio3.valid
    del report["verifier_messages"], report["out_shares"]
    return {
        "name": title,
        "kind": f"Prio3{kind}",
        "draft": draft,
        **parameters,
        "shares": 2,
        "ctx": ctx.hex(),
        "verify_key": key.hex(),
        "reports": [{"nonce": nonce.hex(), **report}],
        "refused_by": "verifier_shares_to_message",
    }


def bad_cases(draft: int) -> list[dict[str, Any]]:
    of_four = {"length": 4, "chunk_length": 2}
    three_of_four = {**of_four, "max_weight": 3}
    return [
        bad_case("a count of 2", draft, "Count", {}, count(draft), [2]),
        bad_case("a digit of 2", draft, "Sum", {"max_measurement": 7}, sum_(draft, 7), [1, 2, 0]),
        bad_case("two buckets", draft, "Histogram", of_four, histogram(draft, 4, 2), [0, 1, 1, 0]),
        bad_case("no bucket", draft, "Histogram", of_four, histogram(draft, 4, 2), [0, 0, 0, 0]),
        bad_case("buckets of 2 and -1", draft, "Histogram", of_four, histogram(draft, 4, 2), [2, -1, 0, 0]),
        bad_case(
            "a weight of 4, reported as 3",
            draft,
            "MultihotCountVec",
            three_of_four,
            multihot(draft, 4, 3, 2),
            [1, 1, 1, 1, 1, 1],
        ),
    ]


def write(name: str, comment: str, cases: list[dict[str, Any]]) -> None:
    document = {"_comment": comment, "source": SOURCE, "cases": cases}
    (Path(__file__).parent / name).write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    write("vdaf.json", COMMENT, [case(draft, *each) for draft in (20, 8) for each in instances(draft)])
    write("bad_vdaf.json", BAD_COMMENT, [each for draft in (20, 8) for each in bad_cases(draft)])
