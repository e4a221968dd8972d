"""All pytest-benchmark suites: what they are called, and how to run them."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
TITLES = {
    "kernels": "Kernels",
    "codec": "The messages' encoding, n = 1000, 100,000 entries of 24 bits",
    "shamir": "Shamir, n = 1000, t = 667",
    "agreement": "Agreement of revealed keys",
    "hkdf": "Seeds of pairwise masks",
    "noise": "Noise",
    "composition": "What many releases cost",
    "client": "A client's session",
    "server": "The server's session",
    "active": "The active model beside the semi-honest one, no dropouts",
    "sparse": "Sparse graphs beside the complete one, 5 % corrupt",
    "hpke": "HPKE, an input share of 120 bytes",
    "reports": "DAP reports, shard and seal, batches of 1,000",
    "vdaf": "Prio3 beside Rust, two Aggregators, batches of 1,000",
}

Record = dict[str, Any]


def run_suites(timer: str, tests: Sequence[str] = ()) -> Record:
    """pytest-benchmark's own report; of all suites, or of these files and node ids."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.json"
        options = [f"--benchmark-json={path}", f"--benchmark-timer={timer}", "--benchmark-columns=median"]
        subprocess.run([sys.executable, "-m", "pytest", "-q", *(tests or [str(FOLDER)]), *options], check=True)
        report: Record = json.loads(path.read_text())
    return report
