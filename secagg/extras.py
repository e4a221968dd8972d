"""How optional parts are installed."""

# Packages that commands import, beside those that are always there.
_PACKAGES = {
    "cli": ("typer", "click", "rich"),
    "dap": (
        "httpx",
        "idna",
        "starlette",
        "uvicorn",
        "uvloop",
        "httptools",
        "sqlalchemy",
        "psycopg",
        "prometheus_client",
    ),
}


def install_command(extra: str) -> str:
    """The command that installs an extra of pyproject.toml: what a first release on an index changes.

    Args:
        extra: its name, such as "dap".
    """
    return f"pip install '.[{extra}]' in a checkout of secagg"


def not_installed(error: ModuleNotFoundError) -> str | None:
    """A sentence that says what to install; None if this package is of no extra.

    Args:
        error: of an import.
    """
    package = (error.name or "").partition(".")[0]
    for extra, packages in _PACKAGES.items():
        if package in packages:
            return f"this command needs the package {package}, which is not installed: {install_command(extra)}"
    return None
