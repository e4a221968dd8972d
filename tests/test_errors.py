"""Errors survive a process boundary."""

import pickle

import pytest

from secagg import Abort, LocalProtocolError, RemoteProtocolError, ReportRejected, SecAggError


@pytest.mark.parametrize(
    "error",
    [
        Abort("ShareKeys", 2, 3),
        RemoteProtocolError("wrong"),
        RemoteProtocolError("wrong", client=7),
        LocalProtocolError("misused"),
        ReportRejected("wrong", report=3),
    ],
)
def test_errors_can_be_pickled(error: SecAggError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
