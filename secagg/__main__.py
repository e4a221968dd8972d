"""The command `secagg`, also as `python -m secagg`. Without the extra `cli` it says what to install.

`selftest` alone needs nothing but numpy.
"""

import sys

from .extras import not_installed


def main() -> None:
    """Run the command line of this process and exit."""
    if sys.argv[1:] == ["selftest"]:
        sys.exit(_selftest())
    try:
        from .cli import main as command_line
    except ModuleNotFoundError as error:
        sys.exit(not_installed(error) or f"error: {error}")
    command_line()


def _selftest() -> int | str:
    try:
        from . import selftest
    except RuntimeError as error:  # the kernels compute so wrongly that they cannot be imported
        return f"FAILED  {error}"
    except ValueError as error:
        return f"error: SECAGG_ISA: {error}"
    return selftest.main()


if __name__ == "__main__":
    main()
