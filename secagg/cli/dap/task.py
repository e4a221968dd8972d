"""`secagg dap task`: make tasks, and tell an Aggregator of them."""

import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from ...dap import task_file
from ...dap.admission import UPLOAD_BYTES, check_endpoints, check_report_size
from ...dap.aggregator.health import helper_state
from ...dap.aggregator.release import collections_left
from ...dap.dialect import ADVERTISED, DEFAULT
from ...dap.messages import Role, TaskConfiguration
from ...dap.server.config import Config
from ...dap.store.engine import Tx
from ...dap.store.reports import count_open_reports
from ...dap.store.tasks import KnownTasks, TaskRecord, add_task, delete_task, find_task
from ...dap.task import Task
from ...dap.task_file import AggregatorParty, ClientParty, CollectorParty, Party
from ...dap.taskprov import advertised_task
from ..app import App, CommandError, require, warn
from ..console import integer_option, show, show_json, show_pairs, table
from ..dp.options import (
    DeltaOption,
    EpsilonOption,
    LengthOption,
    MaxMeasurementOption,
    MaxWeightOption,
    ReportsPerClientOption,
    RhoOption,
    SpanOption,
)
from ..durations import duration
from ..options import AllowHttpOption, JsonOption
from . import tokens
from .common import ConfigOption, decoded_task_id, instant, load, opened, read_labels, stored_task, write_documents
from .task_options import (
    AUTOMATIC,
    MECHANISMS,
    NONE,
    CollectorConfigOption,
    CollectorKeyOption,
    CollectorTokenOption,
    LeaderTokenOption,
    PrivacyOptions,
    choose_collector,
    choose_decided,
    choose_dialect,
    choose_interval,
    choose_vdaf,
    server_url,
    size_warning,
)
from .task_options import configuration as configured
from .task_text import described, in_words, mode_text, state_in_words, vdaf_text

app = App(
    help="""Tasks: what is measured, how it is added up, and how private results are.

    \b
    Examples:
      secagg dap task new --vdaf Histogram --length 16 --leader https://leader.example --helper https://helper.example
          --min-batch-size 100 --epsilon 1 --collections 10 --output task
      secagg dap task show task/helper.json
      secagg dap task add --config helper.toml task/helper.json
      secagg dap task list --config helper.toml
    """,
)

PartyFile = Annotated[Path, typer.Argument(metavar="PARTYFILE", help="A file that `secagg dap task new` wrote.")]


def new(
    vdaf: Annotated[str, typer.Option(help="Count, Sum, SumVec, Histogram or MultihotCountVec.")],
    leader: Annotated[str, typer.Option(help="The Leader's URL.", metavar="URL")],
    helper: Annotated[str, typer.Option(help="The Helper's URL.", metavar="URL")],
    min_batch_size: Annotated[int, integer_option(minimum=1, help="The smallest number of reports in a result.")],
    length: LengthOption = None,
    max_measurement: MaxMeasurementOption = None,
    max_weight: MaxWeightOption = None,
    chunk_length: Annotated[
        int | None, integer_option(help="Of vectors: how proofs are cut. [default: what makes reports short]")
    ] = None,
    batch_mode: Annotated[str, typer.Option(help="time-interval or leader-selected.")] = "time-interval",
    batch_size: Annotated[
        int,
        integer_option(
            minimum=0,
            help="Reports in a batch that the Leader selects. [default: --min-batch-size]",
            show_default=False,
        ),
    ] = 0,
    time_precision: Annotated[str, typer.Option(help="Reports' times are rounded to this: 5m, 1h, 1d.")] = "1h",
    start: Annotated[str | None, typer.Option(help="No earlier reports: 2026-01-31, 2026-01-31T12:00Z.")] = None,
    end: Annotated[str | None, typer.Option(help="No later reports.")] = None,
    lasts: Annotated[str | None, typer.Option("--duration", help="In place of --end: 30d.")] = None,
    dialect: Annotated[
        str,
        typer.Option(help="What the parties speak: dap-19, the older dap-18, or dap-09, which is deployed."),
    ] = DEFAULT.name,
    epsilon: EpsilonOption = None,
    delta: DeltaOption = None,
    rho: RhoOption = None,
    collections: Annotated[
        int | None,
        integer_option(help="How many there may be: sets the total by the budget of one, or that by the total."),
    ] = None,
    total_epsilon: Annotated[str | None, typer.Option(help="The total budget, of all collections.")] = None,
    total_delta: Annotated[
        str | None, typer.Option(help="With --total-epsilon: the probability that it fails.")
    ] = None,
    total_rho: Annotated[str | None, typer.Option(help="A total zCDP budget, instead of --total-epsilon.")] = None,
    mechanism: Annotated[
        str,
        typer.Option(help=f"{AUTOMATIC}: what the budget asks least noise of; {', '.join(MECHANISMS)}, or {NONE}."),
    ] = AUTOMATIC,
    honest: Annotated[int, integer_option(help="How many of the two Aggregators are counted on for noise.")] = 1,
    reports_per_client: ReportsPerClientOption = 1,
    span: SpanOption = "",
    info: Annotated[str | None, typer.Option(help="A name that all parties see. [default: random]")] = None,
    collector_key: CollectorKeyOption = None,
    collector_config: CollectorConfigOption = None,
    task_id: Annotated[
        str | None, typer.Option(help="The ID that somebody else gave the task, in base64url. [default: random]")
    ] = None,
    verify_key_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The verification key of both Aggregators, in base64url; - is stdin."),
    ] = None,
    leader_token_file: LeaderTokenOption = None,
    collector_token_file: CollectorTokenOption = None,
    taskprov: Annotated[
        bool,
        typer.Option("--taskprov", help="Requests advertise the task to Aggregators that know each other: see `peer`."),
    ] = False,
    labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Names of the result's entries for the Collector's files, one a line."),
    ] = None,
    allow_http: AllowHttpOption = False,
    upload_bytes: Annotated[
        int | None,
        integer_option(
            minimum=1, help="The largest upload that the Leader takes, where its operator has raised upload_bytes."
        ),
    ] = None,
    config: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Add it here right away; may be repeated.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="DIR", help="Write client.json, leader.json and so on here.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Make a task, and what each party must hold: one file for each party in --output, or all of them with --json.

    The Client's is public. The others hold secrets (mode 600): send each to its party alone, then delete it here.
    `task add` tells an Aggregator of the task; `--config` does so at once where the Aggregator is on this machine.

    Where another party has made the task, with other software perhaps, give all that it has decided: the configuration
    by the same values, --info included, and ID, key, tokens and --hpke-config. Secrets come from files that hold them
    alone, or one of them from stdin.

    With --taskprov there is only client.json, for Clients and Collector: its ID follows from the task's configuration,
    and the Aggregators take the task from the first request that advertises it, or do not. Give it an end.

    \b
    Examples:
      secagg dap task new --vdaf Histogram --length 16 --leader https://leader.example --helper https://helper.example
          --min-batch-size 100 --epsilon 1 --collections 10 --output task
      secagg dap task new --vdaf Histogram --length 16 --leader https://leader.example --helper https://helper.example
          --min-batch-size 100 --total-epsilon 8 --total-delta 1e-6 --collections 365 --output task
      secagg dap task new --vdaf Sum --max-measurement 255 --leader http://127.0.0.1:8080
          --helper http://127.0.0.1:8081 --min-batch-size 10 --mechanism none
          --config leader.toml --config helper.toml --output task
      secagg dap task new --vdaf Count --leader https://leader.example --helper https://helper.example --info visits
          --min-batch-size 100 --mechanism none --task-id aBc... --hpke-config AAA... --verify-key-file key
          --leader-token-file leader.token --collector-token-file - --output task
    """
    require(json or output is not None, "give --output DIR, or --json to print the secrets of all parties")
    require(end is None or lasts is None, "give --end or --duration, not both")
    precision = duration("--time-precision", time_precision)
    first = None if start is None else instant("--start", start)
    last = None if end is None else instant("--end", end)
    if lasts is not None:
        require(first is not None, "--duration needs --start")
        last = (first or 0) + duration("--duration", lasts)
    chosen = choose_vdaf(
        vdaf, length=length, max_measurement=max_measurement, max_weight=max_weight, chunk_length=chunk_length
    )
    options = PrivacyOptions(
        epsilon,
        delta,
        rho,
        total_epsilon,
        total_delta,
        total_rho,
        collections,
        mechanism,
        honest,
        reports_per_client,
        span,
    )
    spoken = choose_dialect(dialect)
    made = configured(
        info=info,
        dialect=spoken,
        batch_mode=batch_mode,
        leader=server_url("--leader", leader),
        helper=server_url("--helper", helper),
        vdaf=chosen,
        time_precision=precision,
        min_batch_size=min_batch_size,
        privacy=options.privacy(chosen),
        interval=choose_interval(first, last, precision),
    )
    configs = {file: Config.load(file) for file in config or []}
    largest = _upload_bytes(upload_bytes, configs.values())
    parties: dict[str, Party]
    if taskprov:
        files = (verify_key_file, leader_token_file, collector_token_file, collector_key, collector_config)
        require(spoken is ADVERTISED, f"an advertised task speaks {ADVERTISED.name}")
        require(
            not configs and not batch_size and task_id is None and labels is None and not any(files),
            "--taskprov takes no ID, key, token, --batch-size, --labels or --config: Aggregators derive them, or have"
            " them from `secagg dap peer`",
        )
        parties = {"client": _advertised(made, allow_http, largest)}
    else:
        parties = task_file.new_parties(
            made,
            choose_collector(collector_key, collector_config),
            dialect=spoken,
            decided=choose_decided(task_id, verify_key_file, leader_token_file, collector_token_file),
            batch_size=batch_size,
            allow_http=allow_http,
            upload_bytes=largest,
        )
    if labels is not None:
        collector = parties["collector"]
        assert isinstance(collector, CollectorParty)
        parties["collector"] = replace(collector, labels=read_labels(labels))
    warning = size_warning(parties["client"].task, batch_size)
    if warning is not None:
        warn(warning)
    documents = {name: task_file.to_document(party) for name, party in parties.items()}
    if output is not None:
        write_documents(output, documents)
    for file, loaded in configs.items():
        _add(file, next(party for party in parties.values() if _role(party) is loaded.role), allow_http)
    if json:
        show_json({**described(parties["client"].task), "parties": documents})
        return
    show_pairs(in_words(parties["client"].task))
    show("", *(f"{output}/{name}.json  {_ADVERTISED if taskprov else _PURPOSES[name]}" for name in documents))


_ADVERTISED = "for Clients, and for the Collector together with its file of the peer; public"
_PURPOSES = {
    "client": "for Clients; public",
    "leader": "for the Leader alone: secagg dap task add --config leader.toml leader.json",
    "helper": "for the Helper alone: secagg dap task add --config helper.toml helper.json",
    "collector": "for the Collector alone",
}


def add(config: ConfigOption, file: PartyFile, allow_http: AllowHttpOption = False, json: JsonOption = False) -> None:
    """Tell an Aggregator of a task. Look at it first with `task show`: this Aggregator will promise what it says.

    Running servers know the task within seconds.

    \b
    Example:
      secagg dap task add --config helper.toml task/helper.json
    """
    party = load(file, task_file.load)
    _add(config, party, allow_http)
    _show_task(party.task, json)


def show_one(
    task: Annotated[str, typer.Argument(metavar="TASK", help="A file that `task new` wrote, or with --config an ID.")],
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The Aggregator's configuration: also show how the task is at it."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Say in words what a task is, without its secrets: look at it before you add it.

    With --config, also say what is left of its budget and, at the Leader, how many reports wait, and whether the Helper
    has the task and accepts the Leader's token: the Leader asks it when the task is added, until that is so.

    \b
    Examples:
      secagg dap task show task/helper.json
      secagg dap task show --config leader.toml task/leader.json
    """
    if config is None:
        _show_task(load(Path(task), task_file.load).task, json)
        return
    with opened(config) as (loaded, store), store.read() as tx:
        record = stored_task(tx, task, config)
        state: dict[str, Any] = {"collections_left": collections_left(tx, record)}
        if loaded.role is Role.LEADER:
            state |= {"waiting": count_open_reports(tx, record), "helper_check": helper_state(tx, record)}
            state["client_tokens"] = len(record.client_tokens)
    if json:
        show_json({**described(record.task), **state})
    else:
        show_pairs([*in_words(record.task), *state_in_words(state)])


def list_tasks(config: ConfigOption, json: JsonOption = False) -> None:
    """Show the tasks of an Aggregator, and what is left of their budgets.

    \b
    Example:
      secagg dap task list --config leader.toml
    """
    with opened(config) as (_, store), store.read() as tx:
        rows = [_row(tx, record) for record in KnownTasks().list_all(tx)]
    if json:
        show_json(rows)
        return
    made = table("task", "VDAF", "batch", "noise", "collections left", "waiting reports")
    for row in rows:
        left = "" if row["collections_left"] is None else f"{row['collections_left']:,}"
        batch = f"{row['min_batch_size']:,} or more, {row['batch_mode']}"
        made.add_row(row["task_id"], row["vdaf"], batch, row["mechanism"] or "none", left, f"{row['waiting']:,}")
    show(made)


def delete(
    config: ConfigOption,
    task_id: Annotated[str, typer.Argument(metavar="TASK", help="Its ID, as `task list` shows it.")],
    force: Annotated[bool, typer.Option("--force", help="Even if reports wait that were never aggregated.")] = False,
    json: JsonOption = False,
) -> None:
    """Forget a task's secrets: it accepts no more reports and gives no more results. Its ID is never used again.

    \b
    Example:
      secagg dap task delete --config leader.toml aBc...
    """
    decoded = decoded_task_id(task_id)
    with opened(config) as (_, store), store.write() as tx:
        record = find_task(tx, decoded)
        if record is None:
            raise CommandError(f"there is no task {task_id} here; see `secagg dap task list --config {config}`")
        left = count_open_reports(tx, record)
        require(
            force or not left,
            f"{left:,} reports of this task are not aggregated yet and would be lost: wait, or give --force",
        )
        delete_task(tx, decoded)
    if json:
        show_json({"deleted": task_id})
    else:
        show(f"task {task_id} is deleted here; delete it at the other Aggregator, too")


app.command("new", short_help="Make a task, with what each party has to hold.")(new)
app.command("show", short_help="Say what a task is, and how it is at an Aggregator.")(show_one)
app.command("add", short_help="Tell an Aggregator of a task.")(add)
app.command("list", short_help="Show an Aggregator's tasks.")(list_tasks)
app.command("delete", short_help="Forget a task.")(delete)
app.command("new-token", short_help="Make a token that a party of a task shows.")(tokens.make)
app.command("accept-token", short_help="Accept a new token, and the old one for some time.")(tokens.accept)
app.command("use-token", short_help="Show a new token from now on.")(tokens.use)
app.command("end-token", short_help="Accept the new token alone.")(tokens.end)


def _advertised(configuration: TaskConfiguration, allow_http: bool, upload_bytes: int) -> ClientParty:
    task = advertised_task(configuration.encode())
    check_endpoints(task, allow_http=allow_http)
    check_report_size(task, upload_bytes)
    return ClientParty(task)


def _role(party: Party) -> Role | None:
    return party.secrets.role if isinstance(party, AggregatorParty) else None


def _upload_bytes(given: int | None, configs: Iterable[Config]) -> int:
    """The largest upload that the Leader takes, as far as that is known here."""
    known = [config.limits.upload_bytes for config in configs if config.role is Role.LEADER]
    return min([*known, *([] if given is None else [given])], default=UPLOAD_BYTES)


def _add(path: Path, party: Party, allow_http: bool) -> None:
    with opened(path) as (config, store):
        own = config.role.name.lower()
        if not isinstance(party, AggregatorParty) or party.secrets.role is not config.role:
            held = "collector" if isinstance(party, CollectorParty) else "client"
            name = party.secrets.role.name.lower() if isinstance(party, AggregatorParty) else held
            raise CommandError(f"this is the {name}'s file, and {path} configures a {own}: give the {own}'s file")
        check_endpoints(party.task, allow_http=allow_http)
        if config.role is Role.LEADER:
            check_report_size(party.task, config.limits.upload_bytes)
        with store.write() as tx:
            add_task(tx, party.task, party.secrets, time.time())


def _show_task(task: Task, json: bool) -> None:
    if json:
        show_json(described(task))
    else:
        show_pairs(in_words(task))


def _row(tx: Tx, record: TaskRecord) -> dict[str, Any]:
    task, privacy = record.task, record.task.privacy
    return {
        "task_id": task.text,
        "vdaf": vdaf_text(task),
        "batch_mode": mode_text(task),
        "min_batch_size": task.min_batch_size,
        "mechanism": None if privacy is None else str(privacy.mechanism),
        "budget": None if privacy is None else str(privacy.budget),
        "collections_left": collections_left(tx, record),
        "waiting": count_open_reports(tx, record),
    }
