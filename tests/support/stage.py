"""The other Aggregator as anybody's may be, between our own two: a Helper for our Leader, and a Leader for our Helper.

Every request of our Leader goes over HTTP to our Helper, whose cryptography is real. On the way there it becomes the
request of another Leader, which uses every freedom that the draft has; on the way back the answer becomes that of
another Helper, which does so too, or fails, refuses or answers wrongly, as the test says.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from enum import Enum
from functools import partial
from hashlib import sha256
from random import Random
from urllib.parse import urlsplit

import httpx
from anyio.from_thread import BlockingPortal
from starlette.applications import Starlette

from secagg.dap.dialect import DEFAULT
from secagg.dap.messages import (
    AggregationJobInitReq,
    AggregationJobResp,
    HpkeConfig,
    HpkeConfigList,
    ReportError,
    VerifyResp,
)

from .world import Clock

TOO_EARLY = DEFAULT.error_number(ReportError.REPORT_TOO_EARLY)
JOBS, SHARES = "aggregation_jobs", "aggregate_shares"
TYPES = {JOBS: "aggregation-job-resp", SHARES: "aggregate-share"}
REQUEST_TYPES = {JOBS: "aggregation-job-init-req", SHARES: "aggregate-share-req"}
PROBLEMS = "invalidMessage", "unrecognizedTask", "unsupportedExtension", "noSuchErrorYet"
OTHER_KEMS = 0x0010, 0x0012, 0x647A  # P-256, P-521, X-Wing
URN = "urn:ietf:params:ppm:dap:error:"


_NONE = "/none-"  # before the name of a job that our Helper never sees, since all its reports are rejected


class Kind(Enum):
    """What a Leader can make of a Helper's behaviour."""

    FREE = "as the draft allows"
    PASSING = "the same request may succeed later, and nothing is lost"
    WRONG = "against the draft: reports may be lost"
    REFUSING = "refused for good"


@dataclass(frozen=True)
class Behaviour:
    """How the Helper answers from now on.

    Attributes:
        name: for people.
        kind: of behaviour.
        act: answers a request.
    """

    name: str
    kind: Kind
    act: "Callable[[Stage, httpx.Request], httpx.Response]" = field(repr=False)


@dataclass
class Kept:
    """An answer that is not ready.

    Attributes:
        polls: how often it is asked for in vain.
        answer: what there is then.
        url: where our Helper keeps it.
    """

    polls: int
    answer: httpx.Response
    url: str


class Stage(httpx.BaseTransport):
    """Carries the requests of our Leader and of Clients.

    Args:
        portal: to the event loop of the applications.
        apps: those that serve, by host.
        clock: of everybody.
        rand: draws what is free.

    Attributes:
        behaviours: of the Helper, by resource.
        kinds: the kinds of all behaviours so far.
        drops: whether the Helper rejects some reports, with errors that no draft has yet, and takes others for early.
        dropped: the IDs of reports that it rejects.
        lost: the IDs of reports that a refusal of their job or a wrong answer may have lost.
        faults: how many answers were no answers.
        delivered: when the last answer was one, in POSIX seconds.
    """

    def __init__(self, portal: BlockingPortal, apps: Mapping[str, Starlette], clock: Clock, rand: Random) -> None:
        self._portal = portal
        self._stack = ExitStack()
        self._apps = {}
        for host, app in apps.items():
            self._stack.enter_context(portal.wrap_async_context_manager(app.router.lifespan_context(app)))
            self._apps[host] = httpx.AsyncClient(transport=httpx.ASGITransport(app))
        self.clock, self.rand = clock, rand
        self.behaviours = dict.fromkeys(TYPES, FREE)
        self.kinds = {Kind.FREE}
        self.drops = False
        self.dropped: dict[bytes, int] = {}
        self.early: dict[bytes, int] = {}  # how often a report is too early for the Helper
        self.errors: dict[bytes, dict[bytes, int]] = {}  # by the request of a job, what the Helper rejects
        self.requests: dict[str, bytes] = {}  # of the jobs, by the path where the Helper keeps them
        self.lost: set[bytes] = set()
        self.faults = 0
        self.delivered = clock.now
        self.kept: list[Kept] = []

    def close(self) -> None:
        self._stack.close()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        resource = resource_of(request)
        if resource not in TYPES:
            return self._to_client(request)
        behaviour = self.behaviours[resource]
        self.kinds.add(behaviour.kind)
        if behaviour.kind is Kind.FREE:
            answer = behaviour.act(self, request)
            if answer.content:
                self.delivered = self.clock.now
            return answer
        self.faults += 1
        return behaviour.act(self, request)

    def _to_client(self, request: httpx.Request) -> httpx.Response:
        """What a Client gets: configurations of KEMs that it does not know come first."""
        answer = self._ask(request.method, str(request.url), dict(request.headers), request.content)
        if answer.is_success and request.url.path.endswith("/hpke_config"):
            others = [HpkeConfig(100 + i, kem, 1, 1, bytes(65)) for i, kem in enumerate(OTHER_KEMS)]
            configs = HpkeConfigList((*others, *HpkeConfigList.decode(answer.content).configs)).encode()
            headers = {"Content-Type": self.spelled("hpke-config-list"), "Cache-Control": "no-store"}
            return httpx.Response(200, content=configs, headers=headers)
        return answer

    # The Helper's part.

    def serve(self, request: httpx.Request) -> httpx.Response:
        """The answer of a Helper that uses its freedom: now or later, here or there."""
        resource, kept = resource_of(request), self.find_kept(request)

        # What is not ready is asked for where it is kept.
        if request.method == "DELETE":
            url = kept.url if kept else str(request.url)
            self.errors.pop(self.requests.get(httpx.URL(url).path, b""), None)  # the same request begins anew
            return httpx.Response(204) if _NONE in url else self.forward(request, url=url)
        if request.method == "GET":
            if kept is None:
                answer = self.forward(request, url=str(request.url))
                return self.ready(resource, answer, str(request.url))
            if kept.polls:
                kept.polls -= 1
                return self.not_ready(None)
            if not kept.answer.content:
                kept.answer = self.forward(request, url=kept.url)
            return self.ready(resource, kept.answer, kept.url)

        # Our Helper's answer is there at once; the Leader may have to wait for it.
        answer = self.forward(request)
        if not answer.is_success:
            return answer
        url = str(request.url.join(answer.headers["location"]))
        if self.rand.random() < 0.5:
            return self.ready(resource, answer, url)
        self.kept.append(Kept(self.rand.randrange(3), answer, url))
        return self.not_ready(f"{request.url}/later-{len(self.kept) - 1}")

    def find_kept(self, request: httpx.Request) -> Kept | None:
        number = request.url.path.rpartition("/later-")[2]
        return self.kept[int(number)] if number.isdigit() else None

    def lose(self, request: httpx.Request) -> None:
        """Our Leader may abandon or halve the job that a request is about, although our Helper has done it."""
        kept = self.find_kept(request)
        place = httpx.URL(kept.url if kept else str(request.url)).path
        body = request.content if request.method == "POST" else self.requests.get(place)
        if body is not None:
            self.lost.update(ids_of(AggregationJobInitReq.decode(body)))

    def not_ready(self, where: str | None) -> httpx.Response:
        headers = {"Location": self.placed(where)} if where else {}
        return httpx.Response(self.rand.choice([200, 201, 202, 204]), headers={**headers, **self.retry_after()})

    def ready(self, resource: str, answer: httpx.Response, where: str) -> httpx.Response:
        if not answer.is_success or not answer.content:
            headers = {name: answer.headers[name] for name in ("content-type", "retry-after") if name in answer.headers}
            headers |= {"Location": self.placed(where)} if answer.is_success else {}
            return httpx.Response(answer.status_code, headers=headers, content=answer.content)
        headers = {"Location": self.placed(where), "content-type": self.spelled(TYPES[resource])}
        return httpx.Response(self.rand.choice([200, 201, 202]), headers=headers, content=answer.content)

    def refusal(self, status: int) -> httpx.Response:
        """A refusal with a problem document or without one, and with or without Retry-After."""
        headers = self.retry_after("90")
        kind = self.rand.choice(["document", "bare document", "text", "nothing", "broken document"])
        if kind == "nothing":
            return httpx.Response(status, headers=headers)
        if kind == "text":
            return httpx.Response(status, headers={**headers, "Content-Type": "text/html"}, content=b"<p>No.</p>")
        headers["Content-Type"] = self.rand.choice(
            ["application/problem+json", 'Application/Problem+JSON;charset="utf-8"']
        )
        if kind == "broken document":
            return httpx.Response(status, headers=headers, content=b'{"type": ')
        if kind == "bare document":
            return httpx.Response(status, headers=headers, content=b"{}")
        document = {
            "type": URN + self.rand.choice(PROBLEMS),
            "detail": "nein, danke \u9589",
            "unsupported_extensions": [7],
        }
        return httpx.Response(status, headers=headers, content=json.dumps(document).encode())

    def retry_after(self, *others: str) -> dict[str, str]:
        now = self.clock.now
        texts = [None, "0", "1", "2", "007", "soon", "-1", formatdate(now + 3, usegmt=True), formatdate(now - 99)]
        text = self.rand.choice([*texts, *others])
        return {} if text is None else {"Retry-After": text}

    def placed(self, url: str) -> str:
        """A Location, absolute or relative."""
        parts = urlsplit(url)
        rest = parts.path + (f"?{parts.query}" if parts.query else "")
        return self.rand.choice(
            [
                url,
                f"{parts.scheme.upper()}://{parts.netloc.capitalize()}{rest}",
                f"{parts.scheme}://{parts.hostname}:80{rest}",
                f"//{parts.netloc}{rest}",
                rest,
                f"./{rest.partition('/tasks/')[2].partition('/')[2]}",
                f"../../tasks/{rest.partition('/tasks/')[2]}",
            ]
        )

    def spelled(self, message: str) -> str:
        """A media type, however it may be spelled (RFC 9110, section 8.3.1)."""
        media_type = self.rand.choice(["application/ppm-dap", "Application/PPM-DAP", "APPLICATION/ppm-dap"])
        parameters = [self.rand.choice([f"message={message}", f'Message="{message.upper()}"', f'message="{message}"'])]
        if self.rand.random() < 0.5:
            version = self.rand.choice(["version=19", 'VERSION="19"'])
            parameters.insert(self.rand.randrange(2), version)
        if self.rand.random() < 0.2:
            parameters.append("")  # a semicolon at the end
        space = [self.rand.choice(["", " ", "\t", "  "]) for _ in range(2)]
        return media_type + "".join(f"{space[0]};{space[1]}{parameter}" for parameter in parameters)

    # The Leader's part.

    def forward(self, request: httpx.Request, url: str | None = None) -> httpx.Response:
        """Ask our Helper in the way of another Leader."""
        where = str(request.url) if url is None else url
        body, resource = request.content, resource_of(request)
        token = request.headers["authorization"].removeprefix("Bearer ")
        headers = self.rand.choice(
            [{"Authorization": f"Bearer {token}"}, {"AUTHORIZATION": f"bearer  {token}"}, {"dap-auth-token": token}]
        )
        if request.method != "POST":
            return self._ask(request.method, where, headers, b"")
        headers["content-type"] = self.spelled(REQUEST_TYPES[resource])

        # What must be refused changes nothing.
        for wrong, status in self._wrong(request, headers):
            refused = self._ask("POST", where, wrong.headers, wrong.content)
            assert refused.status_code == status, (wrong.name, refused.status_code)
            assert refused.headers["content-type"] == "application/problem+json"

        # Some reports never get there; the same request gets the same answer, as often as it is sent.
        if resource == JOBS:
            return self._jobs(where, headers, AggregationJobInitReq.decode(body))
        return self._twice(where, headers, body)

    def _wrong(self, request: httpx.Request, headers: dict[str, str]) -> "Iterator[tuple[Wrong, int]]":
        body = request.content
        every = [
            (Wrong("left-over bytes", headers, body + b"\0"), 400),
            (Wrong("cut short", headers, body[:-1]), 400),
            (Wrong("empty", headers, b""), 400),
            (Wrong("other type", {**headers, "content-type": "application/octet-stream"}, body), 415),
            (Wrong("other version", {**headers, "content-type": headers["content-type"] + ";version=17"}, body), 415),
            (Wrong("no token", {"content-type": headers["content-type"]}, body), 401),
            (Wrong("compressed", {**headers, "content-encoding": "gzip"}, body), 415),
        ]
        yield from self.rand.sample(every, self.rand.choice([0, 0, 1]))

    def _jobs(self, where: str, headers: dict[str, str], request: AggregationJobInitReq) -> httpx.Response:
        """The answer to a job, of which our Helper gets what is not rejected before."""
        ids, body = ids_of(request), request.encode()
        errors = self._rejected(body, ids)
        rest = tuple(i for i, report_id in zip(request.verify_inits, ids, strict=True) if report_id not in errors)
        resps = {report_id: VerifyResp(report_id, error) for report_id, error in errors.items()}
        url = f"{where}{_NONE}{sha256(body).hexdigest()}"
        if rest:
            answer, url = self._rest(where, headers, replace(request, verify_inits=rest).encode(), wait=bool(errors))
            if not answer.is_success:
                return answer
            if not errors:
                self.requests[httpx.URL(url).path] = body
                return answer
            resps |= {resp.report_id: resp for resp in AggregationJobResp.decode(answer.content).verify_resps}
        self.requests[httpx.URL(url).path] = body
        content = AggregationJobResp(tuple(resps[each] for each in ids)).encode()
        return httpx.Response(200, headers={"Location": url}, content=content)

    def _rejected(self, body: bytes, ids: list[bytes]) -> dict[bytes, int]:
        """What is rejected of a request, and again if it comes again: the first answer may be lost (section 3.2)."""
        if body in self.errors:
            return self.errors[body]
        for report_id in ids:
            if report_id not in self.early:  # decided once: our Helper may know the report from then on
                self.early[report_id] = self.rand.choice([0, 0, 0, 1]) if self.drops else 0
                if self.drops and self.rand.random() < 0.15:
                    self.dropped[report_id] = self.rand.choice([3, 6, 12, 77, 255])
        errors = {each: self.dropped[each] for each in ids if each in self.dropped}
        for report_id in ids:
            if self.early[report_id]:
                self.early[report_id] -= 1
                errors[report_id] = TOO_EARLY
        self.errors[body] = errors
        return errors

    def _rest(self, where: str, headers: dict[str, str], body: bytes, *, wait: bool) -> tuple[httpx.Response, str]:
        """Our Helper's answer and its URL; if we wait, our Helper works on it and the Leader is not told."""
        answer = self._twice(where, headers, body)
        url = str(httpx.URL(where).join(answer.headers.get("location", "")))
        while wait and answer.is_success and not answer.content:
            self.work()
            answer = self._ask("GET", url, headers, b"")
        return answer, url

    work: Callable[[], object] = staticmethod(lambda: None)  # lets our Helper work

    def _twice(self, where: str, headers: dict[str, str], body: bytes) -> httpx.Response:
        answer = self._ask("POST", where, headers, body)
        if self.rand.random() < 0.3:
            again = self._ask("POST", where, headers, body)
            assert (again.status_code, again.content) == (answer.status_code, answer.content)
            assert again.headers.get("location") == answer.headers.get("location")
        if answer.is_success and not answer.content:
            assert "retry-after" in answer.headers
        return answer

    def _ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> httpx.Response:
        host = httpx.URL(url).host
        sent = {name: value for name, value in headers.items() if name.lower() not in ("content-length", "host")}
        call = partial(self._apps[host].request, method, url, headers=sent, content=body)
        answer = self._portal.call(call)
        assert answer.status_code < 500, (method, url, answer.status_code, answer.text)
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


@dataclass(frozen=True)
class Wrong:
    """A request that must be refused."""

    name: str
    headers: dict[str, str]
    content: bytes


def resource_of(request: httpx.Request) -> str:
    """The kind of resource that a request is about."""
    parts = request.url.path.split("/")
    return parts[3] if len(parts) > 3 else ""


def ids_of(request: AggregationJobInitReq) -> list[bytes]:
    """The IDs of a job's reports."""
    return [init.report_share.report_metadata.report_id for init in request.verify_inits]


# Behaviours.


def _free(stage: Stage, request: httpx.Request) -> httpx.Response:
    return stage.serve(request)


def _arrives(stage: Stage, request: httpx.Request) -> None:
    """Perhaps the request arrives all the same."""
    if request.method == "POST" and stage.rand.random() < 0.5:
        stage.forward(request)


def _busy(status: int, stage: Stage, request: httpx.Request) -> httpx.Response:
    _arrives(stage, request)
    return stage.refusal(status)


def _broken(error: type[httpx.TransportError], stage: Stage, request: httpx.Request) -> httpx.Response:
    if error is not httpx.ConnectError:
        _arrives(stage, request)
    raise error("")


def _breaks_off(stage: Stage, request: httpx.Request) -> httpx.Response:
    answer = stage.serve(request)

    def half() -> Iterator[bytes]:
        yield answer.content[: len(answer.content) // 2]
        raise httpx.RemoteProtocolError("peer closed connection")

    headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
    return httpx.Response(answer.status_code, headers=headers, content=half())


def _wrong(change: Callable[[httpx.Response], httpx.Response], stage: Stage, request: httpx.Request) -> httpx.Response:
    """Answer wrongly; our Leader abandons a job that our Helper has done (section 4.5.5)."""
    resource = resource_of(request)
    if request.method == "DELETE":
        return stage.serve(request)
    posted = request.method == "POST"
    answer = stage.ready(resource, stage.forward(request), str(request.url)) if posted else stage.serve(request)
    changed = change(answer)
    if changed.is_success and (not changed.content or (not posted and _same_content(answer, changed))):
        stage.faults -= 1  # our Leader takes it for "not ready", or has it and goes nowhere else
    elif resource == JOBS:
        stage.lose(request)
    return changed


def _same_content(one: httpx.Response, other: httpx.Response) -> bool:
    fields = "content-type", "content-encoding"
    return one.content == other.content and all(one.headers.get(name) == other.headers.get(name) for name in fields)


def _with(
    content: Callable[[bytes], bytes] = lambda content: content, **changed: str
) -> Callable[[httpx.Response], httpx.Response]:
    def change(answer: httpx.Response) -> httpx.Response:
        headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
        headers |= {name.replace("_", "-"): value for name, value in changed.items()}
        return httpx.Response(200, headers=headers, content=content(answer.content))

    return change


def _redirected(answer: httpx.Response) -> httpx.Response:
    return httpx.Response(307, headers={"Location": "http://helper.test/elsewhere"})


def _refused(status: int, stage: Stage, request: httpx.Request) -> httpx.Response:
    if resource_of(request) == JOBS and request.method == "POST" and status in (400, 413):
        stage.lose(request)  # our Helper may have done the job before
    return stage.refusal(status)


def refuses(status: int) -> Behaviour:
    """A refusal with this status, for now or for good as RFC 9110 has it."""
    if status in (408, 425, 429) or status >= 500:
        return Behaviour(f"busy {status}", Kind.PASSING, partial(_busy, status))
    return Behaviour(f"refuses {status}", Kind.REFUSING, partial(_refused, status))


def _failing(*errors: type[httpx.TransportError]) -> list[Behaviour]:
    return [Behaviour(error.__name__, Kind.PASSING, partial(_broken, error)) for error in errors]


def _erring(**changes: Callable[[httpx.Response], httpx.Response]) -> list[Behaviour]:
    return [Behaviour(name, Kind.WRONG, partial(_wrong, change)) for name, change in changes.items()]


FREE = Behaviour("free", Kind.FREE, _free)
PASSING = [
    *_failing(httpx.ConnectError, httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError),
    Behaviour("breaks off", Kind.PASSING, _breaks_off),
]
WRONG = _erring(
    garbage=_with(content=lambda content: b"\xff" * 7),
    cut_short=_with(content=lambda content: content[:-1]),
    left_over_bytes=_with(content=lambda content: content + b"\0"),
    other_type=_with(content_type="application/octet-stream"),
    other_version=_with(content_type="application/ppm-dap;message=aggregate-share;version=17"),
    compressed=_with(content_encoding="gzip"),
    elsewhere=_with(location="http://evil.test/tasks"),
    no_url=_with(location="http://[", content=lambda content: b""),
    redirected=_redirected,
    nowhere=_with(content=lambda content: b"", location="/nowhere"),
)
REFUSING = [refuses(status) for status in (400, 401, 404, 408, 413, 425, 429, 500, 503)]
BEHAVIOURS = [FREE, *PASSING, *WRONG, *REFUSING]
