"""Fixtures shared by all tests."""

from collections.abc import Iterator

import pytest

from secagg import _kernels


@pytest.fixture(scope="session", autouse=True)
def no_state_folder() -> Iterator[None]:
    """Nonces stand beside their keys, whatever the environment says, and not among those of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("XDG_STATE_HOME", raising=False)
        yield


@pytest.fixture(params=_kernels.isa_available())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each instruction set of this CPU in turn, the portable one always."""
    before = _kernels.isa()
    _kernels.isa_use(request.param)
    yield request.param
    _kernels.isa_use(before)
