"""`secagg serve` and `secagg session`: set up, run, look at and abort, and the one line of whatever cannot be done."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from secagg import Params, Round
from secagg.service.authentication import token_hash
from secagg.service.coordinator.config import Config

from ..support.commands import Command
from ..support.coordinators import Kept, Party, Table, kept, seated
from ..support.processes import ran

serve, session = Command("serve"), Command("session")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Kept]:
    with kept(tmp_path / "state") as coordinator:
        token = tmp_path / "operator.token"
        token.touch(0o600)
        token.write_text(coordinator.operator)
        yield coordinator


# --- serve ----------------------------------------------------------------------------------------------------------


def test_init_writes_what_a_coordinator_needs(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    made = serve.run_json("--init", folder, "--participants", "ada, bo")
    assert made == {
        "config": str(folder / "coordinator.toml"),
        "operator_token": str(folder / "operator.token"),
        "tokens": {name: str(folder / "tokens" / f"{name}.token") for name in ("ada", "bo")},
    }
    for file in folder.rglob("*"):
        assert file.stat().st_mode & 0o077 == 0
    tokens = {(folder / "tokens" / f"{name}.token").read_text() for name in ("ada", "bo")}
    assert len(tokens | {(folder / "operator.token").read_text()}) == 3
    listed = (folder / "participants.txt").read_text()
    assert not any(token.strip() in listed for token in tokens)


def test_init_overwrites_nothing_and_adds_participants(tmp_path: Path) -> None:
    serve.run("--init", tmp_path / "c")
    before = {file: file.read_text() for file in (tmp_path / "c").rglob("*.t*") if file.is_file()}
    assert "exists already, and is never overwritten" in serve.refused("--init", tmp_path / "c")
    names = tmp_path / "names"
    names.write_text("# who\nada\nbo  # the second\n\n")
    out = serve.run("--init", tmp_path / "c", "--participants", f"@{names}")
    assert "token of bo" in out
    assert "participants.txt has ada already" in serve.refused("--init", tmp_path / "c", "--participants", "ada,cy")
    assert not (tmp_path / "c" / "tokens" / "cy.token").exists()
    for file, text in before.items():
        assert file.read_text().startswith(text)


def test_numbers_of_64_bits_are_participants(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    made = serve.run_json("--init", folder, "--participants", "7, 18446744073709551615, ada")
    assert list(made["tokens"]) == ["7", "18446744073709551615", "ada"]
    assert list(Config.load(folder / "coordinator.toml").participants()) == [7, (1 << 64) - 1, "ada"]
    assert "has 7 already" in serve.refused("--init", folder, "--participants", "7")
    for bad in ("07", "18446744073709551616", "7.0,07"):
        assert "number must be 0 .. 2^64 - 1" in serve.refused("--init", folder, "--participants", bad)


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", "a b", "a\nb", "x" * 101, '"7"'])
def test_participants_that_cannot_name_a_file(tmp_path: Path, name: str) -> None:
    said = serve.refused("--init", tmp_path / "c", "--participants", name)
    assert "cannot be a participant" in said or "name must be printable" in said
    assert not (tmp_path / "c").exists()


def test_serve_is_refused_in_one_line(tmp_path: Path) -> None:
    assert "give --config to serve, --init to set up" in serve.refused()
    assert "--participants goes with --init" in serve.refused("--config", "x", "--participants", "ada")
    assert "has a name twice" in serve.refused("--init", tmp_path / "c", "--participants", "ada,ada")
    assert "No such file" in serve.refused("--config", tmp_path / "missing.toml")
    (tmp_path / "bad.toml").write_text("[servers]")
    assert "has no [servers]" in serve.refused("--config", tmp_path / "bad.toml")


def test_a_process_that_cannot_serve_says_so_in_one_line(tmp_path: Path) -> None:
    """Not in this process, whose log it would change."""
    serve.run("--init", tmp_path / "c")
    config = tmp_path / "c" / "coordinator.toml"
    cases = {"0.0.0.0:0": "allow_http = true", "127.0.0.1": "is no address to listen on"}
    for listen, reason in cases.items():
        assert reason in process_refused("--config", config, "--listen", listen)
    (tmp_path / "c" / "operator.token").unlink()
    assert "cannot read a token" in process_refused("--config", config, "--listen", "127.0.0.1:0")


def process_refused(*arguments: str | Path) -> str:
    done = ran(sys.executable, "-m", "secagg", "serve", *arguments, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "Traceback" not in done.stderr
    return str(lines[0])


# --- session --------------------------------------------------------------------------------------------------------


def at(here: Kept, tmp_path: Path, name: str | None = None) -> tuple[str | Path, ...]:
    url = here.url if name is None else f"{here.url}/v1/sessions/{name}"
    return url, "--token-file", tmp_path / "operator.token"


def test_start_says_what_participants_need(here: Kept, tmp_path: Path) -> None:
    out = session.run("start", *at(here, tmp_path), "--clients", "4", "--length", "3", "--name", "one")
    assert f"secagg join {here.url}/v1/sessions/one --key FILE --input FILE" in out
    made = session.run_json(
        "start", *at(here, tmp_path), "--invite", "ada,bo,cy", "--length", "3", "--max-value", "9", "--goal", "3",
        "--corrupt", "0", "--threshold", "2", "--min-users", "2", "--threat", "colluding", "--context", "task",
        "--join-deadline", "2m", "--deadline", "30s", "--grace", "5", "--keep", "1h", "--label", "A label",
        "--no-results",
    )  # fmt: skip
    assert (made["n"], made["threshold"], made["modulus"], made["results"]) == (3, 2, 32, False)
    seconds = made["deadlines"]["seconds"]
    assert (seconds["advertise-keys"], seconds["unmasking"]) == (120, 30)
    assert (made["deadlines"]["goal"], made["deadlines"]["grace"], made["deadlines"]["keep"]) == (3, 5, 3600)


def test_names_and_numbers_are_shown_by_status_and_result(here: Kept, tmp_path: Path) -> None:
    invited: list[str | int] = ["ada", 7, "7", "bo"]
    tokens = {who: f"the-token-of-{who!r}-alone" for who in invited}
    here.coordinator.set_participants({who: token_hash(token) for who, token in tokens.items()})
    options = ("--length", "5", "--corrupt", "1", "--name", "one")
    out = session.run_json("start", *at(here, tmp_path), "--invite", 'ada, 7, "7", bo', *options)
    assert out["names"] == {"1": "ada", "2": 7, "3": "7", "4": "bo"}
    table = Table("one", Params(n=4, m=5, modulus=1 << 32), [])
    for who in invited:
        party = Party(here, "one", token=tokens[who])
        party.join()
        table.params = party.params or table.params
        table.parties.append(party)
    assert 'waiting         4: 1 (ada) 2 (7) 3 ("7") 4 (bo)' in session.run("status", *at(here, tmp_path, "one"))
    table.play()
    out = session.run("result", *at(here, tmp_path, "one"), "--wait")
    assert 'inputs   4: 1 (ada) 2 (7) 3 ("7") 4 (bo)' in out
    assert session.run_json("result", *at(here, tmp_path, "one"))["names"] == invited


def test_start_takes_a_roster(here: Kept, tmp_path: Path) -> None:
    roster = tmp_path / "roster.txt"
    lines = [f"{u} {Command('keygen').run('--output', tmp_path / f'user{u}.key').strip()}" for u in (2, 3, 5, 7)]
    roster.write_text("\n".join(lines))
    out = session.run("start", *at(here, tmp_path), "--roster", roster, "--length", "3")
    assert "active, n = 4" in out
    assert f"--roster {roster}" in out


def test_status_and_result(here: Kept, tmp_path: Path) -> None:
    table = seated(here)
    name = table.session
    assert name in session.run("status", *at(here, tmp_path))
    assert [each["session"] for each in session.run_json("status", *at(here, tmp_path))] == [name]
    out = session.run("status", *at(here, tmp_path, name))
    assert "waiting         4: 1 (ada) 2 (bo) 3 (cy) 4 (di)" in out
    code, _, err = session.outcome("result", *at(here, tmp_path, name))
    assert (code, err.count("\n")) == (1, 1)
    assert "wait for it with --wait" in err
    table.play()
    output = tmp_path / "sum.npy"
    out = session.run("result", *at(here, tmp_path, name), "--wait", "--output", output)
    assert "inputs   4: 1 (ada) 2 (bo) 3 (cy) 4 (di)" in out
    assert np.load(output).tolist() == [10] * 5
    assert session.run_json("result", *at(here, tmp_path, name))["survivors"] == [1, 2, 3, 4]
    described = session.run("status", *at(here, tmp_path, name), "--watch")
    assert "finished" in described


def test_abort(here: Kept, tmp_path: Path) -> None:
    table = seated(here)
    out = session.run("abort", *at(here, tmp_path), "--session", table.session, "--reason", "wrong model")
    assert "aborted: wrong model" in out
    assert "is over" in session.refused("abort", *at(here, tmp_path, table.session), "--reason", "again")
    assert "wrong model" in session.refused("result", *at(here, tmp_path, table.session), "--wait")
    assert table.parties[0].request(Round.ADVERTISE_KEYS).status_code == 410


START = ("start", "--length", "3")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [((*START, "--clients", "4"), "give the coordinator's URL, or --config"),
     ((*START, "http://coordinator.example", "--clients", "4"), "plain HTTP to another machine"),
     ((*START, "ftp://x", "--clients", "4"), "the coordinator's URL: write it like https://"),
     ((*START, "http://127.0.0.1:1/v1/sessions/one", "--clients", "4"), "give the coordinator's URL, and"),
     ((*START, "http://127.0.0.1:1", "--clients", "4"), "127.0.0.1:1 does not answer"),
     ((*START, "http://127.0.0.1:1"), "--clients says how many"),
     (("start", "http://127.0.0.1:1", "--clients", "4"), "--length says how many"),
     ((*START, "http://127.0.0.1:1", "--clients", "4", "--model", "active"), "--roster goes with --model active"),
     ((*START, "http://127.0.0.1:1", "--clients", "4", "--model", "brave"), "--model must be one of"),
     ((*START, "http://127.0.0.1:1", "--clients", "4", "--threat", "all"), "--threat must be one of"),
     ((*START, "http://127.0.0.1:1", "--clients", "4", "--grace", "soon"), "--grace must be a duration"),
     ((*START, "http://127.0.0.1:1", "--clients", "4", "--ca", "nowhere.pem"), "--ca nowhere.pem cannot be used"),
     (("abort", "http://127.0.0.1:1", "--reason", "x"), "name the session"),
     (("status", "http://127.0.0.1:1", "--session", "UPPER"), "a session's name is"),
     (("status", "http://127.0.0.1:1", "--watch"), "--watch needs a session"),
     (("status", "http://127.0.0.1:1/v1/sessions/a", "--session", "b"), "URL names session a")],
)  # fmt: skip
def test_session_is_refused_in_one_line(
    arguments: tuple[str, ...], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "operator.token").touch(0o600)
    (tmp_path / "operator.token").write_text("x" * 43)
    assert reason in session.refused(*arguments)


def test_what_the_coordinator_refuses_is_one_line(here: Kept, tmp_path: Path) -> None:
    where = at(here, tmp_path)
    assert "there is no session nowhere here" in session.refused("status", *at(here, tmp_path, "nowhere"))
    assert "goal must be min_users" in session.refused(*START, *where, "--clients", "4", "--goal", "1")
    assert "bits must be 1 .. 64" in session.refused(*START, *where, "--clients", "4", "--bits", "99")
    (tmp_path / "operator.token").write_text("y" * 43)
    assert "the token is not a participant's" in session.refused("status", *where)
    assert "takes the operator's token" in session.refused("abort", *where, "--session", "x", "--reason", "y")
    (tmp_path / "operator.token").chmod(0o644)
    assert "chmod 600" in session.refused("status", *where)


def test_the_configuration_names_url_and_token(tmp_path: Path) -> None:
    serve.run("--init", tmp_path / "c", "--listen", "127.0.0.1:0")
    config = tmp_path / "c" / "coordinator.toml"
    assert "takes any free port: give the URL" in session.refused("status", "--config", config)
    with kept(tmp_path / "state") as here:
        config.write_text(config.read_text().replace("127.0.0.1:0", here.url.removeprefix("http://")))
        (tmp_path / "c" / "operator.token").write_text(here.operator)
        assert session.run_json("status", "--config", config) == []
