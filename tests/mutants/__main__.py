"""python -m tests.mutants: plant mutants, and see that tests catch them."""

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, datetime
from hashlib import sha256
from typing import TypeVar

from .mutant import Mutant, StaleEdit
from .planting import planted
from .running import Outcome, Verdict, run
from .table import MUTANTS

Key = TypeVar("Key")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 1 if a mutant was not caught.

    Args:
        arguments: of the command line; None for those of the process.
    """
    chosen, jobs, listed = _parsed(arguments)
    if listed:
        for mutant in chosen:
            print(f"{mutant.name:44} {mutant.place}: {mutant.breaks}")
        return 0

    # No edit is stale, and the tests pass as long as nothing is planted.
    stale = [text for text in map(_stale, chosen) if text]
    if stale:
        print("edits that do not apply any more:", *stale, sep="\n  ")
        return 1
    files = _by_file(chosen)
    print(f"{len(files)} test files without a mutant", flush=True)
    passing = _run_all(files, lambda file: run(files[file]), str, jobs)
    failing = [file for file, outcome in passing.items() if outcome.verdict is not Verdict.SURVIVED]
    if failing:
        print("fail without a mutant:", *(f"{file}\n{passing[file].reason}" for file in failing), sep="\n  ")
        return 1

    # Each mutant fails a test.
    print(f"{len(chosen)} mutants", flush=True)
    outcomes = _run_all(chosen, lambda mutant: run(mutant.tests, mutant), lambda mutant: mutant.name, jobs)
    return _summary({mutant: outcomes[mutant] for mutant in chosen})


def of_day(mutants: Iterable[Mutant], count: int, day: int) -> list[Mutant]:
    """So many mutants of a day, mixed; all have their turn as the days go on.

    Args:
        mutants: to choose from.
        count: how many.
        day: number of the day.
    """
    mixed = sorted(mutants, key=lambda mutant: sha256(mutant.name.encode()).digest())
    return [mixed[(day * count + i) % len(mixed)] for i in range(min(count, len(mixed)))]


def _parsed(arguments: list[str] | None) -> tuple[list[Mutant], int, bool]:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--only", nargs="+", metavar="NAME", help="these mutants")
    which.add_argument("--by-day", type=int, metavar="N", help="N mutants, others every day")
    parser.add_argument("--list", action="store_true", help="say what each mutant breaks, and run nothing")
    cpus = len(os.sched_getaffinity(0))
    parser.add_argument("--jobs", type=int, default=cpus, help="how many run at a time (default: one for each CPU)")
    given = parser.parse_args(arguments)
    by_name = {mutant.name: mutant for mutant in MUTANTS}
    unknown = [name for name in given.only or () if name not in by_name]
    if unknown:
        parser.error(f"no such mutant: {', '.join(unknown)}; --list names them")
    if given.only:
        chosen = [by_name[name] for name in given.only]
    elif given.by_day is not None:
        chosen = of_day(MUTANTS, given.by_day, datetime.now(UTC).toordinal())
    else:
        chosen = list(MUTANTS)
    return chosen, max(1, given.jobs), given.list


def _by_file(mutants: Iterable[Mutant]) -> dict[str, list[str]]:
    """The tests of these mutants in each file, or the whole file if one of them names it."""
    tests: dict[str, set[str]] = {}
    for test in {test for mutant in mutants for test in mutant.tests}:
        tests.setdefault(test.partition("::")[0], set()).add(test)
    return {file: [file] if file in tests[file] else sorted(tests[file]) for file in sorted(tests)}


def _stale(mutant: Mutant) -> str | None:
    try:
        planted(mutant)
    except StaleEdit as error:
        return str(error)
    return None


def _run_all(
    items: Iterable[Key], work: Callable[[Key], Outcome], name: Callable[[Key], str], jobs: int
) -> dict[Key, Outcome]:
    """The outcome of each, with a line as each ends."""
    outcomes: dict[Key, Outcome] = {}
    with ThreadPoolExecutor(jobs) as pool:
        running = {pool.submit(work, item): item for item in items}
        try:
            for done in as_completed(running):
                item, outcome = running[done], done.result()
                outcomes[item] = outcome
                reason = outcome.reason.splitlines()[-1] if outcome.reason else ""
                progress = f"{len(outcomes):3}/{len(running)}"
                print(
                    f"{progress}  {outcome.verdict.value:9}{outcome.seconds:6.1f} s  {name(item)}: {reason}", flush=True
                )
        except BaseException:
            pool.shutdown(cancel_futures=True)  # an interrupt waits for what runs, and begins nothing more
            raise
    return outcomes


def _summary(outcomes: dict[Mutant, Outcome]) -> int:
    """A line for each mutant that was not caught, and the numbers."""
    missed = {mutant: outcome for mutant, outcome in outcomes.items() if outcome.verdict is not Verdict.CAUGHT}
    for mutant, outcome in missed.items():
        print(f"\n{outcome.verdict.value}: {mutant.name}: {mutant.breaks}\n  by {' '.join(mutant.tests)}")
        print(f"  {mutant.place}: {mutant.old}  ->  {mutant.new}\n{outcome.reason}")
    slowest = max((outcome.seconds for outcome in outcomes.values()), default=0.0)
    counts = ", ".join(
        f"{sum(outcome.verdict is verdict for outcome in outcomes.values())} {verdict.value}" for verdict in Verdict
    )
    print(f"\n{len(outcomes)} mutants: {counts}; the slowest took {slowest:.0f} s")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
