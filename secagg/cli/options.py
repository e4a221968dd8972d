"""Options of commands of several groups, and the check of an output file before the work."""

import os
from pathlib import Path
from typing import Annotated

import typer

from .app import require

CaOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Certificates, PEM, that a server's must lead to. [default: the system's]"),
]
AllowHttpOption = Annotated[
    bool,
    typer.Option("--allow-http", help="Accept http URLs of other machines, in a network where nobody listens."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def check_writable(output: Path | None) -> None:
    """Refuse an output file that cannot be written, before the work and not after it.

    Raises:
        CommandError: it is a directory, its folder does not exist, or it must not be written.
    """
    if output is not None:
        require(not output.is_dir(), f"cannot write {output}: it is a directory")
        require(output.parent.is_dir(), f"cannot write {output}: no such directory: {output.parent}")
        target = output if output.exists() else output.parent
        require(os.access(target, os.W_OK), f"cannot write {output}: no permission")
