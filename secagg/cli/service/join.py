"""`secagg join`: contribute a vector to a session of a coordinator."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from ...errors import Abort
from ...http.steps import Progress
from ...protocol.identity import Identity, Roster
from ...protocol.nonces import state_folder
from ...protocol.quantize import Quantizer
from ...service.counters import command_counters
from ...service.participant import Contribution, Participant, ParticipationPending, Standing
from ...service.policy import Policy
from ...service.refusals import Refused
from ..app import CommandError, fail, require
from ..console import show, show_json
from ..numbers import integer_option, number_option
from ..options import AllowHttpOption, CaOption, JsonOption, check_writable
from ..vectors import read_integers, read_vector

_KEY_BYTES_MAX = 1 << 16
_PEM = b"-----BEGIN "
_TOKEN = re.compile(rb"\s*([!-~]{20,200})\s*")
LEFT_OUT, PENDING = 1, 3  # exit codes


def join(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="The coordinator's, or a session's: https://HOST/v1/sessions/NAME.")
    ],
    key: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Your key: of `secagg keygen` (active model), or a file with the token that the operator gave"
            " (semi-honest model).",
        ),
    ],
    source: Annotated[
        Path,
        typer.Option("--input", metavar="FILE", help="Your vector, .npy: integers from 0 on, or with --clip floats."),
    ],
    roster: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Everyone's verification keys; with a key of `secagg keygen`.")
    ] = None,
    session: Annotated[
        str | None, typer.Option(metavar="NAME", help="The session. [default: the only one that you may join]")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What this site accepts of a session, TOML.")
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where to keep the state of this session and used nonces."
            " [default: $XDG_STATE_HOME/secagg, or the key's folder]",
        ),
    ] = None,
    counter: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND",
            help="A program that keeps a number for each state where it cannot be put back, such as in a TPM:"
            " 'COMMAND value NAME' prints it, 'COMMAND advance NAME N' raises it.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the sum here, as .npy; with --clip the mean.")
    ] = None,
    clip: Annotated[
        float | None, number_option(help="Take floats, and cut larger magnitudes to this; as the session was made for.")
    ] = None,
    bits: Annotated[int, integer_option(help="With --clip: bits of a value; as the session was made for.")] = 16,
    timeout: Annotated[
        float | None, number_option(help="Seconds to wait for the session's end. [default: as long as it takes]")
    ] = None,
    ca: CaOption = None,
    allow_http: AllowHttpOption = False,
    json: JsonOption = False,
) -> None:
    """Contribute a vector to a session of secure aggregation, and wait for its end.

    The coordinator learns the sum of all vectors, and nothing else of this one. What a session asks for is compared
    with --policy; a session that protects less is refused before anything of the protocol is sent.

    Every message is on disk before it is sent. If this command, the machine or the network fails, type the same command
    again: it goes on where it was. Until others have this user's shares, Ctrl-C leaves the session; SIGTERM, as at a
    machine's shutdown, does not.

    Without --session the command waits until there is a session to join. Progress is on stderr.

    \b
    Examples:
      secagg join https://coordinator.example --key user7.key --roster roster.txt --input update.npy
      secagg join https://coordinator.example/v1/sessions/round-7 --key token7 --input counts.npy --output sum.npy
      secagg join https://coordinator.example --key user7.key --roster roster.txt --input update.npy --clip 1.0
          --policy site.toml --output mean.npy

    Exit codes: 1 the session has ended without this vector; 3 the time of --timeout is over, and the session goes on.
    """
    check_writable(output)
    chosen = Policy() if policy is None else Policy.read(policy)
    if allow_http:
        chosen = replace(chosen, allow_http=True)
    x, quantizer = _input(source, clip, bits)
    identity, token = credentials(key, state)
    require(
        (identity is None) == (roster is None),
        f"{key} holds a token: leave out --roster" if identity is None else f"{key} holds a key: give --roster",
    )
    told = _Told()
    with (
        Participant(
            url,
            identity=identity,
            token=token,
            roster=None if roster is None else Roster.read(roster),
            policy=chosen,
            state=state_folder(Path(os.path.realpath(key)).parent, state),
            counter=None if counter is None else command_counters(counter),
            ca=ca,
        ) as participant,
        _ended(told),
    ):
        done = participant.contribute(session, x, quantizer=quantizer, timeout=timeout, progress=told)
    _report(done, output, json)


def credentials(key: Path, state: Path | None) -> tuple[Identity | None, str | None]:
    """The identity or the token in a file, told apart by the content.

    Raises:
        CommandError: it holds neither, or others may read it.
    """
    try:
        with key.open("rb") as file:
            content, mode = file.read(_KEY_BYTES_MAX), os.fstat(file.fileno()).st_mode
    except OSError as error:
        raise CommandError(f"cannot read --key {key}: {error.strerror}") from None
    if _PEM in content:
        return Identity.load(key, state=state), None
    found = _TOKEN.fullmatch(content)
    require(found is not None, f"{key} holds neither an Ed25519 key in PEM nor a token")
    require(not mode & 0o077, f"{key} must be readable by its owner only: chmod 600 {key}")
    assert found is not None
    return None, found[1].decode()


class _Told:
    """Says on stderr how the participant stands, once for each change.

    Attributes:
        joined: whether the session has taken this user in.
    """

    def __init__(self) -> None:
        self.joined = False
        self._last = ""

    def __call__(self, progress: Progress) -> None:
        assert isinstance(progress, Standing)
        self.joined = self.joined or progress.session != ""
        line = progress.reason if progress.reason != "answered" else f"{progress.round} answered"
        line = f"session {progress.session}: {line}" if progress.session else line
        if line != self._last:
            self._last = line
            print(line, file=sys.stderr, flush=True)


@contextmanager
def _ended(told: _Told) -> Iterator[None]:
    """The exit codes of a session that ends without this user's input."""
    try:
        yield
    except ParticipationPending as error:
        fail(str(error), code=PENDING)
    except (Abort, Refused) as error:
        if not told.joined:
            raise
        fail(str(error), code=LEFT_OUT)


def _input(source: Path, clip: float | None, bits: int) -> tuple[NDArray[Any], Quantizer[Any] | None]:
    """The vector, and with --clip the quantizer."""
    if clip is None:
        return read_integers(source), None
    vector = read_vector(source)
    return vector, Quantizer.like(vector, clip=clip, bits=bits)


def _report(done: Contribution, output: Path | None, json: bool) -> None:
    """What became of it; the sum or the mean goes to the file."""
    value: Any = done.sum if done.decoded is None else done.mean
    written = None
    if output is not None:
        require(value is not None, "the coordinator keeps the result from participants: --output has nothing to write")
        with output.open("wb") as file:  # np.save would add .npy to the name
            np.save(file, value)
        written = str(output)
    if json:
        survivors = None if done.survivors is None else list(done.survivors)
        show_json(
            {"session": done.session, "user": done.user, "included": done.included, "survivors": survivors,
             "output": written}
        )  # fmt: skip
    elif done.survivors is None:
        show(f"session {done.session} has ended; the coordinator keeps the result from participants")
    else:
        where = "is" if done.included else "is not"
        show(
            f"the sum of {len(done.survivors)} of {done.params.n} users; the vector of user {done.user} {where} in it",
            *([f"written to {written}"] if written else []),
        )
    if done.included is False:
        raise typer.Exit(LEFT_OUT)
