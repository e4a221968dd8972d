"""One round of FedAvg in NVIDIA FLARE, plain, secure, and encrypted: `python -m bench.peers.nvflare`.

Bytes to and from each site, CPU time of a site and of the server, and the error of the mean. FLARE's own server and
client code runs in this process (`WFCommServer`, `ClientRunner`), with a thread for each site in place of a network;
what would travel is in FLARE's own encoding, arrays included. Needs the extra `nvflare`, and `tenseal` for FLARE's
encryption, of which no more is measured than what it encrypts, adds and decrypts.
"""

import argparse
import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from nvflare.apis.client import Client
from nvflare.apis.dxo import DXO, DataKind
from nvflare.apis.event_type import EventType
from nvflare.apis.executor import Executor
from nvflare.apis.fl_constant import FLContextKey, ProcessType, ReturnCode
from nvflare.apis.fl_context import FLContext, FLContextManager
from nvflare.apis.impl.wf_comm_server import WFCommServer
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.apis.signal import Signal
from nvflare.apis.utils.fl_context_utils import gen_new_peer_ctx
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.decomposers import common_decomposers
from nvflare.app_common.workflows.fedavg import FedAvg
from nvflare.fuel.utils import fobs
from nvflare.private.fed.client.client_engine_executor_spec import TaskAssignment
from nvflare.private.fed.client.client_runner import ClientRunner, ClientRunnerConfig, TaskRouter
from nvflare.private.fed.utils.fed_utils import nvflare_fobs_initialize
from nvflare.private.privacy_manager import Scope

from secagg import Identity, Roster
from secagg.integrations.nvflare import ReplyFilter, RequestFilter, RoundExecutor, SecAggFedAvg, SecAggSite, Terms

from ..machine import machine_lines
from ..tables import number, table

Array = NDArray[Any]

CLIP, BITS, MAX_WEIGHT = 1.0, 16, 1000
BEFORE_MASKED_INPUT = 2  # tasks: training, which sends keys, and ShareKeys
PAUSE = 0.5  # seconds after which a site asks again, as FLARE's do; asking costs the server time, too
JOB = "job"
ALONE = threading.Lock()  # one site at a time: in a deployment, each has memory and caches of its own


@dataclass(frozen=True)
class Setting:
    """A round of n sites with a model of m parameters, float32; the first `dropped` send no masked input."""

    n: int
    m: int
    dropped: int = 0

    @property
    def survivors(self) -> range:
        return range(self.dropped + 1, self.n + 1)

    @property
    def title(self) -> str:
        gone = f", of which {self.dropped} drop out before they send their masked input" if self.dropped else ""
        return f"{self.n} sites, {self.m:,} parameters{gone}"

    @property
    def model(self) -> Array:
        return np.zeros(self.m, np.float32)

    def update(self, u: int) -> Array:
        return np.random.default_rng(u).uniform(-0.5, 0.5, self.m).astype(np.float32)

    def weight(self, u: int) -> int:
        return 100 + 9 * u  # at most MAX_WEIGHT, of 100 sites

    @property
    def mean(self) -> Array:
        total = sum(self.weight(u) * self.update(u).astype(np.float64) for u in self.survivors)
        return np.asarray(total / sum(self.weight(u) for u in self.survivors))


@dataclass
class Cost:
    """What one site's part in a round takes."""

    up: int = 0
    down: int = 0
    seconds: float = 0.0
    tasks: int = 0


@dataclass(frozen=True)
class Outcome:
    """A round's cost and its mean."""

    costs: list[Cost]
    server_seconds: float
    mean: Array


class Training(Executor):  # type: ignore[misc]
    """Gives an update that was made before."""

    def __init__(self, update: Array, weight: int) -> None:
        super().__init__()
        self._update, self._weight = update, weight

    def execute(self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal) -> Shareable:
        model = shareable["DXO"]["data"]["w"] + self._update
        meta = {"NUM_STEPS_CURRENT_ROUND": self._weight}
        return DXO(DataKind.WEIGHTS, data={"w": model}, meta=meta).to_shareable()


@dataclass
class Engine:
    """What FLARE's components ask of the engine."""

    name: str
    process_type: str
    folder: Path
    scope: Scope | None = None
    components: dict[str, Any] = field(default_factory=dict)
    clients: list[Client] = field(default_factory=list)

    def __post_init__(self) -> None:
        stickers = {FLContextKey.PROCESS_TYPE: self.process_type, FLContextKey.SCOPE_OBJECT: self.scope}
        self.manager = FLContextManager(self, self.name, JOB, private_stickers=stickers)

    def new_context(self) -> FLContext:
        return self.manager.new_context()

    def get_component(self, name: str) -> Any:
        return self.components.get(name)

    def get_clients(self) -> list[Client]:
        return self.clients

    def get_workspace(self) -> Any:
        return SimpleNamespace(get_site_config_dir=lambda: str(self.folder))

    def register_aux_message_handler(self, **ignored: Any) -> None:
        pass

    def get_cell(self) -> None:
        return None

    def fire_event(self, event_type: str, fl_ctx: FLContext) -> None:
        if event_type == EventType.FATAL_SYSTEM_ERROR:
            raise RuntimeError(str(fl_ctx.get_prop(FLContextKey.EVENT_DATA)))

    def public(self) -> FLContext:
        with self.new_context() as context:
            return gen_new_peer_ctx(context)


class Site:
    """A site's client code, which counts what it costs; after its task number `last` it fails at all others."""

    def __init__(self, name: str, executor: Executor, folder: Path, *, secure: bool, last: int | None = None) -> None:
        self.cost = Cost()
        self.last = last
        self.engine = Engine(name, ProcessType.CLIENT_JOB, folder)
        router = TaskRouter()
        router.add_executor(["train"], executor)
        router.add_executor(["secagg"], RoundExecutor())
        if secure:
            self.engine.components["secagg"] = SecAggSite("policy.toml")
        names, requests, replies = ("train", "secagg") if secure else (), [RequestFilter()], [ReplyFilter()]
        config = ClientRunnerConfig(
            router, {f"{name}/in": requests for name in names}, {f"{name}/out": replies for name in names}
        )
        self.runner = ClientRunner({}, config, JOB, self.engine)

    def handle(self, name: str, task_id: str, data: bytes, server: FLContext) -> tuple[bytes, FLContext]:
        """The reply to a task, encoded."""
        begin = time.thread_time()
        with self.engine.new_context() as context:
            context.set_peer_context(server)
            reply = fobs.dumps(self.runner._process_task(TaskAssignment(name, task_id, fobs.loads(data)), context))
            peer = gen_new_peer_ctx(context)
        self.cost.seconds += time.thread_time() - begin
        self.cost.up += len(reply)
        self.cost.down += len(data)
        self.cost.tasks += 1
        return reply, peer


def run(controller: Any, sites: Sequence[Site], folder: Path) -> float:
    """A controller's job with its sites; the seconds of CPU that all took together."""
    server = Engine("server", ProcessType.SERVER_JOB, folder)
    server.clients = [Client(site.engine.name, "") for site in sites]
    comm, over = WFCommServer(task_check_period=0.05), threading.Event()
    controller.set_communicator(comm)
    failed = Signal()
    begin = time.process_time()
    with ThreadPoolExecutor(len(sites)) as pool, server.new_context() as context:
        controller.initialize(context)
        comm.initialize_run(context)
        lives = [pool.submit(lived, comm, server, site, over, failed) for site in sites]
        controller.control_flow(failed, context)
        over.set()
        comm._all_done = True
    for life in lives:
        life.result()
    return time.process_time() - begin


def lived(comm: WFCommServer, server: Engine, site: Site, over: threading.Event, failed: Signal) -> None:
    """`live`, whose errors end the job."""
    try:
        live(comm, server, site, over)
    except BaseException:
        failed.trigger(True)
        raise


def live(comm: WFCommServer, server: Engine, site: Site, over: threading.Event) -> None:
    """A site asks for tasks and does them until the job is over."""
    client = Client(site.engine.name, "")
    while not over.is_set():
        with server.new_context() as context:
            name, task_id, data = comm.process_task_request(client, context)
        if not name:
            time.sleep(PAUSE)
            continue
        if site.cost.tasks == site.last:
            reply, peer = make_reply(ReturnCode.EXECUTION_EXCEPTION), site.engine.public()
        else:
            with ALONE:
                encoded, peer = site.handle(name, task_id, fobs.dumps(data), server.public())
            reply = fobs.loads(encoded)
        with server.new_context() as context:
            context.set_peer_context(peer)
            comm.process_submission(client, name, task_id, reply, context)


def fedavg(setting: Setting, folder: Path, kind: type[FedAvg], *, secure: bool, **options: Any) -> Outcome:
    """A round; without secure rounds, of those alone that survive."""
    nvflare_fobs_initialize()
    common_decomposers.register()
    model = FLModel(params={"w": setting.model})
    users = range(1, setting.n + 1) if secure else setting.survivors
    sites = [
        Site(
            f"site-{u}",
            Training(setting.update(u), setting.weight(u)),
            folder / f"site-{u}",
            secure=secure,
            last=None if u in setting.survivors else BEFORE_MASKED_INPUT,
        )
        for u in users
    ]
    controller = kind(
        num_clients=len(users), num_rounds=1, persistor_id="", model=model, task_check_period=0.05, **options
    )
    controller.save_model = lambda model: None
    seconds = run(controller, sites, folder)
    costs = [site.cost for u, site in zip(users, sites, strict=True) if u in setting.survivors]
    return Outcome(costs, seconds - sum(site.cost.seconds for site in sites), model.params["w"])


def plain(setting: Setting, folder: Path) -> Outcome:
    """FLARE's FedAvg."""
    return fedavg(setting, folder, FedAvg, secure=False)


def ours(setting: Setting, folder: Path, *, active: bool = False) -> Outcome:
    """The same with secure rounds."""
    roster = policies(setting, folder, active)
    terms = Terms(clip=CLIP, bits=BITS, max_weight=MAX_WEIGHT, roster=None if roster is None else str(roster))
    return fedavg(setting, folder, SecAggFedAvg, secure=True, terms=terms)


def policies(setting: Setting, folder: Path, active: bool) -> Path | None:
    """A policy for each site; the roster of the active model."""
    identities = {u: Identity.generate() for u in range(1, setting.n + 1)}
    roster = folder / "roster.txt"
    Roster({u: identity.verification_key for u, identity in identities.items()}).write(roster)
    for u, identity in identities.items():
        local = folder / f"site-{u}"
        local.mkdir(mode=0o700)
        identity.save(local / "identity.pem")
        model = f'"active"\nroster = "{roster}"\nidentity = "identity.pem"' if active else '"semi-honest"'
        coding = f"clip = {CLIP}\nbits = {BITS}\nmax_weight = {MAX_WEIGHT}"
        (local / "policy.toml").write_text(f"[protection]\nmodel = {model}\n[coding]\n{coding}\n")
    return roster if active else None


def encrypted(setting: Setting, folder: Path) -> Outcome:
    """FLARE's homomorphic encryption alone: what sites and server calculate, and what travels."""
    from .nvflare_encrypted import Encryption  # needs tenseal

    scheme = Encryption()
    costs, sums = [], None
    total = sum(setting.weight(u) for u in setting.survivors)
    server = 0.0
    for u in setting.survivors:
        cost, update = Cost(tasks=1), setting.update(u)
        begin = time.process_time()
        sent = scheme.encrypt(update, setting.weight(u) / total)
        cost.seconds, cost.up = time.process_time() - begin, len(sent)
        begin = time.process_time()
        sums = scheme.add(sums, sent)
        server += time.process_time() - begin
        costs.append(cost)
    begin = time.process_time()
    returned = scheme.encoded(sums)
    server += time.process_time() - begin
    mean = setting.model
    for cost in costs:
        begin = time.process_time()
        mean = scheme.decrypt(returned, setting.m)
        cost.seconds += time.process_time() - begin
        cost.down = len(returned)
    return Outcome(costs, server, mean)


WAYS: dict[str, Callable[[Setting, Path], Outcome]] = {
    "plain FedAvg": plain,
    "secagg": ours,
    "secagg, active model": lambda setting, folder: ours(setting, folder, active=True),
}


FULL = (Setting(10, 1_000_000), Setting(100, 100_000, dropped=10))
QUICK = (Setting(4, 1_000), Setting(5, 1_000, dropped=1))


def lines(setting: Setting, outcomes: dict[str, Outcome]) -> Iterator[str]:
    first = next(iter(outcomes.values()))
    base = median(cost.up + cost.down for cost in first.costs)
    client = median(cost.seconds for cost in first.costs)
    columns = ("", "up, bytes", "down, bytes", "to plain", "CPU of a site, ms", "beyond plain, ms", "of the server, ms",
               "tasks", "largest error")  # fmt: skip
    rows = []
    for name, outcome in outcomes.items():
        up, down = (median(getattr(cost, side) for cost in outcome.costs) for side in ("up", "down"))
        seconds = median(cost.seconds for cost in outcome.costs)
        rows.append(
            (
                name,
                f"{up:,.0f}",
                f"{down:,.0f}",
                f"{(up + down) / base:.3f}",
                number(1e3 * seconds),
                number(1e3 * (seconds - client)) if outcome is not first else "",
                number(1e3 * outcome.server_seconds),
                str(outcome.costs[0].tasks),
                f"{np.abs(outcome.mean - setting.mean).max():.2e}",
            )
        )
    yield from table(columns, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small round: seconds, to see that it works")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    ways = dict(WAYS)
    if find_spec("tenseal"):
        ways["FLARE's encryption (CKKS)"] = encrypted
    load, packages = os.getloadavg()[0], ("numpy", "cryptography", "nvflare")
    print("\n".join(machine_lines("time.process_time, time.thread_time", load, packages)), flush=True)
    for setting in QUICK if options.quick else FULL:
        outcomes = {}
        for name, way in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                outcomes[name] = way(setting, Path(folder))
        print(f"## {setting.title}\n", *lines(setting, outcomes), sep="\n", flush=True)


if __name__ == "__main__":
    main()
