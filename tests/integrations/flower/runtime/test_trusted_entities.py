"""A mod comes with the application of whoever submits the run: only the site's SuperNode can refuse the application."""

import json
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree

import pytest

pytest.importorskip("flwr", reason="needs flwr, of the extra flower")

from flwr.common.constant import ErrorCode

from .deployment import Runtime, runtime
from .hub import Hub, Signer, hub

APP = Path(__file__).parent / "apps" / "readings"
NAME = "@secagg/readings"
SECRET = "blood pressure 142"
REFUSED = [{"error": ErrorCode.INVALID_FAB}]


def taken(here: Runtime, app: str | Path) -> list[dict[str, object]]:
    """What the hostile application has got from the site."""
    result = here.folder / "result.json"
    with here.run(app, result=result) as run:
        run.log()
    found: list[dict[str, object]] = json.loads(result.read_text())
    return found


def start_site(here: Runtime, *options: str | Path) -> None:
    data = here.folder / "data.txt"
    data.write_text(SECRET)
    here.start_node(1, {"data": data}, *options)


def bundle(here: Runtime, version: str) -> bytes:
    """A version of the application as `flwr build` makes it."""
    copy = here.folder / version / APP.name
    copytree(APP, copy)
    settings = copy / "pyproject.toml"
    settings.write_text(settings.read_text().replace('version = "1.0.0"', f'version = "{version}"'))
    here.flwr("build", "--app", copy)
    (made,) = here.folder.glob(f"*.{version.replace('.', '-')}.*.fab")
    return made.read_bytes()


def trust(here: Runtime, *signers: Signer) -> Path:
    """A file for `flower-supernode --trusted-entities`."""
    file = here.folder / "trusted.yaml"
    file.write_text("".join(signer.entity() for signer in signers))
    return file


def test_a_hostile_application_reads_a_sites_data_whatever_its_mod_says(tmp_path: Path) -> None:
    with runtime(tmp_path) as here:
        start_site(here)
        assert taken(here, APP) == [{"data": SECRET}]


def test_a_site_with_trusted_entities_refuses_an_application_that_nobody_signed(tmp_path: Path) -> None:
    with runtime(tmp_path) as here:
        start_site(here, "--trusted-entities", trust(here, Signer("fpk_reviewer")))
        assert taken(here, APP) == REFUSED


@pytest.fixture
def shop() -> Iterator[Hub]:
    with hub() as here:
        yield here


@pytest.mark.nightly
def test_a_site_with_trusted_entities_runs_only_what_they_signed(tmp_path: Path, shop: Hub) -> None:
    """A stranger's signature, and one that is another bundle's, are none."""
    reviewer, stranger = Signer("fpk_reviewer"), Signer("fpk_stranger")
    with runtime(tmp_path, FLWR_SUPERGRID_API_URL=shop.url) as here:
        start_site(here, "--trusted-entities", trust(here, reviewer))
        foreign, forged, signed = (bundle(here, version) for version in ("1.0.1", "1.0.2", "1.0.3"))
        shop.publish(f"{NAME}==1.0.1", foreign, stranger.sign(foreign))
        shop.publish(f"{NAME}==1.0.2", forged, reviewer.sign(signed), stranger.sign(forged))
        shop.publish(f"{NAME}==1.0.3", signed, stranger.sign(signed), reviewer.sign(signed))
        assert taken(here, f"{NAME}==1.0.1") == REFUSED
        assert taken(here, f"{NAME}==1.0.2") == REFUSED
        assert taken(here, f"{NAME}==1.0.3") == [{"data": SECRET}]
