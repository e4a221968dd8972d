"""`secagg adopt`: a file of private state that was copied."""

from pathlib import Path
from typing import Annotated

import typer

from .. import durable
from .console import show


def adopt(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A ledger, a file of nonces or a journal of releases.")],
) -> None:
    """Take a copy of private state for the state itself, after its disk was changed or a file was moved or restored.

    A ledger, a file of nonces or a journal knows the file that it is, and a copy is refused: what was written to the
    original after the copy was made is not in it. Adopt a copy only if it is the newest, and the original is used no
    more: else a budget is spent twice, or a nonce used twice.

    \b
    Example:
      secagg adopt /var/lib/app/ledger.json
    """
    kind = durable.adopt(file)
    show(f"{file}: this {kind} is used from now on")
