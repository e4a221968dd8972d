"""Mutants of an operator's page: who may look at it, and what other sites can do to it."""

from .mutant import Mutant

_PAGE = "secagg.http.page"
_TESTS = ("tests/service/coordinator/test_page.py",)
_ATTACKS = ("tests/attacks/service/test_page.py",)


def _mutant(
    name: str, place: str, old: str, new: str, breaks: str, tests: tuple[str, ...], which: int | None = None
) -> Mutant:
    return Mutant(f"page-{name}", f"{_PAGE}.{place}", old, new, breaks, tests, which)


MUTANTS = (
    # Signing in.
    _mutant(
        "takes-any-token",
        "resources:PageResources._sign_in",
        "not self._is_token(token)",
        "False",
        "Anybody looks on.",
        _ATTACKS,
    ),
    _mutant(
        "lets-guess",
        "resources:PageResources._sign_in",
        "self._attempts.wrong(address)",
        "None",
        "Tokens that somebody chose can be guessed.",
        _TESTS,
    ),
    _mutant(
        "pauses-for-ever",
        "attempts:Attempts.pause",
        "min(2.0 ** (count - FREE), PAUSE_MAX)",
        "1e9",
        "Whoever shows wrong tokens keeps the operator out.",
        _TESTS,
    ),
    _mutant(
        "cookie-for-other-sites",
        "resources:PageResources._answer",
        "'strict'",
        "'lax'",
        "Links on other sites open the page as the operator.",
        _TESTS,
    ),
    _mutant(
        "cookie-without-tls",
        "resources:PageResources._is_secure",
        "self._url.startswith('https:') or request.url.scheme == 'https'",
        "False",
        "The cookie is sent in the clear.",
        _TESTS,
    ),
    _mutant(
        "cookie-everywhere",
        "resources:PageResources._answer",
        "f'{parse_server_url(self._url).path}/page'",
        "'/'",
        "The cookie is sent with what is not the page's.",
        _ATTACKS,
    ),
    _mutant(
        "cookie-lasts",
        "visits:Visits.lasts",
        "self._clock() < visit.until",
        "True",
        "A stolen cookie serves until the coordinator stops.",
        _TESTS,
    ),
    _mutant(
        "cookie-outlives-signing-out",
        "resources:PageResources.visit",
        "self._visits.end(visit)",
        "None",
        "A cookie serves after its owner has signed out.",
        _TESTS,
    ),
    _mutant(
        "looks-into-urls",
        "resources:_check_no_query",
        "request.scope['query_string']",
        "b''",
        "Secrets in URLs are not noticed.",
        _ATTACKS,
    ),
    # Other sites.
    _mutant(
        "serves-other-sites",
        "guard:check_own",
        "foreign or (changes and site is None and origin is None)",
        "False",
        "Another site signs the operator out, or reads the events.",
        _ATTACKS,
    ),
    _mutant(
        "serves-who-is-silent",
        "guard:check_own",
        "changes and site is None and origin is None",
        "False",
        "A request that says nothing of its site counts as the page's.",
        _ATTACKS,
    ),
    _mutant(
        "serves-forms",
        "guard:check_own",
        "changes and request.headers.get(HEADER) != '1'",
        "False",
        "A form of another site is as good as the page.",
        _ATTACKS,
    ),
    _mutant(
        "runs-any-script",
        "document:_source",
        "f\"'sha256-{b64encode(sha256(text.encode()).digest()).decode('ascii')}'\"",
        "\"'unsafe-inline'\"",
        "A script that gets into the page runs.",
        _TESTS,
    ),
    _mutant(
        "in-frames",
        "document:_policy",
        "\"frame-ancestors 'none'\"",
        '"frame-ancestors *"',
        "Another site shows the page under buttons of its own.",
        _ATTACKS,
    ),
    # Events.
    _mutant(
        "events-for-anybody",
        "resources:PageResources.events",
        "visit is None",
        "False",
        "Anybody is told what the operator is.",
        _ATTACKS,
    ),
    _mutant(
        "events-after-signing-out",
        "stream:Streams._why_not",
        "not self._visits.lasts(visit)",
        "False",
        "A stream outlives its cookie.",
        _TESTS,
    ),
    _mutant(
        "streams-without-end",
        "resources:PageResources.events",
        "held.enter_context(self._streams.reserve())",
        "None",
        "Streams take all connections.",
        _TESTS,
    ),
    _mutant(
        "two-streams-of-a-browser",
        "stream:Streams._why_not",
        "visit.stream is own",
        "True",
        "One browser takes all streams.",
        _TESTS,
    ),
    _mutant(
        "keeps-the-coordinator",
        "stream:Streams._why_not",
        "self._stopping.is_set()",
        "False",
        "A coordinator does not stop while somebody looks on.",
        _TESTS,
    ),
    Mutant(
        "page-who-is-gone-is-late",
        "secagg.service.coordinator.page.view:users",
        "late & before",
        "set()",
        "Whoever has left is not shown.",
        _TESTS,
    ),
)
