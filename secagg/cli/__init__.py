"""The command `secagg`. Each command parses its options, calls the package and prints; nothing is computed here."""

from typing import Annotated

import typer

from .. import __version__
from . import adopt, bench, dap, dp, info, keygen, simulate
from .console import App, run

app = App(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
app.command(short_help="Run a whole session in one process, and time and weigh it.")(simulate.simulate)
app.command(short_help="Make a user's long-term key pair, for the active model.")(keygen.keygen)
app.command(short_help="Use a copy of a ledger, of nonces or of a journal from now on.")(adopt.adopt)
app.command(short_help="Show versions, CPU and instruction sets.")(info.info)
app.command(short_help="Measure the kernels beside OpenSSL.")(bench.bench)

app.add_typer(dp.app, name="dp", short_help="Choose noise: what a privacy budget costs in accuracy.")
app.add_typer(dap.app, name="dap", short_help="Run DAP: Leader, Helper, tasks, uploads and collection.")


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
      secagg dap init --role leader --dir leader
    """


def main() -> None:
    """Run the command line of this process and exit."""
    run(app, "secagg")
