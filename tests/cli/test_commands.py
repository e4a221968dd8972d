"""The command line, as a user meets it: what it prints, what it writes, and how it refuses."""

import json
import os
import re
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from numpy.typing import NDArray
from typer.testing import CliRunner

import secagg
from secagg import _kernels
from secagg.cli import app, bench, console, main, simulate
from secagg.cli.report import show_report
from secagg.cli.vectors import value_bits
from secagg.protocol.messages import Round

from ..support.processes import ran

SMALL = ("simulate", "--clients", "6", "--length", "40")
ROUND_NAMES = {
    "semi-honest": ["AdvertiseKeys", "ShareKeys", "MaskedInputCollection", "Unmasking"],
    "active": ["AdvertiseKeys", "ShareKeys", "MaskedInputCollection", "ConsistencyCheck", "Unmasking"],
}
MODELS = pytest.mark.parametrize("model", ROUND_NAMES)


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the environment asks for colours."""
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


class Outcome:
    """One run of the command: exit code and output."""

    def __init__(self, *arguments: str | Path) -> None:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        self.code, self.out, self.err = result.exit_code, result.stdout, result.stderr


def run(*arguments: str | Path) -> str:
    """stdout of a run that must succeed and leave stderr empty."""
    outcome = Outcome(*arguments)
    assert (outcome.code, outcome.err) == (0, "")
    return outcome.out


def run_json(*arguments: str | Path) -> Any:
    return json.loads(run(*arguments, "--json"))


def refused(*arguments: str | Path) -> str:
    """The one line by which a run is refused, without `error: `."""
    outcome = Outcome(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    return outcome.err.removeprefix("error: ").rstrip("\n")


def updates(folder: Path, n: int = 6, m: int = 50, dtype: str = "f8") -> NDArray[Any]:
    """Writes n vectors in [-1, 1] and returns them, [n, m]."""
    vectors = np.random.default_rng(7).uniform(-1, 1, (n, m)).astype(dtype)
    for number, vector in enumerate(vectors):
        np.save(folder / f"client{number}.npy", vector)
    return vectors


def simulate_folder(folder: Path, *others: str | Path) -> tuple[str | Path, ...]:
    return ("simulate", "--input", folder, "--clip", "1", *others)


# --- simulate ---------------------------------------------------------------------------------------------------


def sent_by_a_client(model: str, n: int, packed: int) -> list[int]:
    """Bytes of each round when all n are in U2."""
    share_keys = 2 + 32 + 32 + 4 + (n - 1) * 88
    masked_input = 2 + 32 + 32 + 4 + packed + 4
    unmasking = 2 + 32 + 4 + n * 32
    if model == "semi-honest":
        return [66, share_keys, masked_input, unmasking]
    return [size + 64 for size in (66, share_keys, masked_input, 2 + 32 + 32, unmasking)]


@MODELS
def test_simulate_prints_a_table_like_figure_8(model: str) -> None:
    lines = run(*SMALL, "--drop", "0.17", "--model", model).splitlines()
    header = next(line for line in lines if "Unmasking" in line and "drop out" not in line)
    assert header.replace(" ", "") == "".join([*ROUND_NAMES[model], "Total"])
    rows = {line[:18].strip(): line[18:].split() for line in lines[lines.index(header) + 2 :] if line}
    assert rows["answered"] == ["6", "6", "5", "5", "5"][: len(ROUND_NAMES[model])]
    for party in ("client, ms", "server, ms"):
        *rounds, total = (float(cell.replace(",", "")) for cell in rows[party])
        assert len(rounds) == len(ROUND_NAMES[model])
        assert 0 < total == pytest.approx(sum(rounds), abs=0.3)  # each cell is rounded to 0.1
    sent = [int(cell.replace(",", "")) for cell in rows["client sent, B"]]
    expected = sent_by_a_client(model, n=6, packed=120)
    assert sent == [*expected, sum(expected)]
    assert "equal to the sum computed in the clear" in lines[-1]


@MODELS
def test_simulate_json_describes_the_session(model: str) -> None:
    report = run_json(*SMALL, "--drop", "0.17", "--bits", "20", "--seed", "3", "--model", model)
    assert {key: report[key] for key in ("clients", "length", "modulus", "bits", "threads", "seed")} == {
        "clients": 6, "length": 40, "modulus": 1 << 20, "bits": 20, "threads": 1, "seed": 3,
    }  # fmt: skip
    assert (report["threshold"], report["threat"], report["corrupt"]) == (5, "colluding", 1)
    assert report["instruction_set"] == _kernels.isa()
    assert report["model"] == model
    assert [row["round"] for row in report["rounds"]] == ROUND_NAMES[model]
    assert [row["number"] for row in report["rounds"]] == ([0, 1, 2, 4] if model == "semi-honest" else [0, 1, 2, 3, 4])
    assert [row["answered"] for row in report["rounds"]] == [6, 6, 5, 5, 5][: len(report["rounds"])]
    for key, total in report["total"].items():
        assert total == pytest.approx(sum(row[key] for row in report["rounds"]))
        assert total > 0
    assert len(report["dropped"]["clients"]) == 1
    assert sorted(report["survivors"] + report["dropped"]["clients"]) == [1, 2, 3, 4, 5, 6]
    assert report["sum_correct"] is True
    assert "mean" not in report


def test_simulate_text_says_what_was_simulated() -> None:
    text = run(*SMALL, "--drop", "0.17", "--drop-at", "4", "--threads", "2")
    assert "6, of whom 1 drop out before Unmasking\n" in text
    assert "40 entries mod 2^24\n" in text
    assert "model      semi-honest\n" in text
    assert "5 (colluding, 1 corrupt)\n" in text
    assert f"with 2 threads, {_kernels.isa()} kernels\n" in text
    assert "none drop out" in run(*SMALL)


def test_expansion_is_traffic_over_the_raw_vector() -> None:
    report = run_json(*SMALL, "--bits", "16")
    largest = ((1 << 16) - 1) // 6
    assert report["raw_bits"] == largest.bit_length()
    assert report["raw_bytes"] == 40 * largest.bit_length() // 8
    traffic = report["total"]["client_sent"] + report["total"]["client_received"]
    assert report["expansion"] == pytest.approx(traffic / report["raw_bytes"])


def test_defaults_are_those_of_figure_8() -> None:
    assert (simulate.DEFAULT_CLIENTS, simulate.DEFAULT_LENGTH, simulate.DEFAULT_BITS) == (100, 100_000, 24)
    report = run_json("simulate", "--clients", "3", "--length", "10")
    assert (report["modulus"], report["threads"], report["dropped"]["clients"]) == (1 << 24, 1, [])


@pytest.mark.parametrize(
    ("text", "answered"),
    [("advertise-keys", [5, 5, 5, 5]), ("1", [6, 5, 5, 5]), ("MaskedInputCollection", [6, 6, 5, 5]),
     ("UNMASKING", [6, 6, 6, 5]), ("masked_input_collection", [6, 6, 5, 5]), ("4", [6, 6, 6, 5])],
)  # fmt: skip
def test_drop_at_every_round(text: str, answered: list[int]) -> None:
    report = run_json(*SMALL, "--drop", "0.17", "--drop-at", text)
    assert [row["answered"] for row in report["rounds"]] == answered
    assert len(report["survivors"]) == answered[2]
    assert report["sum_correct"] is True


@pytest.mark.parametrize(
    ("text", "answered"),
    [("0", [5, 5, 5, 5, 5]), ("share-keys", [6, 5, 5, 5, 5]), ("2", [6, 6, 5, 5, 5]),
     ("consistency-check", [6, 6, 6, 5, 5]), ("3", [6, 6, 6, 5, 5]), ("unmasking", [6, 6, 6, 6, 5])],
)  # fmt: skip
def test_drop_at_every_round_of_the_active_model(text: str, answered: list[int]) -> None:
    report = run_json(*SMALL, "--drop", "0.17", "--drop-at", text, "--model", "active")
    assert [row["answered"] for row in report["rounds"]] == answered
    assert len(report["survivors"]) == answered[2]
    assert report["sum_correct"] is True


@pytest.mark.parametrize("text", ["active", "ACTIVE", "2"])
def test_the_model_by_name_or_number(text: str) -> None:
    assert run_json(*SMALL, "--model", text)["model"] == "active"


@pytest.mark.parametrize("model", ["semi-honest", "active"])
def test_a_sparse_graph(model: str) -> None:
    sparse = ("simulate", "--clients", "12", "--length", "40", "--corrupt", "0", "--degree", "8", "--drop", "0.08")
    report = run_json(*sparse, "--model", model)
    assert (report["degree"], len(report["survivors"]), report["sum_correct"]) == (8, 11, True)
    assert report["threshold"] == {"semi-honest": 2, "active": 6}[model]
    assert "sparse, 8 neighbours each" in run(*sparse, "--model", model)
    assert "sparse" not in run(*SMALL)
    assert "degree must be an even number" in refused(*sparse, "--degree", "3")


def test_dropouts_vanish_before_their_masked_input_by_default() -> None:
    assert run_json(*SMALL, "--drop", "0.17")["dropped"]["round"] == str(Round.MASKED_INPUT_COLLECTION)


@pytest.mark.parametrize("bits", [3, 8, 24, 32, 33, 64])
def test_every_width(bits: int) -> None:
    report = run_json(*SMALL, "--bits", str(bits))
    assert (report["modulus"], report["sum_correct"]) == (1 << bits, True)


def test_any_modulus() -> None:
    report = run_json(*SMALL, "--modulus", "16777213")
    assert (report["modulus"], report["bits"], report["sum_correct"]) == (16777213, 24, True)
    assert "mod 2^24 - 3" in run(*SMALL, "--modulus", "16777213")


@pytest.mark.parametrize(
    ("options", "expected"),
    [(("--threat", "clients-only"), ("clients-only", 0, 2)), (("--threat", "SERVER_ONLY"), ("server-only", 0, 4)),
     (("--threat", "clients-only", "--corrupt", "3"), ("clients-only", 3, 4)),
     (("--corrupt", "0"), ("colluding", 0, 4)), (("--threshold", "6"), ("colluding", 1, 6))],
)  # fmt: skip
def test_threat_model_sets_the_threshold(options: tuple[str, ...], expected: tuple[str, int, int]) -> None:
    report = run_json(*SMALL, *options)
    assert (report["threat"], report["corrupt"], report["threshold"]) == expected


def test_seed_repeats_inputs_and_dropouts() -> None:
    first, second, other = (
        run_json(*SMALL, "--threshold", "3", "--drop", "0.5", "--seed", seed) for seed in ("1", "1", "2")
    )
    assert first["survivors"] == second["survivors"] != other["survivors"]


def test_threads_change_no_result() -> None:
    assert run_json(*SMALL, "--threads", "2")["sum_correct"] is True


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_wrong_sum_is_told_and_exits_with_1(monkeypatch: pytest.MonkeyPatch, form: tuple[str, ...]) -> None:
    monkeypatch.setattr(simulate, "expected_sum", lambda params, *_, **__: np.zeros(params.m, params.dtype))
    outcome = Outcome(*SMALL, *form)
    assert (outcome.code, outcome.err) == (1, "error: the sum differs from the one computed in the clear\n")
    assert "DIFFERS" in outcome.out or json.loads(outcome.out)["sum_correct"] is False


# --- simulate --input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f2", "f4", ">f8", "g"])
@pytest.mark.parametrize("bits", ["16", "32", "64"])
def test_output_is_the_mean_within_the_bound(tmp_path: Path, dtype: str, bits: str) -> None:
    vectors, output = updates(tmp_path, dtype=dtype), tmp_path / "mean"
    mean = run_json(*simulate_folder(tmp_path, "--output", output, "--bits", bits))["mean"]
    error = np.abs(np.load(output) - vectors.astype(np.float64).mean(axis=0)).max()
    assert error <= mean["max_error"] + 1e-15  # numpy's own rounding
    assert mean["max_error"] == pytest.approx(1 / (2 ** (mean["value_bits"] - 1) - 1), rel=0.2)
    assert (mean["clipped"], mean["values"], mean["output"]) == (0, 300, str(output))


def test_mean_is_over_the_survivors_by_file_name(tmp_path: Path) -> None:
    vectors, output = updates(tmp_path), tmp_path / "out" / "mean.npy"
    output.parent.mkdir()
    report = run_json(*simulate_folder(tmp_path, "--output", output, "--drop", "0.17"))
    assert report["mean"]["files"] == [f"client{number}.npy" for number in range(6)]
    assert len(report["survivors"]) == 5
    survivors = vectors[np.array(report["survivors"]) - 1]
    np.testing.assert_allclose(np.load(output), survivors.mean(axis=0), rtol=0, atol=report["mean"]["max_error"])


def test_values_outside_the_clip_range_are_cut_and_counted(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([0.25, 3.0, -8.0]))
    np.save(tmp_path / "b.npy", np.array([0.25, 0.5, 0.5]))
    output = tmp_path / "mean"
    text = run(*simulate_folder(tmp_path, "--output", output))
    assert "2 of 6 values were outside [-1, 1]" in text
    np.testing.assert_allclose(np.load(output), [0.25, 0.75, -0.25], atol=1e-5)


def test_input_report_names_output_and_bound(tmp_path: Path) -> None:
    updates(tmp_path)
    text = run(*simulate_folder(tmp_path, "--output", tmp_path / "mean"))
    assert f"written to {tmp_path / 'mean'}" in text
    assert "largest error" in text
    assert "not written: no --output" in run(*simulate_folder(tmp_path))


def test_value_bits_are_as_many_as_r_holds() -> None:
    for n in (2, 3, 7, 100):
        for modulus in (1 << 8, 1 << 24, (1 << 24) - 3, 1 << 40):
            bits = value_bits(n, modulus)
            assert n * (2**bits - 2) < modulus <= n * (2 ** (bits + 1) - 2)
    assert value_bits(2, 1 << 64) == 53


def test_no_such_directory(tmp_path: Path) -> None:
    assert refused(*simulate_folder(tmp_path / "missing")) == f"no such directory: {tmp_path / 'missing'}"


def test_input_that_is_a_file(tmp_path: Path) -> None:
    updates(tmp_path)
    assert refused(*simulate_folder(tmp_path / "client0.npy")).startswith("no such directory: ")


def test_empty_directory(tmp_path: Path) -> None:
    assert refused(*simulate_folder(tmp_path)) == f"no .npy files in {tmp_path}"


def test_a_single_vector(tmp_path: Path) -> None:
    updates(tmp_path, n=1)
    assert "at least 2 clients" in refused(*simulate_folder(tmp_path))


def test_vectors_of_unequal_length(tmp_path: Path) -> None:
    updates(tmp_path)
    np.save(tmp_path / "client3.npy", np.zeros(49))
    reason = refused(*simulate_folder(tmp_path))
    assert reason.startswith("vectors of unequal length: ")
    assert "client3.npy has 49 entries" in reason
    assert "client0.npy has 50" in reason


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_nan_or_infinity_inside(tmp_path: Path, value: str) -> None:
    vectors = updates(tmp_path)
    vectors[2, 17] = float(value)
    np.save(tmp_path / "client2.npy", vectors[2])
    assert f"client2.npy: entry 17 is {value}" in refused(*simulate_folder(tmp_path))


@pytest.mark.parametrize(
    ("array", "reason"),
    [(np.zeros((2, 25)), "got float64 of shape [2, 25]"), (np.zeros(50, np.int64), "got int64"),
     (np.float64(1), "of shape []"), (np.zeros(50, complex), "got complex128"), (np.zeros(0), "empty")],
)  # fmt: skip
def test_not_a_1d_float_array(tmp_path: Path, array: Any, reason: str) -> None:
    updates(tmp_path)
    np.save(tmp_path / "client4.npy", array)
    refusal = refused(*simulate_folder(tmp_path))
    assert "client4.npy" in refusal
    assert reason in refusal


def broken_files() -> dict[str, bytes]:
    good = b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<f8', 'fortran_order': False, 'shape': (50,), }".ljust(117) + b"\n"
    return {
        "empty": b"",
        "text": b"not an array",
        "zip": b"PK\x05\x06" + bytes(18),
        "header cut": good[:40],
        "data cut": good + bytes(399),
        "header garbled": good.replace(b"'descr'", b"'desc((") + bytes(400),
        "dtype unknown": good.replace(b"<f8", b"<q9") + bytes(400),
        "shape huge": good.replace(b"(50,), }        ", b"(9999999999,), }") + bytes(400),
    }


@pytest.mark.parametrize("kind", broken_files())
def test_broken_npy(tmp_path: Path, kind: str) -> None:
    updates(tmp_path)
    (tmp_path / "client5.npy").write_bytes(broken_files()[kind])
    assert "client5.npy cannot be read as a .npy file: " in refused(*simulate_folder(tmp_path))


class Trap:
    """What a hostile pickle could do: run a function when it is loaded."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.witness,)


def test_pickled_npy_is_not_loaded(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    updates(tmp_path)
    np.save(tmp_path / "client1.npy", np.array([Trap(witness)] * 50, object), allow_pickle=True)
    assert "client1.npy cannot be read" in refused(*simulate_folder(tmp_path))
    assert not witness.exists()


@pytest.mark.parametrize("name", ["missing/mean.npy", "folder"])
def test_unwritable_output(tmp_path: Path, name: str) -> None:
    updates(tmp_path)
    (tmp_path / "folder").mkdir()
    assert refused(*simulate_folder(tmp_path, "--output", tmp_path / name)).startswith("cannot write ")


def test_output_on_a_full_disk(tmp_path: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    updates(tmp_path)
    assert "No space left" in refused(*simulate_folder(tmp_path, "--output", "/dev/full"))


# --- refusals of options ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--output", "mean.npy"), "--output needs --input"),
        (("--clip", "1"), "--clip needs --input"),
        (("--input", "."), "--input needs --clip"),
        (("--input", ".", "--clip", "1"), "--input sets --clients and --length"),
        (("--clients", "1"), "--clients must be at least 2, got 1"),
        (("--length", "0"), "--length must be at least 1, got 0"),
        (("--bits", "0"), "--bits must be 1 .. 64, got 0"),
        (("--bits", "65"), "--bits must be 1 .. 64, got 65"),
        (("--bits", "2"), "R = 4 is too small for 6 inputs"),
        (("--modulus", "1"), "modulus must be 2 .. 2**64, got 1"),
        (("--modulus", str((1 << 64) + 1)), "modulus must be 2 .. 2**64"),
        (("--bits", "24", "--modulus", "1000"), "--bits and --modulus both choose R"),
        (("--drop", "1"), "--drop must be at least 0 and below 1, got 1.0"),
        (("--drop", "-0.1"), "--drop must be at least 0 and below 1, got -0.1"),
        (("--drop", "nan"), "--drop must be at least 0 and below 1, got nan"),
        (("--drop-at", "consistency-check"), "only the active model has this round; add --model active"),
        (("--drop-at", "3"), "--drop-at 3: only the active model has this round"),
        (
            ("--drop-at", "5"),
            "--drop-at must be one of advertise-keys (0), share-keys (1), masked-input-collection (2),"
            " consistency-check (3), unmasking (4); got '5'",
        ),
        (("--drop-at", "3x", "--model", "active"), "--drop-at must be one of"),
        (("--model", "covert"), "--model must be one of semi-honest (1), active (2); got 'covert'"),
        (("--model", "active", "--threshold", "3"), "quorum = 3 must satisfy 2 * quorum > n + n_corrupt = 7"),
        (("--threshold", "1"), "--threshold must be at least 2, got 1"),
        (("--threshold", "-1"), "--threshold must be at least 2, got -1"),
        (("--threshold", "7"), "threshold t must be 2 .. n = 6, got 7"),
        (("--threshold", "3", "--corrupt", "3"), "threshold t = 3 must exceed n_corrupt = 3"),
        (("--corrupt", "-1"), "--corrupt must not be negative, got -1"),
        (("--corrupt", "6"), "n_corrupt must be 0 .. n - 1, got 6"),
        (("--threat", "everyone"), "--threat must be one of clients-only (1), server-only (2), colluding (3)"),
        (("--threads", "0"), "--threads must be at least 1, got 0"),
        (("--seed", "-1"), "--seed must not be negative, got -1"),
    ],
)
def test_refused_options(options: tuple[str, ...], reason: str) -> None:
    assert reason in refused(*SMALL, *options)


@pytest.mark.parametrize("clip", ["0", "-1", "nan", "inf"])
def test_impossible_clip(tmp_path: Path, clip: str) -> None:
    updates(tmp_path)
    assert refused("simulate", "--input", tmp_path, "--clip", clip).startswith("clip must be ")


def test_r_too_small_for_the_vectors(tmp_path: Path) -> None:
    updates(tmp_path)
    assert "R = 8 is too small to sum 6 clients' values" in refused(*simulate_folder(tmp_path, "--bits", "3"))


@pytest.mark.parametrize(
    ("model", "at"), [(model, at) for model, rounds in (("1", "0124"), ("2", "01234")) for at in rounds]
)
def test_too_many_dropouts(model: str, at: str) -> None:
    name = str(Round(int(at)))
    reason = refused(*SMALL, "--drop", "0.5", "--drop-at", at, "--model", model)
    assert reason == f"too few clients are left in {name}: 3 answered, 5 needed"


def test_a_vector_that_no_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: Any, **__: Any) -> None:
        raise MemoryError("Unable to allocate 3.64 TiB")

    monkeypatch.setattr(simulate, "run_session", exhausted)
    assert refused(*SMALL) == "out of memory: Unable to allocate 3.64 TiB"
    assert "a vector must take 1 .. 2**32 - 1 bytes" in refused("simulate", "--length", str(1 << 40))


def test_an_interrupt_is_quiet_and_exits_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(simulate, "run_session", interrupted)
    outcome = Outcome(*SMALL)
    assert (outcome.code, outcome.out, outcome.err) == (130, "", "")


def test_a_defect_of_ours_is_not_passed_off_as_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulate, "run_session", lambda *_, **__: 1 // 0)
    assert isinstance(CliRunner().invoke(app, SMALL).exception, ZeroDivisionError)


@pytest.mark.parametrize("arguments", [("simulate", "--colour"), ("simulate", "--clients", "many"), ("average",)])
def test_usage_errors_exit_with_2(arguments: tuple[str, ...]) -> None:
    outcome = Outcome(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert "Error: " in outcome.err


# --- keygen -----------------------------------------------------------------------------------------------------


def test_keygen_writes_a_key_and_prints_what_the_roster_needs(tmp_path: Path) -> None:
    files = {u: tmp_path / f"user{u}.key" for u in (1, 2, 3)}
    (tmp_path / "roster").write_text("".join(f"{u} {run('keygen', '--output', file)}" for u, file in files.items()))
    roster = secagg.Roster.read(tmp_path / "roster")
    assert roster.users.tolist() == [1, 2, 3]
    for u, file in files.items():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert secagg.Identity.load(file).verification_key == roster.key(u)


def test_keygen_shows_no_private_key(tmp_path: Path) -> None:
    printed = run("keygen", "--output", tmp_path / "user.key")
    assert re.fullmatch("[0-9a-f]{64}\n", printed)
    secret = load_pem_private_key((tmp_path / "user.key").read_bytes(), None)
    assert isinstance(secret, Ed25519PrivateKey)
    assert secret.private_bytes_raw().hex() != printed.strip()


def test_keygen_never_overwrites(tmp_path: Path) -> None:
    file = tmp_path / "user.key"
    run("keygen", "--output", file)
    content = file.read_bytes()
    assert refused("keygen", "--output", file) == f"{file} exists already, and a key is never overwritten"
    assert file.read_bytes() == content
    assert refused("keygen", "--output", tmp_path) == f"{tmp_path} exists already, and a key is never overwritten"


def test_keygen_where_no_file_can_be(tmp_path: Path) -> None:
    file = tmp_path / "missing" / "user.key"
    reason = f"cannot write {file.parent}: there is no such folder: make it first"
    assert refused("keygen", "--output", file) == reason


def test_keygen_on_a_full_disk_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    file = tmp_path / "user.key"
    assert refused("keygen", "--output", file) == f"cannot write {file}: No space left on device"
    assert not file.exists()


def test_keygen_needs_a_file() -> None:
    outcome = Outcome("keygen")
    assert (outcome.code, outcome.out) == (2, "")
    assert "Missing option '--output'" in outcome.err


# --- info, bench ------------------------------------------------------------------------------------------------


def test_info_json() -> None:
    facts = run_json("info")
    assert facts["secagg"] == secagg.__version__
    assert facts["instruction_set"] == _kernels.isa()
    assert facts["available"] == list(_kernels.isa_available())
    assert set(facts["available"]) <= set(facts["built_in"])
    assert facts["kernels"] == {subject: _kernels.isa_of(subject) for subject in _kernels.SUBJECTS}
    assert facts["c_api"] == _kernels.API_VERSION >= 1
    assert facts["compiler"].startswith(("gcc ", "clang "))
    assert "-fvisibility=hidden" in facts["compiler_flags"].split()
    assert facts["self_test"] == "passed"
    assert facts["threads"] >= 1
    assert (Path(facts["include"]) / "secagg.h").is_file()
    assert (Path(facts["library"]) / "secagg.pc").is_file()
    assert facts["openssl"].startswith("OpenSSL ")


def test_info_text_has_one_line_per_fact() -> None:
    facts = run_json("info")
    lines = run("info").splitlines()
    assert len(lines) == len(facts)
    assert next(line for line in lines if line.startswith("available")).endswith(", ".join(facts["available"]))
    assert next(line for line in lines if line.startswith("kernels")).split()[1:3] == [
        "masks",
        f"{facts['kernels']['masks']},",
    ]


def test_info_tells_a_failed_self_test(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise RuntimeError("the kernels compute wrongly")

    monkeypatch.setattr(_kernels, "selftest", fails)
    assert run_json("info")["self_test"] == "failed: the kernels compute wrongly"


@pytest.fixture
def small_shamir(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "SHAMIR_N", 9)
    monkeypatch.setattr(bench, "SHAMIR_T", 6)


SMALL_BENCH = ("bench", "--length", "512", "--seeds", "3", "--repeat", "2")


@pytest.mark.usefixtures("small_shamir")
def test_bench_json_measures_every_kernel_on_every_instruction_set() -> None:
    before = _kernels.isa()
    report = run_json(*SMALL_BENCH)
    assert _kernels.isa() == before
    rows = [(row["kernel"], row["modulus"]) for row in report["kernels"]]
    moduli = [*(1 << bits for bits in (8, 16, 24, 32, 40, 64)), (1 << 24) - 3]
    assert [modulus for kernel, modulus in rows if kernel == "mask_sum"] == moduli
    assert {kernel for kernel, _ in rows} == {"mask_sum", "expand", "packed_add"}
    for row in report["kernels"]:
        assert row["openssl_gb_per_s"] > 0
        assert list(row["instruction_sets"]) == list(_kernels.isa_available())
        for figures in row["instruction_sets"].values():
            assert figures["gb_per_s"] > 0
            assert ("ratio" in figures) == (row["kernel"] != "packed_add")
    assert set(report["shamir"]) == {"n", "t", "seconds"}
    assert report["preferred"] == {
        subject: {"row": _kernels.isa_of(subject), "reason": _kernels.isa_reason(subject)}
        for subject in _kernels.SUBJECTS
    }
    assert all(value > 0 for value in report["shamir"]["seconds"].values())


def test_keystream_bytes_follow_the_layout_of_the_prg() -> None:
    assert [bench.keystream_bytes(1 << bits) for bits in (1, 8, 9, 16, 17, 24, 32, 33, 40, 64)] == [
        1, 1, 2, 2, 3, 3, 4, 5, 5, 8,
    ]  # fmt: skip
    assert bench.keystream_bytes((1 << 24) - 3) == 16


def test_ns_per_entry_and_rate_agree() -> None:
    kernel = bench.mask_sum_kernel(1 << 24, 64, 1)
    assert bench.summarize(kernel, [(8.0, 16.0), (10.0, 30.0), (8.0, 20.0)]) == {
        "gb_per_s": 20.0, "ns_per_entry": 3 / 20, "ratio": 2.5,
    }  # fmt: skip


@pytest.mark.usefixtures("small_shamir")
def test_bench_tables_have_a_row_for_each_measurement() -> None:
    lines = run(*SMALL_BENCH).splitlines()
    header = next(line for line in lines if line.startswith("GB/s"))
    assert all(isa in header for isa in ("OpenSSL", *_kernels.isa_available()))
    assert sum(line.startswith(("mask_sum", "expand", "packed_add")) for line in lines) == 12
    assert any(line.startswith("mask_sum") and "2^24 - 3" in line for line in lines)
    assert any(line.startswith("reconstruct n secrets") for line in lines)
    assert any(line.split()[:2] == ["masks", _kernels.isa_of("masks")] for line in lines)


@pytest.mark.parametrize("option", ["--length", "--seeds", "--repeat"])
def test_bench_refuses_zero(option: str) -> None:
    assert refused("bench", option, "0") == f"{option} must be at least 1, got 0"


# --- how it speaks ----------------------------------------------------------------------------------------------


def test_version() -> None:
    assert run("--version") == f"secagg {secagg.__version__}\n"


@pytest.mark.parametrize(
    ("modulus", "text"), [(256, "2^8"), (1 << 64, "2^64"), (16777213, "2^24 - 3"), (1000, "1000"), (999_999, "999999")]
)
def test_modulus_text(modulus: int, text: str) -> None:
    assert console.modulus_text(modulus) == text


def python_m(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return ran(sys.executable, "-m", "secagg", *arguments)


def test_python_m_secagg_help() -> None:
    done = python_m("--help")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"simulate" in done.stdout


def test_python_m_secagg_refuses_like_the_command() -> None:
    done = python_m("simulate", "--bits", "65")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.splitlines() == [b"error: --bits must be 1 .. 64, got 65"]


def test_piped_output_is_plain_and_whole() -> None:
    done = python_m(*SMALL)
    text = done.stdout.decode()
    assert (done.returncode, done.stderr) == (0, b"")
    assert all(character == "\n" or character.isprintable() for character in text)
    assert "\u2026" not in text
    assert not any(line.endswith(" ") for line in text.splitlines())


@MODELS
def test_table_fits_a_terminal_of_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model: str
) -> None:
    report = run_json("simulate", "--clients", "3", "--length", "1000000", "--model", model)
    monkeypatch.setattr(console, "PIPE_WIDTH", 80)
    show_report(report)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    total = sum(sent_by_a_client(model, n=3, packed=3_000_000))
    assert next(line for line in lines if line.startswith("client sent")).split()[-1] == f"{total:,}"
    for title in ROUND_NAMES[model]:
        assert all(word in "\n".join(lines).split() for word in re.findall("[A-Z][a-z]+", title))


def shown_on(master: int) -> str:
    """All that a terminal has got, whose other end is closed: it gives a part at a time."""
    shown = b""
    with suppress(OSError):  # Linux says that there is no more by an error
        while part := os.read(master, 1 << 16):
            shown += part
    os.close(master)
    return shown.decode()


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
def test_progress_goes_to_a_terminal_and_json_stays_pure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    master, slave = os.openpty()
    done = ran(sys.executable, "-m", "secagg", *SMALL, "--json", stderr=slave)
    os.close(slave)
    output = shown_on(master)
    assert "Round 4, Unmasking" in output
    assert json.loads(done.stdout)["sum_correct"] is True


def test_progress_is_for_terminals(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress_bar() as progress:
        progress("reports uploaded", 1, 2)
    assert capsys.readouterr() == ("", "")


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
@pytest.mark.parametrize("quiet", [False, True])
def test_progress_may_be_asked_to_be_quiet(quiet: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    master, slave = os.openpty()
    with os.fdopen(slave, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with console.progress_bar(quiet=quiet) as progress:
            progress("reports uploaded", 1, 2)
    seen = shown_on(master)
    assert ("reports uploaded" in seen and "1/2" in seen) is not quiet


def test_output_survives_an_ascii_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    done = python_m(*SMALL)
    assert done.returncode == 0
    assert b"Advertise Keys" in done.stdout


def test_main_is_the_entry_point(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["secagg", "--version"])
    with pytest.raises(SystemExit) as exit_info:
        main()
    assert exit_info.value.code == 0
    assert capsys.readouterr().out == f"secagg {secagg.__version__}\n"
