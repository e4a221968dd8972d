"""The server side: a `Grid` whose training messages go through the protocol, whatever strategy sends them.

A strategy calls `send_and_receive` with the messages of a round. Each node gets its message with an invitation beside
it, and the later rounds of the protocol in messages of the same type. The strategy gets back one reply: the weighted
mean of the survivors' models, and the sums and means of their metrics. To a strategy it is a round with one node.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

import numpy as np
from flwr.app import Error, Message, MessageType, MetricRecord, RecordDict
from flwr.serverapp import Grid
from numpy.typing import NDArray

from ...arguments import optional, real, whole
from ...errors import LocalProtocolError, SecAggError, require
from ...protocol.graph import COMPLETE, Graph
from ...protocol.identity import Roster
from ...protocol.thresholds import Threat
from ..arrays import ModelForm, is_integer
from ..coding import Coding, Metric
from ..server_round import RoundOutcome, RoundSettings, ServerRound
from .mod import REFUSED
from .records import array_record, bytes_in, category, numpy_arrays, only_arrays, with_bytes
from .task import common_task

__all__ = ["SecAggGrid"]

METRICS = "metrics"  # the record of the reply; strategies ask for one, and not for its name
EXCHANGE_SECONDS = 60.0
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0  # seconds between two pulls
_LOG = logging.getLogger("flwr")


class SecAggGrid(Grid):  # type: ignore[misc]  # of a package without types here
    """A grid in which a round of training is a session of secure aggregation.

    Messages of another type than "train" pass through as they are, and the server sees in clear what nodes reply to
    them. With `evaluation`, a round of evaluation is a session, too.

    A round that cannot end (too few nodes, a model that changed its shape) gives the strategy one reply with an error:
    its model stays as it is, and the next round goes on.

    Args:
        grid: Flower's.
        coding: how updates are encoded; nodes compare it with their own policy.
        run_config: the run's settings, `context.run_config`. Nodes compare them with their own, as they do with all
            that a message says beside the model: a strategy that sends different configurations to different nodes
            cannot be aggregated securely, because with a learning rate of 0 at all nodes but one, the mean would be
            that one's change.
        evaluation: by name, what nodes report of an evaluation, at least one mean; None to have evaluations in clear.
        roster: everyone's verification keys, for the active model; None for the semi-honest model.
        threat: see `Params`, and so are n_corrupt, t, min_users, graph and min_joined.
        n_corrupt: None for the default of `Params`.
        t: None for the default of `Params`.
        min_users: None for the default of `Params`.
        graph: the complete graph, or `Sparse(degree)` for a thousand nodes and more; see `Params.sparse`.
        min_joined: None for the default of `Params`.
        application: what sessions are for, as sites may ask for it.
        goal: the first exchange ends as soon as so many nodes have trained; None to wait for all, or the timeout.
        weighted_by: the metric that weighs updates, under which the strategy gets the sum of weights.
        exchange_timeout: seconds that nodes have for each exchange after training. For training they have the timeout
            that the strategy gives.
        executor: removes masks; see `Server`.
        clock: seconds that only go up.
        sleep: waits between two pulls.

    Attributes:
        last: what the last round of training has come to; None before the first, and after a round that failed.
        last_evaluation: the same of the last evaluation, where that is secure.

    Raises:
        LocalProtocolError: a value is out of range.
    """

    def __init__(
        self,
        grid: Grid,
        coding: Coding,
        run_config: Mapping[str, Any],
        *,
        evaluation: Mapping[str, Metric] | None = None,
        roster: Roster | None = None,
        threat: Threat = Threat.COLLUDING,
        n_corrupt: int | None = None,
        t: int | None = None,
        min_users: int | None = None,
        graph: Graph = COMPLETE,
        min_joined: int | None = None,
        application: bytes = b"",
        goal: int | None = None,
        weighted_by: str = "num-examples",
        exchange_timeout: float = EXCHANGE_SECONDS,
        executor: Executor | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        require(not isinstance(grid, SecAggGrid), "the grid is a SecAggGrid already")
        self._grid = grid
        training = RoundSettings(
            coding=coding,
            roster=roster,
            threat=threat,
            n_corrupt=n_corrupt,
            t=t,
            min_users=min_users,
            graph=graph,
            min_joined=min_joined,
            application=application,
        )
        self._settings = {MessageType.TRAIN: training}
        if evaluation is not None:
            self._settings[MessageType.EVALUATE] = replace(training, coding=coding.of_evaluation(evaluation))
        self._goal = optional(whole)(goal, "goal")
        require(self._goal is None or self._goal >= 2, f"goal must be at least 2, got {goal}")
        self._timeout = real(exchange_timeout, "exchange_timeout")
        require(self._timeout > 0, f"exchange_timeout must be positive, got {exchange_timeout}")
        self._run_config = dict(run_config)
        self._weighted_by = weighted_by
        self._executor = executor
        self._clock = clock
        self._sleep = sleep
        self._form: ModelForm | None = None  # of the first round, and its dtypes
        self._dtypes: dict[str, np.dtype[Any]] = {}
        self.last: RoundOutcome[int] | None = None
        self.last_evaluation: RoundOutcome[int] | None = None

    # --- What passes through ----------------------------------------------------------------------------------------

    def set_run(self, run: Any) -> None:
        """See `Grid`."""
        self._grid.set_run(run)

    @property
    def run(self) -> Any:
        """See `Grid`."""
        return self._grid.run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """See `Grid`."""
        return self._grid.create_message(content, message_type, dst_node_id, group_id, ttl)

    def get_node_ids(self) -> Iterable[int]:
        """See `Grid`."""
        ids: Iterable[int] = self._grid.get_node_ids()
        return ids

    def get_nodes(self) -> Iterable[Any]:
        """See `Grid`."""
        nodes: Iterable[Any] = self._grid.get_nodes()
        return nodes

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """See `Grid`. Raises `LocalProtocolError` for messages that train: what answers them is no update."""
        pushed = list(messages)
        require(
            not any(category(message) in self._settings for message in pushed),
            "training under secure aggregation, and evaluation, go by send_and_receive alone",
        )
        ids: Iterable[str] = self._grid.push_messages(pushed)
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """See `Grid`."""
        replies: Iterable[Message] = self._grid.pull_messages(message_ids)
        return replies

    def __getattr__(self, name: str) -> Any:
        """What else Flower's grids have, such as `close`."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.__dict__["_grid"], name)

    # --- A round ----------------------------------------------------------------------------------------------------

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Send messages and give back their replies; of those that train, one reply with the mean.

        Args:
            messages: of the strategy.
            timeout: seconds that nodes have to train, or for another message; None for any time.

        Returns:
            The replies.
        """
        sent = list(messages)
        replies: list[Message] = []
        for kind, settings in self._settings.items():
            if chosen := [message for message in sent if category(message) == kind]:
                replies.append(self._secured(kind, settings, chosen, timeout))
        others = [message for message in sent if category(message) not in self._settings]
        if others or not sent:
            replies += self._grid.send_and_receive(others, timeout=timeout)
        return replies

    def _secured(
        self, kind: str, settings: RoundSettings, messages: Sequence[Message], timeout: float | None
    ) -> Message:
        """The reply with the mean, or with the reason why there is none."""
        training = kind == MessageType.TRAIN
        outcome, name = None, ""
        try:
            name, received = self._model(messages, training)
            outcome = self._outcome(settings, messages, received, timeout)
        except SecAggError as error:
            _LOG.error("secagg: the round has failed: %s", error)
            return Message(Error(REFUSED, f"secagg: the round has failed: {error}"), reply_to=messages[0])
        finally:
            if training:
                self.last = outcome
            else:
                self.last_evaluation = outcome
        weight = outcome.weight if settings.coding.noise is not None else int(outcome.weight)
        records: dict[str, Any] = {METRICS: MetricRecord({self._weighted_by: weight, **outcome.metrics})}
        if training:
            records[name] = array_record(outcome.arrays)
        first = next(message for message in messages if message.metadata.dst_node_id in outcome.survivors)
        return Message(RecordDict(records), reply_to=first)

    def _model(self, messages: Sequence[Message], training: bool) -> tuple[str, dict[str, NDArray[Any]]]:
        """The model that all nodes are sent, and its record's name; to be trained, it has the shapes of the first."""
        records = [message.content.array_records for message in messages]
        if not training and not any(records):
            return "", {}
        name, record = only_arrays(messages[0].content, "the message")
        for message in messages[1:]:
            other, same = only_arrays(message.content, "the message")
            require(
                other == name and (same is record or same == record),
                "the nodes are sent different models: under secure aggregation all get the same one",
            )
        received = numpy_arrays(record)
        if training:
            self._check_form(received)
        return name, received

    def _check_form(self, received: dict[str, NDArray[Any]]) -> None:
        """The model has the shapes that it had in the first round, whose dtypes the results have."""
        if self._form is None:
            self._form = ModelForm.of(received, self._settings[MessageType.TRAIN].coding.left_out)
            self._dtypes = {key: _lasting(values.dtype) for key, values in received.items()}
        try:
            self._form.check(received)
        except LocalProtocolError as error:
            raise LocalProtocolError(f"the model has changed between rounds: {error}") from None

    def _outcome(
        self,
        settings: RoundSettings,
        messages: Sequence[Message],
        received: dict[str, NDArray[Any]],
        timeout: float | None,
    ) -> RoundOutcome[int]:
        """Every exchange of the round."""
        asked = {message.metadata.dst_node_id: message for message in messages}
        require(len(asked) == len(messages), "a node is sent two messages of one round")
        task = common_task(messages, self._run_config)
        current = ServerRound(settings, list(asked), received, task=task, dtypes=self._dtypes, executor=self._executor)
        first, over = True, False
        while not over:
            self._exchange(current, asked, timeout if first else self._timeout, first)
            try:
                over = current.end_exchange()
            finally:
                for note in current.take_notes():
                    _LOG.info("secagg: %s", note)
            first = False
        return current.outcome

    def _exchange(
        self, current: ServerRound[int], asked: dict[int, Message], seconds: float | None, first: bool
    ) -> None:
        """Send each node what is due to it, and take replies until all are in, or the time is over."""
        end = None if seconds is None else self._clock() + seconds
        pending = self._pushed(current, asked, seconds, first)
        goal = self._goal if first else None
        pause = FIRST_PAUSE
        while pending:
            for reply in list(self._grid.pull_messages(list(pending))):
                node = pending.pop(reply.metadata.reply_to_message_id, None)
                if node is not None:
                    _take(current, node, reply)
            if not pending or current.hopeless or (goal is not None and current.answered >= goal and current.ready):
                return
            left = pause if end is None else min(pause, end - self._clock())
            if left <= 0:
                return
            self._sleep(left)
            pause = min(LONGEST_PAUSE, 1.5 * pause)

    def _pushed(
        self, current: ServerRound[int], asked: dict[int, Message], seconds: float | None, first: bool
    ) -> dict[str, int]:
        """Push the requests; the node of each message by the message's id."""
        outgoing = [_message(asked[node], request, first, seconds) for node, request in current.requests.items()]
        names = list(self._grid.push_messages(outgoing))
        if len(names) != len(outgoing):  # a grid may leave out those that it could not push
            known = set(names)
            names = [m.metadata.message_id if m.metadata.message_id in known else None for m in outgoing]
        pending: dict[str, int] = {}
        for message, name in zip(outgoing, names, strict=True):
            node = message.metadata.dst_node_id
            if name is None:
                current.refuse(node, "Flower could not send it a message")
            else:
                pending[name] = node
        return pending


def _message(asked: Message, request: bytes, first: bool, seconds: float | None) -> Message:
    """A message to a node: the strategy's own with the request beside it, and later the request alone."""
    about = asked.metadata
    content = with_bytes(request, asked.content if first else None)
    ttl = about.ttl if first or seconds is None else min(about.ttl, seconds)
    return Message(content, about.dst_node_id, about.message_type, ttl=ttl, group_id=about.group_id)


def _take(current: ServerRound[int], node: int, reply: Message) -> None:
    """Hand a reply to the round."""
    if reply.has_error():
        current.refuse(node, f"{reply.error.reason or 'an error without a reason'}")
        return
    try:
        data = bytes_in(reply.content)
    except SecAggError as error:
        current.refuse(node, str(error))
        return
    if data is None:
        current.refuse(node, "its reply is none of this protocol: does its ClientApp use secagg_mod?")
    else:
        current.receive(node, data)


def _lasting(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of a mean: numpy's files do not know bfloat16, and Flower's strategies cannot calculate with it."""
    return dtype if is_integer(dtype) or dtype.kind == "f" or dtype.name != "bfloat16" else np.dtype(np.float32)
