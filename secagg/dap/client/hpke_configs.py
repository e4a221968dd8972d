"""The Aggregators' HPKE configurations, as a Client fetches and caches them (section 4.4.1)."""

from collections.abc import Callable

from ...http.steps import ANSWER_BYTES, Request, Response, Retries, Steps
from ..messages import HpkeConfig, HpkeConfigList, Role
from ..reports import choose_config
from ..task import Task
from .answers import require_media_type, require_success, send

_DEFAULT_AGE = 3600.0  # seconds, where an Aggregator says nothing
_LONGEST_AGE = 7 * 86_400.0


class Configs:
    """Both Aggregators' configurations, each cached as long as its Aggregator allows.

    Args:
        task: whose Aggregators.
        clock: POSIX seconds.
        retries: how often and how patiently an Aggregator is asked.
    """

    def __init__(self, task: Task, clock: Callable[[], float], retries: Retries) -> None:
        self._task = task
        self._clock = clock
        self._retries = retries
        self._cached: dict[Role, tuple[HpkeConfig, float]] = {}

    def forget(self) -> None:
        """Drop what is cached: it is out of date."""
        self._cached = {}

    def get(self, role: Role) -> Steps[HpkeConfig]:
        """The HPKE configuration of an Aggregator, from the cache if that is fresh (section 4.4.1).

        Args:
            role: LEADER or HELPER.

        Raises:
            DapProblem: the Aggregator refuses.
            Unreachable: the Aggregator does not answer.
            RemoteProtocolError: it has no configuration that we can seal to, or its answer is malformed.
        """
        cached = self._cached.get(role)
        if cached is not None and self._clock() < cached[1]:
            return cached[0]
        url = self._task.leader_url if role is Role.LEADER else self._task.helper_url
        named = "" if self._task.dialect.bulk else f"?task_id={self._task.text}"
        request = Request("GET", f"{url}/hpke_config{named}", max_bytes=2 * ANSWER_BYTES)
        response = yield from send(request, clock=self._clock, retries=self._retries)
        now = self._clock()
        require_success(response, now)
        dialect = self._task.dialect
        require_media_type(response, dialect.hpke_config_list_media_type, dialect.tag)
        config = choose_config(HpkeConfigList.decode(response.content))
        self._cached = {**self._cached, role: (config, now + _fresh_for(response))}
        return config


def _fresh_for(response: Response) -> float:
    """How many seconds the answer may be cached (RFC 9111, sections 4.2 and 5.2.2)."""
    directives = dict(_directive(text) for text in response.headers.get("cache-control", "").split(","))
    if directives.keys() & {"no-store", "no-cache"}:
        return 0.0
    if "max-age" not in directives:
        return _DEFAULT_AGE
    age = _seconds(response.headers.get("age", "0"))
    return min(_LONGEST_AGE, max(0.0, _seconds(directives["max-age"]) - age))


def _directive(text: str) -> tuple[str, str]:
    name, _, value = text.strip().partition("=")
    return name.lower(), value.strip('"')


def _seconds(text: str) -> float:
    """A number of seconds in a header; 0, which means stale, if it is malformed."""
    return float(text[:9]) if text.isascii() and text.isdigit() else 0.0
