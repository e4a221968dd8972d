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
        sys.exit(_refused(not_installed(error) or str(error)))
    command_line()


def _selftest() -> int:
    try:
        from . import selftest
    except RuntimeError as error:  # the kernels compute so wrongly that they cannot be imported
        print("FAILED ", error)
        return 1
    except ValueError as error:
        return _refused(f"SECAGG_ISA: {error}")
    return selftest.main()


def _refused(reason: str) -> int:
    print("error:", reason, file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
