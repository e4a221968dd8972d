"""Mutants of the TLS that our servers speak."""

from .mutant import Mutant

_TLS = ("tests/http/test_tls.py",)

MUTANTS = (
    Mutant(
        "answers-end-without-a-word",
        "secagg.http.tls:Encrypted._send",
        "self._tls.unwrap()",
        "None",
        "A peer cannot tell an answer that is over from one that was cut off.",
        _TLS,
    ),
    Mutant(
        "long-answers-lose-their-end",
        "secagg.http.tls:Encrypted._send",
        "self._closing and not self._backlog",
        "self._closing",
        "A connection that is to close does so before its last answer is encrypted.",
        _TLS,
    ),
    Mutant(
        "handshakes-that-take-for-ever",
        "secagg.http.tls:Encrypted.connection_made",
        "HANDSHAKE_SECONDS",
        "3600.0",
        "Connections on which nobody says anything stay open, and nothing counts them.",
        _TLS,
    ),
    Mutant(
        "a-deadline-that-outlives-the-handshake",
        "secagg.http.tls:Encrypted._shake_hands",
        "self._deadline.cancel()",
        "None",
        "A connection ends some seconds after it began, whatever goes on there.",
        _TLS,
    ),
    Mutant(
        "answers-to-a-flood-are-kept",
        "secagg.http.tls:Encrypted._read_on",
        "self._held or self._full or self._closing",
        "self._held or self._closing",
        "A peer sends KeyUpdates, reads none of the answers, and fills the server's memory.",
        _TLS,
    ),
)
