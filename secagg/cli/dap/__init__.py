"""`secagg dap`: a deployment of DAP with its Aggregators, tasks, Clients and Collector."""

from ..app import App, Later

app = App(
    later={
        "demo": Later("demo.command:demo", "Run a whole deployment here, on simulated browsers."),
        "init": Later("dap.init:init", "Set up an Aggregator: configuration, secret, store and HPKE key."),
        "leader": Later("dap.serve:leader", "Run the Leader's server."),
        "helper": Later("dap.serve:helper", "Run the Helper's server."),
        "worker": Later("dap.serve:worker", "Do an Aggregator's work beside its servers."),
        "task": Later("dap.task:app", "Make tasks, and tell an Aggregator of them."),
        "peer": Later("dap.peer:app", "Peers, with whom advertised tasks are taken."),
        "key": Later("dap.key:app", "An Aggregator's HPKE keys: rotation and expiry."),
        "page-token": Later("dap.key:page_token", "Make the token of an Aggregator's page."),
        "interop": Later("dap.interop:app", "Be tested together with other implementations."),
        "store": Later("dap.store:app", "An Aggregator's store: upgrade and backup."),
        "client-token": Later("dap.client_token:app", "Who may upload to a task: tokens of Clients."),
        "upload": Later("dap.upload:upload", "Upload measurements, as a Client."),
        "collect": Later("dap.collect:collect", "Collect a batch, as the Collector."),
        "collector-key": Later("dap.key:collector_key", "Make a Collector's HPKE key, for any number of tasks."),
    },
    help="""Run a DAP deployment: private measurements of many clients, added up by two servers that do not collude.

    An Aggregator begins with `init`, then runs `leader` or `helper`. Somebody makes a task with `task new`, and each
    Aggregator takes it with `task add`. Clients `upload`, and the Collector will `collect`.

    \b
    Examples:
      secagg dap init --role leader --dir leader
      secagg dap leader --config leader/leader.toml
      secagg dap task new --vdaf Histogram --length 16 --leader https://leader.example --helper https://helper.example
          --min-batch-size 100 --epsilon 1 --collections 10 --output task
      secagg dap task add --config leader/leader.toml task/leader.json
      secagg dap upload --task task/client.json 3
      secagg dap collect --task task/collector.json --interval 2026-01-31T12:00Z/1h
    """,
)


@app.callback()
def _dap() -> None:
    pass
