"""How many requests a process works on at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from ..arguments import whole
from .bodies import Refusal


class Capacity:
    """How many requests may be worked on at once.

    Args:
        amount: all that there is.
    """

    def __init__(self, amount: int) -> None:
        self._free = whole(amount, "amount")

    @contextmanager
    def reserve(self) -> Iterator[None]:
        """Count as one of these until the block is left.

        Raises:
            Refusal: there are as many already (503).
        """
        if self._free < 1:
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests at once; try again later", retry_after=1)
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1
