"""Nobody keeps the others waiting: whatever is asked for, no callback of the event loop takes long."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secagg import Identity, Round
from secagg.http.bounds import Bounds
from secagg.service.authentication import make_token, token_hash
from secagg.service.coordinator import Coordinator
from secagg.service.resources import SESSIONS

from ...support import bounded
from ...support.coordinators import NAMES, Kept, kept, seated, sum_of

CALLBACK_SECONDS = 0.05  # of the loop's own CPU time
LONG = 1_000_000  # entries: 2 MB a message, 4 MB of the sum


def test_long_messages_long_sums_and_long_rosters(tmp_path: Path) -> None:
    operator, tokens = make_token(), {name: make_token() for name in NAMES}
    coordinator = Coordinator(
        tmp_path / "state",
        url="http://127.0.0.1:1",
        operator=token_hash(operator),
        participants={name: token_hash(token) for name, token in tokens.items()},
    )
    with bounded.serving(coordinator, Bounds(), lifespan="on") as served:
        here = Kept(coordinator, "http://{}:{}".format(*served.address), operator, tokens)
        with here.http:
            table = seated(here, length=LONG)
            table.play()
            assert table.parties[0].next(Round.UNMASKING).status_code == 200
            assert np.array_equal(sum_of(here, table.session), np.full(LONG, 10))
            keys = {str(u): Identity.generate().verification_key.hex() for u in range(1, 2001)}
            created = here.create(n=2000, length=3, model="active", roster=keys)
            assert len(here.status(created["session"])["waiting"]) == 2000
            assert len(here.http.get(here.url + SESSIONS, headers=here.headers).json()["sessions"]) == 2
    assert served.longest < CALLBACK_SECONDS


def test_answers_that_grow_with_the_users_are_written_on_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, real = dict[str, bool](), json.dumps

    def dumps(value: Any, **options: Any) -> str:
        written.update(dict.fromkeys(value, bounded.on_a_loop()) if isinstance(value, dict) else {})
        return real(value, **options)

    with kept(tmp_path / "state") as here:
        table = seated(here, active=True)
        table.play()
        assert table.parties[0].next(Round.UNMASKING).status_code == 200
        monkeypatch.setattr(json, "dumps", dumps)
        for path in ("", f"/{table.session}", f"/{table.session}/roster", f"/{table.session}/result"):
            assert here.http.get(f"{here.url}{SESSIONS}{path}", headers=here.headers).status_code == 200
    told = {name: written[name] for name in ("sessions", "rounds", "roster", "survivors")}
    assert told == dict.fromkeys(told, False)
