"""A coordinator as an operator starts it: TLS, signals, a kill in the middle of a session, and what its log says."""

import os
import re
import shutil
import signal
import ssl
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench.certificates import write_certificate
from secagg import Round
from secagg.cli.service.serve import CONFIG, PARTICIPANTS, TOKEN, TOKENS
from secagg.service.authentication import make_token, token_hash
from secagg.service.coordinator import Coordinator
from secagg.service.resources import SESSIONS

from ...support.commands import Command
from ...support.coordinators import NAMES, PATIENCE, Kept, Party, free_ports, process, seated, sum_of
from ...support.onlooker import Onlooker, until

serve = Command("serve")
FIRST = Round.ADVERTISE_KEYS


def set_up(folder: Path) -> Path:
    serve.run("--init", folder, "--participants", ",".join(NAMES), "--listen", "127.0.0.1:0")
    return folder / CONFIG


def edit(config: Path, lines: dict[str, str]) -> None:
    text = config.read_text()
    for before, after in lines.items():
        assert before in text
        text = text.replace(before, after)
    config.write_text(text)


def client_of(folder: Path, url: str, **options: Any) -> Kept:
    """A client of a process; there is no coordinator in this one."""
    absent: Coordinator = None  # type: ignore[assignment]
    tokens = {name: (folder / TOKENS / f"{name}.token").read_text().strip() for name in NAMES}
    http = httpx.Client(timeout=PATIENCE, **options)
    return Kept(absent, url, (folder / TOKEN).read_text().strip(), tokens, http)


def test_a_session_behind_a_certificate(tmp_path: Path) -> None:
    config = set_up(tmp_path / "c")
    write_certificate(tmp_path / "c")
    text = (
        config.read_text().replace("# certificate = ", "certificate = ").replace("# private_key = ", "private_key = ")
    )
    config.write_text(text)
    with process("--config", config) as (url, _):
        assert url.startswith("https://")
        with httpx.Client() as stranger, pytest.raises(httpx.ConnectError, match="certificate"):
            stranger.get(url + "/healthz")
        trusted = ssl.create_default_context(cafile=str(tmp_path / "c" / "tls.crt"))
        for active in (False, True):
            here = client_of(tmp_path / "c", url, verify=trusted)
            with here.http:
                table = seated(here, active=active)
                table.play()
                assert table.parties[0].next(Round.UNMASKING).json() == {"status": "finished"}
                assert sum_of(here, table.session).tolist() == [10] * 5


def test_a_page_behind_a_certificate_until_the_process_stops(tmp_path: Path) -> None:
    config = set_up(tmp_path / "c")
    write_certificate(tmp_path / "c")
    edit(config, {"# certificate = ": "certificate = ", "# private_key = ": "private_key = "})
    trusted = ssl.create_default_context(cafile=str(tmp_path / "c" / "tls.crt"))
    with process("--config", config) as (url, running):
        here = client_of(tmp_path / "c", url, verify=trusted)
        with here.http, Onlooker(here, verify=trusted) as onlooker:
            assert "; Secure" in onlooker.sign_in().headers["set-cookie"]
            assert onlooker.signed_in
            with onlooker.events() as events:
                assert until(events, "list") == {"names": [], "unopened": []}
                running.send_signal(signal.SIGTERM)
                assert until(events, "end") == "stopping"
        assert running.wait(PATIENCE) == 0


@pytest.mark.parametrize("active", [False, True], ids=["semi-honest", "active"])
def test_a_kill_in_each_round(tmp_path: Path, active: bool) -> None:
    """Whatever was acknowledged counts, nobody has to send it again, and everybody is asked the same again."""
    config = set_up(tmp_path / "c")
    with process("--config", config) as (url, running):
        here = client_of(tmp_path / "c", url)
        table = seated(here, active=active)
        answers = table.start()
        _kill(running)
    port = url.rpartition(":")[2]
    for current in (Round.ADVERTISE_KEYS, Round.SHARE_KEYS):
        with process("--config", config, "--listen", f"127.0.0.1:{port}") as (_, running):
            for party in table.parties:
                party.nonce = None
                assert party.answer(current, answers[party.user]).status_code == 204
            requests = {party.user: table.opened(party, current) for party in table.parties}
            _kill(running)
        with process("--config", config, "--listen", f"127.0.0.1:{port}") as (_, running):
            for party in table.parties:
                party.nonce = None
                assert table.opened(party, current) == requests[party.user]
                assert party.answer(current, answers[party.user]).status_code == 204
            answers = {u: table.clients[u].receive(request) for u, request in requests.items()}
            if current is Round.ADVERTISE_KEYS:
                _kill(running)
                continue
            for party in table.parties:
                assert party.answer(Round.MASKED_INPUT_COLLECTION, answers[party.user]).status_code == 204
            assert here.status(table.session)["round"] != "share-keys"
    here.http.close()


def _kill(running: "subprocess.Popen[str]") -> None:
    running.kill()
    running.communicate()


def test_a_server_that_stops_keeps_nobody_waiting(tmp_path: Path) -> None:
    config = set_up(tmp_path / "c")
    with process("--config", config) as (url, running):
        here = client_of(tmp_path / "c", url)
        table = seated(here)
        with httpx.Client(timeout=PATIENCE) as waiting:
            party = replace(table.parties[0], kept=replace(here, http=waiting))
            with ThreadPoolExecutor() as pool:
                future = pool.submit(party.request, FIRST, 20.0)
                until = time.monotonic() + PATIENCE
                shown = ""
                while "secagg_service_waiting_polls 1.0" not in shown:
                    assert time.monotonic() < until
                    shown = here.http.get(url + "/metrics", headers=here.headers).text
                running.send_signal(signal.SIGTERM)
                response = future.result(PATIENCE)
        assert response.status_code == 204
        _, errors = running.communicate(timeout=PATIENCE)
        assert running.returncode == 0, errors
        here.http.close()


def test_a_monitor_with_an_address_of_its_own(tmp_path: Path) -> None:
    """There numbers and health are open, and on the coordinator's own address they are not at all."""
    config, port = set_up(tmp_path / "c"), free_ports(1)[0]
    edit(config, {'# metrics = "127.0.0.1:9100"': f'metrics = "127.0.0.1:{port}"'})
    with process("--config", config) as (url, _):
        here = client_of(tmp_path / "c", url)
        with here.http:
            here.create(n=4, length=3)
            monitor = f"http://127.0.0.1:{port}"
            assert 'secagg_service_sessions{status="running"} 1.0' in here.http.get(f"{monitor}/metrics").text
            assert here.http.get(f"{monitor}/healthz/detail").json()["status"] == "ok"
            for path in ("/metrics", "/healthz/detail"):
                assert here.http.get(url + path, headers=here.headers).status_code == 404
            assert here.http.get(monitor + SESSIONS, headers=here.headers).status_code == 404


def test_what_cannot_be_started_is_said_in_one_line(tmp_path: Path) -> None:
    """A folder that another coordinator uses, or that is none."""
    config = set_up(tmp_path / "c")
    edit(config, {'level = "info"': 'level = "error"'})
    with process("--config", config):
        assert serve.refused("--config", config).endswith("state is used by another coordinator")
    shutil.rmtree(tmp_path / "c" / "state")
    (tmp_path / "c" / "state").touch()
    assert "state" in serve.refused("--config", config)


def test_participants_are_read_again_on_a_hangup(tmp_path: Path) -> None:
    config = set_up(tmp_path / "c")
    with process("--config", config) as (url, running):
        here = client_of(tmp_path / "c", url)
        token = make_token()
        newcomer = Party(here, "", token=token)
        assert newcomer.ask("GET", SESSIONS).status_code == 403
        listed = tmp_path / "c" / PARTICIPANTS
        listed.write_text(f"{listed.read_text()}gil {token_hash(token).hex()}\n")
        os.kill(running.pid, signal.SIGHUP)
        until = time.monotonic() + PATIENCE
        while newcomer.ask("GET", SESSIONS).status_code != 200:
            assert time.monotonic() < until
            time.sleep(0.02)
        here.http.close()


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_log_has_no_secret_and_no_address(tmp_path: Path, form: str) -> None:
    """At its most talkative, of a whole session and of what is refused."""
    config = set_up(tmp_path / "c")
    text = (
        config.read_text().replace('level = "info"', 'level = "debug"').replace('format = "text"', f'format = "{form}"')
    )
    config.write_text(text.replace('# file = "coordinator.log"', 'file = "coordinator.log"'))
    with process("--config", config) as (url, _):
        here = client_of(tmp_path / "c", url)
        table = seated(here, active=True)
        nonces = [party.fresh_nonce().hex() for party in table.parties]
        table.play()
        assert table.parties[0].next(Round.UNMASKING).status_code == 200
        by_token = seated(here)
        thief = replace(by_token.parties[0], token=here.tokens["bo"])
        assert thief.answer(FIRST, b"stolen").status_code == 403
        assert by_token.parties[2].answer(FIRST, b"nonsense").status_code == 410
        here.http.close()
    written = (tmp_path / "c" / "coordinator.log").read_text()
    assert table.session in written
    assert "unmasking" in written.lower()
    for secret in (here.operator, *here.tokens.values(), *nonces, "stolen", "nonsense", "Bearer", "signature="):
        assert secret not in written
    assert not re.search(r"127\.0\.0\.1:\d+", written.replace(url, ""))
