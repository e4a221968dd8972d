"""How optional parts are installed. This is the one place in the code that a first release on an index changes."""


def install_command(extra: str) -> str:
    """The command that installs an extra of pyproject.toml.

    Args:
        extra: its name, such as "dap".
    """
    return f"pip install '.[{extra}]' in a checkout of secagg"
