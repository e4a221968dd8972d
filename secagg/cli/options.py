"""Options of commands of several groups."""

from pathlib import Path
from typing import Annotated

import typer

CaOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Certificates, PEM, that a server's must lead to. [default: the system's]"),
]
AllowHttpOption = Annotated[
    bool,
    typer.Option("--allow-http", help="Accept http URLs of other machines, in a network where nobody listens."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
