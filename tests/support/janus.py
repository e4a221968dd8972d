"""What janus_messages 0.7.145, of which the deployed Aggregators are made, takes of DAP-09's messages, beside ours; and
random messages of each kind, and near them, to show to both."""

from collections.abc import Callable
from random import Random
from typing import Any

from secagg.codec import Struct
from secagg.dap import messages as m
from secagg.dap import messages_09 as old
from secagg.errors import RemoteProtocolError

from . import dap09 as twin

_STRUCT_OF: dict[str, type[Struct]] = {
    "job_init": old.AggregationJobInitReq,
    "job_resp": old.AggregationJobResp,
    "job_continue": old.AggregationJobContinueReq,
    "collection_req": old.CollectionReq,
    "collection": old.Collection,
    "share_req": old.AggregateShareReq,
    "share": m.AggregateShare,
    "aad": old.AggregateShareAad,
}


def _is_ping_pong(payload: bytes) -> bool:
    """Whether a payload is a message of the VDAF's ping-pong (VDAF draft 8, section 5.8)."""
    data = twin.Bytes(payload)
    try:
        kind = data.number(1)
        for _ in range({0: 1, 1: 2, 2: 1}.get(kind, 256)):
            data.sized(4)
        data.end()
    except twin.Malformed:
        return False
    return True


def _is_more(kind: str, struct: Any) -> bool:
    """Whether a message is more than the codec of Janus takes: that takes payloads apart, knows no errors beside the
    draft's, no interval that ends beyond 64 bits, and one query type at a time."""
    name, _, query_type = kind.rpartition("_")
    if kind == "job_resp":
        outcomes = [resp.outcome for resp in struct.prepare_resps]
        return any(
            each > 9 if isinstance(each, int) else each is not None and not _is_ping_pong(each) for each in outcomes
        )
    if kind == "job_continue":
        return not all(_is_ping_pong(each.payload) for each in struct.prepare_continues)
    if name == "job_init" and not all(_is_ping_pong(init.payload) for init in struct.prepare_inits):
        return True
    if name == "collection" and struct.interval.end >= 1 << 64:
        return True
    if name in ("job_init", "collection"):
        return (struct.part_batch_selector.batch_id is None) is (query_type == "fixed")
    if kind == "share":
        return False
    batch = struct.query.batch if name == "collection_req" else struct.batch_selector.batch
    if isinstance(batch, m.Interval) and batch.end >= 1 << 64:
        return True
    return isinstance(batch, m.Interval) is (query_type == "fixed")


def check_verdict(kind: str, body: bytes, by_janus: bool) -> None:
    """Fail if our codec takes a message that Janus refuses, or the other way round, or writes it as other bytes.

    Args:
        kind: of the message, as `Messages` and the vectors name it.
        body: the message, or what is near one.
        by_janus: whether janus_messages takes it.
    """
    struct_of = _STRUCT_OF[kind.removesuffix("_time").removesuffix("_fixed")]
    try:
        struct: Struct | None = struct_of.decode(body)
    except RemoteProtocolError:
        struct = None
    assert by_janus == (struct is not None and not _is_more(kind, struct)), (kind, body.hex())
    assert struct is None or struct.encode() == body


class Messages:
    """Random messages of DAP-09, as the twin writes them.

    Args:
        random: draws them.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        draw, ids = random.randrange, random.randbytes
        self._kinds: dict[str, Callable[[], bytes]] = {
            "job_init_time": lambda: twin.job_init(None, self._inits(), self._small()),
            "job_init_fixed": lambda: twin.job_init(ids(32), self._inits(), self._small()),
            "job_resp": lambda: twin.job_resp([(ids(16), self._outcome()) for _ in range(draw(1, 4))]),
            "job_continue": lambda: twin.job_continue(
                draw(1 << 16), [(ids(16), self._ping_pong()) for _ in range(draw(1, 4))]
            ),
            "collection_req_time": lambda: twin.collection_req(self._interval(), self._small()),
            "collection_req_fixed": lambda: twin.collection_req(random.choice([None, ids(32)]), self._small()),
            "collection_time": lambda: twin.collection(None, draw(1 << 40), self._interval(), self._shares()),
            "collection_fixed": lambda: twin.collection(ids(32), draw(1 << 40), self._interval(), self._shares()),
            "share_req_time": lambda: twin.share_req(self._interval(), draw(1 << 40), ids(32), self._small()),
            "share_req_fixed": lambda: twin.share_req(ids(32), draw(1 << 40), ids(32), self._small()),
            "share": lambda: twin.ciphertext(self._ciphertext()),
            "aad_time": lambda: twin.agg_share_aad(ids(32), self._interval(), self._small()),
            "aad_fixed": lambda: twin.agg_share_aad(ids(32), ids(32), self._small()),
        }

    def draw(self, each: int) -> list[tuple[str, bytes]]:
        """So many messages of every kind, each with two that are near it."""
        honest = [(kind, make()) for kind, make in self._kinds.items() for _ in range(each)]
        return [(kind, some) for kind, body in honest for some in (body, self._near(body), self._near(body))]

    def _near(self, body: bytes) -> bytes:
        """With its end cut off, bytes added, a bit flipped, or a few bytes replaced."""
        draw, data = self._random.randrange, self._random.randbytes
        at = draw(len(body))
        return [
            lambda: body[:at],
            lambda: body + data(draw(1, 3)),
            lambda: body[:at] + bytes([body[at] ^ 1 << draw(8)]) + body[at + 1 :],
            lambda: body[:at] + data(draw(3)) + body[at + draw(3) :],
        ][draw(4)]()

    def _small(self) -> bytes:
        return self._random.randbytes(self._random.randrange(6))

    def _interval(self) -> tuple[int, int]:
        return self._random.randrange(1 << 40), self._random.randrange(1 << 30)

    def _ciphertext(self) -> Any:
        draw, data = self._random.randrange, self._random.randbytes
        return twin.Ciphertext(draw(256), data(draw(1, 8)), data(draw(1, 8)))

    def _shares(self) -> tuple[Any, Any]:
        return self._ciphertext(), self._ciphertext()

    def _ping_pong(self) -> bytes:
        kind = self._random.randrange(3)
        parts = 2 if kind == 1 else 1
        return bytes([kind]) + b"".join(twin.sized(self._small(), 4) for _ in range(parts))

    def _outcome(self) -> Any:
        return self._random.choice([None, self._random.randrange(10), self._ping_pong()])

    def _inits(self) -> Any:
        draw, data = self._random.randrange, self._random.randbytes
        return [
            (twin.Share(data(16), draw(1 << 40), self._small(), self._ciphertext()), self._ping_pong())
            for _ in range(draw(1, 4))
        ]
