"""Who speaks: what a participant's signature of a request covers, nonces that serve once, and bearer tokens.

In the active model every request of a participant is signed with the key that the roster has for it:

    Authorization: SecAgg user=7, nonce="...", signature="..."
    signature = SIG.sign(label || coordinator || digest of Params || session || user || method || path || round
                         || SHA-256 of the content || nonce), each field after its length

The label is the requests' own, so that no such signature is one of the protocol's, or the other way round. The
coordinator's URL keeps one coordinator from joining another in a user's name. In the semi-honest model each participant
shows a token of its own, and the operator shows one in both models:

    Authorization: Bearer ...

Texts of keys, nonces and signatures are base64url without padding.
"""

import hmac
import os
import re
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b, sha256

from ..arguments import octets, optional, whole
from ..errors import RemoteProtocolError, require
from ..http.base64url import base64url, from_base64url
from ..http.urls import ServerUrl
from ..protocol.identity import Identity, Roster, verify_each
from ..protocol.messages import Round
from ..signatures import SIGNATURE_BYTES
from .names import Hashes, Name, check_name

LABEL = b"secagg service request v1"
NO_PARAMS = bytes(32)
"""In place of the digest of Params, for requests of no session, and to join one."""

NONCE_SECONDS = 300.0
"""For which a nonce serves."""

SPENT_MAX = 256
"""Nonces of one participant that are remembered: far more than requests that it can have under way at once."""

TOKEN_BYTES = 32
_TIME_BYTES, _RANDOM_BYTES, _MAC_BYTES = 8, 16, 16
_PERSON = b"secagg nonce v1"
NONCE_BYTES = _TIME_BYTES + _RANDOM_BYTES + _MAC_BYTES

_SIGNED = re.compile(r'SecAgg user=([1-9][0-9]{0,9}), nonce="([\w-]{1,100})", signature="([\w-]{1,100})"', re.A | re.I)
_DIGEST = re.compile(r"(?:^|[,\s])sha-256=:([A-Za-z0-9+/]{43}=):[\t ]*(?:$|,)")
_TOKEN = re.compile(r"[!-~]{1,200}")


# --- Requests that are signed ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RequestScope:
    """All that a request says, and where.

    Attributes:
        coordinator: its URL as `coordinator_name` writes it.
        params: SHA-256 of the session's `Params.encode()`; NO_PARAMS for requests of no session, and to join one.
        session: its name; empty for requests of no session.
        user: the user id of who signs.
        method: of HTTP, such as POST.
        path: below the coordinator's URL, with the query, as it is sent.
        round: that an answer belongs to; None for other requests.
        content: SHA-256 of the request's content, which may be empty.
    """

    coordinator: str
    params: bytes
    session: str
    user: int
    method: str
    path: str
    round: Round | None
    content: bytes

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", octets(self.params, "params"))
        object.__setattr__(self, "content", octets(self.content, "content"))
        object.__setattr__(self, "user", whole(self.user, "user"))
        object.__setattr__(self, "round", optional(lambda value, name: Round(whole(value, name)))(self.round, "round"))
        require(len(self.params) == 32 and len(self.content) == 32, "params and content are digests of 32 bytes")
        require(1 <= self.user < 1 << 32, f"user ids must be 1 .. 2**32 - 1, got {self.user}")


@dataclass(frozen=True)
class Signed:
    """What the header of a signed request says.

    Attributes:
        user: the user id.
        nonce: that the coordinator gave.
        signature: 64 bytes.
    """

    user: int
    nonce: bytes
    signature: bytes


def coordinator_name(url: ServerUrl) -> str:
    """A coordinator's URL in the one spelling that is signed.

    Args:
        url: as `parse_server_url` reads it.
    """
    host = f"[{url.host}]" if ":" in url.host else url.host
    return f"{url.scheme}://{host}:{url.port}{url.path}"


def to_sign(scope: RequestScope, nonce: bytes) -> bytes:
    """What the signature of a request is over.

    Args:
        scope: the request.
        nonce: that the coordinator gave.
    """
    fields = (
        scope.coordinator.encode(),
        scope.params,
        scope.session.encode(),
        scope.user.to_bytes(4, "big"),
        scope.method.encode(),
        scope.path.encode(),
        b"" if scope.round is None else bytes((scope.round,)),
        scope.content,
        octets(nonce, "nonce"),
    )
    return LABEL + b"".join(len(field).to_bytes(4, "big") + field for field in fields)


def sign(identity: Identity, scope: RequestScope, nonce: bytes) -> str:
    """The value of the header Authorization.

    Args:
        identity: of the user.
        scope: the request.
        nonce: that the coordinator gave last.
    """
    signature = identity.sign(to_sign(scope, nonce))
    return f'SecAgg user={scope.user}, nonce="{base64url(nonce)}", signature="{base64url(signature)}"'


def verify(roster: Roster, scope: RequestScope, signed: Signed) -> bool:
    """Whether a request is its user's.

    Args:
        roster: the session's.
        scope: the request; its user is the one who signed.
        signed: what its header says.
    """
    return verify_all([(roster, scope, signed)])[0]


def verify_all(requests: Sequence[tuple[Roster, RequestScope, Signed]]) -> list[bool]:
    """`verify` of many requests, of any sessions, several at a time.

    Args:
        requests: the arguments of each.
    """
    return verify_each(
        [_key_of(*request) for request in requests],
        [signed.signature for *_, signed in requests],
        [to_sign(scope, signed.nonce) for _, scope, signed in requests],
    )


def _key_of(roster: Roster, scope: RequestScope, signed: Signed) -> bytes | None:
    return roster.key(scope.user) if scope.user == signed.user and scope.user in roster else None


def parse_signed(header: str | None) -> Signed | None:
    """What a header Authorization says of a signature; None if it says nothing of the kind.

    Args:
        header: the value; None if there was none.
    """
    found = _SIGNED.fullmatch(header or "")
    if found is None or int(found[1]) >= 1 << 32:
        return None
    try:
        nonce, signature = from_base64url(found[2], NONCE_BYTES), from_base64url(found[3], SIGNATURE_BYTES)
    except RemoteProtocolError:
        return None
    return Signed(int(found[1]), nonce, signature)


class Spent:
    """The nonces that one participant has spent: the latest, and a floor. Nonces from before that are void for it.

    Nonces are ordered by the time at which they were given. So a participant that spends many makes its own old ones
    void, and takes no more memory than any other.
    """

    def __init__(self) -> None:
        self._latest: set[bytes] = set()
        self._floor = b""

    def take(self, nonce: bytes) -> bool:
        """Remember a nonce; False if it was spent, or is from before the floor.

        Args:
            nonce: that `Nonces` gave.
        """
        if nonce <= self._floor or nonce in self._latest:
            return False
        self._latest.add(nonce)
        if len(self._latest) > SPENT_MAX:
            self._floor = min(self._latest)
            self._latest.discard(self._floor)
        return True


class Nonces:
    """Nonces that the coordinator gives, and takes back once from each participant. To give one takes no memory; what
    is remembered are the last SPENT_MAX that each participant has spent.

    A nonce has the time at which it was given, and a MAC (keyed BLAKE2b, RFC 7693) under a key of this object: a
    restart makes all of them void.

    Args:
        clock: seconds; one that is never set back.
        rand: gives so many random bytes.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, rand: Callable[[int], bytes] = os.urandom) -> None:
        self._clock = clock
        self._rand = rand
        self._key = rand(32)
        self._spent: dict[bytes, Spent] = {}  # by verification key, of those who have spent one since the last turn
        self._spent_before: dict[bytes, Spent] = {}  # in the turn before; of others nothing is left that could serve
        self._turned = clock()

    def issue(self) -> str:
        """A fresh nonce, as it is sent."""
        body = round(self._clock() * 1000).to_bytes(_TIME_BYTES, "big") + self._rand(_RANDOM_BYTES)
        return base64url(body + self._mac(body))

    def serves(self, nonce: bytes) -> bool:
        """Whether a nonce was given here, and not long ago.

        Args:
            nonce: as it came back.
        """
        nonce = octets(nonce, "nonce")
        body, mac = nonce[:-_MAC_BYTES], nonce[-_MAC_BYTES:]
        if len(nonce) != NONCE_BYTES or not hmac.compare_digest(mac, self._mac(body)):
            return False
        age = self._clock() - int.from_bytes(body[:_TIME_BYTES], "big") / 1000
        return age <= NONCE_SECONDS

    def spend(self, nonce: bytes, key: bytes) -> bool:
        """Take a nonce back; False if it does not serve, or this participant has spent it, or many later ones.

        Args:
            nonce: as it came back.
            key: the participant's verification key, by which the request was found to be its own.
        """
        nonce, key = octets(nonce, "nonce"), octets(key, "key")
        if not self.serves(nonce):
            return False
        self._turn()
        spent = self._spent.get(key) or self._spent_before.pop(key, None) or Spent()
        self._spent[key] = spent
        return spent.take(nonce)

    def _turn(self) -> None:
        """Forget who has spent nothing for so long that all of it is too old by now."""
        now = self._clock()
        if now - self._turned > NONCE_SECONDS + 1:
            old = now - self._turned > 2 * (NONCE_SECONDS + 1)
            self._spent_before, self._spent = {} if old else self._spent, {}
            self._turned = now

    def _mac(self, body: bytes) -> bytes:
        return blake2b(body, digest_size=_MAC_BYTES, key=self._key, person=_PERSON).digest()


# --- Tokens ---------------------------------------------------------------------------------------------------------


def make_token(rand: Callable[[int], bytes] = os.urandom) -> str:
    """A new bearer token.

    Args:
        rand: gives so many random bytes.
    """
    return base64url(rand(TOKEN_BYTES))


def token_hash(token: str) -> bytes:
    """What a coordinator keeps of a token: its SHA-256.

    Args:
        token: as `make_token` gave it.
    """
    return sha256(token.encode()).digest()


def bearer(token: str) -> str:
    """The value of the header Authorization.

    Args:
        token: as `make_token` gave it.
    """
    return f"Bearer {token}"


class Tokens:
    """Whose token is whose, by the tokens' hashes.

    Args:
        hashes: by name or number, the token's `token_hash`.

    Raises:
        LocalProtocolError: two names have one token, a hash has another length than 32 bytes, or a name cannot be one.
    """

    def __init__(self, hashes: Hashes) -> None:
        known = {check_name(name): octets(value, "a token's hash") for name, value in hashes.items()}
        require(all(len(value) == 32 for value in known.values()), "a token's hash has 32 bytes")
        # Half of the hash leads to the name: nobody can choose a token by its hash, so the time that this takes says
        # nothing of use. The other half decides, in constant time.
        self._names = {value[:16]: (name, value[16:]) for name, value in known.items()}
        require(len(self._names) == len(known), "two names have one token")

    def check(self, header: str | None) -> Name | None:
        """Whose token a header Authorization shows; None if it shows nobody's.

        Args:
            header: the value; None if there was none.
        """
        scheme, _, token = (header or "").partition(" ")
        shown = token.strip()
        if scheme.lower() != "bearer" or _TOKEN.fullmatch(shown) is None:
            return None
        digest = token_hash(shown)
        name, rest = self._names.get(digest[:16], (None, bytes(16)))
        return name if hmac.compare_digest(digest[16:], rest) else None


# --- Contents -------------------------------------------------------------------------------------------------------


def content_digest(digest: bytes) -> str:
    """The value of the header Content-Digest (RFC 9530).

    Args:
        digest: SHA-256 of the content.
    """
    return f"sha-256=:{b64encode(octets(digest, 'digest')).decode('ascii')}:"


def parse_content_digest(header: str | None) -> bytes | None:
    """The SHA-256 that a header Content-Digest states; None if it states none.

    Args:
        header: the value; None if there was none.
    """
    found = _DIGEST.search((header or "")[:1000])
    digest = b64decode(found[1]) if found else b""
    return digest if len(digest) == 32 and found and b64encode(digest).decode() == found[1] else None
