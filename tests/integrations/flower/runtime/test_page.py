"""docs/flower.md: its five lines make plain FedAvg secure, and one more makes it differentially private."""

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("flwr", reason="needs flwr, of the extra flower")

from secagg.dp import ApproxDp
from secagg.integrations import Noise, SitePolicy

from ....support.folders import ROOT
from ....support.processes import ran
from .deployment import BIN, Runtime, environment, runtime

PAGE = (ROOT / "docs" / "flower.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
CLIENT, SERVER, POLICY, NOISE, NOISE_POLICY, RUN_POLICY = (text for _, text in BLOCKS)
PROJECT = """\
[project]
name = "{name}"
version = "1.0.0"
description = "An example of docs/flower.md"
license = "Apache-2.0"
dependencies = ["flwr"]
[tool.flwr.app]
publisher = "secagg"
[tool.flwr.app.components]
clientapp = "{name}.client_app:app"
serverapp = "{name}.server_app:app"
[tool.flwr.app.config]
result = ""
"""


def before(diff: str) -> str:
    return "".join(line[1:] or "\n" for line in diff.splitlines(keepends=True) if not line.startswith("+"))


def after(diff: str) -> str:
    return "".join(line[1:] or "\n" for line in diff.splitlines(keepends=True) if not line.startswith("-"))


def with_noise(server: str) -> str:
    """The server after its second change: imports come first, and the rest in place of what goes."""
    imports, gone, come = re.fullmatch(r"((?:\+.*\n)+)((?:-.*\n)+)((?:\+.*\n)+)", NOISE).groups()  # type: ignore[union-attr]
    assert server.count(before(gone)) == 1
    return after(imports) + server.replace(before(gone), after(come))


def with_change(policy: str) -> str:
    """A policy after the page's change to it."""
    assert policy.count(before(NOISE_POLICY)) == 1
    return policy.replace(before(NOISE_POLICY), after(NOISE_POLICY))


def write_app(folder: Path, name: str, client: str, server: str) -> Path:
    package = folder / name / name
    package.mkdir(parents=True)
    (folder / name / "pyproject.toml").write_text(PROJECT.format(name=name))
    (package / "__init__.py").touch()
    (package / "client_app.py").write_text(client)
    (package / "server_app.py").write_text(server)
    return folder / name


def start_nodes(here: Runtime) -> list[Path]:
    """Four nodes; their policies."""
    policies = []
    for number in (1, 2, 3, 4):
        policies.append(here.folder / f"node{number}" / "policy.toml")
        policies[-1].parent.mkdir()
        policies[-1].write_text(POLICY)
        here.start_node(number, {"number": number, "secagg-policy": policies[-1]})
    return policies


def model_of(here: Runtime, app: Path) -> tuple[dict[str, np.ndarray], str]:
    """What a run has trained, and the server's log."""
    result = here.folder / f"{app.name}.npz"
    with here.run(app, result=result) as run:
        log = run.log()
    assert result.exists(), log + here.said()
    with np.load(result) as file:
        arrays = dict(file)
    assert arrays, log + here.said()  # a round that fails leaves none
    return arrays, log


def test_the_change_is_five_lines() -> None:
    assert sum(line.startswith("+") for line in (CLIENT + SERVER).splitlines()) == 5
    assert [language for language, _ in BLOCKS] == ["diff", "diff", "toml", "diff", "diff", "toml"]


def test_the_policy_of_a_whole_training(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(with_change(POLICY).partition("[noise]")[0] + RUN_POLICY)
    policy = SitePolicy.read(file)
    assert 'Noise(budget=ApproxDp("8.0", "1e-6"), rounds=100, per_client=10)' in PAGE
    assert policy.coding.noise == Noise(budget=ApproxDp("8.0", "1e-6"), rounds=100, per_client=10)
    assert policy.ledger is not None
    assert policy.ledger.releases == 10


@pytest.mark.nightly  # three runs of Flower, a process for every message
def test_the_page_runs(tmp_path: Path) -> None:
    """Plain and secure means agree; the noisy one is off, and its guarantee and the ledgers are in the logs."""
    with runtime(tmp_path) as here:
        policies = start_nodes(here)
        plain, _ = model_of(here, write_app(tmp_path, "plain", before(CLIENT), before(SERVER)))
        secure, log = model_of(here, write_app(tmp_path, "secure", after(CLIENT), after(SERVER)))
        for name, mean in plain.items():
            np.testing.assert_allclose(secure[name], mean, atol=1e-4)
        (loss,) = re.findall(r"Aggregated MetricRecord: \{'loss': ([\d.]+)\}", log)
        assert float(loss) == pytest.approx(sum(number**2 for number in (1, 2, 3, 4)) / 20, abs=1e-3)
        for policy in policies:
            policy.write_text(with_change(policy.read_text()))
        noisy, log = model_of(here, write_app(tmp_path, "noisy", after(CLIENT), with_noise(after(SERVER))))
        assert not np.allclose(noisy["weight"], secure["weight"], atol=1e-3)
        assert re.search(r"secagg: the mean is of 4 of 4 nodes; at most ~[\d.]+-zCDP of each node's data", log), log
        assert all("of (3, 1e-05)-DP 1 releases are spent" in node.said() for node in here.nodes.values())


@pytest.mark.parametrize("command", ["flower-supernode"])
def test_options_of_flower_exist(command: str, tmp_path: Path) -> None:
    shown = {each for line in re.findall(rf"{command} [^\n]*", PAGE) for each in re.findall(r"--[\w-]+", line)}
    said = ran(BIN / command, "--help", env=environment(tmp_path), text=True)
    assert shown
    assert shown <= set(re.findall(r"--[\w-]+", said.stdout))
