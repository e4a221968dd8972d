"""Fixtures shared by all tests."""

from collections.abc import Iterator

import pytest

from secagg import _kernels


@pytest.fixture(params=_kernels.isa_available())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each instruction set of this CPU in turn, the portable one always."""
    before = _kernels.isa()
    _kernels.isa_use(request.param)
    yield request.param
    _kernels.isa_use(before)
