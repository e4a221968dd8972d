"""Where FLARE is not installed, the package says what to install."""

from importlib.util import find_spec

import pytest

from secagg.integrations import nvflare


@pytest.mark.skipif(find_spec("nvflare") is not None, reason="FLARE is installed")
@pytest.mark.parametrize("name", sorted({*nvflare.__all__} - {"Terms"}))  # which is of numbers and text
def test_names_say_what_is_missing(name: str) -> None:
    with pytest.raises(ImportError, match=r"needs nvflare: pip install '.\[nvflare\]'"):
        getattr(nvflare, name)


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'secured'"):
        nvflare.secured  # noqa: B018


def test_names_are_listed() -> None:
    assert set(nvflare.__all__) <= set(dir(nvflare))
