"""TLS of our servers: what peers send and are sent stays the same, however it is cut into records and reads."""

import asyncio
import hashlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.certificates import write_certificate
from secagg.http import server, tls
from secagg.http.bodies import Bodies
from secagg.http.bounds import Bounds
from secagg.http.tls import PIECE_BYTES, READ_BYTES, RECORD_BYTES, Encrypted

from ..support import bounded
from ..support.bounded import Served, one_answer, status

BOUNDS = Bounds()
LENGTHS = [
    0, 1, *(edge + d for edge in (RECORD_BYTES, PIECE_BYTES, READ_BYTES) for d in (-1, 0, 1)), 5 * READ_BYTES + 7,
]  # fmt: skip
LONG = 12_000_000  # more than the system keeps for a connection
TEXT = hashlib.shake_256(b"secagg").digest(LONG)


async def echo(scope: Mapping[str, Any], receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
    """Answer with the content, and say by which scheme it came."""
    async with Bodies(BOUNDS).read(scope, receive, LONG) as content:
        headers = [(b"content-length", b"%d" % len(content)), (b"scheme", scope["scheme"].encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    write_certificate(tmp_path)
    files = {"ssl_certfile": tmp_path / "tls.crt", "ssl_keyfile": tmp_path / "tls.key"}
    with bounded.serving(echo, BOUNDS, loop=f"{server.__name__}:event_loop", **files) as found:
        yield found


@pytest.fixture
def trusted(tmp_path: Path, served: Served) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(tmp_path / "tls.crt"))


def connect(served: Served, trusted: ssl.SSLContext) -> ssl.SSLSocket:
    sock = trusted.wrap_socket(served.connect(), server_hostname=served.address[0])
    return served.open_sockets.enter_context(sock)


def post(content: bytes, *fields: bytes) -> bytes:
    lines = b"\r\n".join([b"POST / HTTP/1.1", b"Host: here", b"Content-Length: %d" % len(content), *fields, b"", b""])
    return lines + content


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_contents_and_answers_of_any_length(served: Served, trusted: ssl.SSLContext, version: ssl.TLSVersion) -> None:
    trusted.maximum_version = trusted.minimum_version = version
    with connect(served, trusted) as connection:
        for length in (*LENGTHS, LONG):
            connection.sendall(post(TEXT[:length]))
            head, _, content = one_answer(connection).partition(b"\r\n\r\n")
            assert (status(head), content) == (200, TEXT[:length])
            assert b"scheme: https" in head


def test_records_that_come_byte_by_byte(served: Served, trusted: ssl.SSLContext) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    peer = trusted.wrap_bio(incoming, outgoing, server_hostname=served.address[0])
    connection = served.connect()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def trickle() -> None:
        for byte in outgoing.read():
            connection.sendall(bytes([byte]))

    def until_done(act: Callable[[], Any]) -> Any:
        while True:
            try:
                return act()
            except ssl.SSLWantReadError:
                trickle()
                incoming.write(connection.recv(7))

    until_done(peer.do_handshake)
    peer.write(post(b"some content"))
    trickle()
    assert until_done(lambda: peer.read(1 << 14)).startswith(b"HTTP/1.1 200")


def test_an_answer_that_is_read_late_is_whole(served: Served, trusted: ssl.SSLContext) -> None:
    """What the system does not take waits, and then the connection closes in order."""
    with connect(served, trusted) as connection:
        connection.sendall(post(TEXT, b"Connection: close"))
        got = bytearray()
        while part := connection.recv(1 << 12):
            got += part
        assert bytes(got).partition(b"\r\n\r\n")[2] == TEXT
        connection.unwrap()  # which fails unless the server has said that this was all


def test_a_peer_that_speaks_no_tls_concerns_nobody_else(
    served: Served, trusted: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    assert bounded.answer(served.connect(b"GET / HTTP/1.1\r\n\r\n")) == b""
    with connect(served, trusted) as connection:
        connection.sendall(post(b"x"))
        assert status(one_answer(connection)) == 200
    assert [record for record in caplog.records if record.levelname in {"WARNING", "ERROR"}] == []


def test_a_record_that_was_changed_ends_the_connection(served: Served, trusted: ssl.SSLContext) -> None:
    with connect(served, trusted) as connection:
        raw = socket.socket(fileno=socket.dup(connection.fileno()))
        served.open_sockets.enter_context(raw)
        raw.sendall(b"\x17\x03\x03\0\x20" + bytes(32))
        with pytest.raises(ssl.SSLError, match=r"(?i)bad.record.mac"):
            connection.recv(1)


def test_a_peer_that_the_protocol_inside_aborts(
    served: Served, trusted: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    with connect(served, trusted) as connection:
        connection.sendall(post(b"") * 100)
        assert bounded.answer(connection).count(b"HTTP/1.1 ") < 100
    assert [record for record in caplog.records if record.levelname in {"WARNING", "ERROR"}] == []


def test_a_handshake_that_is_not_made_in_time(
    served: Served, trusted: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "HANDSHAKE_SECONDS", 2.0)
    with connect(served, trusted) as connection:
        assert bounded.answer(served.connect()) == b""
        assert served.connections == 1
        connection.sendall(post(b"x"))
        assert status(one_answer(connection)) == 200


class Carrier(asyncio.Transport):
    """A transport of which it is seen whether it reads, and which keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.reading = True
        self.given = bytearray()

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.given += data


class Inner(asyncio.BufferedProtocol):
    def get_buffer(self, sizehint: int) -> bytearray:
        return bytearray(READ_BYTES)


def test_a_flood_of_key_updates_is_not_read_while_the_peer_reads_no_answer(tmp_path: Path) -> None:
    """Each asks for one in return, which the transport would have to keep."""
    write_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    carrier = Carrier()

    async def connect_and_fill() -> list[bool]:
        connection = Encrypted(context, Inner(), bytearray(READ_BYTES))
        connection.connection_made(carrier)
        seen = [carrier.reading]
        for act in (connection.pause_writing, connection.pause_reading, connection.resume_writing):
            act()
            seen.append(carrier.reading)
        connection.resume_reading()
        seen.append(carrier.reading)
        connection.pause_writing()
        connection.resume_reading()
        seen.append(carrier.reading)
        connection.connection_lost(None)
        return seen

    assert asyncio.run(connect_and_fill()) == [True, False, False, False, True, False]
