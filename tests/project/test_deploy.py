"""What docs/deploy has: units that systemd takes, a proxy that nginx takes, and commands that lead to a result.

The commands of docs/deploy.md are run as they stand there, with this test's folders and ports in place of a machine's,
and a unit's own command in place of systemctl.
"""

import re
import shlex
import shutil
import ssl
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from bench.certificates import write_certificate

from ..support.aggregators import change, serving
from ..support.coordinators import free_ports
from ..support.folders import ROOT
from ..support.nginx import WITH_NGINX, proxying
from ..support.processes import PATIENCE, ran

DEPLOY = ROOT / "docs" / "deploy"
UNITS = sorted(path.name for path in DEPLOY.glob("*.service"))
PROGRAM = "/opt/secagg/bin/secagg"
AS_USER = f"runuser -u secagg -- {PROGRAM} dap"
EXPOSURE = 20  # of 100, by `systemd-analyze security`

SYSTEMD = shutil.which("systemd-analyze")
WITH_SYSTEMD = pytest.mark.skipif(SYSTEMD is None, reason="systemd-analyze, of Debian's package systemd, is not here")


def steps(name: str) -> list[str]:
    """The commands of a block of docs/deploy.md."""
    text = (ROOT / "docs" / "deploy.md").read_text()
    (block,) = re.findall(rf"^```sh {name}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return str(block).splitlines()


def setting(unit: str, name: str) -> str:
    """A setting of a unit, which has it once."""
    (value,) = re.findall(rf"^{name}=(.*)$", (DEPLOY / unit).read_text(), re.MULTILINE)
    return str(value)


# The files.


def test_each_part_of_an_aggregator_has_a_unit() -> None:
    assert UNITS == ["secagg-helper.service", "secagg-leader.service", "secagg-worker@.service"]


@WITH_SYSTEMD
@pytest.mark.parametrize("name", UNITS)
def test_systemd_takes_the_units(name: str, tmp_path: Path) -> None:
    """But for the program, which is not where they say."""
    text = (DEPLOY / name).read_text()
    assert text.count(PROGRAM) == 1
    unit = tmp_path / name.replace("@", "@leader")
    unit.write_text(text.replace(PROGRAM, "/bin/true"))
    for command in (("verify", "--man=no"), ("security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager")):
        done = ran(str(SYSTEMD), *command, unit, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == ""


@WITH_SYSTEMD
def test_systemd_would_say_what_is_wrong(tmp_path: Path) -> None:
    """Or the test above would pass for any file."""
    unit = tmp_path / "secagg-leader.service"
    unit.write_text((DEPLOY / unit.name).read_text().replace(PROGRAM, "/bin/true").replace("KillMode", "KilMode"))
    assert "KilMode" in ran(str(SYSTEMD), "verify", "--man=no", unit, text=True).stderr


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_waits_longer_than_the_server_takes(name: str) -> None:
    """[server] shutdown is 30 s, and a worker's last step may take as long."""
    assert int(setting(name, "TimeoutStopSec")) >= 60
    assert setting(name, "StateDirectory") == "secagg"
    assert "/var/lib/secagg/" in setting(name, "ExecStart")


# A deployment.


class Machines:
    """The two operators' machines: their folders, ports and proxies on this one.

    Args:
        folder: of all.
        stack: ends all processes.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.stack = stack
        self.servers = dict(zip(("leader", "helper"), free_ports(2), strict=True))
        self.proxies = dict(zip(("leader", "helper"), free_ports(2), strict=True))
        write_certificate(folder)
        self.ca = folder / "tls.crt"

    def command(self, line: str, role: str = "leader") -> list[str]:
        """A command as this machine runs it."""
        line = line.replace(AS_USER, "secagg dap").replace(f"{PROGRAM} dap", "secagg dap")
        for name in self.servers:
            line = line.replace(f"/var/lib/secagg/{name}.", f"{self.folder}/{name}/{name}.")
            line = line.replace(f"https://{name}.example", f"https://127.0.0.1:{self.proxies[name]}")
        line = line.replace("/var/lib/secagg", f"{self.folder}/{role}").replace("task/", f"{self.folder}/task/")
        line = line.replace("--output task", f"--output {self.folder}/task")
        line = line.replace("127.0.0.1:8080", f"127.0.0.1:{self.servers[role]}").replace(
            "127.0.0.1:9200", "127.0.0.1:0"
        )
        words = shlex.split(line)
        assert words[:2] == ["secagg", "dap"], line
        return words[1:]

    def run(self, line: str, role: str = "leader") -> str:
        """What a command says."""
        trust = ("--ca", self.ca) if line.startswith(("secagg dap upload", "secagg dap collect")) else ()
        done = ran(sys.executable, "-m", "secagg", *self.command(line, role), *trust, text=True)
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    def enter(self, unit: str, role: str) -> ExitStack:
        """Start a unit, as `systemctl enable --now` does; closing it stops the unit."""
        command = setting(unit, "ExecStart").replace("%i", role)
        stack = self.stack.enter_context(ExitStack())
        line, _ = stack.enter_context(serving(*self.command(command, role)[1:]))
        assert line.startswith(("listening on", "working with")), line
        return stack


@contextmanager
def nginx(machines: Machines, role: str) -> Iterator[None]:
    """The proxy of a machine, with the configuration of docs/deploy."""
    folder, port = machines.folder / f"proxy-{role}", machines.proxies[role]
    folder.mkdir()
    places = {
        "server 127.0.0.1:8080;": f"server 127.0.0.1:{machines.servers[role]};",
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "    listen [::]:443 ssl;\n": "",
        "server_name leader.example;": "server_name 127.0.0.1;",
        "/etc/ssl/leader.example.pem": str(machines.folder / "tls.crt"),
        "/etc/ssl/leader.example.key": str(machines.folder / "tls.key"),
        "/var/log/nginx/secagg.log": str(folder / "secagg.log"),
    }
    with proxying(folder, port, (DEPLOY / "nginx.conf").read_text(), places):
        yield


@pytest.mark.alone
@WITH_NGINX
def test_the_commands_lead_to_a_result(tmp_path: Path) -> None:
    with ExitStack() as stack:
        machines, running = Machines(tmp_path, stack), {}
        for role in ("leader", "helper"):
            stack.enter_context(nginx(machines, role))

        # Each machine: the Aggregator is set up, and its unit is started.
        for role in ("leader", "helper"):
            init, enable = steps(role)
            machines.run(init, role)
            if role == "leader":
                trust(tmp_path / "leader/leader.toml", machines.ca)
            assert enable == f"systemctl enable --now secagg-{role}"
            running[role] = machines.enter(f"secagg-{role}.service", role)
        check_proxy(machines)

        # The task, its reports and its result.
        *before, collect = steps("task")
        for line in before:
            machines.run(line)
        assert "discrete Laplace" in machines.run(f"{collect} --timeout 120s")

        # Workers of their own.
        restart, enable = steps("worker")
        assert (restart, enable) == ("systemctl restart secagg-leader", "systemctl enable --now secagg-worker@leader")
        running["leader"].close()
        change(tmp_path / "leader/leader.toml", threads=0)
        running["leader"] = machines.enter("secagg-leader.service", "leader")
        running["worker"] = machines.enter("secagg-worker@.service", "leader")
        machines.run(before[-1])
        machines.run(f"{collect} --timeout 120s")


def trust(config: Path, ca: Path) -> None:
    """The Leader's [helper] ca."""
    text = config.read_text()
    assert text.count('# ca = "ca.pem"') == 1
    config.write_text(text.replace('# ca = "ca.pem"', f'ca = "{ca}"'))


def check_proxy(machines: Machines) -> None:
    """What the operator's monitor sees is kept from the public, and nothing is logged of it."""
    url, own = f"https://127.0.0.1:{machines.proxies['leader']}", f"http://127.0.0.1:{machines.servers['leader']}"
    trusted = ssl.create_default_context(cafile=str(machines.ca))
    with httpx.Client(verify=trusted, timeout=PATIENCE, trust_env=False) as http:
        for path in ("/metrics", "/healthz", "/healthz/detail"):
            assert http.get(own + path).status_code == 200
            assert http.get(url + path).status_code == 404
        assert http.get(f"{url}/hpke_config").content == http.get(f"{own}/hpke_config").content
    assert not (machines.folder / "proxy-leader/logs").exists()
    assert "127.0.0.1" not in (machines.folder / "proxy-leader/secagg.log").read_text()
