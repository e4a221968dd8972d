"""Mutants of who may speak to a coordinator, and of how much it takes."""

from .mutant import Mutant

_FORGED = ("tests/attacks/service/test_forged_requests.py",)
_AUTHENTICATION = ("tests/service/test_authentication.py",)
_GATE = ("tests/service/coordinator/test_gate.py",)
_BATCHES = ("tests/service/coordinator/test_batches.py",)
_BOTH = (*_FORGED, *_AUTHENTICATION)
_PRESSURE = ("tests/service/coordinator/test_backpressure.py",)
_RESOURCES = ("tests/service/coordinator/test_resources.py",)
_POLLS = ("tests/service/coordinator/test_polls.py",)
_FOLDER = ("tests/service/coordinator/test_folder.py",)
_REOPENING = ("tests/service/coordinator/test_reopening.py",)


def _unsigned(name: str, field: str, reason: str, tests: tuple[str, ...] = _AUTHENTICATION) -> Mutant:
    return Mutant(name, "secagg.service.authentication:to_sign", field, "b''", reason, tests)


MUTANTS = (
    # What a signature covers.
    _unsigned("coordinator-not-signed", "scope.coordinator.encode()", "A coordinator joins another in a user's name."),
    _unsigned("params-not-signed", "scope.params", "A request is for parameters that the user did not see."),
    _unsigned("session-not-signed", "scope.session.encode()", "A request is for another session."),
    _unsigned("user-not-signed", "scope.user.to_bytes(4, 'big')", "A request is another user's."),
    _unsigned("method-not-signed", "scope.method.encode()", "A question becomes an answer."),
    _unsigned("path-not-signed", "scope.path.encode()", "A request is for another resource."),
    _unsigned(
        "round-not-signed", "b'' if scope.round is None else bytes((scope.round,))", "An answer is for another round."
    ),
    _unsigned("content-not-signed", "scope.content", "A signature is for any content."),
    _unsigned("nonce-not-signed", "octets(nonce, 'nonce')", "A signature is for any nonce."),
    Mutant(
        "signed-fields-have-no-lengths",
        "secagg.service.authentication:to_sign",
        "len(field).to_bytes(4, 'big') + field",
        "field",
        "A boundary between two fields can be moved.",
        _AUTHENTICATION,
    ),
    # Nonces.
    Mutant(
        "nonce-serves-twice",
        "secagg.service.authentication:Spent.take",
        "self._latest.add(nonce)",
        "None",
        "A request can be sent again by whoever has seen it.",
        _BOTH,
    ),
    Mutant(
        "nonce-serves-for-ever",
        "secagg.service.authentication:Nonces.serves",
        "age <= NONCE_SECONDS",
        "True",
        "A spent nonce that was forgotten serves again.",
        _AUTHENTICATION,
    ),
    Mutant(
        "nonces-are-not-authentic",
        "secagg.service.authentication:Nonces.serves",
        "not hmac.compare_digest(mac, self._mac(body))",
        "False",
        "Anybody makes nonces.",
        _BOTH,
    ),
    Mutant(
        "spent-nonces-forgotten-at-once",
        "secagg.service.authentication:Nonces._turn",
        "{} if old else self._spent",
        "{}",
        "A nonce serves twice around a turn.",
        _AUTHENTICATION,
    ),
    Mutant(
        "spent-nonces-have-no-floor",
        "secagg.service.authentication:Spent.take",
        "nonce <= self._floor",
        "False",
        "A nonce that was pushed out by later ones serves again.",
        _AUTHENTICATION,
    ),
    Mutant(
        "one-participant-fills-the-memory-with-nonces",
        "secagg.service.authentication:Spent.take",
        "len(self._latest) > SPENT_MAX",
        "False",
        "Whoever may speak takes memory for each request.",
        _AUTHENTICATION,
    ),
    Mutant(
        "spent-nonces-are-everybodys",
        "secagg.service.coordinator.gate:Gate._check_signature",
        "roster.key(signed.user)",
        "b''",
        "One participant makes the nonces of all others void.",
        _FORGED,
    ),
    # Sessions that could not be opened.
    Mutant(
        "unopened-sessions-are-not-tried-again",
        "secagg.service.coordinator.sessions:Sessions._opened_again",
        "running is None and self._registry.is_unopened(name)",
        "False",
        "A session that could not be opened once is given up.",
        _FOLDER,
    ),
    Mutant(
        "asking-for-an-unopened-session-is-in-vain",
        "secagg.service.coordinator.reopening:Reopening.ask",
        "self._due > self._earliest",
        "False",
        "A disk that is back is not looked at for an hour.",
        (*_FOLDER, *_REOPENING),
    ),
    Mutant(
        "strangers-keep-a-thread-at-work",
        "secagg.service.coordinator.reopening:Reopening.failed",
        "SHARE * real(took, 'took')",
        "0.0",
        "A large journal is read all the time, for whoever asks.",
        _REOPENING,
    ),
    Mutant(
        "damaged-sessions-are-tried-as-often-as-others",
        "secagg.service.coordinator.registry:Registry._note_unopened",
        "isinstance(error, Damaged)",
        "False",
        "What is damaged for ever is tried at full rate, and nobody is told.",
        _FOLDER,
    ),
    # Who speaks.
    Mutant(
        "signatures-not-checked",
        "secagg.service.coordinator.gate:Gate._check_signature",
        "not await self._signatures.do((roster, scope, signed))",
        "False",
        "Anybody speaks for a user.",
        _FORGED,
    ),
    Mutant(
        "one-signature-for-all-that-come-with-it",
        "secagg.service.authentication:verify_all",
        "[_key_of(*request) for request in requests]",
        "[_key_of(*requests[0]) for request in requests]",
        "All that are verified together are under the first one's key.",
        (*_AUTHENTICATION, *_GATE),
    ),
    Mutant(
        "batches-without-an-end",
        "secagg.service.coordinator.batches:Batches._work",
        "self._waiting[: self._most]",
        "self._waiting[:]",
        "The event loop verifies the signatures of a thousand connections at once.",
        (*_BATCHES, *_GATE),
    ),
    Mutant(
        "nonces-not-spent",
        "secagg.service.coordinator.gate:Gate._spend",
        "not self.nonces.spend(signed.nonce, key)",
        "False",
        "A request can be replayed.",
        _FORGED,
    ),
    Mutant(
        "tokens-speak-for-anybody",
        "secagg.service.coordinator.participants:_check_user",
        "own != user",
        "False",
        "A participant speaks for another one.",
        _FORGED,
    ),
    Mutant(
        "anybody-is-the-operator",
        "secagg.service.coordinator.gate:Gate.is_operator",
        "self._operator.check(_header(request)) is not None",
        "_header(request) is not None",
        "Participants make and abort sessions.",
        _FORGED,
    ),
    Mutant(
        "half-of-a-token-is-enough",
        "secagg.service.authentication:Tokens.check",
        "name if hmac.compare_digest(digest[16:], rest) else None",
        "name",
        "The comparison in constant time decides nothing.",
        _FORGED,
    ),
    Mutant(
        "content-not-compared",
        "secagg.service.coordinator.participants:ParticipantsResources._take",
        "not compare_digest(spool.digest(), digest)",
        "False",
        "A content that was exchanged on the way puts its sender out.",
        _FORGED,
    ),
    Mutant(
        "paths-have-many-spellings",
        "secagg.service.coordinator.common:Answering.answer",
        "b'%' in request.scope.get('raw_path', b'')",
        "False",
        "A signature is for a path that is not the one that was sent.",
        _FORGED,
    ),
    Mutant(
        "results-for-everybody",
        "secagg.service.coordinator.operator:OperatorsResources._result",
        "not live.running.setup.results_for_participants",
        "False",
        "Participants read a sum that is the operator's alone.",
        _RESOURCES,
    ),
    Mutant(
        "sizes-not-bounded",
        "secagg.service.sizes:answer_bytes",
        "_HEADER + bodies[current] + _signature(params)",
        "2 * (_HEADER + bodies[current] + _signature(params))",
        "A message may be longer than its round's.",
        ("tests/service/test_sizes.py",),
    ),
    # How much it takes.
    Mutant(
        "many-messages-of-one-user",
        "secagg.service.coordinator.live:LiveSession.sending",
        "who in self._sending",
        "False",
        "One participant takes all places.",
        _PRESSURE,
    ),
    Mutant(
        "many-polls-of-one-user",
        "secagg.service.coordinator.live:LiveSession.polling",
        "user in self._polls",
        "False",
        "One participant's requests wait in any number.",
        _POLLS,
    ),
    Mutant(
        "broken-uploads-stay-on-disk",
        "secagg.service.coordinator.participants:ParticipantsResources._take",
        "spool.discard()",
        "None",
        "Whoever breaks off fills the disk.",
        _PRESSURE,
    ),
    Mutant(
        "old-sessions-stay",
        "secagg.service.coordinator.live:LiveSession._tick",
        "self.running.expired",
        "False",
        "Results are kept longer than was promised.",
        _FOLDER,
    ),
)
