"""`secagg selftest`: whether the kernels compute rightly on this machine."""

import typer

from .. import selftest as known_answers


def selftest() -> None:
    """Check every kernel of every instruction set that this CPU has against known answers, in a second or two.

    It prints which fail. `python -m secagg selftest` does the same where numpy alone is installed.

    Exit codes: 1 a kernel computes wrongly.

    \b
    Examples:
      secagg selftest
      SECAGG_ISA=portable secagg selftest
    """
    raise typer.Exit(known_answers.main())
