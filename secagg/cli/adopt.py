"""`secagg adopt`: a file of private state that was copied."""

from pathlib import Path
from typing import Annotated

import typer

from .. import durable
from .console import show


def adopt(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A ledger, a file of nonces, a saved client or a journal of releases."),
    ],
) -> None:
    """Use a copy of private state as the state itself, after a file was moved, restored or put on another disk.

    A ledger, a file of nonces, a saved client or a journal knows which file it is, and copies are refused: a copy
    lacks what was written to the original later. Adopt a copy only if it is the newest, and if the original is no
    longer used. Otherwise a budget is spent twice, a nonce is used twice, or a client answers a round twice.

    \b
    Example:
      secagg adopt /var/lib/app/ledger.json
    """
    kind = durable.adopt(file)
    show(f"{file}: this {kind} is used from now on")
