"""Mutants of an operator's page: who may look at it, and what other sites can do to it."""

from .mutant import Mutant

_PAGE = "secagg.http.page"
_TESTS = ("tests/service/coordinator/test_page.py",)
_ATTACKS = ("tests/attacks/service/test_page.py",)


def _mutant(
    name: str, place: str, old: str, new: str, breaks: str, tests: tuple[str, ...], which: int | None = None
) -> Mutant:
    return Mutant(f"page-{name}", f"{_PAGE}.{place}", old, new, breaks, tests, which)


def _of_dap(
    name: str, place: str, old: str, new: str, breaks: str, tests: str = "tests/dap/server/test_page.py"
) -> Mutant:
    return Mutant(f"dap-page-{name}", f"secagg.dap.server.{place}", old, new, breaks, (tests,))


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
    # Of a Leader and a Helper.
    _of_dap(
        "in-the-clear",
        "config:Config._check_page",
        "not is_loopback(table.listen)",
        "False",
        "The operator's token travels in the clear.",
    ),
    _of_dap(
        "url-in-the-clear",
        "config:Config._check_page",
        "url.scheme == 'http'",
        "False",
        "The cookie is sent in the clear.",
    ),
    _of_dap(
        "one-cookie-for-both",
        "page.app:Page.__init__",
        "f'secagg-{name}-page'",
        "'secagg-page'",
        "Whoever signs in at the Helper is signed out at the Leader of the same host.",
    ),
    _of_dap(
        "any-number",
        "page.app:_refusing",
        "_NUMBER.fullmatch(number) is None",
        "False",
        "A number that no page has makes the server fail.",
        "tests/attacks/dap/test_page.py",
    ),
    _of_dap(
        "tasks-without-end",
        "page.view:tasks_of",
        "overview.list_task_keys(tx, (number - 1) * TASKS_SHOWN, TASKS_SHOWN)",
        "overview.list_task_keys(tx, (number - 1) * TASKS_SHOWN, 10**9)",
        "A page of many tasks takes all memory.",
    ),
    _of_dap(
        "looks-for-each",
        "page.events:Events._seen",
        "now() - at >= 0.9 * self._pace",
        "True",
        "Each browser has the store read for itself.",
    ),
    _of_dap(
        "looks-on-the-loop",
        "page.events:Events._seen",
        "await run_in_threadpool(self._look, number)",
        "self._look(number)",
        "The event loop stands still while the store is read.",
    ),
    _of_dap(
        "remembers-all-pages",
        "page.events:Events._seen",
        "len(self._looks) > STREAMS_MAX",
        "False",
        "Whoever turns all pages fills the memory.",
    ),
    _of_dap(
        "words-without-end",
        "page.view:_job",
        "job.why[:WORDS_SHOWN]",
        "job.why",
        "A Helper's words fill the page.",
    ),
    Mutant(
        "outcomes-counted-twice",
        "secagg.dap.tally:Tally.take",
        "taken, self._counts = self._counts, Counter()",
        "taken = self._counts",
        "The operator sees more reports than came.",
        ("tests/dap/store/test_outcomes.py",),
    ),
    Mutant(
        "outcomes-lost-by-a-busy-database",
        "secagg.dap.store.outcomes:keep_tally",
        "tally.put_back(counts)",
        "None",
        "What was counted while the database did not answer is missing.",
        ("tests/dap/store/test_outcomes.py",),
    ),
)
