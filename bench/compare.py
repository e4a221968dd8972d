"""Fails if anything has become slower beside its baseline: `python -m bench.compare`, some ten minutes.

Runs the suites, or those named, and compares the median of each ratio (`bench.paired`) with the one committed in
ratios.json; ratios, unlike times, survive a change of machine. A ratio that is more than 15 % lower is measured up to
twice more, on its own, and the best of the medians counts: noise makes a ratio fall and rise, a regression keeps it
down. The table says which were. A case that ratios.json has and the suites have not fails as well, unless this machine
lacks the instruction set or the library that it takes, which the table names; a new one is only named. `--update`
writes what was measured to ratios.json; with `--json` nothing is measured again, because only the file is read.
"""

import argparse
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from secagg import _kernels

from .machine import LIBRARIES, cpu, versions
from .suites import FOLDER, Record, run_suites
from .tables import number, table

RATIOS = Path(__file__).parent / "ratios.json"
ALLOWED_FALL = 0.15
ATTEMPTS = 3
COMMENT = (
    "How many times as fast as its baseline each benchmark was, as [lower quartile, median, upper quartile]: what"
    " bench.compare compares with. Written by `python -m bench.compare --update`."
)


class Verdict(StrEnum):
    SLOWER = "**slower**"
    MISSING = "**missing**"
    SKIPPED = "skipped: cannot be measured here"
    NEW = "new"
    FASTER = "faster"
    SAME = ""


FAILURES = (Verdict.SLOWER, Verdict.MISSING)
BARE = "bare AES, "  # and an instruction set: a baseline

NEEDED: Mapping[str, Callable[[], object]] = {
    "Rust": lambda: shutil.which("cargo"),
    "OpenDP": lambda: find_spec("opendp"),
    "pyhpke": lambda: find_spec("pyhpke"),
    "rfc9180": lambda: find_spec("rfc9180"),
    "hybrid-pke": lambda: find_spec("hybrid_pke"),
}
"""What not every machine has, by how the baselines that take it are called."""


@dataclass(frozen=True)
class Measured:
    """A case's ratio.

    Attributes:
        ratio: quartiles; of the attempt with the best median, if there were several.
        isa: the instruction set it was forced to use, or none.
        test: pytest's node id; empty in the committed ratios.
        attempts: how often it was measured.
    """

    ratio: list[float]
    isa: str = ""
    test: str = ""
    attempts: int = 1

    @property
    def median(self) -> float:
        return self.ratio[1]


Ratios = Mapping[str, Measured]
"""By case: suite, subject and baseline."""


@dataclass(frozen=True)
class Line:
    """One case, now and as committed."""

    case: str
    before: Measured | None
    now: Measured | None
    verdict: Verdict
    lacking: str = ""  # what it takes to measure it, where that is not there

    @property
    def change(self) -> float:
        """Of the median, as a fraction; 0 if there is nothing to compare."""
        return self.now.median / self.before.median - 1 if self.now and self.before else 0.0


def measured(report: Record) -> dict[str, Measured]:
    """The ratios in a report of pytest-benchmark. Raises ValueError if two cases have one name."""
    found: dict[str, Measured] = {}
    for benchmark in report["benchmarks"]:
        info = benchmark["extra_info"]
        case = f"{benchmark['group']}: {info['case']} / {info['baseline']['name']}"
        if case in found:
            raise ValueError(f"two benchmarks are called {case!r}")
        isa = (benchmark["params"] or {}).get("isa", "")
        found[case] = Measured(info["ratio"], isa, benchmark["fullname"])
    return found


def compare(before: Ratios, now: Ratios) -> list[Line]:
    """Every case of either, in the order of `now`, then those that only `before` has."""
    return [
        *(Line(case, before.get(case), each, verdict(before.get(case), each)) for case, each in now.items()),
        *(unmeasured(case, each) for case, each in before.items() if case not in now),
    ]


def unmeasured(case: str, before: Measured) -> Line:
    """A case that was not measured: whether it could have been."""
    absent = lacking(before.isa, case.rpartition(" / ")[2])
    return Line(case, before, None, Verdict.SKIPPED if absent else Verdict.MISSING, absent)


def lacking(isa: str, baseline: str) -> str:
    """What this machine lacks of an instruction set and of what a baseline takes; empty if nothing."""
    isas = (isa, baseline.removeprefix(BARE) if baseline.startswith(BARE) else "")
    here = {*_kernels.isa_available(), ""}
    absent = [each for each in isas if each not in here]
    absent += [name for name, there in NEEDED.items() if baseline.startswith(name) and not there()]
    return " and ".join(absent)


def timer_of(report: Record) -> str:
    """The clock that a report was made with; pytest-benchmark stores only its last name."""
    return f"time.{report['benchmarks'][0]['options']['timer']}"


def verdict(before: Measured | None, now: Measured) -> Verdict:
    if before is None:
        return Verdict.NEW
    if now.median < (1 - ALLOWED_FALL) * before.median:
        return Verdict.SLOWER
    return Verdict.FASTER if now.median > (1 + ALLOWED_FALL) * before.median else Verdict.SAME


def slower(lines: Iterable[Line]) -> dict[str, Measured]:
    return {line.case: line.now for line in lines if line.verdict is Verdict.SLOWER and line.now}


def best_of(first: Ratios, again: Ratios) -> dict[str, Measured]:
    """`first`, with the better median of the two where a case was measured again."""
    best = dict(first)
    for case, each in again.items():
        better = max(first[case], each, key=lambda attempt: attempt.median)
        best[case] = replace(better, attempts=first[case].attempts + 1)
    return best


def settled(before: Ratios, now: Ratios, again: Callable[[Sequence[str]], Ratios]) -> list[Line]:
    """The comparison after what seemed slower was measured again, each by `again(node ids)`."""
    for _ in range(ATTEMPTS - 1):
        doubtful = slower(compare(before, now))
        if doubtful:
            now = best_of(now, again([each.test for each in doubtful.values()]))
    return compare(before, now)


def rows(lines: Iterable[Line]) -> Iterator[str]:
    yield from table(
        ("case", "ratio, committed", "ratio, now", "change", "measured", ""),
        (
            (
                line.case,
                number(line.before.median) if line.before else "",
                number(line.now.median) if line.now else "",
                f"{line.change:+.0%}" if line.before and line.now else "",
                f"{line.now.attempts}x" if line.now else "",
                f"{line.verdict}: no {line.lacking}" if line.lacking else line.verdict,
            )
            for line in lines
        ),
    )


def summary(lines: Sequence[Line]) -> str:
    counted = {verdict: sum(line.verdict is verdict for line in lines) for verdict in Verdict}
    words = ", ".join(f"{count} {verdict.name.lower()}" for verdict, count in counted.items() if count)
    again = sum(1 for line in lines if line.now and line.now.attempts > 1)
    return f"{len(lines)} cases: {words}. {again} were measured again, and their best median counts."


def load(path: Path) -> tuple[dict[str, Any], dict[str, Measured]]:
    """What the committed ratios were measured on, and they themselves."""
    if not path.exists():
        return {}, {}
    stored = json.loads(path.read_text())
    return stored["machine"], {case: Measured(**each) for case, each in stored["ratios"].items()}


def dump(path: Path, machine: dict[str, Any], ratios: Ratios) -> None:
    """One line a case, in the order of their names, so that a change is a short diff."""
    head = json.dumps({"_comment": COMMENT, "machine": machine}, indent=1).removesuffix("\n}")
    cases = ",\n".join(f"  {json.dumps(case)}: {json.dumps(stored(each))}" for case, each in sorted(ratios.items()))
    path.write_text(f'{head},\n "ratios": {{\n{cases}\n }}\n}}\n')


def stored(each: Measured) -> dict[str, Any]:
    """With four digits, and no more than a comparison needs."""
    ratio = [float(f"{q:.4g}") for q in each.ratio]
    return {"ratio": ratio, "isa": each.isa} if each.isa else {"ratio": ratio}


def this_machine(timer: str) -> dict[str, Any]:
    model, flags = cpu()
    return {"cpu": model, "cores": os.cpu_count(), "flags": flags, "versions": versions(LIBRARIES), "timer": timer}


def of_suites(ratios: Ratios, suites: Sequence[str]) -> dict[str, Measured]:
    """Those of these suites; all if none is named."""
    return {case: each for case, each in ratios.items() if not suites or case.partition(":")[0] in suites}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = sorted(path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py"))
    parser.add_argument("suites", nargs="*", metavar="suite", help=f"of {', '.join(known)}; by default all")
    parser.add_argument("--json", type=Path, help="a report that pytest-benchmark saved, instead of running the suites")
    parser.add_argument("--update", action="store_true", help="commit to what was measured: rewrite ratios.json")
    parser.add_argument("--timer", help="clock of all times [that of ratios.json]")
    parser.add_argument("--all", action="store_true", help="show the cases, too, that are as they were")
    options = parser.parse_args()
    if unknown := set(options.suites) - {*known}:
        parser.error(f"no such suite: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    machine, committed = load(RATIOS)
    if not (committed or options.update):
        parser.error(f"there is no {RATIOS} to compare with; --update makes it")
    timer = options.timer or machine.get("timer", "time.perf_counter")

    def measure(tests: Sequence[str]) -> dict[str, Measured]:
        return measured(run_suites(timer, tests))

    if options.json:
        saved: Record = json.loads(options.json.read_text())
        now, timer = of_suites(measured(saved), options.suites), timer_of(saved)
    else:
        now = measure([str(FOLDER / f"bench_{suite}.py") for suite in options.suites])
    before = of_suites(committed, options.suites)
    if options.update:
        kept = {case: each for case, each in committed.items() if case not in before}
        if kept and machine != this_machine(timer):
            parser.error(f"{RATIOS.name} is of another machine: update all suites at once")
        dump(RATIOS, this_machine(timer), kept | now)
    lines = compare(before, now) if options.json or options.update else settled(before, now, measure)
    report(lines, machine, timer, options.all)
    if not options.update and any(line.verdict in FAILURES for line in lines):
        raise SystemExit(1)


def report(lines: Sequence[Line], machine: dict[str, Any], timer: str, everything: bool) -> None:
    here = this_machine(timer)
    for name, value in machine.items():
        if value != here[name]:
            print(f"{name}: {here[name]} here, {value} for {RATIOS.name}")
    shown = [line for line in lines if everything or line.verdict is not Verdict.SAME]
    if shown:
        print("\n".join(rows(shown)))
    print(summary(lines))


if __name__ == "__main__":
    main()
