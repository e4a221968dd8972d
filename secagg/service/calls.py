"""A participant's requests to one coordinator: with a signature or a token, sent again where that can help, bounded.

In the active model each request is signed over the coordinator's URL as the participant was given it, and over a nonce
that serves once. So each attempt has a signature of its own, over the nonce of the answer before; an answer 401 has a
fresh nonce, and is worth one more attempt. What is signed always begins with a label and the participant's own view of
the request: no bytes of a server are signed by themselves.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Protocol

from ..errors import LocalProtocolError, RemoteProtocolError, require
from ..http.base64url import from_base64url
from ..http.semantics import TEMPORARY, parse_retry_after
from ..http.steps import ANSWER_BYTES, Busy, Failure, Request, Response, Retries, Steps, Unreachable, Wait
from ..http.urls import ServerUrl, parse_server_url
from ..protocol.identity import Identity
from ..protocol.messages import Round
from ..shamir import RandomBytes
from .authentication import NO_PARAMS, NONCE_BYTES, RequestScope, bearer, content_digest, coordinator_name, sign
from .resources import CONTENT_DIGEST, NONCE, SESSIONS

FIRST_ATTEMPTS = 4
"""As long as a coordinator has not answered at all: its URL may be wrong."""

_UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"  # of OpenSSL


class NotTrusted(Unreachable):
    """A server's certificate does not lead to one that is trusted; trying again cannot help."""


class Credentials(Protocol):
    """What a participant shows."""

    def authorize(self, scope: Callable[[int], RequestScope], nonce: bytes | None) -> str | None:
        """The value of the header Authorization; None as long as it takes a nonce and there is none."""

    @property
    def renewable(self) -> bool:
        """Whether a fresh nonce can help."""


@dataclass(frozen=True, repr=False)
class Signer:
    """Signs each request: the active model.

    Attributes:
        identity: the participant's key pair.
        user: its user id in the roster.
    """

    identity: Identity
    user: int
    renewable = True

    def authorize(self, scope: Callable[[int], RequestScope], nonce: bytes | None) -> str | None:
        """See `Credentials`."""
        return None if nonce is None else sign(self.identity, scope(self.user), nonce)


@dataclass(frozen=True, repr=False)
class Bearer:
    """Shows a token: the semi-honest model.

    Attributes:
        token: as the operator gave it.
    """

    token: str
    renewable = False

    def authorize(self, scope: Callable[[int], RequestScope], nonce: bytes | None) -> str | None:
        """See `Credentials`."""
        return bearer(self.token)


@dataclass(frozen=True, repr=False)
class Call:
    """One request, before it is signed.

    Attributes:
        method: of HTTP.
        path: below the coordinator's URL, with the query.
        session: its name; empty for requests of no session.
        params: SHA-256 of the session's `Params.encode()`; NO_PARAMS for requests of no session, and to join one.
        round: that an answer belongs to; None for other requests.
        content: the request's content.
        content_type: of the content.
        max_bytes: how many bytes of an answer are read.
        retries: how often and how patiently this is asked; None for as all others.
        timeout: seconds that each wait for the network may take; None for the HTTP client's timeouts.
    """

    method: str
    path: str
    session: str = ""
    params: bytes = NO_PARAMS
    round: Round | None = None
    content: bytes = b""
    content_type: str = ""
    max_bytes: int = ANSWER_BYTES
    retries: Retries | None = None
    timeout: float | None = None


class Calls:
    """The requests of one participant.

    Args:
        url: the coordinator's, as the participant was given it.
        credentials: what the participant shows.
        clock: POSIX seconds.
        rand: source of random bytes, which spread the attempts of many participants.
        retries: how often and how patiently the coordinator is asked, once it has answered anything.
    """

    def __init__(
        self,
        url: ServerUrl,
        credentials: Credentials,
        *,
        clock: Callable[[], float],
        rand: RandomBytes = os.urandom,
        retries: Retries,
    ) -> None:
        self.clock = clock
        self._url = url
        self._name = coordinator_name(url)
        self._credentials = credentials
        self._rand = rand
        self._retries = retries
        self._nonce: bytes | None = None
        self._answered = False

    @property
    def name(self) -> str:
        """The coordinator's URL in the one spelling that is signed."""
        return self._name

    def ask(self, call: Call) -> Steps[Response]:
        """Send a request until there is an answer other than "busy"; each attempt is signed anew.

        Args:
            call: the request.

        Raises:
            Busy: the coordinator stays busy, or asks for a longer pause than the retries allow.
            Unreachable: no answer came.
            NotTrusted: its certificate is not trusted.
            RemoteProtocolError: an answer is longer than it may be, is compressed, or redirects us.
        """
        attempt, renewed = 0, False
        while True:
            reply = yield self._request(call)
            if isinstance(reply, RemoteProtocolError):
                raise reply

            # An answer ends this, unless it says that it takes a fresh nonce, or that the coordinator is busy.
            if isinstance(reply, Response):
                self._answered = True
                self._take_nonce(reply)
                if reply.status == 401 and self._credentials.renewable and self._nonce is not None and not renewed:
                    renewed = True
                    continue
                if reply.status not in TEMPORARY:
                    return _not_redirected(reply)

            # A later attempt may succeed.
            attempt, renewed = attempt + 1, False
            yield Wait(self._pause(attempt, reply, call.retries or self._retries))

    def _request(self, call: Call) -> Request:
        """The request, with a signature over the last nonce, which is spent by it."""
        digest = sha256(call.content).digest()
        nonce, self._nonce = self._nonce, None

        def scope(user: int) -> RequestScope:
            return RequestScope(
                self._name, call.params, call.session, user, call.method, call.path, call.round, digest
            )  # fmt: skip

        headers = {}
        if (authorization := self._credentials.authorize(scope, nonce)) is not None:
            headers["Authorization"] = authorization
        content = call.content
        if call.method == "POST":
            headers[CONTENT_DIGEST] = content_digest(digest)
            if authorization is None:  # without a nonce this can only fetch one
                content, headers[CONTENT_DIGEST] = b"", content_digest(sha256(b"").digest())
        if content:
            headers["Content-Type"] = call.content_type
        where = self._url.base + call.path
        return Request(call.method, where, headers, content, call.max_bytes, timeout=call.timeout)

    def _take_nonce(self, response: Response) -> None:
        try:
            self._nonce = from_base64url(response.headers.get(NONCE.lower(), ""), NONCE_BYTES)
        except RemoteProtocolError:
            self._nonce = None

    def _pause(self, attempt: int, reply: object, retries: Retries) -> float:
        """Seconds before the next attempt; raises what ends this."""
        error, asked = self._outcome(reply)
        limit = retries.attempts if self._answered else min(FIRST_ATTEMPTS, retries.attempts)
        pause = asked if asked is not None else min(0.5 * 2.0 ** (attempt - 1), retries.longest)
        if attempt >= limit or pause > retries.longest:
            raise error
        return pause * (1 + int.from_bytes(self._rand(2), "big") / (1 << 17))  # up to half as long again

    def _outcome(self, reply: object) -> tuple[Busy | Unreachable, float | None]:
        """What an attempt that gave no answer would end with, and the pause that the coordinator asks for."""
        where = self._url.base
        if isinstance(reply, Response):
            return Busy(where, reply), parse_retry_after(reply.headers.get("retry-after"), self.clock())
        assert isinstance(reply, Failure)
        if _UNTRUSTED in reply.detail:
            raise NotTrusted(f"the certificate of {where} is not trusted: {reply.reason}", doubtful=False)
        reason = f"{where} does not answer: {reply.reason}; check the URL and the network"
        return Unreachable(reason, doubtful=reply.arrived), None


def _not_redirected(response: Response) -> Response:
    """An answer that is no redirection: a signature is for one URL."""
    if 300 <= response.status < 400:
        raise RemoteProtocolError(
            f"the coordinator redirects us (HTTP {response.status}): we go nowhere else than its URL says"
        )
    return response


def parse_coordinator_url(text: str, *, allow_http: bool) -> tuple[ServerUrl, str | None]:
    """A coordinator's URL, and the session if it is a session's.

    Args:
        text: as a person wrote it.
        allow_http: whether plain HTTP may lead to other machines than this one.

    Raises:
        LocalProtocolError: it is no such URL, or plain HTTP to another machine.
    """
    try:
        url = parse_server_url(text)
    except LocalProtocolError as error:
        raise LocalProtocolError(f"the coordinator's URL: {error}") from None
    require(
        url.scheme == "https" or url.loopback or allow_http,
        f"{url.base} is plain HTTP to another machine: use https, or allow it by name (--allow-http) in a network"
        " where nobody listens",
    )
    path, found, session = url.path.partition(SESSIONS + "/")
    if not found:
        return url, None
    base = url.base.removesuffix(url.path) + path
    return replace(url, path=path, text=base), session
