"""Whole sessions over HTTP, in both models: the sum is that of everybody who stayed."""

from pathlib import Path

import numpy as np
import pytest

from secagg import Round
from secagg.service.resources import SESSIONS, ResultForm

from ...support.coordinators import kept, problem_type, seated, sum_of

BOTH = pytest.mark.parametrize("active", [False, True], ids=["semi-honest", "active"])


@BOTH
def test_the_sum_of_all(tmp_path: Path, active: bool) -> None:
    with kept(tmp_path / "state") as here:
        table = seated(here, active=active)
        table.play()
        finished = table.parties[0].next(Round.UNMASKING)
        assert finished.json() == {"status": "finished"}
        assert sum_of(here, table.session).tolist() == [1 + 2 + 3 + 4] * 5
        form = ResultForm.from_json(table.parties[0].ask("GET", f"{SESSIONS}/{table.session}/result").json())
        assert form.survivors == (1, 2, 3, 4)
        assert (form.dtype, form.length, form.modulus) == ("uint32", 5, 1 << 16)
        assert problem_type(table.parties[1].answer(Round.UNMASKING, b"other")) == "other-answer"
        assert here.status(table.session)["status"] == "finished"
        assert np.array_equal(sum_of(here, table.session), sum(table.inputs.values()))
