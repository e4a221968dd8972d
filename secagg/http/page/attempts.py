"""Wrong tokens: whoever shows several from one address has to pause.

Nobody is kept out for long, or by what others do at other addresses; and the token itself, beside a request, is taken
at any time. Tokens that we make cannot be guessed at any rate: this is for those that somebody chose.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

FREE = 5
"""Wrong tokens in a row before the first pause, which has a second; each further one doubles it."""

PAUSE_MAX = 30.0
FORGET_SECONDS = 600.0
ADDRESSES_MAX = 1000


class Attempts:
    """Who has shown wrong tokens.

    Args:
        clock: seconds; one that is never set back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()  # how many in a row, and when the last

    def pause(self, address: str) -> float:
        """Seconds until another token of this address is looked at; 0 for none.

        Args:
            address: of the peer.
        """
        count, last = self._of(_network(address))
        pause = min(2.0 ** (count - FREE), PAUSE_MAX) if count >= FREE else 0.0
        return max(0.0, last + pause - self._clock())

    def wrong(self, address: str) -> None:
        """This address has shown a wrong token.

        Args:
            address: of the peer.
        """
        network = _network(address)
        count, _ = self._of(network)
        self._wrong[network] = min(count + 1, 100), self._clock()
        self._wrong.move_to_end(network)
        while len(self._wrong) > ADDRESSES_MAX:
            self._wrong.popitem(last=False)

    def right(self, address: str) -> None:
        """This address has shown the right one.

        Args:
            address: of the peer.
        """
        self._wrong.pop(_network(address), None)

    def _of(self, network: str) -> tuple[int, float]:
        count, last = self._wrong.get(network, (0, 0.0))
        return (count, last) if self._clock() - last < FORGET_SECONDS else (0, 0.0)


def _network(address: str) -> str:
    """Of IPv6 the first half, since a peer has all addresses that begin so."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return str(IPv6Address(int(parsed) >> 64 << 64)) if parsed.ipv4_mapped is None else str(parsed.ipv4_mapped)
    return address
