"""`secagg dap peer`: with whom an Aggregator takes part in tasks that are advertised."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from ...dap import peer_file
from ...dap.admission import check_servers
from ...dap.peer_file import AggregatorPeer
from ...dap.store.engine import Tx
from ...dap.store.peers import PeerRecord, add_peer, count_advertised, delete_peer, list_peers
from ...http.base64url import base64url
from ..app import App, CommandError, require, warn
from ..console import show, show_json, show_pairs, table
from ..numbers import integer
from ..options import AllowHttpOption, JsonOption
from .common import ConfigOption, load, opened, write_documents
from .task_options import (
    CollectorConfigOption,
    CollectorKeyOption,
    CollectorTokenOption,
    LeaderTokenOption,
    choose_collector,
    choose_decided,
    server_url,
)

app = App(
    help="""Peers: the other Aggregator of tasks that are advertised (DAP-Taskprov), and their Collector.

    What parties of such tasks agree on before is in files, one for each. A task itself comes with the first request.

    \b
    Examples:
      secagg dap peer new --leader https://leader.example --helper https://helper.example --output peer
      secagg dap peer add --config helper.toml peer/helper.json
      secagg dap peer list --config helper.toml
    """,
)

PeerFile = Annotated[Path, typer.Argument(metavar="PEERFILE", help="A file that `secagg dap peer new` wrote.")]


def new(
    leader: Annotated[str, typer.Option(help="The Leader's URL.", metavar="URL")],
    helper: Annotated[str, typer.Option(help="The Helper's URL.", metavar="URL")],
    collector_key: CollectorKeyOption = None,
    collector_config: CollectorConfigOption = None,
    verify_key_init_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The secret of both Aggregators, 32 bytes in base64url; - is stdin."),
    ] = None,
    leader_token_file: LeaderTokenOption = None,
    collector_token_file: CollectorTokenOption = None,
    allow_http: AllowHttpOption = False,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="DIR", help="Write leader.json, helper.json and so on here.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Make what Leader, Helper and Collector of advertised tasks must hold: a file for each, or all with --json.

    All of them hold secrets (mode 600): send each to its party alone, then delete it here. Clients need nothing but the
    configuration of a task. What another party has decided is given in place of drawing it.

    \b
    Example:
      secagg dap peer new --leader https://leader.example --helper https://helper.example --output peer
    """
    require(json or output is not None, "give --output DIR, or --json to print the secrets of all parties")
    urls = server_url("--leader", leader), server_url("--helper", helper)
    check_servers(*urls, allow_http=allow_http)
    decided = choose_decided(
        None, verify_key_init_file, leader_token_file, collector_token_file, verify_key_option="--verify-key-init-file"
    )
    peers = peer_file.new_peers(*urls, choose_collector(collector_key, collector_config), decided=decided)
    documents = {name: peer_file.to_document(peer) for name, peer in peers.items()}
    if output is not None:
        write_documents(output, documents)
    if json:
        show_json({"leader": urls[0], "helper": urls[1], "parties": documents})
        return
    show(*(f"{output}/{name}.json  {_PURPOSES[name]}" for name in documents))


_PURPOSES = {
    "leader": "for the Leader alone: secagg dap peer add --config leader.toml leader.json",
    "helper": "for the Helper alone: secagg dap peer add --config helper.toml helper.json",
    "collector": "for the Collector alone: secagg dap collect --peer collector.json --task client.json",
}


def add(config: ConfigOption, file: PeerFile, allow_http: AllowHttpOption = False, json: JsonOption = False) -> None:
    """Tell an Aggregator of a peer. Which of its tasks are taken, [taskprov] in the configuration says.

    Running servers know the peer within seconds.

    \b
    Example:
      secagg dap peer add --config helper.toml peer/helper.json
    """
    peer = load(file, peer_file.load)
    with opened(config) as (loaded, store):
        own = loaded.role.name.lower()
        if not isinstance(peer, AggregatorPeer) or peer.secrets.role is not loaded.role:
            name = peer.secrets.role.name.lower() if isinstance(peer, AggregatorPeer) else "collector"
            raise CommandError(f"this is the {name}'s file, and {config} configures a {own}: give the {own}'s file")
        check_servers(peer.leader_url, peer.helper_url, allow_http=allow_http)
        with store.write() as tx:
            record = add_peer(tx, peer.leader_url, peer.helper_url, peer.secrets, time.time())
            row = _row(tx, record)
        if not loaded.taskprov.opt_in:
            warn(f"{config} has opt_in = false in [taskprov]: no advertised task is taken")
    if json:
        show_json(row)
    else:
        show_pairs([("peer", str(row["peer"])), ("leader", peer.leader_url), ("helper", peer.helper_url)])


def list_all(config: ConfigOption, json: JsonOption = False) -> None:
    """Show an Aggregator's peers, and how many advertised tasks it has with each.

    \b
    Example:
      secagg dap peer list --config leader.toml
    """
    with opened(config) as (_, store), store.read() as tx:
        rows = [_row(tx, record) for record in list_peers(tx)]
    if json:
        show_json(rows)
        return
    made = table("peer", "leader", "helper", "collector's key", "tasks that last", "new within a day")
    for row in rows:
        key = row["collector_key"][:16] + "..."
        made.add_row(str(row["peer"]), row["leader"], row["helper"], key, f"{row['tasks']:,}", f"{row['new']:,}")
    show(made)


def delete(
    config: ConfigOption,
    number: Annotated[int, typer.Argument(parser=integer, metavar="PEER", help="Its number, as `peer list` shows it.")],
    json: JsonOption = False,
) -> None:
    """Forget a peer: no new tasks are taken from it. Those that were taken stay, until `task delete`.

    \b
    Example:
      secagg dap peer delete --config leader.toml 1
    """
    with opened(config) as (_, store), store.write() as tx:
        delete_peer(tx, number)
    if json:
        show_json({"deleted": number})
    else:
        show(f"peer {number} is deleted here; its tasks stay")


app.command("new", short_help="Make what the parties of advertised tasks have to hold.")(new)
app.command("add", short_help="Tell an Aggregator of a peer.")(add)
app.command("list", short_help="Show an Aggregator's peers.")(list_all)
app.command("delete", short_help="Forget a peer.")(delete)


def _row(tx: Tx, record: PeerRecord) -> dict[str, Any]:
    """A peer without its secrets."""
    lasting, recent = count_advertised(tx, record, time.time())
    return {
        "peer": record.key,
        "leader": record.leader_url,
        "helper": record.helper_url,
        "collector_key": base64url(record.secrets.collector_config.public_key),
        "tasks": lasting,
        "new": recent,
    }
