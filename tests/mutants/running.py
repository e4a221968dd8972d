"""Runs the tests of a mutant, and tells what came of it.

A mutant is caught if a test fails while it runs. A module that cannot be imported, a fixture that fails and a name that
is not defined show that the mutant is no program, and do not count.

Hypothesis tries the same examples in every run; see `profile`.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

from ..support.folders import ROOT
from .mutant import Mutant
from .planting import environment

LIMIT = 900  # seconds after which tests hang; a mutant's own take less than 60 on a quiet machine
_PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider")
_HYPOTHESIS = ("-p", "_hypothesis_pytestplugin", "-p", "tests.mutants.profile", "--hypothesis-profile=mutants")
_NO_OTHERS = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # plugins take longer to load than most tests to run
_NO_PROGRAM = ("NameError", "UnboundLocalError", "ImportError", "ModuleNotFoundError", "SyntaxError", "StaleEdit")


class Verdict(Enum):
    """What came of a run of tests."""

    CAUGHT = "caught"
    """A test failed."""
    SURVIVED = "passed"
    """All tests passed: where a mutant is planted, it has survived."""
    BROKEN = "broken"
    """The tests could not be run, or what failed was not a test."""
    HANGS = "hangs"
    """The tests did not end."""


@dataclass(frozen=True)
class Outcome:
    """The result of a run.

    Attributes:
        verdict: see `Verdict`.
        seconds: that it took.
        reason: which test failed, or what else went wrong.
    """

    verdict: Verdict
    seconds: float
    reason: str = ""


def run(tests: Sequence[str], mutant: Mutant | None = None, *, folder: Path = ROOT, limit: float = LIMIT) -> Outcome:
    """Run tests up to the first failure.

    Args:
        tests: files, from the folder on.
        mutant: that is planted; None for the package as it is.
        folder: where tests and modules lie.
        limit: in seconds.
    """
    begun = time.monotonic()
    with TemporaryDirectory(prefix="secagg-mutant-") as scratch:
        report = Path(scratch) / "report.xml"
        options = ["-x", f"--junit-xml={report}", f"--basetemp={scratch}/tests"]
        process = subprocess.Popen(
            [sys.executable, *_PYTEST, *_HYPOTHESIS, *options, *tests],
            cwd=folder,
            env=environment(mutant, folder) | _NO_OTHERS,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=limit)
            verdict, reason = _judge(process.returncode, report, output)
        except subprocess.TimeoutExpired:
            verdict, reason = Verdict.HANGS, f"the tests did not end in {limit:.0f} s"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what tests have started, too
            process.wait()
    return Outcome(verdict, time.monotonic() - begun, reason)


def _judge(code: int, report: Path, output: str) -> tuple[Verdict, str]:
    if code == 0:
        return Verdict.SURVIVED, "all tests passed"
    cases = ElementTree.parse(report).iter("testcase") if report.exists() else ()
    for case in cases:
        failure = case.find("failure")
        if failure is not None and not failure.get("message", "").startswith(_NO_PROGRAM):
            return Verdict.CAUGHT, f"{case.get('name', '')}"
    return Verdict.BROKEN, "\n".join(output.splitlines()[-25:])
