"""A server and its sites in one process: FLARE's `WFCommServer` and `ClientRunner`, and threads in place of a network.

What goes between the two is serialized by FLARE on the way. A site has a fresh `SecAggSite` for each task, as in a
simulation that has fewer threads than sites.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from nvflare.apis.client import Client
from nvflare.apis.dxo import DXO, DataKind
from nvflare.apis.event_type import EventType
from nvflare.apis.executor import Executor
from nvflare.apis.fl_constant import FilterKey, FLContextKey, ProcessType, ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.impl.wf_comm_server import WFCommServer
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal
from nvflare.apis.utils.event import fire_event_to_components
from nvflare.apis.utils.fl_context_utils import gen_new_peer_ctx
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.decomposers import common_decomposers
from nvflare.fuel.utils import fobs
from nvflare.private.fed.client.client_engine_executor_spec import TaskAssignment
from nvflare.private.fed.client.client_runner import ClientRunner, ClientRunnerConfig, TaskRouter
from nvflare.private.fed.utils.fed_utils import nvflare_fobs_initialize
from nvflare.private.privacy_manager import Scope

from bench.peers.nvflare import JOB
from bench.peers.nvflare import Engine as QuietEngine
from secagg.integrations.nvflare import (
    ReplyFilter,
    RequestFilter,
    RoundExecutor,
    SecAggFedAvg,
    SecAggSite,
    Terms,
)

nvflare_fobs_initialize()
common_decomposers.register()

Model = dict[str, NDArray[Any]]
Training = Callable[[Model], DXO]


def moved(change: Mapping[str, Any], weight: int, **metrics: float) -> Training:
    """Training that adds to each array."""

    def train(model: Model) -> DXO:
        arrays = {name: values + np.asarray(change.get(name, 0), values.dtype) for name, values in model.items()}
        return DXO(
            DataKind.WEIGHTS,
            data=arrays,
            meta={"NUM_STEPS_CURRENT_ROUND": weight, **({"initial_metrics": metrics} if metrics else {})},
        )

    return train


class Trainer(Executor):  # type: ignore[misc]
    """Runs a function as a site's training; what it sees and how often it is called is kept."""

    def __init__(self, train: Training) -> None:
        super().__init__()
        self.train = train
        self.tasks: list[Shareable] = []
        self.servers: list[FLContext] = []

    def execute(self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal) -> Shareable:
        self.tasks.append(shareable)
        self.servers.append(fl_ctx.get_peer_context())
        return self.train(shareable["DXO"]["data"]).to_shareable()


@dataclass
class Engine(QuietEngine):
    """An engine that has components hear of events.

    Attributes:
        handlers: who hears of them.
        panics: what has ended the job.
    """

    handlers: list[Any] = field(default_factory=list)
    panics: list[str] = field(default_factory=list)

    def fire_event(self, event_type: str, fl_ctx: FLContext) -> None:
        if event_type == EventType.FATAL_SYSTEM_ERROR:
            self.panics.append(str(fl_ctx.get_prop(FLContextKey.EVENT_DATA)))
        fire_event_to_components(event_type, self.handlers, fl_ctx)


@dataclass
class Site:
    """A site that a test plays.

    Attributes:
        name: its name.
        folder: its `local` folder, with the policy.
        train: its training.
        dies_at: the exchange whose request it never answers, and none after that; 0 is the training's.
        forced: whether its operator has named the filters in `local/privacy.json`.
        configured: whether its operator has named `SecAggSite` there.
        job_filters: whether the job brings the filters.
        plain_tasks: see `SecAggSite`.
        replies: what has left the site, in FLARE's encoding.
        twice: whether it gets every task twice, and sends the second reply.
    """

    name: str
    folder: Path
    train: Training
    dies_at: int | None = None
    forced: bool = True
    configured: bool = True
    job_filters: bool = True
    plain_tasks: list[str] = field(default_factory=list)
    replies: list[bytes] = field(default_factory=list)
    twice: bool = False
    trainer: Trainer = field(init=False)

    def __post_init__(self) -> None:
        self.trainer = Trainer(self.train)
        scope = None
        if self.forced:
            scope = Scope()
            scope.set_name("secagg")
            scope.add_task_data_filter(RequestFilter(), FilterKey.INOUT)
            scope.add_task_result_filter(ReplyFilter(), FilterKey.OUT)
        self.engine = Engine(self.name, ProcessType.CLIENT_JOB, self.folder, scope)
        router = TaskRouter()
        router.add_executor(["*"], self.trainer)
        router.add_executor(["secagg"], RoundExecutor())
        requests, replies = [RequestFilter()], [ReplyFilter()]
        names = ("train", "secagg") if self.job_filters else ()
        config = ClientRunnerConfig(
            router, {f"{name}/in": requests for name in names}, {f"{name}/out": replies for name in names}
        )
        self.runner = ClientRunner({}, config, JOB, self.engine)

    def handle(self, name: str, task_id: str, data: bytes, server: FLContext) -> tuple[Shareable, FLContext]:
        """A reply as the server gets it, with the site's public properties."""
        if self.configured:
            self.engine.components["secagg"] = SecAggSite("policy.toml", self.plain_tasks)
        with self.engine.new_context() as context:
            context.set_peer_context(server)
            reply = self.runner._process_task(TaskAssignment(name, task_id, fobs.loads(data)), context)
            encoded = fobs.dumps(reply)
            self.replies.append(encoded)
            return fobs.loads(encoded), gen_new_peer_ctx(context)


class Federation:
    """A server with its sites."""

    def __init__(self, sites: Sequence[Site], folder: Path) -> None:
        self.sites = {site.name: site for site in sites}
        self.engine = Engine("server", ProcessType.SERVER_JOB, folder)
        self.engine.clients = [Client(name, "") for name in self.sites]
        self.comm = WFCommServer(task_check_period=0.02)
        self.over = threading.Event()
        self.errors: list[BaseException] = []
        self.abort = Signal()

    def run(self, controller: Any) -> None:
        """Run a controller to its end."""
        controller.set_communicator(self.comm)
        threads = [threading.Thread(target=self._live, args=(site,)) for site in self.sites.values()]
        with self.engine.new_context() as context:
            context.set_prop(ReservedKey.RUN_ABORT_SIGNAL, self.abort, private=True, sticky=True)
            controller.initialize(context)
            self.comm.initialize_run(context)
            for thread in threads:
                thread.start()
            try:
                controller.control_flow(self.abort, context)
            finally:
                self.over.set()
                self.comm._all_done = True
                for thread in threads:
                    thread.join()
        if self.errors:
            raise self.errors[0]

    def _live(self, site: Site) -> None:
        """A site's life: it asks for tasks until the job is over, or until it dies."""
        exchanges = 0
        try:
            while not self.over.is_set():
                task = self._fetch(site)
                if task is None:
                    time.sleep(0.01)
                    continue
                if exchanges == site.dies_at:
                    return
                exchanges += 1
                if site.twice:
                    site.handle(*task, self._public())
                self._submit(site, task[0], task[1], *site.handle(*task, self._public()))
        except BaseException as error:  # of the test, to be raised in its own thread
            self.errors.append(error)

    def _fetch(self, site: Site) -> tuple[str, str, bytes] | None:
        with self.engine.new_context() as context:
            name, task_id, data = self.comm.process_task_request(Client(site.name, ""), context)
            return (name, task_id, fobs.dumps(data)) if name else None

    def _submit(self, site: Site, name: str, task_id: str, reply: Shareable, peer: FLContext) -> None:
        with self.engine.new_context() as context:
            context.set_peer_context(peer)
            peer.set_prop(FLContextKey.SHAREABLE, reply, private=False)
            self.comm.process_submission(Client(site.name, ""), name, task_id, reply, context)

    def _public(self) -> FLContext:
        with self.engine.new_context() as context:
            return gen_new_peer_ctx(context)


def fedavg(
    model: FLModel, terms: Terms, *, rounds: int = 1, kind: type[SecAggFedAvg] = SecAggFedAvg, **options: Any
) -> Any:
    """FLARE's FedAvg with secure rounds, whose model is the one that is given."""
    return kind(
        num_clients=64,  # of whom as many are asked as there are
        num_rounds=rounds,
        persistor_id="",
        model=model,
        save_filename=None,
        task_check_period=0.02,
        terms=terms,
        **{"exchange_timeout": 2.0, **options},
    )
