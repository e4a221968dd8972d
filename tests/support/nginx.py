"""nginx with a documented configuration: what the documents say to put into `http { ... }`, at a test's places."""

import os
import pwd
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from .processes import PATIENCE, ran, started

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
WITH_NGINX = pytest.mark.skipif(NGINX is None, reason="nginx, of Debian's package of that name, is not installed")

_FRAME = """
daemon off;
user {user};
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{documented}
}}
"""


def replaced(text: str, places: Mapping[str, str]) -> str:
    """A documented text with addresses and files of a test's; each stands there once.

    Args:
        text: of the document, or of a command.
        places: the test's, by those in the text.
    """
    for before, after in places.items():
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    return text


@contextmanager
def proxying(folder: Path, port: int, documented: str, places: Mapping[str, str]) -> Iterator[None]:
    """nginx, which finds nothing wrong with its configuration, once it answers.

    Args:
        folder: for its files.
        port: that it listens on.
        documented: the configuration.
        places: a test's addresses and files, by those of the document; each stands there once.
    """
    user, config = pwd.getpwuid(os.geteuid()).pw_name, folder / "nginx.conf"
    config.write_text(_FRAME.format(user=user, folder=folder, documented=replaced(documented, places)))
    command = (str(NGINX), "-p", folder, "-c", config, "-e", folder / "error.log")
    checked = ran(*command, "-t", text=True)
    assert checked.returncode == 0, checked.stderr
    with started(*command) as running:
        limit = time.monotonic() + PATIENCE
        while not _answers(port):
            assert running.poll() is None, (folder / "error.log").read_text()
            assert time.monotonic() < limit
            time.sleep(0.01)
        yield


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
