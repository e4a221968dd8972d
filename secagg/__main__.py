"""The command `secagg`, also as `python -m secagg`. Without the extra `cli` it says what to install."""

import sys

from .extras import install_command

_CLI = ("typer", "rich", "click")


def main() -> None:
    """Run the command line of this process and exit."""
    try:
        from .cli import main as command_line
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _CLI:
            raise
        sys.exit(f"secagg's commands need the package {error.name}, which is not installed: {install_command('cli')}")
    command_line()


if __name__ == "__main__":
    main()
