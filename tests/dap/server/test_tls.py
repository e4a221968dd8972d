"""Leader and Helper behind certificates of their own: every connection is checked against who has signed them."""

import ssl
import time
from pathlib import Path

import httpx
import pytest

from bench.certificates import write_certificate
from secagg.cli.demo.local import Local
from secagg.dap.client.collector import Collector
from secagg.dap.client.upload import Client
from secagg.dap.messages import Role
from secagg.dap.vdafs import vdaf
from secagg.http.steps import Unreachable


def test_every_connection_is_checked(tmp_path: Path) -> None:
    write_certificate(tmp_path)
    server = {"server": {"certificate": "tls.crt", "private_key": "tls.key"}}
    tables = {Role.LEADER: {**server, "helper": {"ca": "tls.crt"}}, Role.HELPER: server}
    with Local(tmp_path, tables=tables) as local:
        assert all(url.startswith("https://") for url in local.urls.values())
        task, collector = local.new_task(vdaf("Histogram", length=3), min_batch_size=3)
        with pytest.raises(Unreachable), Client(task) as stranger:
            stranger.upload([1])
        trusted = ssl.create_default_context(cafile=str(tmp_path / "tls.crt"))
        assert collector.private_key is not None
        with httpx.Client(verify=trusted) as http:
            assert Client(task, http=http).upload([0, 1, 1, 2]).accepted == 4
            start = int(time.time()) // 3600 * 3600
            asking = Collector(task, collector.private_key, collector.config, collector.token, http=http)
            assert asking.collect((start - 3600, 3 * 3600)).result == [1, 2, 1]


def test_a_helper_that_another_has_signed_gets_no_reports(tmp_path: Path) -> None:
    write_certificate(tmp_path)
    server = {"server": {"certificate": "tls.crt", "private_key": "tls.key"}}
    with Local(tmp_path, tables={Role.HELPER: server}) as local:
        task, _ = local.new_task(vdaf("Count"), min_batch_size=1)
        trusted = ssl.create_default_context(cafile=str(tmp_path / "tls.crt"))
        with httpx.Client(verify=trusted) as http:
            assert Client(task, http=http).upload([1]).accepted == 1
        for _ in range(600):
            if "does not answer" in (tmp_path / "leader.log").read_text():
                break
            time.sleep(0.1)
        assert "ConnectError" in (tmp_path / "leader.log").read_text()
