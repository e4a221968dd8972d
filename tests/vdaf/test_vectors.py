"""Conformance to drafts 20 and 8: the vectors of the CFRG's repository, and those of `make_vdaf.py`.

The CFRG's are read from the folder that SECAGG_VECTORS names. They lie in the repository cfrg/draft-irtf-cfrg-vdaf:
those of draft 20 at the tag draft-irtf-cfrg-vdaf-20 under test_vec/ (XofTurboShake128.json) and test_vec/vdaf/
(Prio3*.json), to be put into the subfolder `vdaf`; those of draft 8 at the tag draft-irtf-cfrg-vdaf-08 under
poc/test_vec/08/, to be put into `vdaf-08`.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secagg.errors import ReportRejected
from secagg.vdaf import (
    DRAFT_08,
    DRAFT_20,
    Draft,
    Field64,
    Field128,
    Prio3,
    Prio3Count,
    Prio3Histogram,
    Prio3MultihotCountVec,
    Prio3Sum,
    Prio3SumVec,
    Prio3SumVecWithMultiproof,
)
from secagg.vdaf.circuits import Count
from secagg.vdaf.field import Elements, Field
from secagg.vdaf.gadgets import PolyEval
from secagg.vdaf.xof import XofTurboShake128

from ..support.folders import VECTORS
from ..vectors import make_vdaf

OURS, BAD = (json.loads((VECTORS / name).read_text())["cases"] for name in ("vdaf.json", "bad_vdaf.json"))
DRAFTS = {20: DRAFT_20, 8: DRAFT_08}
REPLAYED_20 = {
    "Prio3Count": ["0", "1", "2", "bad_gadget_poly", "bad_helper_seed", "bad_meas_share", "bad_wire_seed"],
    "Prio3HigherDegree": ["0"],
    "Prio3Histogram": [
        "0",
        "1",
        "2",
        "bad_helper_jr_blind",
        "bad_leader_jr_blind",
        "bad_public_share",
        "bad_verifier_message",
    ],
    "Prio3MultihotCountVec": ["0", "1", "2"],
    "Prio3Sum": ["0", "1", "2"],
    "Prio3SumVec": ["0", "1"],
    "Prio3SumVecWithMultiproof": ["0", "1"],
}


FILES_08 = {
    "Prio3Count": "01",
    "Prio3Histogram": "01",
    "Prio3MultiHotHistogram": "01",
    "Prio3Sum": "01",
    "Prio3SumVec": "01",
    "Prio3SumVecWithMultiproof": "0",
}


class HigherDegree(Count):
    """x (x - 1) (x - 2) = 0: the draft's own circuit for tests, with a gadget of degree 3."""

    def __init__(self, field: Field, draft: Draft) -> None:
        super().__init__(field, draft)
        self.GADGET = PolyEval(field, not draft.gadget_values, (0, 2, -3, 1))

    def outputs(self, meas: Elements, calls: Elements, num_shares: int) -> Elements:
        return calls

    def check(self, measurements: Any) -> Any:
        return np.asarray(measurements, np.uint64)


def load(folder: str, name: str) -> dict[str, Any]:
    """A vector file; a test that needs one is skipped only if no folder is named at all."""
    root = os.environ.get("SECAGG_VECTORS")
    if not root:
        pytest.skip("set SECAGG_VECTORS to a folder with the CFRG's vectors; this file's docstring says where they are")
    vector: dict[str, Any] = json.loads(Path(root, folder, name).read_text())
    return vector


def instance(name: str, vector: dict[str, Any], draft: Draft = DRAFT_20) -> Prio3:
    """The VDAF that a vector is for."""
    keys = ("length", "max_measurement", "max_weight", "chunk_length", "proofs")
    parameters = {key: vector[key] for key in keys if key in vector}
    if name == "Prio3HigherDegree":
        return Prio3(0xFFFFFFFF, HigherDegree(Field64, draft), draft, vector["shares"])
    classes: dict[str, type[Any]] = {
        "Prio3Count": Prio3Count,
        "Prio3Histogram": Prio3Histogram,
        "Prio3MultihotCountVec": Prio3MultihotCountVec,
        "Prio3MultiHotHistogram": Prio3MultihotCountVec,
        "Prio3Sum": Prio3Sum,
        "Prio3SumVec": Prio3SumVec,
        "Prio3SumVecWithMultiproof": Prio3SumVecWithMultiproof,
    }
    prio3: Prio3 = classes[name](vector["shares"], **parameters, draft=draft)
    return prio3


class Replay:
    """Performs a vector's operations on its own messages and compares what comes out."""

    def __init__(self, prio3: Prio3, vector: dict[str, Any]) -> None:
        self.prio3 = prio3
        self.vector = vector
        self.ctx = bytes.fromhex(vector.get("ctx", ""))
        self.key = bytes.fromhex(vector["verify_key"])
        self.states: dict[tuple[int, int], bytes] = {}

    def run(self) -> None:
        assert self.vector["operations"]
        for operation in self.vector["operations"]:
            arguments = dict(operation)
            perform = getattr(self, arguments.pop("operation"))
            report = self.vector["reports"][arguments.pop("report_index", 0)]
            if arguments.pop("success"):
                perform(report, **arguments)
            else:
                with pytest.raises(ReportRejected):
                    perform(report, **arguments)

    def shard(self, report: dict[str, Any]) -> None:
        nonce, rand = bytes.fromhex(report["nonce"]), bytes.fromhex(report["rand"])
        public_share, input_shares = self.prio3.shard(self.ctx, report["measurement"], nonce, rand)
        assert public_share.hex() == report["public_share"]
        assert [share.hex() for share in input_shares] == report["input_shares"]

    def verify_init(self, report: dict[str, Any], aggregator_id: int) -> None:
        state, share = self.prio3.verify_init(
            self.key,
            self.ctx,
            aggregator_id,
            bytes.fromhex(report["nonce"]),
            bytes.fromhex(report["public_share"]),
            bytes.fromhex(report["input_shares"][aggregator_id]),
        )
        self.states[id(report), aggregator_id] = state
        assert share.hex() == report["verifier_shares"][0][aggregator_id]

    def verifier_shares_to_message(self, report: dict[str, Any], round: int) -> None:
        shares = [bytes.fromhex(share) for share in report["verifier_shares"][round]]
        message = self.prio3.verifier_shares_to_message(self.ctx, shares)
        assert message.hex() == report["verifier_messages"][round]

    def verify_next(self, report: dict[str, Any], aggregator_id: int, round: int) -> None:
        message = bytes.fromhex(report["verifier_messages"][round - 1])
        out_share = self.prio3.verify_next(self.states[id(report), aggregator_id], message)
        assert out_share.hex() == report["out_shares"][aggregator_id]

    def aggregate(self, report: dict[str, Any], aggregator_id: int) -> None:
        agg_share = self.prio3.agg_init()
        for report in self.vector["reports"]:
            self.prio3.agg_update(agg_share, bytes.fromhex(report["out_shares"][aggregator_id]))
        assert self.prio3.encode_agg_share(agg_share).hex() == self.vector["agg_shares"][aggregator_id]

    def unshard(self, report: dict[str, Any]) -> None:
        agg_shares = [self.prio3.decode_agg_share(bytes.fromhex(share)) for share in self.vector["agg_shares"]]
        assert self.prio3.unshard(agg_shares, len(self.vector["reports"])) == self.vector["agg_result"]


@pytest.mark.parametrize(("name", "case"), [(name, case) for name, cases in REPLAYED_20.items() for case in cases])
def test_draft_20(isa: str, name: str, case: str) -> None:
    vector = load("vdaf", f"{name}_{case}.json")
    Replay(instance(name, vector), vector).run()


def with_operations(vector: dict[str, Any]) -> dict[str, Any]:
    """A vector all of whose operations succeed, with a list of them."""
    operations: list[dict[str, Any]] = []
    aggregators = range(vector["shares"])
    for i in range(len(vector["reports"])):
        operations.append({"operation": "shard", "report_index": i})
        operations += [{"operation": "verify_init", "report_index": i, "aggregator_id": j} for j in aggregators]
        operations.append({"operation": "verifier_shares_to_message", "report_index": i, "round": 0})
        operations += [
            {"operation": "verify_next", "report_index": i, "aggregator_id": j, "round": 1} for j in aggregators
        ]
    operations += [{"operation": "aggregate", "aggregator_id": j} for j in aggregators]
    operations.append({"operation": "unshard"})
    return vector | {"operations": [operation | {"success": True} for operation in operations]}


def as_draft_20(vector: dict[str, Any]) -> dict[str, Any]:
    """A vector of draft 8 with the names of draft 20."""
    names = {
        "prep": "reports",
        "prep_shares": "verifier_shares",
        "prep_messages": "verifier_messages",
        "max_count": "max_weight",
    }
    renamed = {names.get(key, key): value for key, value in vector.items()}
    renamed["reports"] = [{names.get(key, key): value for key, value in report.items()} for report in vector["prep"]]
    for report in renamed["reports"]:
        report["out_shares"] = ["".join(share) for share in report["out_shares"]]
    if "bits" in vector:
        renamed["max_measurement"] = (1 << vector["bits"]) - 1
    return renamed


@pytest.mark.parametrize(("name", "case"), [(name, case) for name, cases in FILES_08.items() for case in cases])
def test_draft_08(isa: str, name: str, case: str) -> None:
    vector = as_draft_20(load("vdaf-08", f"{name}_{case}.json"))
    if name == "Prio3SumVecWithMultiproof":
        vector["proofs"] = 4  # which the file leaves out; its generator wrote 2, 3 and 4, each over the one before
    Replay(instance(name, vector, DRAFT_08), with_operations(vector)).run()


@pytest.mark.parametrize("case", OURS, ids=lambda case: str(case["name"]))
def test_committed(isa: str, case: dict[str, Any]) -> None:
    Replay(instance(case["kind"], case, DRAFTS[case["draft"]]), with_operations(case)).run()


@pytest.mark.nightly
@pytest.mark.parametrize("draft", DRAFTS)
def test_thousands_of_reports_are_the_twins(draft: int) -> None:
    for name, parameters, circuit, measurements in make_vdaf.instances(draft):
        vector = make_vdaf.case(draft, name, parameters, circuit, measurements * 300)
        Replay(instance(vector["kind"], vector, DRAFTS[draft]), with_operations(vector)).run()


@pytest.mark.parametrize("case", BAD, ids=lambda case: str(case["name"]))
def test_committed_bad(isa: str, case: dict[str, Any]) -> None:
    prio3 = instance(case["kind"], case, DRAFTS[case["draft"]])
    replay, (report,) = Replay(prio3, case), case["reports"]
    for j in range(prio3.SHARES):
        replay.verify_init(report, j)
    with pytest.raises(ReportRejected, match="the proof does not hold"):
        getattr(replay, case["refused_by"])(report, 0)


def test_committed_vectors_cover_every_variant() -> None:
    variants = {"Count", "Sum", "SumVec", "SumVecWithMultiproof", "Histogram", "MultihotCountVec"}
    for draft in DRAFTS:
        assert {case["kind"] for case in OURS if case["draft"] == draft} == {f"Prio3{name}" for name in variants}
    assert {case["draft"] for case in BAD} == set(DRAFTS)


@pytest.mark.parametrize(("draft", "folder"), [(DRAFT_20, "vdaf"), (DRAFT_08, "vdaf-08")])
def test_xof(isa: str, draft: Draft, folder: str) -> None:
    vector = load(folder, "XofTurboShake128.json")
    seed, binder = (np.frombuffer(bytes.fromhex(vector[key]), np.uint8)[None] for key in ("seed", "binder"))
    xof, dst = XofTurboShake128(draft), bytes.fromhex(vector["dst"])
    assert xof.derive_seed(1, seed, dst, binder).tobytes().hex() == vector["derived_seed"]
    expanded = Field128.empty(1, vector["length"])
    xof.expand_into_vec(Field128, expanded, seed, dst, binder)
    assert expanded.tobytes().hex() == vector["expanded_vec_field128"]
