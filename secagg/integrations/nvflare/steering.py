"""What steers a site's training beside the arrays: the task's name, its headers, its other entries, and the job.

A server that asks one site for another learning rate, or for another round, than all others could read that site's
update in the mean. So both ends write down all that an executor can read of a task, and the session is bound to it.
What FLARE itself sets for each site is left out, and is named here; what else the server says of itself in its context
does not reach the executor.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from nvflare.apis.fl_constant import ReservedKey, ServerCommandKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import ReservedHeaderKey, Shareable
from nvflare.private.defs import TaskConstant

from .. import NodeRefusal, encoded_task
from .wire import MESSAGE

_DXO, _ARRAYS = "DXO", "data"
_TRANSPORT = frozenset(
    {
        ReservedHeaderKey.TASK_ID,
        ReservedHeaderKey.MSG_ROOT_ID,
        ReservedHeaderKey.MSG_ROOT_TTL,
        ReservedHeaderKey.AUDIT_EVENT_ID,
        ReservedHeaderKey.PEER_PROPS,  # see `without_other_words`
        ReservedHeaderKey.PEER_CTX,
        TaskConstant.WAIT_TIME,
    }
)
_NAMES = (ReservedHeaderKey.TASK_NAME, ServerCommandKey.TASK_NAME)  # headers that say a task's name again
_COOKIES_OF_FLARE = frozenset({ReservedHeaderKey.WORKFLOW, ReservedHeaderKey.TASK_ID})
_PEER = (ReservedKey.RUN_NUM, ReservedKey.IDENTITY_NAME)  # what a server says of itself: its job and its name


def steering(name: str, job: str, data: Shareable, operator: Mapping[str, Any] | None = None) -> bytes:
    """All that steers a task's training but the model's arrays, as bytes that are equal where it is.

    Args:
        name: the task's.
        job: FLARE's id of the job.
        data: the task's.
        operator: of the server's task, which FLARE puts into the headers of the data on their way.

    Raises:
        LocalProtocolError: something in it cannot be compared between sites, such as an object of a class.
    """
    headers = dict(data.get(ReservedHeaderKey.HEADERS) or {})
    if operator:
        headers[ReservedHeaderKey.TASK_OPERATOR] = operator
    cookies = headers.pop(ReservedHeaderKey.COOKIE_JAR, None) or {}
    again = {key for key in _NAMES if headers.get(key) == name}
    dxo = data.get(_DXO) or {}
    return encoded_task(
        {
            "task": name,
            "job": job,
            "headers": _without(headers, _TRANSPORT | again),
            "cookies": _without(cookies, _COOKIES_OF_FLARE),
            "entries": _without(data, {ReservedHeaderKey.HEADERS, MESSAGE, _DXO}),
            "model": _without(dxo, {_ARRAYS}),
            "no arrays": _no_arrays(dxo),
        }
    )


def without_other_words(data: Shareable, fl_ctx: FLContext) -> None:
    """Take from a task what a server says of itself, to each site on its own, but the job and its name.

    Args:
        data: the task's.
        fl_ctx: the site's, with the server's as its peer.

    Raises:
        NodeRefusal: the task is of another job than this site's.
    """
    peer = fl_ctx.get_peer_context()
    if not isinstance(peer, FLContext) or peer.get_job_id() != fl_ctx.get_job_id():
        raise NodeRefusal("the task is of another job than the one that this site runs")
    said = {key: peer.get_prop(key) for key in _PEER}
    bare = FLContext()
    for key, value in said.items():
        bare.set_prop(key, value, private=False)
    fl_ctx.set_peer_context(bare)
    data.set_peer_props(said)
    data[ReservedHeaderKey.HEADERS].pop(ReservedHeaderKey.PEER_CTX, None)


def _no_arrays(dxo: Any) -> Any:
    """The model's entries that are no arrays, such as lists: the model's hash is of the arrays that they become."""
    data = dxo.get(_ARRAYS) if isinstance(dxo, Mapping) else None
    if not isinstance(data, Mapping):
        return data
    return {name: values for name, values in data.items() if not isinstance(values, np.ndarray | np.generic)}


def _without(entries: Any, names: Any) -> Any:
    """A mapping's other entries; what is no mapping stays as it is, and differs from all that are."""
    if not isinstance(entries, Mapping):
        return entries
    return {key: value for key, value in entries.items() if key not in names}
