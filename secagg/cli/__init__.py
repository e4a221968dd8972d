"""The command `secagg`. Each command parses its options, calls the package and prints; nothing is computed here.

Commands are imported when they are called, so that each needs the time and the packages of its own work only.
"""

from typing import Annotated

import typer

from .. import __version__
from .app import App, Later, run

app = App(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    later={
        "simulate": Later("simulate:simulate", "Run a whole session in one process, and time and weigh it."),
        "params": Later("params:params", "Choose a graph and thresholds, and weigh what they cost."),
        "keygen": Later("keygen:keygen", "Make a user's long-term key pair, for the active model."),
        "adopt": Later("adopt:adopt", "Use a copy of a ledger, of nonces or of a journal from now on."),
        "info": Later("info:info", "Show versions, CPU and instruction sets."),
        "selftest": Later("selftest:selftest", "Check every kernel against known answers."),
        "bench": Later("bench:bench", "Measure the kernels beside OpenSSL."),
        "dp": Later("dp:app", "Choose noise: what a privacy budget costs in accuracy."),
        "serve": Later("service.serve:serve", "Run a coordinator, for sessions between machines."),
        "join": Later("service.join:join", "Contribute a vector to a session of a coordinator."),
        "session": Later("service:app", "Make a coordinator's sessions, and read their sums."),
        "dap": Later("dap:app", "Run DAP: Leader, Helper, tasks, uploads and collection."),
    },
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"secagg {__version__}")
        raise typer.Exit


@app.callback()
def _secagg(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Secure aggregation: a server learns the sum of many clients' private vectors and nothing else.

    \b
    Examples:
      secagg simulate --clients 100 --length 100000 --bits 24 --drop 0.1
      secagg simulate --input updates/ --clip 1.0 --output mean.npy
      secagg keygen --output user7.key
      secagg bench
      secagg dp epsilon-for --relative-error 2% --count 500 --task histogram
      secagg serve --init coordinator --participants ada,bo,cy,di
      secagg dap init --role leader --dir leader
    """


def main() -> None:
    """Run the command line of this process and exit."""
    run(app, "secagg")
