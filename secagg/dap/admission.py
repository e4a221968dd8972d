"""What a party refuses of a task before it takes part in it."""

from ..arguments import flag, whole
from ..errors import LocalProtocolError, require
from ..http.urls import ServerUrl, parse_server_url
from .reports import report_size
from .task import Task

UPLOAD_BYTES = 1 << 24
"""Bytes of an upload that a Leader takes unless its operator says otherwise."""


def check_endpoints(task: Task, *, allow_http: bool = False) -> None:
    """Refuse a task whose Leader and Helper are one server, or to which anybody on the way could listen.

    Args:
        task: of which to become a party.
        allow_http: whether http may lead to other machines than this one, in a network where nobody listens.

    Raises:
        LocalProtocolError: the task is refused; the message says what to do.
    """
    check_servers(task.leader_url, task.helper_url, allow_http=allow_http)


def check_servers(leader_url: str, helper_url: str, *, allow_http: bool = False) -> None:
    """`check_endpoints`, of a Leader and a Helper without a task.

    Args:
        leader_url: the Leader's URL.
        helper_url: the Helper's URL.
        allow_http: see `check_endpoints`.

    Raises:
        LocalProtocolError: the servers are refused; the message says what to do.
    """
    allow_http = flag(allow_http, "allow_http")
    leader, helper = _server(leader_url, "Leader"), _server(helper_url, "Helper")
    require(
        leader != helper,
        f"Leader and Helper are both at {leader.base}: they must be servers of two operators who do not collude, with a"
        " URL each",
    )
    for name, url in (("Leader", leader), ("Helper", helper)):
        if url.scheme == "http" and not url.loopback and not allow_http:
            raise LocalProtocolError(
                f"the {name}'s URL, {url.base}, is http and leads to another machine: tokens would travel in the clear,"
                " and anybody on the way could put another key in place of the Aggregator's. Use https; only for a"
                " network where nobody listens there is --allow-http (allow_http=True)"
            )


def check_report_size(task: Task, upload_bytes: int = UPLOAD_BYTES) -> None:
    """Refuse a task whose reports are larger than its Leader takes uploads.

    Args:
        task: of the reports.
        upload_bytes: the Leader's limit, in bytes.

    Raises:
        LocalProtocolError: no report of the task could be uploaded; the message says what to do.
    """
    size, limit = report_size(task), whole(upload_bytes, "upload_bytes")
    smaller = {"Histogram": "fewer buckets", "SumVec": "shorter vectors", "MultihotCountVec": "shorter vectors"}
    require(
        size <= limit,
        f"a report of this task has {size:,} bytes, and its Leader takes uploads of {limit:,} at most: ask for"
        f" {smaller.get(task.vdaf.NAME, 'less')}, or have the Leader's operator raise upload_bytes in [limits]",
    )


def _server(url: str, name: str) -> ServerUrl:
    try:
        return parse_server_url(url)
    except LocalProtocolError as error:
        raise LocalProtocolError(f"the {name}'s URL is no URL of a server: {error}") from None
