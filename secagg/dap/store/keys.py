"""HPKE keys of one Aggregator."""

from dataclasses import dataclass, field

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from ...errors import LocalProtocolError, require
from ..hpke import PrivateKey
from ..messages import HpkeConfig
from .engine import Tx
from .schema import hpke_keys


@dataclass(frozen=True, repr=False)
class KeyPair:
    """An HPKE configuration and its private key.

    Attributes:
        config: the public configuration.
        private_key: secret.
        advertised_until: the end of the time in which Clients are told of it, in POSIX seconds; None for no end.
        accepted_until: the end of the time in which new reports may use it, in POSIX seconds; None for no end.
        created: POSIX seconds, once it is in the store.
    """

    config: HpkeConfig
    private_key: PrivateKey = field(compare=False)
    advertised_until: float | None = None
    accepted_until: float | None = None
    created: float = 0.0

    def advertised(self, now: float) -> bool:
        """Whether Clients are told of the key.

        Args:
            now: POSIX seconds.
        """
        return self.advertised_until is None or now < self.advertised_until

    def accepted(self, now: float) -> bool:
        """Whether new reports may use the key.

        Args:
            now: POSIX seconds.
        """
        return self.accepted_until is None or now < self.accepted_until


def add_key(tx: Tx, pair: KeyPair, now: float) -> None:
    """Store a key pair; its private key is sealed.

    Args:
        tx: a transaction that writes.
        pair: the key pair.
        now: POSIX seconds.

    Raises:
        LocalProtocolError: its number is taken.
    """
    private_key = tx.vault.seal(pair.private_key.private_bytes, b"hpke key" + bytes([pair.config.id]))
    row = {"id": pair.config.id, "config": pair.config.encode(), "private_key": private_key, "created": now}
    ends = {"advertised_until": pair.advertised_until, "accepted_until": pair.accepted_until}
    try:
        tx.execute(insert(hpke_keys), row | ends)
    except IntegrityError:
        raise LocalProtocolError(f"there is an HPKE key with number {pair.config.id} already") from None


def list_keys(tx: Tx) -> list[KeyPair]:
    """All key pairs; the newest, which Clients should prefer, comes first.

    Args:
        tx: a transaction.
    """
    rows = tx.execute(select(hpke_keys).order_by(hpke_keys.c.created.desc(), hpke_keys.c.id))
    return [
        KeyPair(
            HpkeConfig.decode(row.config),
            PrivateKey.from_bytes(tx.vault.open(row.private_key, b"hpke key" + bytes([row.id]))),
            row.advertised_until,
            row.accepted_until,
            row.created,
        )
        for row in rows
    ]


def end_key(tx: Tx, number: int, advertised_until: float, accepted_until: float) -> None:
    """Set when a key's time is over.

    Args:
        tx: a transaction that writes.
        number: of its configuration.
        advertised_until: POSIX seconds.
        accepted_until: POSIX seconds.

    Raises:
        LocalProtocolError: there is no key with this number.
    """
    ends = {"advertised_until": advertised_until, "accepted_until": accepted_until}
    result = tx.execute(update(hpke_keys).where(hpke_keys.c.id == number).values(**ends))
    require(result.rowcount == 1, f"there is no HPKE key with number {number}")
