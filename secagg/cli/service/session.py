"""`secagg session`: what the operator of a coordinator does with sessions."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from ...http.base64url import base64url, from_base64url
from ...protocol.identity import Roster
from ...protocol.layout import Layout
from ...protocol.params import Params
from ...protocol.quantize import Quantizer
from ...service.coordinator.creation import MODELS, THREATS
from ...service.names import Name, name_text
from ...service.problems import UNFINISHED, ServiceProblem
from ...service.resources import ROUND_NAMES, SESSIONS
from ...service.rosters import roster_to_json
from ..app import CommandError, fail, require
from ..console import modulus_text, show, show_json, show_pairs, table
from ..durations import duration
from ..numbers import integer_option, number_option
from ..options import AllowHttpOption, CaOption, JsonOption, check_writable
from .common import ConfigOption, Place, SessionOption, TokenOption, UrlArgument, names_of, operating, place

WATCH_SECONDS = 1.0
IDS_SHOWN = 20
NO_SUM = 1  # exit code


def start(
    url: UrlArgument = None,
    config: ConfigOption = None,
    token_file: TokenOption = None,
    clients: Annotated[
        int | None, integer_option(help="How many are invited, n. [default: as many as --roster or --invite names]")
    ] = None,
    length: Annotated[int | None, integer_option(help="Entries of each vector, m.")] = None,
    bits: Annotated[int | None, integer_option(help="Sums are mod R = 2^bits, 1 .. 64. [default: 32]")] = None,
    max_value: Annotated[
        int | None, integer_option(help="Instead of --bits: the largest input, for which R is chosen.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="semi-honest (tokens) or active (keys and --roster). [default: active with --roster]"),
    ] = None,
    threat: Annotated[
        str | None,
        typer.Option(help="Who may be corrupt: clients-only, server-only or colluding. [default: colluding]"),
    ] = None,
    threshold: Annotated[
        int | None, integer_option(help="Shares that reveal a secret, t. [default: by threat]")
    ] = None,
    corrupt: Annotated[int | None, integer_option(help="Number of corrupt clients. [default: by threat]")] = None,
    min_users: Annotated[
        int | None, integer_option(help="Inputs that a sum must have at least. [default: as few as is safe]")
    ] = None,
    clip: Annotated[
        float | None,
        number_option(help="For vectors of floats, of which `secagg join --clip` cuts larger magnitudes to this."),
    ] = None,
    value_bits: Annotated[int, integer_option(help="With --clip: bits of a value, --bits of `secagg join`.")] = 16,
    context: Annotated[
        str | None, typer.Option(help="What the session is bound to, such as a hash of model and task.")
    ] = None,
    roster: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Everyone's verification keys, in the active model.")
    ] = None,
    invite: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="In the semi-honest model, who is invited, in the order of ids: names, or numbers of 64 bits, with"
            " commas between them, or @FILE. [default: the first n who come]",
        ),
    ] = None,
    goal: Annotated[
        int | None, integer_option(help="Answers of a round that are enough, after a grace. [default: all]")
    ] = None,
    join_deadline: Annotated[
        str, typer.Option(metavar="DURATION", help="How long the session waits for participants: 10m, 2h.")
    ] = "1h",
    deadline: Annotated[str, typer.Option(metavar="DURATION", help="How long each later round lasts, at most.")] = "5m",
    grace: Annotated[
        str, typer.Option(metavar="DURATION", help="For those who are nearly there, once the goal is met.")
    ] = "10s",
    keep: Annotated[str, typer.Option(metavar="DURATION", help="How long the result is kept.")] = "1d",
    name: Annotated[str | None, typer.Option(help="Of the session. [default: a random one]")] = None,
    label: Annotated[str | None, typer.Option(help="A line for people.")] = None,
    results: Annotated[bool, typer.Option(help="Let participants read the sum.")] = True,
    ca: CaOption = None,
    allow_http: AllowHttpOption = False,
    json: JsonOption = False,
) -> None:
    """Make a session. It waits for participants at once.

    Prints its name, and what to give to participants.

    \b
    Examples:
      secagg session start --config coordinator/coordinator.toml --clients 100 --length 10000 --max-value 65535
      secagg session start https://coordinator.example --roster roster.txt --length 10000 --goal 90 --deadline 2m
      secagg session start --config coordinator/coordinator.toml --invite ada,bo,cy,di --length 16 --bits 24
      secagg session start --config coordinator/coordinator.toml --clients 100 --length 10000 --clip 1.0
    """
    at = place(url, config, token_file, None, allow_http)
    require(at.session is None, "give the coordinator's URL, and the new session's --name")
    require(length is not None, "--length says how many entries a vector has")
    members = _thresholds(threshold, corrupt, min_users, threat) | {
        "length": length,
        **_values(length, bits, max_value, context, clip, value_bits),
        "goal": goal,
        "name": name,
        "label": label,
        "results": results,
        "grace": duration("--grace", grace),
        "keep": duration("--keep", keep),
        "seconds": _seconds(duration("--join-deadline", join_deadline), duration("--deadline", deadline)),
        **_who(clients, model, roster, invite),
    }
    with operating(at, ca) as operator:
        made = operator.start({key: value for key, value in members.items() if value is not None})
    if json:
        show_json(made)
        return
    show_pairs(_made(made, at, roster))


def _values(
    length: int | None,
    bits: int | None,
    max_value: int | None,
    context: str | None,
    clip: float | None,
    value_bits: int,
) -> dict[str, Any]:
    """The range of a vector's entries, and what the session is bound to; floats are bound to their encoding."""
    if clip is None:
        return {"bits": bits, "max_value": max_value, "context": context}
    require(bits is None and max_value is None, "--clip says what R is: leave out --bits and --max-value")
    quantizer = _quantizer(length or 0, clip, value_bits)
    bound = quantizer.bind((context or "").encode())
    return {"max_value": quantizer.max_value, "context_bytes": base64url(bound)}


def _quantizer(length: int, clip: float, bits: int) -> Quantizer[NDArray[Any]]:
    """Of vectors, as `secagg join --clip` makes it from its input."""
    return Quantizer(layout=Layout(((length,),), single=True), clip=clip, bits=bits)


def _thresholds(
    threshold: int | None, corrupt: int | None, min_users: int | None, threat: str | None
) -> dict[str, Any]:
    require(threat is None or threat in THREATS, f"--threat must be one of {', '.join(THREATS)}")
    return {"t": threshold, "n_corrupt": corrupt, "min_users": min_users, "threat": threat}


def _who(clients: int | None, model: str | None, roster: Path | None, invite: str | None) -> dict[str, Any]:
    """Who may take part, and in which model."""
    chosen = model or ("semi-honest" if roster is None else "active")
    require(chosen in MODELS, f"--model must be one of {', '.join(MODELS)}")
    require((chosen == "active") == (roster is not None), "--roster goes with --model active, and only with it")
    require(invite is None or roster is None, "--invite is for the semi-honest model: --roster says who is invited")
    who: dict[str, Any] = {"model": chosen}
    known = None
    if roster is not None:
        loaded = Roster.read(roster)
        who["roster"] = roster_to_json(loaded)
        known = len(loaded)
    if invite is not None:
        who["invited"] = names_of("--invite", invite)
        known = len(who["invited"])
    who["n"] = known if clients is None else clients
    require(who["n"] is not None, "--clients says how many are invited")
    return who


def _seconds(joining: int, others: int) -> dict[str, int]:
    first, *later = ROUND_NAMES.values()
    return {first: joining, **dict.fromkeys(later, others)}


def _made(made: dict[str, Any], at: Place, roster: Path | None) -> list[tuple[str, str]]:
    key = "--key FILE" if roster is None else f"--key FILE --roster {roster}"
    return [
        ("session", made["session"]),
        ("model", f"{made['model']}, n = {made['n']}, t = {made['threshold']}, R = {modulus_text(made['modulus'])}"),
        ("participants", f"secagg join {made['url']} {key} --input FILE"),
        ("look at it", f"secagg session status {at.url.base}{SESSIONS}/{made['session']}"),
    ]


def status(
    url: UrlArgument = None,
    config: ConfigOption = None,
    token_file: TokenOption = None,
    session: SessionOption = None,
    watch: Annotated[bool, typer.Option("--watch", help="Print again whenever it changes, until it is over.")] = False,
    ca: CaOption = None,
    allow_http: AllowHttpOption = False,
    json: JsonOption = False,
) -> None:
    """Show how a session stands, or which sessions there are.

    \b
    Examples:
      secagg session status --config coordinator/coordinator.toml
      secagg session status --config coordinator/coordinator.toml --session round-7 --watch
      secagg session status https://coordinator.example/v1/sessions/round-7 --token-file operator.token --json
    """
    at = place(url, config, token_file, session, allow_http)
    with operating(at, ca) as operator:
        if at.session is None:
            require(not watch, "--watch needs a session")
            listed = operator.sessions()
            if json:
                show_json([each.to_json() for each in listed])
                return
            rows = table("session", "status", "round", "model", "n", "length")
            for each in listed:
                current = "" if each.round is None else ROUND_NAMES[each.round]
                rows.add_row(each.session, each.status, current, each.model, str(each.n), f"{each.length:,}")
            show(rows)
            return
        shown = None
        while True:
            described = operator.status(at.session)
            if described != shown:
                shown = described
                _show_status(described, json)
            if not watch or described["status"] != "running":
                return
            time.sleep(WATCH_SECONDS)


def _show_status(described: dict[str, Any], json: bool) -> None:
    if json:
        show_json(described)
        return
    ids = ("joined", "answered", "waiting", "late", "not_needed", "left", "faulty")
    names = {int(user): name for user, name in described.get("names", {}).items()}
    ends = described.get("ends")
    left = None if ends is None else max(0.0, ends - time.time())
    show_pairs(
        [
            ("session", described["session"]),
            ("status", described["status"] + (f": {described['reason']}" if described["reason"] else "")),
            ("round", described["round"] or "none"),
            ("seconds left", "none" if left is None else f"{left:,.0f}"),
            *((name.replace("_", " "), _ids(described.get(name, []), names)) for name in ids),
            ("needed", "none" if described["minimum"] is None else str(described["minimum"])),
            ("may still drop", "none" if described["may_drop"] is None else str(described["may_drop"])),
            ("bytes", f"{described['received_bytes']:,}"),
        ]
    )


def _ids(users: list[int], names: Mapping[int, Name]) -> str:
    """How many, and the first of them, each with its name or number where there is one."""
    shown = " ".join(f"{u} ({name_text(names[u])})" if u in names else str(u) for u in users[:IDS_SHOWN])
    return f"{len(users)}" + (f": {shown}" if users else "") + (" ..." if len(users) > IDS_SHOWN else "")


def result(
    url: UrlArgument = None,
    config: ConfigOption = None,
    token_file: TokenOption = None,
    session: SessionOption = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the sum here, as .npy; with --clip the mean.")
    ] = None,
    clip: Annotated[float | None, number_option(help="Of a session of floats, as it was made for.")] = None,
    value_bits: Annotated[int, integer_option(help="With --clip: bits of a value, as the session was made for.")] = 16,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until there is a sum.")] = False,
    ca: CaOption = None,
    allow_http: AllowHttpOption = False,
    json: JsonOption = False,
) -> None:
    """Read the result of a session: whose inputs are in the sum, its hash, and the sum itself.

    The sum that is written has the hash that is printed.

    \b
    Examples:
      secagg session result --config coordinator/coordinator.toml --session round-7 --output sum.npy --wait
      secagg session result https://coordinator.example/v1/sessions/round-7 --token-file operator.token

    Exit codes: 1 there is no sum yet.
    """
    check_writable(output)
    at = place(url, config, token_file, session, allow_http)
    with operating(at, ca) as operator:
        try:
            form = operator.result(at.named, wait=wait)
        except ServiceProblem as problem:
            if problem.type != UNFINISHED:
                raise
            fail(f"{problem}; wait for it with --wait", NO_SUM)
        total = None if output is None else operator.sum(form)
        if total is not None and clip is not None:
            params = Params.decode(from_base64url(str(operator.status(at.named).get("params"))))
            total = _quantizer(form.length, clip, value_bits).decode(total, params, len(form.survivors)).mean
    if output is not None and total is not None:
        try:
            np.save(output, total, allow_pickle=False)
        except OSError as error:
            raise CommandError(f"cannot write {output}: {error.strerror}") from None
    if json:
        show_json(form.to_json())
        return
    show_pairs(
        [
            ("session", form.session),
            ("inputs", _ids(list(form.survivors), dict(zip(form.survivors, form.names or (), strict=False)))),
            ("sum", f"{form.length:,} entries mod {modulus_text(form.modulus)}"),
            ("sha256", form.sha256),
            *([] if output is None else [("written", str(output))]),
        ]
    )


def abort(
    reason: Annotated[str, typer.Option(help="A sentence that everybody is told.")],
    url: UrlArgument = None,
    config: ConfigOption = None,
    token_file: TokenOption = None,
    session: SessionOption = None,
    ca: CaOption = None,
    allow_http: AllowHttpOption = False,
    json: JsonOption = False,
) -> None:
    """End a session without a sum. Everybody is told the reason.

    \b
    Example:
      secagg session abort --config coordinator/coordinator.toml --session round-7 --reason "wrong model"
    """
    at = place(url, config, token_file, session, allow_http)
    with operating(at, ca) as operator:
        described = operator.abort(at.named, reason)
    if json:
        show_json(described)
        return
    show_pairs([("session", described["session"]), ("status", f"{described['status']}: {described['reason']}")])
