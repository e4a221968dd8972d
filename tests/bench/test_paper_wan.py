"""The pieces of `python -m bench.paper.wan`, and small runs of all of it."""

import json
import os
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.paper.wan import __main__ as wan
from bench.paper.wan import coordinator, parts, report, run, toxiproxy
from bench.paper.wan.bound import Costs, costs, total_apart, total_bound
from bench.paper.wan.links import DELAYS, RATES, SLOW_RATE, Link, draw_links
from bench.paper.wan.parts import PARTS, QUICK, Pace, Part
from bench.paper.wan.report import FIG9, Measured
from bench.paper.wan.result import Run
from bench.paper.wan.usage import OTHERS, Samples
from secagg import Model, Params, Round, rounds_of

PACE = Pace(starting=5.0, unit=1e-4, n=100)
PLACE = run.Place(Path("nowhere"), Path(), Path(), 2, 0)

# --- Links ----------------------------------------------------------------------------------------------------------


def test_links_follow_from_the_seed_and_fewer_are_the_first_of_more() -> None:
    links = draw_links(200, 7)
    assert draw_links(50, 7) == links[:50]
    assert draw_links(200, 8) != links
    assert len(set(links)) > 150


def test_links_are_within_their_limits_and_around_their_medians() -> None:
    links = draw_links(1000, 0)
    assert all(DELAYS[0] <= link.delay <= DELAYS[1] and link.jitter == link.delay // 4 for link in links)
    assert all(RATES[0] <= link.up <= link.down <= RATES[1] for link in links)
    assert 37 < np.median([link.delay for link in links]) < 43
    assert 1150 < np.median([link.up for link in links]) < 1350


def test_a_share_of_the_links_is_slow() -> None:
    usual, links = draw_links(500, 3), draw_links(500, 3, slow=0.05)
    changed = [(a, b) for a, b in zip(usual, links, strict=True) if a != b]
    assert len(changed) == 25
    assert all(b == Link(a.delay, a.jitter, SLOW_RATE, SLOW_RATE) for a, b in changed)


def test_a_link_takes_its_delay_and_its_rate() -> None:
    link = Link(delay=50, jitter=10, up=100, down=400)
    assert link.up_seconds(200_000) == pytest.approx(0.05 + 2.0)
    assert link.down_seconds(200_000) == pytest.approx(0.05 + 0.5)


# --- Bound ----------------------------------------------------------------------------------------------------------


def seconds(*values: float) -> NDArray[np.float64]:
    return np.array(values, np.float64)


def test_a_round_takes_at_least_the_slowest_path() -> None:
    slow = Costs(seconds(0.1, 1.0), seconds(0.2, 3.0), participants=1.0, coordinator=0.25)
    assert slow.bound(cores=2) == pytest.approx(1.0 + 3.0 + 0.5)
    assert slow.apart == pytest.approx(1.0 + 3.0 + 0.5 + 0.25)


def test_a_round_takes_at_least_its_participants_work_between_request_and_answer() -> None:
    busy = Costs(seconds(0.1, 1.0, 1.0, 1.0), seconds(0.2, 3.0, 1.0, 1.0), participants=20.0, coordinator=0.25)
    assert busy.bound(cores=2) == pytest.approx(0.1 + 10.0 + 0.2)


def test_a_round_takes_at_least_everybodys_work() -> None:
    both = Costs(seconds(0.1, 1.0), seconds(0.2, 3.0), participants=20.0, coordinator=8.0)
    assert both.bound(cores=2) == pytest.approx(14.0)


@given(
    st.lists(st.tuples(st.floats(0, 5), st.floats(0, 5)), min_size=1, max_size=30),
    st.floats(0.001, 3),
    st.integers(1, 4),
)
def test_no_schedule_is_shorter_than_the_bound(links: list[tuple[float, float]], own: float, cores: int) -> None:
    """Each participant computes on the first free core once its request is there, and then sends its answer."""
    free, end = [0.0] * cores, 0.0
    for down, up in sorted(links):
        begin = max(down, min(free))
        free[free.index(min(free))] = begin + own
        end = max(end, begin + own + up)
    down_seconds, up_seconds = seconds(*(down for down, _ in links)), seconds(*(up for _, up in links))
    bound = Costs(down_seconds, up_seconds, own * len(links), 0.0).bound(cores)
    assert bound <= end * (1 + 1e-9)


def test_costs_have_the_bytes_of_each_round() -> None:
    params = Params(n=10, m=1000, modulus=1 << 62)
    links = [Link(100, 0, 1, 1)] * 10
    found = costs(params, links, dict.fromkeys(Round, 10.0), dict.fromkeys(Round, 1.0))
    assert tuple(found) == rounds_of(params)
    masked = found[Round.MASKED_INPUT_COLLECTION]
    assert masked.up[0] > 0.1 + 7.75  # 1,000 entries of 62 bits at 1 KB/s
    assert masked.down[0] < 1.5
    assert found[Round.ADVERTISE_KEYS].down[0] == pytest.approx(0.2)  # to join, there and back
    assert masked.path == pytest.approx(masked.down[0] + masked.up[0] + 1.0)
    assert total_bound(found, 2) == pytest.approx(sum(each.bound(2) for each in found.values()))
    assert total_apart(found) == pytest.approx(sum(each.path for each in found.values()) + len(found))


# --- What is run ----------------------------------------------------------------------------------------------------


def test_the_parts_are_those_of_the_paper_and_the_variants() -> None:
    whole = {(part.n, part.runs) for part in PARTS if part.title == "as in the paper"}
    assert whole == {(500, 15), (1000, 5)}
    assert {part.dropouts for part in PARTS} == {0, 10, 30}
    assert {part.runs for part in PARTS[2:]} == {3}
    assert any(part.tls for part in PARTS)
    assert any(part.model is Model.ACTIVE for part in PARTS)
    assert any(part.slow == 5 for part in PARTS)
    assert any(not part.journal for part in PARTS)
    assert any(part.sessions == 2 for part in PARTS)
    assert all(part.params().m == 100_000 and part.params().modulus == 1 << 62 for part in (*PARTS, *QUICK))


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_enough_stay_for_a_sum(part: Part) -> None:
    assert len(set(part.vanishing)) == part.n * part.dropouts // 100
    assert set(part.vanishing) <= {*range(1, part.n + 1)}
    assert part.n - len(part.vanishing) >= part.params().min_users


def test_parts_are_chosen_by_name_in_their_own_order() -> None:
    assert [part.name for part in parts.named("tls,500")] == ["500", "tls"]
    assert [part.name for part in wan.parsed(["--parts", "twice"]).parts] == ["twice"]
    with pytest.raises(ValueError, match="no such part: fig9; there are 500, 1000"):
        parts.named("500,fig9")


def test_a_pace_says_how_long_the_run_took_that_it_was_learnt_from() -> None:
    for part in (*QUICK, *PARTS[:2]):
        assert Pace.of(part, took=70.0, whole=60.0).seconds(part) == pytest.approx(70.0)


def test_a_deadline_leaves_the_others_more_time_than_they_take() -> None:
    part = Part("x", "", 500, 1, dropouts=10)
    assert PACE.deadline(part) > PACE.seconds(replace(part, dropouts=0)) - PACE.starting * 2


@given(st.floats(0, 10_000))
def test_runs_are_left_out_until_the_others_fit(left: float) -> None:
    wanted, done = {part: part.runs for part in PARTS}, dict.fromkeys(PARTS, 0)
    runs = parts.fitted(wanted, done, PACE, left)
    total = sum(count * PACE.seconds(part) for part, count in runs.items())
    assert all(1 <= runs[part] <= part.runs for part in PARTS)
    assert total <= left or set(runs.values()) == {1}
    if runs != wanted:  # one more would not have fitted
        assert total + max(PACE.seconds(part) for part in PARTS) > left


def test_a_part_that_has_run_needs_no_more_runs() -> None:
    wanted, done = dict.fromkeys(PARTS, 1), dict.fromkeys(PARTS, 1)
    assert set(parts.fitted(wanted, done, PACE, 0.0).values()) == {0}


def made(part: Part, **changes: object) -> Run:
    """A run of round numbers: half a second for each round and participant."""
    rounds = [str(current) for current in rounds_of(part.params())]
    each = dict.fromkeys(rounds, part.n / 2)
    whole = part.n / 2 * len(rounds)
    found = Run(
        part=part.name, server=each, client={name: value * 0.9 for name, value in each.items()}, whole=whole,
        survivors=part.everybody, lost=0, coordinator=dict.fromkeys(rounds, part.n / 1000),
        participants=each, proxy=1.0, others=whole, peak=120_000_000, up=900_000.0, down=100_000.0,
        bound=whole / 1.25, left=whole / 1.1, apart=12.0, answers=part.everybody, deadline=0.0, took=whole + 5,
        load=0.5,
    )  # fmt: skip
    return replace(found, **changes)  # type: ignore[arg-type]


class Machine:
    """Runs that take no time but on a clock of its own.

    Args:
        slowness: seconds for each participant.
    """

    def __init__(self, slowness: float) -> None:
        self.now, self.slowness = 1000.0, slowness
        self.ran: list[tuple[str, int]] = []
        self.deadlines: list[float] = []

    def clock(self) -> float:
        return self.now

    def run(self, part: Part, number: int, place: run.Place, deadline: float) -> Run:
        self.ran.append((part.name, number))
        self.deadlines.append(deadline)
        whole = parts.LINKS_SECONDS + self.slowness * parts._work(part) / 750
        self.now += whole + 5
        return made(part, whole=whole, took=whole + 5)

    def measure(self, measured: Measured, chosen: tuple[Part, ...] = PARTS, minutes: float = 60) -> None:
        wan.measure(chosen, measured, PLACE, 60 * minutes, save=lambda: None, runner=self.run, clock=self.clock)


def test_all_is_run_where_there_is_time() -> None:
    machine, measured = Machine(0.03), Measured({})
    machine.measure(measured)
    assert {name: len(runs) for name, runs in measured.runs.items()} == {part.name: part.runs for part in PARTS}
    assert machine.ran == [("quick", 0), *((part.name, i) for part in PARTS for i in range(part.runs))]


@pytest.mark.parametrize("slowness", [0.2, 0.3])
def test_a_slow_machine_keeps_to_its_time_and_leaves_no_part_out(slowness: float) -> None:
    machine, measured = Machine(slowness), Measured({})
    machine.measure(measured)
    assert {*measured.runs} == {part.name for part in PARTS}
    assert len(machine.ran) < 1 + sum(part.runs for part in PARTS)
    assert machine.now - 1000.0 <= 3600


def test_runs_of_an_earlier_command_are_replaced_and_those_of_other_parts_stay() -> None:
    machine, measured = Machine(0.01), Measured({})
    measured.runs = {"500": [made(PARTS[0], whole=1.0)] * 15, "1000": [made(PARTS[1], whole=2.0)]}
    machine.measure(measured, PARTS[:1])
    assert len(measured.runs["500"]) == 15
    assert 1.0 not in {found.whole for found in measured.runs["500"]}
    assert [found.whole for found in measured.runs["1000"]] == [2.0]


def test_quick_is_one_run() -> None:
    machine, measured = Machine(0.01), Measured({})
    machine.measure(measured, QUICK)
    assert machine.ran == [("quick", 0)]
    assert len(measured.runs["quick"]) == 1


# --- Report ---------------------------------------------------------------------------------------------------------

ORIGIN = {"machine": ["- a machine"], "cores": 2, "disk": "ext4", "memory": "tmpfs", "processes": 2, "seed": 0}


@pytest.fixture
def measured() -> Measured:
    """All parts, as on a machine where all is met."""
    found = Measured(dict(ORIGIN), minutes=50.0)
    for part in PARTS:
        found.runs[part.name] = [made(part, deadline=60.0 if part.dropouts else 0.0)] * part.runs
        found.dates[part.name], found.commands[part.name] = "2031-05-01", "the command"
    return found


def row(text: str, section: str, start: str) -> list[str]:
    """The cells of a line of a section."""
    lines = text.partition(f"## {section}\n")[2].partition("\n## ")[0].splitlines()
    (line,) = (line for line in lines if line.startswith(start))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_fig9_has_the_papers_numbers_beside_ours(measured: Measured) -> None:
    measured.runs["500"] = [made(PARTS[0], whole=whole) for whole in (10.0, 20.0)]
    text = "\n".join(report.lines(measured))
    cells = row(text, "Figure 9", "| 500 |")
    assert cells[:6] == ["500", "2", "**900 ± 0.00**", "13.2 ± 6.44", "**15.0 ± 7.07**", "14.7 ± 6.57"]
    assert cells[7:] == ["1.00", "0.95"]
    assert row(text, "Figure 9", "| 1,000 |")[3::5] == ["23.5 ± 6.27", "1.15"]
    assert FIG9[1000].server == (27_855, 6_874)


def test_targets_are_met_or_said_to_be_missed(measured: Measured) -> None:
    assert "**missed**" not in "\n".join(report.lines(measured))
    for change, at in (({"bound": 1500.0}, 3), ({"peak": 1_000_000_001}, 5), ({"answers": 499}, 6)):
        worse = replace(measured, runs={**measured.runs, "1000": [made(PARTS[1], **change)]})
        cells = row("\n".join(report.lines(worse)), "Bounds and targets", "| 1,000 |")
        assert [i for i, cell in enumerate(cells) if "**missed**" in cell] == [at]


def test_a_busy_machine_is_said_to_be_one(measured: Measured) -> None:
    quiet = {name: [replace(found, others=0.1 * found.whole) for found in runs] for name, runs in measured.runs.items()}
    assert "busy" not in "\n".join(report.lines(replace(measured, runs=quiet)))
    assert "took up to 1.00 of its 2 cores" in "\n".join(report.lines(measured))


def test_what_was_left_out_is_said(measured: Measured) -> None:
    assert "**A subset**" not in "\n".join(report.lines(measured))
    del measured.runs["tls"]
    measured.runs["500"].pop()
    text = "\n".join(report.lines(measured))
    assert "**A subset**; left out: 1 of 15 runs of 500, 3 of 3 runs of tls." in text


def test_results_are_read_again_and_words_around_the_marks_are_kept(measured: Measured, tmp_path: Path) -> None:
    path = tmp_path / "figures" / "fig9.json"
    measured.save(path)
    assert Measured.load(path, dict(ORIGIN)) == measured
    report.write(measured, tmp_path)
    page = tmp_path / "service.md"
    page.write_text("Before.\n" + page.read_text() + "After.\n")
    report.write(Measured.load(path, dict(ORIGIN)), tmp_path)
    text = page.read_text()
    assert text.startswith("Before.\n")
    assert text.endswith("After.\n")
    assert text.count("## Figure 9") == text.count(report.BEGIN) == text.count(report.END) == 1
    assert (tmp_path / "figures" / "fig9.svg").read_text().count("the paper's server") == 1


def test_results_of_two_machines_are_not_mixed(measured: Measured, tmp_path: Path) -> None:
    measured.save(tmp_path / "fig9.json")
    assert Measured.load(tmp_path / "fig9.json", {**ORIGIN, "cores": 64}).runs == {}


# --- Without Toxiproxy ----------------------------------------------------------------------------------------------


def test_without_go_the_benchmark_is_skipped_with_a_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    wan.main(["--quick", "--output", str(tmp_path)])
    assert "skipped: there is no command `go`" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_build_that_fails_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "go").write_text("#!/bin/sh\necho no such module >&2\nexit 1\n")
    (tmp_path / "go").chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(toxiproxy.NoToxiproxy, match=r"server@v2\.5\.0` failed: no such module"):
        toxiproxy.toxiproxy(tmp_path / "cache")


# --- Samples --------------------------------------------------------------------------------------------------------


def test_cpu_time_of_a_process_is_counted_between_two_moments() -> None:
    samples = Samples({"ours": [os.getpid()]})
    samples.take()
    before = os.times()
    while (spent := sum(os.times()[:2]) - sum(before[:2])) < 0.3:
        sum(range(10_000))
    samples.take()
    begin, end = samples._times
    assert samples.spent("ours", begin, end) == pytest.approx(spent, abs=0.1)
    assert samples.spent("ours", begin, (begin + end) / 2) == pytest.approx(spent / 2, abs=0.1)
    assert samples.spent(OTHERS, begin, end) >= -0.1
    assert samples.peaks["ours"] > 10_000_000


# --- Everything -----------------------------------------------------------------------------------------------------

TINY = Part("tiny", "a few", 10, 1, m=500)


@pytest.fixture
def place(tmp_path: Path) -> run.Place:
    try:
        program = toxiproxy.toxiproxy()
    except toxiproxy.NoToxiproxy as error:
        pytest.skip(str(error))
    return run.Place(program, tmp_path, tmp_path, 2, 0)


@pytest.mark.slow
def test_bytes_take_the_delay_and_then_the_rate(place: run.Place) -> None:
    size, link = 50_000, Link(delay=300, jitter=0, up=100, down=1000)
    with socket.create_server(("127.0.0.1", 0)) as server, toxiproxy.running(place.program, 0) as proxy:
        (port,) = proxy.open([link], server.getsockname()[1])
        begin = time.monotonic()
        with socket.create_connection(("127.0.0.1", port)) as here, server.accept()[0] as there:
            here.sendall(bytes(size))
            assert len(received(there, size)) == size
            assert time.monotonic() - begin >= link.up_seconds(size) - 0.05
            there.sendall(b"taken")
            assert received(here, 5) == b"taken"
            assert time.monotonic() - begin >= link.up_seconds(size) + link.down_seconds(5) - 0.05
        assert proxy.passed() == (size, 5)


def received(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (part := connection.recv(size - len(data))):
        data += part
    return data


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize(
    "part",
    [
        TINY,
        replace(TINY, dropouts=20, tls=True),
        replace(TINY, model=Model.ACTIVE, sessions=2),
    ],
    ids=["plain", "dropouts-tls", "active-twice"],
)
def test_a_small_run_gives_the_sum(part: Part, place: run.Place) -> None:
    found = run.run(part, 0, place, deadline=10.0)
    assert found.survivors == part.everybody - len(part.vanishing)
    assert found.lost == 0
    assert found.answers == part.everybody
    assert tuple(found.server) == tuple(map(str, rounds_of(part.params())))
    assert found.whole >= sum(found.server.values()) - 1e-3
    assert found.whole >= found.bound > 0 or part.dropouts or part.sessions > 1
    assert found.up > part.params().packed_size
    assert found.server["MaskedInputCollection"] >= 10.0 or not part.dropouts
    assert not list(place.folder.iterdir())
    json.dumps(found.__dict__)


@pytest.mark.slow
@pytest.mark.alone
def test_a_wrong_sum_ends_the_program_and_leaves_nothing(
    place: run.Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def wrong(params: Params, seeds: list[int]) -> object:
        return real(params, seeds) ^ np.eye(1, params.m, 3, params.dtype)[0]

    real: Callable[..., Any] = run.sum_of
    monkeypatch.setattr(run, "sum_of", wrong)
    monkeypatch.setattr(parts, "QUICK", (TINY,))
    monkeypatch.setattr(wan, "QUICK", (TINY,))
    with pytest.raises(SystemExit, match="wrong: 1 entries of the sum"):
        wan.main(["--quick", "--folder", str(tmp_path), "--output", str(tmp_path / "out")])
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.alone
def test_a_coordinator_that_does_not_start_is_an_error(place: run.Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coordinator, "template", lambda values: "[server]\nlisten = 5\n")
    with pytest.raises(coordinator.RunFailed, match="the coordinator does not start"):
        run.run(TINY, 0, place, deadline=10.0)
