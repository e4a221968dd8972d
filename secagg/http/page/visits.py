"""Browsers that are signed in: each has a random value in a cookie, of which only the hash is kept, in memory."""

import hmac
import os
import time
from collections.abc import Callable
from hashlib import sha256

from ..base64url import base64url

VISIT_SECONDS = 12 * 3600
VISITS_MAX = 32
"""At once; one more takes the place of the oldest."""

VALUE_BYTES = 32


class Visit:
    """One browser that is signed in.

    Args:
        digest: SHA-256 of the cookie's value.
        until: when it ends.

    Attributes:
        digest: as above.
        until: as above.
        stream: the stream that is the latest of this browser.
    """

    def __init__(self, digest: bytes, until: float) -> None:
        self.digest = digest
        self.until = until
        self.stream: object = None


class Visits:
    """All of them. A restart of the server ends all.

    Args:
        clock: seconds; one that is never set back.
        rand: gives so many random bytes.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, rand: Callable[[int], bytes] = os.urandom) -> None:
        self._clock = clock
        self._rand = rand
        self._visits: list[Visit] = []  # the oldest first

    def begin(self) -> str:
        """The value for a new browser's cookie."""
        value = base64url(self._rand(VALUE_BYTES))
        self._visits = [visit for visit in self._visits if self.lasts(visit)][-(VISITS_MAX - 1) :]
        self._visits.append(Visit(_digest(value), self._clock() + VISIT_SECONDS))
        return value

    def find(self, value: str | None) -> Visit | None:
        """Whose cookie has this value; None for nobody's.

        Args:
            value: as it came.
        """
        digest = _digest(value or "")
        found = [visit for visit in self._visits if hmac.compare_digest(visit.digest, digest)]
        return found[0] if found and self.lasts(found[0]) else None

    def lasts(self, visit: Visit) -> bool:
        """Whether a browser is still signed in.

        Args:
            visit: of `find`.
        """
        return visit in self._visits and self._clock() < visit.until

    def end(self, visit: Visit) -> None:
        """Sign a browser out.

        Args:
            visit: of `find`.
        """
        self._visits = [other for other in self._visits if other is not visit]


def _digest(value: str) -> bytes:
    return sha256(value.encode(errors="surrogateescape")).digest()
