"""The client side: a mod that trains under the site's policy, and sends nothing of an update but under its mask.

Flower starts a process for every message, pushes a reply before it stores the context, and may handle two messages with
one snapshot of it. So the state is a saved client in the folder that the policy names, and `Context.state` holds the
session's name only, by which the next session removes what this one has left.
"""

import logging
from collections.abc import Callable
from os import PathLike
from typing import Any

from flwr.app import ConfigRecord, Context, Error, Message, MessageType
from flwr.clientapp.typing import ClientAppCallable, Mod

from ...errors import LocalProtocolError, SecAggError
from ..coding import Coding, Update, needs_weight
from ..policy import SitePolicy
from ..refusal import NodeRefusal
from ..site import Site
from ..wire import is_first, session_name
from .records import (
    RECORD,
    bytes_in,
    category,
    metrics_of,
    model_of,
    numpy_arrays,
    only_arrays,
    with_bytes,
    without_bytes,
)
from .task import task_of

__all__ = ["secagg_mod"]

POLICY_KEY = "secagg-policy"
SESSION = "session"
REFUSED = 6  # ErrorCode.MOD_FAILED_PRECONDITION
_LOG = logging.getLogger("flwr")

Policy = SitePolicy | str | PathLike[str]


def secagg_mod(*, weighted_by: str = "num-examples", simulation: Policy | None = None) -> Mod:
    """A mod for functions that train: `@app.train(mods=[secagg_mod()])`; and for those that evaluate, alike.

    The policy is the file that the node's configuration names, under "secagg-policy". A training message without the
    protocol is refused: no update leaves the node but under its mask.

    Args:
        weighted_by: the metric that weighs an update, a whole number such as the number of examples. Where the policy
            has no max_weight, all updates weigh the same, and it may be missing.
        simulation: the policy of nodes whose configuration names none, or its file: for Flower's simulations only,
            whose nodes have no configuration of their own. Where a node's configuration names one, that one holds.

    Returns:
        The mod.
    """

    def mod(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
        try:
            return _handled(message, context, call_next, weighted_by, simulation)
        except NodeRefusal as refusal:
            _LOG.error("secagg: %s", refusal)
            return Message(Error(REFUSED, f"secagg: {refusal.reason}"), reply_to=message)

    return mod


def _handled(
    message: Message, context: Context, call_next: ClientAppCallable, weighted_by: str, simulation: Policy | None
) -> Message:
    """The reply, or a `NodeRefusal`."""
    site = Site(_policy(context, simulation), f"flower {context.node_id}")
    request = _request(message)
    try:
        if is_first(request):
            reply = _begun(site, request, message, context, lambda: call_next(message, context), weighted_by)
        else:
            reply = site.answer(request)
    finally:
        for note in site.take_notes():
            _LOG.info("secagg: %s", note)
    return Message(with_bytes(reply), reply_to=message)


def _policy(context: Context, simulation: Policy | None) -> SitePolicy:
    named = context.node_config.get(POLICY_KEY)
    if named is not None and not isinstance(named, str):
        raise NodeRefusal(_NO_POLICY, f"the node's configuration must name a file in {POLICY_KEY}")
    if named == "":
        raise NodeRefusal(_NO_POLICY, f"the node's configuration names an empty path in {POLICY_KEY}")
    chosen = simulation if named is None else named
    if chosen is None:
        raise NodeRefusal(
            _NO_POLICY,
            f"this node has no policy: name one when it starts, --node-config '{POLICY_KEY}=\"/path/policy.toml\"'",
        )
    if named is None:
        _LOG.warning("secagg: this node's configuration names no policy, and the application's own holds (simulation)")
    if isinstance(chosen, SitePolicy):
        return chosen
    try:
        return SitePolicy.read(chosen)
    except (SecAggError, OSError) as error:
        raise NodeRefusal(_NO_POLICY, f"this node's policy cannot be used: {error}") from None


_NO_POLICY = "this node has no policy that can be used; its own log says why"


def _request(message: Message) -> bytes:
    try:
        request = bytes_in(message.content)
    except SecAggError as error:
        raise NodeRefusal(str(error)) from None
    if request is None:
        raise NodeRefusal(
            "this node answers under secure aggregation only, and the message asks for an answer in clear: the"
            " ServerApp must use a SecAggGrid, and give it `evaluation` where evaluation is to be secure, too"
        )
    return request


def _begun(
    site: Site,
    request: bytes,
    message: Message,
    context: Context,
    train: Callable[[], Message],
    weighted_by: str,
) -> bytes:
    """The first reply of a session; the application sees the message as its strategy sent it."""
    message.content = without_bytes(message.content)
    evaluation = category(message) == MessageType.EVALUATE
    try:
        received = model_of(message.content)
        task = task_of(message, context.run_config)
    except LocalProtocolError as error:
        raise NodeRefusal(str(error)) from None
    reply = site.begin(
        request,
        received,
        lambda: _update(train(), site.policy.coding, weighted_by, evaluation),
        task=task,
        evaluation=evaluation,
    )
    _forget_last(site, context, session_name(request))
    return reply


def _update(reply: Message, coding: Coding, weighted_by: str, evaluation: bool) -> Update:
    """What an application's reply says."""
    if reply.has_error():
        raise NodeRefusal("the application could not train", f"the application could not train: {reply.error.reason}")
    try:
        arrays = {} if evaluation else numpy_arrays(only_arrays(reply.content, "the application's reply")[1])
        metrics = metrics_of(reply.content, arrays_too=not evaluation)
        if coding.max_weight is not None and weighted_by not in metrics:
            raise LocalProtocolError(f"the application's reply lacks the metric {weighted_by!r}, which weighs it")
        weight = needs_weight(coding, metrics.pop(weighted_by, None))
        return Update(arrays, weight, metrics)
    except LocalProtocolError as error:
        raise NodeRefusal(str(error)) from None


def _forget_last(site: Site, context: Context, session: str) -> None:
    """Remove what this run's last session has left, and remember this one."""
    record: Any = context.state.get(RECORD)
    last = record.get(SESSION) if isinstance(record, ConfigRecord) else None
    if isinstance(last, str) and last != session:
        site.forget(last)
    context.state[RECORD] = ConfigRecord({SESSION: session})
