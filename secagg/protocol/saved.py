"""A client's state on disk, so that a session outlives the process that takes part in it.

A state that is restored, copied or replayed must not give two different answers in one round: a server that has both
could get both shares of one user, or two sums. Three things see to that:

- All that a client draws follows from its seed and the request (`randomness`), and its input is fixed when it is saved.
  So the answer to an equal request has equal bytes, whichever copy gives it.
- A round is one turn on the file: the lock is held, the file must be the one that this client wrote or loaded last, and
  the state after the round is on disk, with the request's hash and the answer, before the answer leaves.
- A copy of the file is refused (`secagg.durable`), and with a `Counter` an older file in the same place is, too.

The file is a `Document` with these contents (RFC 8446, section 3):

    Header header;              /* in the clear, and the associated data of what follows */
    opaque sealed<0..2^31-1>;   /* AES-256-GCM(key, header.nonce, stored), up to the end of the file */

A nonce is 12 random bytes for each write, so one key may serve 2^32 writes, of many clients. `stored` has the form of
what is encrypted.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import Annotated, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ..arguments import octets, whole
from ..codec import Fixed, Opaque, Reader, Struct, UInt
from ..durable import Contents, Document, create
from ..errors import LocalProtocolError, RemoteProtocolError, require
from ..shamir import RandomBytes
from .client_state import Memory
from .params import Params
from .stored import Owner, decode_memory, encode_memory

KIND = "client state"
KEY_BYTES = 32
VERSION = 1
_NONCE_BYTES = 12
_BEGINNING_BYTES = 1 << 10  # hold mark and header
_SEALED_MAX = (1 << 31) - 1  # what OpenSSL encrypts in one call, here

Key = bytes | Path


class Counter(Protocol):
    """A number that never goes down, kept where whoever can put back a file cannot put it back: in a TPM, or with a
    service for keys. A counter serves one file."""

    def value(self) -> int:
        """The number now."""

    def advance(self, to: int) -> None:
        """Raise the number; when this returns, no crash lowers it.

        Args:
            to: the new number, one more than the present one.
        """


@dataclass(frozen=True, eq=False, repr=False)
class Header(Struct):
    """Whose state this is, and which of its states."""

    version: Annotated[int, UInt(1)]
    params: Annotated[bytes, Fixed(32)]  # SHA-256 of Params.encode()
    roster: Annotated[bytes, Opaque(1)]  # its hash; empty without one
    user: Annotated[int, UInt(4)]
    verification_key: Annotated[bytes, Opaque(1)]  # empty without an identity
    binding: Annotated[bytes, Opaque(1)]  # the caller's
    counted: Annotated[int, UInt(1)]  # 1 with a Counter, else 0
    generation: Annotated[int, UInt(8)]  # one more with each write
    created: Annotated[int, UInt(8)]  # when the client was saved first, POSIX seconds
    nonce: Annotated[bytes, Fixed(_NONCE_BYTES)]


def _header(owner: Owner, counted: bool, generation: int, created: int, nonce: bytes) -> Header:
    """The header of one of this owner's states."""
    digest, roster, key = sha256(owner.params.encode()).digest(), owner.pki.roster_hash, owner.verification_key
    return Header(VERSION, digest, roster, owner.user_id, key, owner.binding, counted, generation, created, nonce)


class ClientFile:
    """The file of a client, as this object wrote or loaded it last.

    Args:
        path: the file.
        owner: whose state it holds.
        key: the key that it is encrypted under, or the file of the key; see `load_key`.
        counter: what notices older files; None for no counter.
        rand: source of nonces, and of a key that has to be made.
        make_key: whether a missing file of the key is made.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        owner: Owner,
        key: Key,
        *,
        counter: Counter | None,
        rand: RandomBytes,
        make_key: bool = False,
    ) -> None:
        limit = _limit(owner.params)
        require(limit <= _SEALED_MAX, "a client of these Params is too large to be saved")
        self._document = Document(path, KIND, limit=limit)
        self._owner = owner
        self._aead = AESGCM(load_key(key, rand if make_key else None))
        self._counter = counter
        self._rand = rand
        self._header: Header | None = None  # of what was written or loaded last

    def make(self, memory: Memory, created: int) -> None:
        """Write the first state to a new file.

        Raises:
            LocalProtocolError: there is a file already; it stays as it is.
        """
        require(0 <= created < 1 << 64, f"the clock must give POSIX seconds, got {created}")
        with self._document.turn() as contents:
            require(
                contents.read is None,
                f"{self._document.path} holds a client already: load it, or remove it if its session is over",
            )
            before = 0 if self._counter is None else _value(self._counter)
            self._header = _header(self._owner, self._counter is not None, before, created, bytes(_NONCE_BYTES))
            self._write(contents, memory)

    def load(self, now: float, max_age: float) -> Memory:
        """Read the state; one older than `max_age` seconds is removed instead.

        Raises:
            LocalProtocolError: the file is not this owner's state under this key, is too old, or is older than its
                counter.
        """
        with self._document.turn() as contents:
            require(contents.read is not None, f"there is no client in {self._document.path}")
            header, plaintext = self._opened(contents.body or b"")
            if now - header.created > max_age:
                contents.remove()
                raise LocalProtocolError(
                    f"{self._document.path} was older than {max_age:,.0f} seconds, and has been removed"
                )
            memory = decode_memory(plaintext, self._owner)
            self._catch_up(header.generation)
            self._header = header
            return memory

    @contextmanager
    def turn(self) -> Iterator[Callable[[Memory], None]]:
        """What puts a new state in place of this object's, while nobody else uses the file.

        Raises:
            LocalProtocolError: the file is not the one that this object wrote or loaded last.
            OSError: the system cannot read or write.
        """
        with self._document.turn() as contents:
            self._check_own(contents)
            yield lambda memory: self._write(contents, memory)

    def remove(self) -> None:
        """Advance the counter beyond the file's generation, and remove the file: whoever puts it back, now or after a
        crash, has a state of the past. A counter that fails leaves both as they are.

        Raises:
            LocalProtocolError: another process went on with the state.
            OSError: the system cannot remove it, or the counter failed.
        """
        if not self._document.exists:
            return
        with self._document.turn() as contents:
            self._check_latest(contents)
            self._allow_no_more()
            contents.remove()

    def _allow_no_more(self) -> None:
        """The counter goes beyond the file, if it has not in an attempt before this. It is one behind where it failed
        when the file was written."""
        if self._counter is None or self._header is None:
            return
        generation = self._header.generation
        if abs(_value(self._counter) - generation) > 1:
            raise self._rolled_back()
        _end(self._counter, generation)

    def _write(self, contents: Contents, memory: Memory) -> None:
        """Generation g + 1, and then the counter."""
        assert self._header is not None
        header = replace(self._header, generation=self._header.generation + 1, nonce=self._nonce())
        clear = header.encode()
        sealed = self._aead.encrypt(header.nonce, encode_memory(memory, self._owner.params), clear)
        contents.replace(clear, sealed)
        self._header = header  # of the file, whatever becomes of the counter
        if self._counter is not None:
            self._counter.advance(header.generation)

    def _nonce(self) -> bytes:
        nonce = octets(self._rand(_NONCE_BYTES), "what rand returns")
        require(len(nonce) == _NONCE_BYTES, f"rand must return {_NONCE_BYTES} bytes, got {len(nonce)}")
        return nonce

    def _check_latest(self, contents: Contents) -> None:
        """Compare the whole header, whose nonce no other write has: a fork of equal generation is another state."""
        assert self._header is not None
        mine = contents.begins_with(self._header.encode())
        require(mine, f"{self._document.path}: another process went on with this state: load it again")

    def _check_own(self, contents: Contents) -> None:
        """The state is this object's, and none that was put back."""
        self._check_latest(contents)
        assert self._header is not None
        if self._counter is not None and _value(self._counter) != self._header.generation:
            raise self._rolled_back()

    def _opened(self, body: bytes) -> tuple[Header, bytes]:
        """The header, which must be this owner's, and what is encrypted."""
        path = self._document.path
        require(body[:1] == bytes((VERSION,)), f"{path} is of another version of this program, or damaged")
        reader = Reader(body)
        try:
            header = Header.read(reader)
        except RemoteProtocolError:
            raise LocalProtocolError(f"{path} is damaged") from None
        self._check_owner(header)
        try:
            return header, self._aead.decrypt(header.nonce, reader.take_rest(), header.encode())
        except InvalidTag:
            raise LocalProtocolError(f"{path} is sealed under another key, or damaged") from None

    def _check_owner(self, header: Header) -> None:
        own, path = _header(self._owner, self._counter is not None, 0, 0, bytes(_NONCE_BYTES)), self._document.path
        require(header.params == own.params, f"{path} is of other Params")
        require(header.roster == own.roster, f"{path} is of another roster")
        require(header.user == own.user, f"{path} is of another user")
        require(header.verification_key == own.verification_key, f"{path} is of another identity")
        require(
            header.binding == own.binding,
            f"{path} is of another binding; what a NoisyClient saved is for NoisyClient.load, with the same plan",
        )
        with_or_without = "without a counter" if own.counted else "with a counter: give it"
        require(header.counted == own.counted, f"{path} was saved {with_or_without}")

    def _catch_up(self, generation: int) -> None:
        """A file one ahead of its counter was written just before a crash. The counter follows before anybody can have
        that state's answer: otherwise the file before it would still be accepted afterwards."""
        if self._counter is None:
            return
        value = _value(self._counter)
        if generation < value:
            raise self._rolled_back()
        require(generation <= value + 1, f"{self._document.path} is newer than its counter: this is another counter")
        if generation == value + 1:
            self._counter.advance(generation)

    def _rolled_back(self) -> LocalProtocolError:
        return LocalProtocolError(
            f"{self._document.path} is older than its counter: an earlier state was put back in its place (rollback)"
        )


def remove_saved(path: Path, before: float | None = None, counter: Counter | None = None) -> bool:
    """Remove a saved client whose session is over, without its key; one in use stays.

    Args:
        path: the file.
        before: remove it only if it was saved first before this time, POSIX seconds; None to remove it anyway.
        counter: the file's own, which allows none of its states any more; without it a counter's file stays. What it
            raises is raised, and the file stays.

    Returns:
        Whether it was removed.
    """
    if _to_be_removed(_beginning(path), before, counter) is None:
        return False
    with ExitStack() as stack:
        try:
            contents = stack.enter_context(Document(path, KIND).turn(wait=False))
        except (LocalProtocolError, OSError):  # a copy, or somebody's turn: it stays
            return False
        beginning = None if contents.read is None else contents.read(_BEGINNING_BYTES)
        header = _to_be_removed(beginning, before, counter)
        if header is None or (counter is not None and header.counted and not _end(counter, header.generation)):
            return False
        with suppress(OSError):
            contents.remove()
            return True
    return False


def saved_params(path: Path) -> bytes | None:
    """SHA-256 of the `Params.encode()` of a saved client; None where there is none that can be read.

    Args:
        path: the file.
    """
    header = _header_in(_beginning(path))
    return None if header is None else header.params


def _end(counter: Counter, generation: int) -> bool:
    """Let a counter allow no state up to this generation; False for a file that is newer than its counter, which then
    is another file's."""
    value = _value(counter)
    if generation > value + 1:
        return False
    for reached in range(value, generation + 1):
        counter.advance(reached + 1)
    return True


def _beginning(path: Path) -> bytes | None:
    """What a file begins with, behind its mark; None if it cannot be read."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return os.pread(file, _BEGINNING_BYTES, 0).partition(b"\n")[2]
    except OSError:
        return None
    finally:
        os.close(file)


def _to_be_removed(body: bytes | None, before: float | None, counter: Counter | None) -> Header | None:
    """The header of a client of that age, if its counter is known or it has none; otherwise None."""
    header = _header_in(body)
    if header is None:
        return None
    known = header.counted == 0 or counter is not None
    return header if known and (before is None or header.created < before) else None


def _header_in(body: bytes | None) -> Header | None:
    """What a client's file begins with; None if it is not one of this version."""
    if body is None or body[:1] != bytes((VERSION,)):
        return None
    try:
        return Header.read(Reader(body))
    except RemoteProtocolError:
        return None


def load_key(key: Key, rand: RandomBytes | None) -> bytes:
    """The key itself.

    Args:
        key: 32 bytes, or the path of a file that holds them, which only its owner may read.
        rand: what a missing file is made from; None to refuse it.

    Raises:
        LocalProtocolError: the key has another length, or its file does not exist or others may read it.
        OSError: the file cannot be made.
    """
    if isinstance(key, Path):
        key = _key_in(key, rand)
    key = octets(key, "key")
    require(len(key) == KEY_BYTES, f"a key must have {KEY_BYTES} bytes, got {len(key)}")
    return key


def _key_in(path: Path, rand: RandomBytes | None) -> bytes:
    if rand is not None and not path.exists():
        with suppress(FileExistsError):  # another process may have made it meanwhile
            create(path, octets(rand(KEY_BYTES), "what rand returns"))
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            require(status.st_uid == os.geteuid(), f"{path} belongs to another user: run as that user")
            require(not status.st_mode & 0o077, f"{path} must be readable by its owner only: chmod 600 {path}")
            data = file.read(KEY_BYTES + 1)
    except OSError as error:
        raise LocalProtocolError(f"cannot read a key from {path}: {type(error).__name__}") from None
    require(
        len(data) == KEY_BYTES,
        f"{path} does not hold a key of {KEY_BYTES} bytes: put it back, or remove this file, and with it all clients"
        " that were saved under the key, which are lost",
    )
    return data


def _limit(params: Params) -> int:
    """The most bytes that a file has: one vector, and for each user at most what `AfterShareKeys` holds: 4 bytes in U1,
    48 of a peer and 88 of a ciphertext."""
    return 4096 + params.packed_size + 160 * params.n


def _value(counter: Counter) -> int:
    return whole(counter.value(), "a counter's value")
