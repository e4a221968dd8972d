"""What one wheel for all Pythons costs: `python -m bench.limited_api`, in about five minutes (needs `cython`).

The package is built twice, as it is and without Python's limited API, and both are timed in fresh interpreters, turn
and turn about: small calls, where the boundary between Python and C counts, and a large one, where it should not.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from .machine import machine_lines
from .tables import number, table

ROOT = Path(__file__).parent.parent
BOUNDS = {"masks of 16 entries": 5, "one Prio3 report": 10, "masks of 100,000 entries": 1}  # per cent

LIMITED = "exec(open('setup.py').read())"
# As setup.py builds where a Python has no limited API.
FULL = f"import sysconfig; sysconfig.get_config_vars()['Py_GIL_DISABLED'] = 1; {LIMITED}"

# Microseconds a call: the fastest of many, since what disturbs it only adds.
TIMED = """
import json, os, timeit
import numpy as np
import secagg
from secagg import masking
from secagg.vdaf import Prio3Histogram

assert secagg.__file__.startswith(os.environ["PYTHONPATH"]), secagg.__file__
prio3, nonce = Prio3Histogram(length=16), bytes(16)
public, (leader, _) = prio3.shard(b"bench", 3, nonce)
seeds, signs = np.zeros((1, 16), np.uint8), np.ones(1, np.int8)
few, many = np.zeros(16, np.uint32), np.zeros(100_000, np.uint32)

def best(call, number):
    return 1e6 * min(timeit.repeat(call, number=number, repeat=40)) / number

print(json.dumps({
    "masks of 16 entries": best(lambda: masking.mask_sum(few, seeds, signs, bits=24), 500),
    "one Prio3 report": best(lambda: prio3.verify_init(bytes(32), b"bench", 0, nonce, public, leader), 20),
    "masks of 100,000 entries": best(lambda: masking.mask_sum(many, seeds, signs, bits=24), 20),
}))
"""


def build(folder: Path, code: str) -> None:
    """The package with its modules, in a folder."""
    shutil.copytree(ROOT / "secagg", folder / "secagg", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    arguments = ["-q", "build_ext", "--build-lib", str(folder), "--build-temp", str(folder / "objects")]
    subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, check=True)


def timed(folder: Path) -> dict[str, float]:
    environ = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run([sys.executable, "-P", "-c", TIMED], env=environ, check=True, stdout=subprocess.PIPE)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15, help="of each build")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        limited, full = Path(scratch, "limited"), Path(scratch, "full")
        build(limited, LIMITED)
        build(full, FULL)
        pairs = [(timed(limited), timed(full)) for _ in range(options.runs)]
    rows = []
    for name, bound in BOUNDS.items():
        ours, theirs = (number(median(pair[i][name] for pair in pairs)) for i in (0, 1))
        more = 100 * (median(a[name] / b[name] for a, b in pairs) - 1)
        rows.append((name, ours, theirs, f"{more:+.1f} %", f"{bound} %"))
    print("\n".join(table(("call", "limited API, us", "full API, us", "more", "at most"), rows)))
    print("\n".join(machine_lines("perf_counter", os.getloadavg()[0], ("numpy",))))


if __name__ == "__main__":
    main()
