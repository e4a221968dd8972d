"""TLS of a server, for connections of which each keeps memory for a few records.

Event loops speak TLS themselves. But a memory BIO of OpenSSL never shrinks, and is a third larger than the most that it
has held; and uvloop reads 256 KiB at once into a buffer of each connection, may have twice as many in a BIO, and
encrypts an answer as a whole. A connection that has brought one long content keeps 0.8 MB for that. Here all those of a
loop read into one buffer, and a BIO never holds more than PIECE_BYTES.
"""

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain
from typing import Any

RECORD_BYTES = 1 << 14
"""Of content in a record, at most (RFC 8446, 5.1)."""

PIECE_BYTES = 2 * RECORD_BYTES
"""That are given to a BIO at once: it keeps a third more. To find that no other record is whole costs an exception."""

READ_BYTES = 6 * RECORD_BYTES
"""That are read from a connection at once. Each such part of an upload is a turn of a thread: with two thirds of it
uploads take a tenth more of a coordinator's CPU time."""

RECORDS_AT_ONCE = 4
"""That are given to the transport at once, in one call of the system."""

HANDSHAKE_SECONDS = 10.0
"""For the handshake, before which a connection is not the inner protocol's to close."""

log = logging.getLogger(__name__)

Factory = Callable[[], asyncio.BufferedProtocol]


def encrypted(context: ssl.SSLContext, factory: Factory) -> Factory:
    """A factory of protocols for the connections of one event loop, on which the peers speak TLS.

    Args:
        context: a server's.
        factory: of the protocols inside, which are given what was decrypted.
    """
    buffer = bytearray(READ_BYTES)
    return lambda: Encrypted(context, factory(), buffer)


class Encrypted(asyncio.BufferedProtocol, asyncio.Transport):
    """One connection: a protocol towards the transport that carries it, and a transport towards the protocol inside.

    Args:
        context: a server's.
        inner: the protocol inside, which hears of the connection after the handshake.
        buffer: READ_BYTES to read to, of all connections of one event loop, which decrypts what it has read at once.
    """

    def __init__(self, context: ssl.SSLContext, inner: asyncio.BufferedProtocol, buffer: bytearray) -> None:
        super().__init__()
        self._context = context
        self._inner = inner
        self._buffer = memoryview(buffer)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._carrier: asyncio.Transport
        self._deadline: asyncio.TimerHandle  # of the handshake
        self._shaken = False
        self._ended = False  # the peer has said that it sends no more
        self._closing = False
        self._full = False  # the carrier takes no more for now
        self._paused = False  # the inner protocol knows that
        self._held = False  # the inner protocol takes no more for now
        self._backlog = deque[memoryview]()  # what is not encrypted yet
        self._backlog_bytes = 0

    # --- The protocol -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio, here and below."""
        self._carrier = transport
        self._deadline = asyncio.get_running_loop().call_later(HANDSHAKE_SECONDS, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._deadline.cancel()
        self._backlog.clear()
        if self._shaken:
            self._inner.connection_lost(exc)
        del self._tls, self._incoming, self._outgoing  # or they would wait until garbage is looked for

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        data = self._buffer[:nbytes]
        pieces = (data[start : start + PIECE_BYTES] for start in range(0, nbytes, PIECE_BYTES))
        try:
            if self._shaken or self._shake_hands(pieces):
                self._receive(pieces)
        except ssl.SSLError as error:
            self._fail(error)

    def eof_received(self) -> None:
        if self._shaken and not self._closing:
            self._inner.eof_received()

    def pause_writing(self) -> None:
        """What is read may ask for an answer of TLS's own, as a KeyUpdate does (RFC 8446, 4.6.3): of a peer that reads
        none of them, no more is read."""
        self._full = True
        self._carrier.pause_reading()
        if self._shaken and not self._paused:
            self._paused = True
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._full = False
        self._read_on()
        self._send()
        if self._paused and not self._full:
            self._paused = False
            self._inner.resume_writing()

    # --- TLS --------------------------------------------------------------------------------------------------------

    def _shake_hands(self, pieces: Iterator[memoryview]) -> bool:
        """Take as many pieces as the handshake needs; whether it is done."""
        for piece in pieces:
            self._incoming.write(piece)
            with suppress(ssl.SSLWantReadError):
                self._tls.do_handshake()
                self._shaken = True
            self._pass_records()
            if self._shaken:
                self._deadline.cancel()
                self._inner.connection_made(self)
                return True
        return False

    def _receive(self, pieces: Iterator[memoryview]) -> None:
        """Decrypt what came with the handshake, and then the pieces; the protocol inside is given all of it at once."""
        room, filled = self._room(), 0
        for piece in chain((memoryview(b""),), pieces):
            self._incoming.write(piece)
            while got := self._decrypt(room[filled:]):
                filled += got
                if filled == len(room):
                    self._inner.buffer_updated(filled)
                    room, filled = self._room(), 0
        if filled and not self._closing:
            self._inner.buffer_updated(filled)
        if self._ended and not self._closing:
            self._inner.eof_received()
            self.close()
        self._send()  # what the peer is owed for messages of TLS, too

    def _room(self) -> memoryview:
        return memoryview(self._inner.get_buffer(-1))

    def _decrypt(self, room: memoryview) -> int:
        """How many bytes of a record were put there; 0 if none is whole."""
        if not (self._incoming.pending or self._tls.pending()):
            return 0
        try:
            got: Any = self._tls.read(len(room), room)
        except ssl.SSLWantReadError:
            return 0
        self._ended = not got
        return int(got)

    def _send(self) -> None:
        """Encrypt as much as the carrier takes. After the last record, where the connection is to be closed, say so:
        nobody waits for the peer to say the same."""
        if self._carrier.is_closing():
            return
        try:
            self._pass_records()
            while not self._full and (records := self._encrypt()):
                self._carrier.writelines(records)
            if self._closing and not self._backlog:
                with suppress(ssl.SSLWantReadError):
                    self._tls.unwrap()
                self._pass_records()
                self._carrier.close()
        except ssl.SSLError as error:
            self._fail(error)

    def _encrypt(self) -> list[bytes]:
        """The next records of the backlog. To write asks for nothing of the peer's: who renegotiates, as an old OpenSSL
        lets it, loses the connection."""
        records: list[bytes] = []
        while self._backlog and len(records) < RECORDS_AT_ONCE:
            part = self._backlog[0]
            done = self._tls.write(part[:RECORD_BYTES])
            records.append(self._outgoing.read())
            self._backlog_bytes -= done
            if done < len(part):
                self._backlog[0] = part[done:]
            else:
                self._backlog.popleft()
        return records

    def _pass_records(self) -> None:
        if self._outgoing.pending:
            self._carrier.write(self._outgoing.read())

    def _fail(self, error: ssl.SSLError) -> None:
        """The peer is told why, if it listens."""
        log.debug("a connection was closed: %s", error)
        self._closing = True
        self._backlog.clear()
        self._pass_records()
        self._carrier.close()

    # --- The transport ----------------------------------------------------------------------------------------------

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._context if name == "sslcontext" else self._carrier.get_extra_info(name, default)

    def get_write_buffer_size(self) -> int:
        return self._backlog_bytes + self._carrier.get_write_buffer_size()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if data and not self._closing:
            self._backlog.append(memoryview(data))
            self._backlog_bytes += len(data)
            self._send()

    def pause_reading(self) -> None:
        self._held = True
        self._carrier.pause_reading()

    def resume_reading(self) -> None:
        self._held = False
        self._read_on()

    def _read_on(self) -> None:
        if not (self._held or self._full or self._closing):
            self._carrier.resume_reading()

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._carrier.pause_reading()
            self._send()

    def abort(self) -> None:
        self._closing = True
        self._backlog.clear()
        self._carrier.abort()
