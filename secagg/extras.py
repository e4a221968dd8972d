"""How optional parts are installed."""

_HTTP = ("httpx", "idna", "starlette", "uvicorn", "uvloop", "httptools", "prometheus_client")

# Packages that commands import, beside those that are always there.
_PACKAGES = {
    "cli": ("typer", "click", "rich"),
    "dap": (*_HTTP, "sqlalchemy", "psycopg"),
    "service": _HTTP,
}


def install_command(extra: str) -> str:
    """The command that installs an extra of pyproject.toml: what a first release on an index changes.

    Args:
        extra: its name, such as "dap".
    """
    return f"pip install '.[{extra}]' in a checkout of secagg"


def not_installed(error: ModuleNotFoundError, wanted: str = "") -> str | None:
    """A sentence that says what to install; None if this package is of no extra.

    Args:
        error: of an import.
        wanted: the extra to name where several have the package.
    """
    package = (error.name or "").partition(".")[0]
    extras = [extra for extra, packages in _PACKAGES.items() if package in packages]
    if not extras:
        return None
    command = install_command(wanted if wanted in extras else extras[0])
    return f"this command needs the package {package}, which is not installed: {command}"
