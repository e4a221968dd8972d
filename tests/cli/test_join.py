"""`secagg join`: both models, floats, exit codes, and the one line of whatever cannot be done."""

import json
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.certificates import write_certificate
from secagg import Identity, Model, Quantizer, Roster
from secagg.cli.service.serve import CONFIG
from secagg.service.participant import Contribution

from ..service.test_counters import program
from ..support.commands import Command
from ..support.coordinators import NAMES, Kept, kept, process
from ..support.processes import PATIENCE, started
from ..support.sites import Sites, sum_over, vector

join = Command("join")


class Here:
    """A coordinator, four sites, and the files of user 4."""

    def __init__(self, running: Kept, folder: Path, model: Model) -> None:
        self.sites = Sites(running, folder, model)
        self.folder = folder
        self.model = model
        self.url = running.url
        self.key, self.roster, self.input = folder / "user4.key", folder / "roster.txt", folder / "x.npy"
        np.save(self.input, vector(4))
        if self.sites.roster is not None:
            self.sites.identities[4].save(self.key)
            self.sites.roster.write(self.roster)
        else:
            self.key.touch(0o600)
            self.key.write_text(running.tokens[NAMES[3]] + "\n")

    def arguments(self, *others: str | Path, url: str = "", **changes: Path) -> list[str | Path]:
        """Of user 4."""
        files = {"key": self.key, "input": self.input, "state": self.folder / "state", **changes}
        if self.model is Model.ACTIVE:
            files.setdefault("roster", self.roster)
        options = [word for name, file in files.items() for word in (f"--{name}", file)]
        return [url or self.url, *options, *others]

    @contextmanager
    def others(self, session: str, inputs: dict[int, Any] | None = None, **options: Any) -> Iterator[list[Future[Any]]]:
        """Users 1 to 3 contribute meanwhile."""

        def contribute(u: int) -> Contribution:
            with self.sites.participant(u) as participant:
                return participant.contribute(session, vector(u) if inputs is None else inputs[u], **options)

        with ThreadPoolExecutor(3) as pool:
            yield [pool.submit(contribute, u) for u in (1, 2, 3)]


@pytest.fixture(params=list(Model), ids=lambda model: model.name.lower())
def here(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Here]:
    with kept(tmp_path / "coordinator") as running:
        yield Here(running, tmp_path, request.param)


@pytest.fixture
def active(tmp_path: Path) -> Iterator[Here]:
    with kept(tmp_path / "coordinator") as running:
        yield Here(running, tmp_path, Model.ACTIVE)


def test_a_vector_is_contributed_and_the_sum_is_written(here: Here) -> None:
    session, _ = here.sites.create()
    with here.others(session):
        code, out, err = join.outcome(*here.arguments("--output", here.folder / "sum.npy"))
    assert (code, out.splitlines()[0]) == (0, "the sum of 4 of 4 users; the vector of user 4 is in it")
    assert np.load(here.folder / "sum.npy").tolist() == sum_over([1, 2, 3, 4])
    lines = err.splitlines()
    assert f"session {session}: joined" in lines
    assert f"session {session}: MaskedInputCollection answered" in lines
    assert list((here.folder / "state").glob("*.client")) == []


def test_a_session_s_url_names_it_and_json_is_printed(here: Here) -> None:
    session, _ = here.sites.create()
    here.sites.create()  # another one that might be meant
    url = f"{here.url}/v1/sessions/{session}"
    with here.others(session):
        code, out, _ = join.outcome(*here.arguments("--json", url=url))
    assert code == 0
    assert json.loads(out) == {
        "session": session,
        "user": 4,
        "included": True,
        "survivors": [1, 2, 3, 4],
        "output": None,
    }


def test_floats_are_quantized_and_the_mean_is_written(here: Here) -> None:
    models = {u: np.linspace(-1, 1, 5) * u / 4 for u in range(1, 5)}
    np.save(here.input, models[4])
    quantizer: Quantizer[Any] = Quantizer.like(models[1], clip=1.0, bits=12)
    session, _ = here.sites.create(params=quantizer.params(4, model=here.model, n_corrupt=1, t=3))
    output = here.folder / "mean.npy"
    with here.others(session, models, quantizer=quantizer):
        code, _, _ = join.outcome(*here.arguments("--clip", "1.0", "--bits", "12", "--output", output))
    assert code == 0
    np.testing.assert_allclose(np.load(output), np.linspace(-1, 1, 5) * 0.625, atol=1e-3)


def test_a_session_of_floats_is_made_joined_and_read_by_commands(here: Here) -> None:
    """The operator reads the mean, too."""
    models = {u: np.linspace(-1, 1, 5) * u / 4 for u in range(1, 5)}
    np.save(here.input, models[4])
    token = here.folder / "operator.token"
    token.touch(0o600)
    token.write_text(here.sites.kept.operator)
    session = Command("session")
    at: list[str | Path] = [here.url, "--token-file", token]
    tokens = here.model is Model.SEMI_HONEST
    who: list[str | Path] = ["--invite", ",".join(NAMES[:4])] if tokens else ["--roster", here.roster]
    floats = ["--clip", "1.0", "--value-bits", "12"]
    options = [*who, "--length", "5", *floats, "--context", "task", "--name", "mean", "--corrupt", "1"]
    session.run("start", *at, *options)
    quantizer: Quantizer[Any] = Quantizer.like(models[1], clip=1.0, bits=12)
    output = here.folder / "mean.npy"
    with here.others("mean", models, quantizer=quantizer):
        code, _, err = join.outcome(*here.arguments("--clip", "1.0", "--bits", "12"))
    assert code == 0, err
    session.run("result", *at, "--session", "mean", "--output", output, *floats, "--wait")
    np.testing.assert_allclose(np.load(output), np.linspace(-1, 1, 5) * 0.625, atol=1e-3)
    said = session.refused(
        "result", *at, "--session", "mean", "--output", output, "--clip", "2.0", "--value-bits", "12"
    )
    assert "made for another clip" in said
    assert "leave out --bits and --max-value" in session.refused("start", *at, *options, "--bits", "20")


def test_a_policy_refuses_by_name(here: Here) -> None:
    here.sites.create()
    site = here.folder / "site.toml"
    site.write_text("min_users = 4\nn_corrupt = 2\n")
    said = join.refused(*here.arguments("--policy", site))
    assert "min_users is 3, and this site wants at least 4; n_corrupt is 1, and this site wants at least 2" in said
    site.write_text("min_user = 4\n")
    assert f"{site}: a policy has no min_user" in join.refused(*here.arguments("--policy", site))


def test_an_aborted_session_is_exit_code_1(here: Here) -> None:
    session, _ = here.sites.create(seconds={"advertise-keys": 1.0})
    code, out, err = join.outcome(*here.arguments("--session", session))
    assert (code, out) == (1, "")
    assert "error: the session was aborted: AdvertiseKeys: 1 users answered by the deadline, 3 are needed" in err


def test_a_timeout_is_exit_code_3_and_the_same_command_goes_on(here: Here) -> None:
    session, _ = here.sites.create()
    code, _, err = join.outcome(*here.arguments("--timeout", "0"))
    assert code == 3
    assert "the same call goes on" in err
    with here.others(session):
        code, out, _ = join.outcome(*here.arguments())
    assert code == 0
    assert "the vector of user 4 is in it" in out


def signalled(here: Here, number: int) -> int:
    """The exit code of a command that gets a signal once it has answered AdvertiseKeys."""
    command = (sys.executable, "-m", "secagg", "join", *here.arguments())
    with started(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        while line := running.stderr.readline():
            if "AdvertiseKeys answered" in line:
                break
        running.send_signal(number)
        out, err = running.communicate(timeout=PATIENCE)
    assert out == ""
    assert "Traceback" not in err
    return running.returncode


def test_an_interrupt_leaves_the_session(here: Here) -> None:
    session, _ = here.sites.create()
    assert signalled(here, signal.SIGINT) == 130
    assert here.sites.kept.status(session)["left"] == [4]
    assert list((here.folder / "state").glob("*.client")) == []


def test_a_shutdown_leaves_the_place_to_the_same_command(here: Here) -> None:
    session, _ = here.sites.create()
    assert signalled(here, signal.SIGTERM) == -signal.SIGTERM
    assert here.sites.kept.status(session)["left"] == []
    with here.others(session):
        code, out, _ = join.outcome(*here.arguments())
    assert (code, "the vector of user 4 is in it" in out) == (0, True)


def test_a_counter_s_program_notices_an_older_state(here: Here) -> None:
    session, _ = here.sites.create()
    numbers = here.folder / "numbers"
    numbers.mkdir()
    counter = shlex.join([str(program(here.folder)), str(numbers)])
    mine = here.arguments("--counter", counter)
    assert join.outcome(*mine, "--timeout", "0")[0] == 3
    (state,) = (here.folder / "state").glob("*.client")
    older, (number,) = state.read_bytes(), (file for file in numbers.iterdir() if file.name != "log")
    assert number.read_text() == "2\n"
    number.write_text("3\n")  # as if another state had been written since
    assert "an earlier state was put back in its place" in join.outcome(*mine)[2]
    number.write_text("2\n")
    assert state.read_bytes() == older
    with here.others(session):
        code, out, _ = join.outcome(*mine)
    assert (code, "the vector of user 4 is in it" in out) == (0, True)


def test_a_counter_s_program_that_fails(here: Here) -> None:
    here.sites.create()
    code, out, err = join.outcome(*here.arguments("--counter", "sh -c 'echo the TPM is away >&2; exit 1'"))
    assert (code, out) == (2, "")
    said = err.splitlines()[-1]
    assert said.startswith("error: the counter 'sh -c ")
    assert said.endswith("ended with exit code 1: the TPM is away")
    assert "command is empty" in join.refused(*here.arguments("--counter", ""))


def test_several_sessions_are_listed(here: Here) -> None:
    names = sorted(here.sites.create()[0] for _ in range(2))
    said = join.refused(*here.arguments())
    assert "there are several sessions to join: name one of" in said
    assert all(name in said for name in names)


# What cannot be done.


def test_an_unreachable_server(here: Here) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        said = join.refused(*here.arguments(url=url))
    assert f"{url} does not answer: ConnectError" in said
    assert "check the URL and the network" in said


def test_a_session_that_is_unknown_or_over(here: Here) -> None:
    assert "there is no session" in join.refused(*here.arguments("--session", "nobodys")).lower()
    session, _ = here.sites.create(goal=3, grace=0)
    with here.others(session) as others:
        for each in others:
            each.result()
    assert "has finished" in join.refused(*here.arguments("--session", session))


def test_a_vector_of_the_wrong_length(here: Here) -> None:
    here.sites.create()
    np.save(here.input, np.arange(6))
    assert "m is 5, and this site wants 6" in join.refused(*here.arguments())


def test_a_wrong_key(here: Here) -> None:
    here.sites.create()
    if here.model is Model.ACTIVE:
        other = here.folder / "other.key"
        Identity.generate().save(other)
        assert "the roster has no user with this identity's verification key" in join.refused(
            *here.arguments(key=other)
        )
    else:
        here.key.write_text("a-token-that-nobody-was-given")
        said = join.refused(*here.arguments())
        assert "HTTP 403" in said
        assert "a-token" not in said


def test_a_roster_that_differs(active: Here) -> None:
    active.sites.create()
    assert active.sites.roster is not None
    keys = {u: active.sites.roster.key(u) for u in (2, 3, 4)} | {1: Identity.generate().verification_key}
    other = Roster(keys)
    other.write(active.roster)
    said = join.refused(*active.arguments("--session", "x"))
    assert "no session" in said
    session = active.sites.kept.http.get(f"{active.url}/v1/sessions", headers=active.sites.kept.headers).json()
    name = session["sessions"][0]["session"]
    said = join.refused(*active.arguments("--session", name))
    both = f"roster is {active.sites.roster.hash.hex()}, and this site wants {other.hash.hex()}"
    assert said.endswith(f"{both}: the session's has another key for user 1")
    mine = Identity.generate()
    key = active.folder / "mine.key"
    mine.save(key)
    Roster({**keys, 4: mine.verification_key}).write(active.roster)
    said = join.refused(*active.arguments("--session", name, key=key))
    assert "(HTTP 403): the signature is not user 4's of this request: the session's roster has another key" in said


def test_a_key_without_a_roster_and_a_token_with_one(here: Here, tmp_path: Path) -> None:
    files = {"key": here.key, "input": here.input}
    bare = [here.url, *(word for name, file in files.items() for word in (f"--{name}", file))]
    if here.model is Model.ACTIVE:
        assert f"{here.key} holds a key: give --roster" in join.refused(*bare)
    else:
        assert f"{here.key} holds a token: leave out --roster" in join.refused(*bare, "--roster", here.input)


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        ("", 0o600, "holds neither an Ed25519 key in PEM nor a token"),
        ("two words of a text", 0o600, "holds neither an Ed25519 key in PEM nor a token"),
        ("-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n", 0o600, "cannot load an identity"),
        ("a-token-of-many-letters", 0o644, "must be readable by its owner only: chmod 600"),
    ],
)
def test_files_that_hold_no_key(active: Here, content: str, mode: int, reason: str) -> None:
    bad = active.folder / "bad.key"
    bad.write_text(content)
    bad.chmod(mode)
    assert reason in join.refused(*active.arguments(key=bad))


def test_a_key_that_is_missing(active: Here) -> None:
    assert "cannot read --key" in join.refused(*active.arguments(key=active.folder / "none"))


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros(5), "expected a 1-d array of integers, got float64 of shape [5]; give --clip for floats"),
        (np.zeros((5, 1), int), "expected a 1-d array of integers"),
        (np.zeros(0, int), "the vector is empty"),
        (np.zeros(5, bool), "expected a 1-d array of integers, got bool of shape [5]"),
        (np.array([-1, 0, 0, 0, 0]), "every element of x must be at least 0"),
        (np.full(5, 1 << 19), "the session takes 0 .. 262143"),
    ],
)
def test_inputs_that_cannot_be(active: Here, array: Any, reason: str) -> None:
    active.sites.create()
    np.save(active.input, array)
    assert reason in join.refused(*active.arguments())


def test_an_input_that_is_no_array(active: Here) -> None:
    active.input.write_text("1 2 3")
    assert "cannot be read as a .npy file" in join.refused(*active.arguments())


def test_plain_http_to_another_machine(active: Here) -> None:
    said = join.refused(*active.arguments(url="http://192.0.2.1"))
    assert "http://192.0.2.1 is plain HTTP to another machine" in said


def test_an_output_that_cannot_be_written(active: Here) -> None:
    assert "no such directory" in join.refused(*active.arguments("--output", active.folder / "none" / "x.npy"))


def test_a_certificate_is_trusted_by_name_alone(tmp_path: Path) -> None:
    """A coordinator's own process, behind a certificate that it has signed itself."""
    Command("serve").run("--init", tmp_path / "c", "--participants", ",".join(NAMES[:4]))
    config = tmp_path / "c" / CONFIG
    write_certificate(tmp_path / "c")
    text = config.read_text().replace('# certificate = "tls.crt"', 'certificate = "tls.crt"')
    config.write_text(text.replace('# private_key = "tls.key"', 'private_key = "tls.key"'))
    np.save(tmp_path / "x.npy", vector(1))
    with process("--config", config, "--listen", "127.0.0.1:0") as (url, _):
        key = tmp_path / "c" / "tokens" / f"{NAMES[0]}.token"
        mine: list[str | Path] = [url, "--key", key, "--input", tmp_path / "x.npy", "--state", tmp_path / "state"]
        assert url.startswith("https://")
        assert "is not trusted" in join.refused(*mine)
        assert "cannot be used" in join.refused(*mine, "--ca", config)
        code, _, err = join.outcome(*mine, "--ca", tmp_path / "c" / "tls.crt", "--timeout", "0")
    assert code == 3
    assert err.splitlines()[-1].startswith("error: waiting for a session")
