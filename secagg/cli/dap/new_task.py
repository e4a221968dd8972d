"""`secagg dap task new`: make a task, with what each party has to hold."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ...dap import task_file
from ...dap.admission import UPLOAD_BYTES, check_endpoints, check_report_size
from ...dap.dialect import ADVERTISED, DEFAULT
from ...dap.messages import Role, TaskConfiguration
from ...dap.server.config import Config
from ...dap.task_file import AggregatorParty, ClientParty, CollectorParty, Party
from ...dap.taskprov import advertised_task
from ..app import require, warn
from ..console import show, show_json, show_pairs
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
from ..numbers import integer_option
from ..options import AllowHttpOption, JsonOption
from .common import add_party, instant, read_labels, write_documents
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
from .task_text import described, in_words

_ADVERTISED = "for Clients, and for the Collector together with its file of the peer; public"
_PURPOSES = {
    "client": "for Clients; public",
    "leader": "for the Leader alone: secagg dap task add --config leader.toml leader.json",
    "helper": "for the Helper alone: secagg dap task add --config helper.toml helper.json",
    "collector": "for the Collector alone",
}


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
        add_party(file, next(party for party in parties.values() if _role(party) is loaded.role), allow_http)
    if json:
        show_json({**described(parties["client"].task), "parties": documents})
        return
    show_pairs(in_words(parties["client"].task))
    show("", *(f"{output}/{name}.json  {_ADVERTISED if taskprov else _PURPOSES[name]}" for name in documents))


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
