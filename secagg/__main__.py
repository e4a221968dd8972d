"""The command `secagg`, also as `python -m secagg`. Without the extra `cli` it says what to install."""

import sys

from .extras import not_installed


def main() -> None:
    """Run the command line of this process and exit."""
    try:
        from .cli import main as command_line
    except ModuleNotFoundError as error:
        sys.exit(not_installed(error) or f"error: {error}")
    command_line()


if __name__ == "__main__":
    main()
