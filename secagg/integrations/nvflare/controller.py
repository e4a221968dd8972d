"""The server: a controller's training tasks, run as rounds of secure aggregation."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from nvflare.apis.client import Client
from nvflare.apis.controller_spec import ClientTask, Task
from nvflare.apis.fl_constant import FLContextKey, ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_copy
from nvflare.apis.signal import Signal
from nvflare.app_common.workflows.fedavg import FedAvg

from ...arguments import convert, real, whole
from ...errors import LocalProtocolError, SecAggError, require
from .. import RoundOutcome, ServerRound
from .exchange import Exchange, Patience
from .models import Model, model_of, reply_of
from .steering import steering
from .terms import Terms
from .wire import MESSAGE, ROUND_TASK

MEAN = "secagg"  # who a mean comes from, where FLARE asks for a client's name


class RoundFailed(RuntimeError):
    """A round has given no mean; FLARE then ends the job."""


class SecAggController:
    """Makes secure rounds of a controller's training tasks: put it before the controller among a class's bases.

    A training task that the controller broadcasts becomes a session of the protocol, in which the model travels with
    the first of four exchanges (five in the active model). The controller then gets one result in place of one from
    each site: the weighted mean of all parameters, and of the metrics. So every algorithm that averages works as it
    is; one that looks at single results, or that sends more than a model and metrics, cannot.

        class SecAggFedOpt(SecAggController, FedOpt):
            pass

    Args:
        args: the controller's.
        terms: how updates are averaged, and what a round needs.
        secure_tasks: names of the training tasks; the others are broadcast as usual. By default the controller's own
            `task_name`, or "train".
        goal: training ends when so many sites have answered, and the round can go on with them; 0 for all, or for the
            controller's `min_responses`.
        train_timeout: seconds for training; 0 for the controller's, which may be none.
        exchange_timeout: seconds for each later exchange.
        max_failed_rounds: how many rounds in a row may fail, and leave the model as it is, before the job ends.
        kwargs: the controller's.

    Raises:
        LocalProtocolError: an argument is refused.
    """

    def __init__(
        self,
        *args: Any,
        terms: Terms,
        secure_tasks: list[str] | None = None,
        goal: int = 0,
        train_timeout: float = 0.0,
        exchange_timeout: float = 60.0,
        max_failed_rounds: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        require(isinstance(terms, Terms), f"terms must be Terms, got {type(terms).__name__}")
        require(
            not getattr(self, "aggregation_weights", None),
            "aggregation_weights cannot be used: the server sees no single update that it could weight",
        )
        self.terms = terms
        self.secure_tasks = secure_tasks
        self.goal = goal
        self.train_timeout = train_timeout
        self.exchange_timeout = exchange_timeout
        self.max_failed_rounds = max_failed_rounds
        convert(self, whole, "goal", "max_failed_rounds")
        convert(self, real, "train_timeout", "exchange_timeout")
        require(self.exchange_timeout > 0, "exchange_timeout must be positive: a site that is gone would stop the job")
        require(
            min(self.goal, self.train_timeout, self.max_failed_rounds) >= 0,
            "goal, train_timeout and max_failed_rounds must not be negative",
        )
        self.last: RoundOutcome[str] | None = None
        self._failed_rounds = 0

    def broadcast(
        self,
        task: Task,
        fl_ctx: FLContext,
        targets: Sequence[Client | str] | None = None,
        min_responses: int = 1,
        wait_time_after_min_received: int = 0,
    ) -> None:
        """FLARE's; a training task is done when this returns.

        Args:
            task: the task.
            fl_ctx: FLARE's.
            targets: clients or their names; None for all.
            min_responses: how many answers are enough; 0 for all.
            wait_time_after_min_received: seconds that others still have then.

        Raises:
            RoundFailed: more rounds have failed in a row than may.
        """
        if not self._is_secure(task):
            super().broadcast(task, fl_ctx, targets, min_responses, wait_time_after_min_received)  # type: ignore[misc]
            return
        self._train(task, fl_ctx, targets, self._patience(task, min_responses, wait_time_after_min_received), None)

    def broadcast_and_wait(
        self,
        task: Task,
        fl_ctx: FLContext,
        targets: Sequence[Client | str] | None = None,
        min_responses: int = 1,
        wait_time_after_min_received: int = 0,
        abort_signal: Signal | None = None,
    ) -> None:
        """FLARE's.

        Args:
            task: as for `broadcast`.
            fl_ctx: as for `broadcast`.
            targets: as for `broadcast`.
            min_responses: as for `broadcast`.
            wait_time_after_min_received: as for `broadcast`.
            abort_signal: ends the round.

        Raises:
            RoundFailed: as for `broadcast`.
        """
        if not self._is_secure(task):
            super().broadcast_and_wait(  # type: ignore[misc]
                task, fl_ctx, targets, min_responses, wait_time_after_min_received, abort_signal
            )
            return
        patience = self._patience(task, min_responses, wait_time_after_min_received)
        self._train(task, fl_ctx, targets, patience, abort_signal)

    def process_result_of_unknown_task(
        self, client: Client, task_name: str, client_task_id: str, result: Shareable, fl_ctx: FLContext
    ) -> None:
        """Drops what a site sends after its exchange has ended.

        Args:
            client: the site.
            task_name: of the task.
            client_task_id: FLARE's.
            result: what came.
            fl_ctx: FLARE's.
        """
        if task_name == ROUND_TASK or task_name in self.training_tasks:
            self._say(fl_ctx, f"{client.name} has answered after the end of its exchange")
            return
        super().process_result_of_unknown_task(client, task_name, client_task_id, result, fl_ctx)  # type: ignore[misc]

    @property
    def training_tasks(self) -> list[str]:
        """The names of the tasks that run the protocol."""
        return self.secure_tasks or [getattr(self, "task_name", None) or "train"]

    def _is_secure(self, task: Task) -> bool:
        return task.name in self.training_tasks

    def _patience(self, task: Task, min_responses: int, wait: float) -> Patience:
        """For training: what this controller was given, else what the task says."""
        if self.goal:
            return Patience(seconds=self.train_timeout or task.timeout, goal=self.goal)
        return Patience(seconds=self.train_timeout or task.timeout, goal=min_responses, grace=wait)

    def _train(
        self,
        task: Task,
        fl_ctx: FLContext,
        targets: Sequence[Client | str] | None,
        patience: Patience,
        abort_signal: Signal | None,
    ) -> None:
        """One round: the mean, or the model as it was, becomes the task's one result."""
        model = model_of(task.data)
        sites = _names(fl_ctx.get_engine().get_clients() if targets is None else targets)
        try:
            self.last = None
            self.last = self._round(task, fl_ctx, model, sites, patience, abort_signal or fl_ctx.get_run_abort_signal())
        except SecAggError as error:
            self._count_failure(fl_ctx, error)
            result = reply_of(model, {}, {})
        else:
            self._failed_rounds = 0
            result = reply_of(self.last.arrays, self.last.metrics, {})
        _deliver(task, result, fl_ctx)

    def _round(
        self,
        task: Task,
        fl_ctx: FLContext,
        model: Model,
        sites: Sequence[str],
        patience: Patience,
        abort_signal: Signal | None,
    ) -> RoundOutcome[str]:
        """A session of the protocol, exchange by exchange."""
        steered = partial(steering, task.name, fl_ctx.get_job_id(), operator=task.operator)
        round_ = ServerRound(self.terms.settings(), sites, model, task=steered(task.data))
        later = Patience(seconds=self.exchange_timeout)
        tasks = {site: _training(task, request, steered) for site, request in round_.requests.items()}
        while True:
            with self._exchange(tasks, patience, fl_ctx, abort_signal) as exchange:
                while round_.waiting_count and (reply := exchange.next(round_.answered, round_.ready)) is not None:
                    if reply.message is None:
                        round_.refuse(reply.site, reply.reason)
                    else:
                        round_.receive(reply.site, reply.message)
                if exchange.aborted:
                    raise RoundFailed("secagg: the job was aborted in the middle of a round")
            try:
                over = round_.end_exchange()
            finally:
                self._say(fl_ctx, *round_.take_notes())
            if over:
                return round_.outcome
            tasks = {site: _protocol(request) for site, request in round_.requests.items()}
            patience = later

    @contextmanager
    def _exchange(
        self, tasks: dict[str, Task], patience: Patience, fl_ctx: FLContext, abort_signal: Signal | None
    ) -> Iterator[Exchange]:
        exchange = Exchange(self, tasks, patience, fl_ctx, abort_signal)
        try:
            yield exchange
        finally:
            exchange.close()

    def _count_failure(self, fl_ctx: FLContext, error: SecAggError) -> None:
        self._failed_rounds += 1
        if self._failed_rounds > self.max_failed_rounds:
            raise RoundFailed(f"secagg: the round has failed: {error}") from None
        self._complain(fl_ctx, f"the round has failed, and the model stays as it is: {error}")

    def _say(self, fl_ctx: FLContext, *lines: str) -> None:
        for line in lines:
            self.log_info(fl_ctx, f"secagg: {line}")  # type: ignore[attr-defined]

    def _complain(self, fl_ctx: FLContext, line: str) -> None:
        self.log_error(fl_ctx, f"secagg: {line}")  # type: ignore[attr-defined]


class SecAggFedAvg(SecAggController, FedAvg):  # type: ignore[misc]
    """FLARE's FedAvg with secure rounds; see `SecAggController` for its own arguments."""


def _names(clients: Sequence[Client | str]) -> list[str]:
    return [client if isinstance(client, str) else client.name for client in clients]


def _training(task: Task, request: bytes, steered: Callable[[Shareable], bytes]) -> Task:
    """A site's training task: the controller's, with the protocol's first request beside the model."""
    data = make_copy(task.data)
    data[MESSAGE] = request
    return Task(
        name=task.name,
        data=data,
        props={key: value for key, value in task.props.items() if not key.startswith("__")},
        before_task_sent_cb=_watched(task.before_task_sent_cb, steered, steered(task.data)),
        after_task_sent_cb=task.after_task_sent_cb,
        operator=task.operator,
    )


def _watched(callback: Any, steered: Callable[[Shareable], bytes], same: bytes) -> Any:
    """A controller's callback before a task is sent, which must leave the task as it is to all other sites."""
    if callback is None:
        return None

    def watched(client_task: ClientTask, fl_ctx: FLContext) -> None:
        callback(client_task=client_task, fl_ctx=fl_ctx)
        require(
            steered(client_task.task.data) == same,
            f"before the task was sent to {client_task.client.name}, it was changed: under secure aggregation all"
            " sites of a round get the same headers and meta data",
        )

    return watched


def _protocol(request: bytes) -> Task:
    """A site's task of a later exchange."""
    data = Shareable()
    data[MESSAGE] = request
    return Task(name=ROUND_TASK, data=data)


def _deliver(task: Task, result: Shareable, fl_ctx: FLContext) -> None:
    """Hand the controller the mean as if a client named "secagg" had sent it."""
    result.set_cookie_jar(task.data.get_cookie_jar())
    client_task = ClientTask(Client(MEAN, ""), task)
    client_task.result = result
    if task.result_received_cb is None:
        raise LocalProtocolError(f"the controller does not look at the results of its task {task.name!r}")
    with fl_ctx.get_engine().new_context() as context:
        context.set_peer_context(_peer(result))
        task.result_received_cb(client_task=client_task, fl_ctx=context)


def _peer(result: Shareable) -> FLContext:
    """The context that would come with a client's reply."""
    peer = FLContext()
    peer.set_prop(ReservedKey.IDENTITY_NAME, MEAN, private=False)
    peer.set_prop(FLContextKey.SHAREABLE, result, private=True)
    return peer
