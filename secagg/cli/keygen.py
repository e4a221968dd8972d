"""`secagg keygen`: a user's long-term identity, for the active model."""

from pathlib import Path
from typing import Annotated

import typer

from ..protocol.identity import Identity
from .app import CommandError


def keygen(
    output: Annotated[
        Path, typer.Option(metavar="FILE", help="The new file; a file that exists is never overwritten.")
    ],
) -> None:
    """Make a user's Ed25519 key pair: the private key in a new file, the verification key on stdout.

    Only the file's owner may read it (mode 600); it must never leave the user's machine. The verification key goes to
    the trusted party, who makes the roster from lines of a user id and a key, and gives the same roster to everyone.
    A file of nonces keeps the key from being used twice for one session. Sessions write it to $XDG_STATE_HOME/secagg,
    or beside FILE if that is not set: never use the key without it.

    \b
    Example:
      echo "7 $(secagg keygen --output user7.key)" >> roster.txt
    """
    identity = Identity.generate()
    try:
        identity.save(output)
    except FileExistsError:
        raise CommandError(f"{output} exists already, and a key is never overwritten") from None
    except OSError as error:
        raise CommandError(f"cannot write {error.filename or output}: {error.strerror}") from None
    print(identity.verification_key.hex())
