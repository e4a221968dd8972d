"""Divvi Up's own Client, Collector and codec against ours, as crates.io has them (DAP-09).

`ci/slow janus` builds them from tests/dap/janus and names their folder in SECAGG_JANUS; without it these tests are
skipped. tests/dap/test_messages_09.py replays what the codec once said.
"""

import os
import time
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

import pytest

from secagg.dap.dialect import DAP_09
from secagg.dap.messages import BatchMode, Role
from secagg.dap.vdafs import vdaf

from ..support import janus
from ..support.processes import ran
from ..support.world import COLLECTOR_TOKEN, Urls
from .test_end_to_end import HOUR, deployed

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif("SECAGG_JANUS" not in os.environ, reason="SECAGG_JANUS names no programs: ci/slow janus"),
]
EACH = 500  # messages of a kind


def run(program: str, *arguments: object, **options: Any) -> str:
    """What a program of Janus prints, which must end well."""
    done = ran(Path(os.environ["SECAGG_JANUS"]) / program, *map(str, arguments), text=True, **options)
    assert done.returncode == 0, done.stderr
    printed: str = done.stdout
    return printed


@pytest.mark.parametrize("mode", BatchMode, ids=lambda mode: mode.name.lower())
@pytest.mark.parametrize("shown", ["", "dap-auth:"], ids=["bearer", "dap-auth-token"])
def test_its_client_and_collector_work_against_our_aggregators(dap_urls: Urls, mode: BatchMode, shown: str) -> None:
    by_time = mode is BatchMode.TIME_INTERVAL
    histogram = vdaf("Histogram", length=4, chunk_length=2)
    with deployed(dap_urls, dialect=DAP_09, vdaf=histogram, batch_mode=mode, min_batch_size=20, batch_size=20) as world:
        task, config = world.task, world.configs[Role.COLLECTOR].encode().hex()
        key = world._keys[Role.COLLECTOR].private_bytes.hex()
        upload = ("upload", task.text, f"{task.leader_url}/", f"{task.helper_url}/", HOUR)
        which = ((int(time.time()) // HOUR - 1) * HOUR, 3 * HOUR) if by_time else ("current",)
        collect = ("collect", task.text, f"{task.leader_url}/", shown + COLLECTOR_TOKEN.decode(), config, key, *which)
        run(*upload, *(i % 4 for i in range(20)))
        assert run(*collect) == "20 [5, 5, 5, 5]\n"
        if by_time:
            assert run(*collect) == "20 [5, 5, 5, 5]\n"  # as another job, since it chooses an ID at random
        else:
            run(*upload, *[1] * 20)
            assert run(*collect) == "20 [0, 20, 0, 0]\n"


def test_its_codec_takes_what_ours_takes(tmp_path: Path) -> None:
    """Other messages each time."""
    seed = SystemRandom().getrandbits(64)
    print(f"seed {seed}")
    messages = janus.Messages(Random(seed)).draw(EACH)
    lines = tmp_path / "messages"
    lines.write_text("".join(f"{kind} {body.hex()}\n" for kind, body in messages))
    with lines.open() as stdin:
        answers = run("decode", stdin=stdin).splitlines()
    assert len(answers) == len(messages)
    for (kind, body), answer in zip(messages, answers, strict=True):
        assert answer in ("refused", f"ok {body.hex()}")
        janus.check_verdict(kind, body, answer != "refused")
    assert sum(answer != "refused" for answer in answers) >= len(messages) // 3
