"""The three ways: each runs one round on a counting grid, and gives the model that comes out."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from flwr.app import Array as FlowerArray
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.client import NumPyClient
from flwr.client.mod import secaggplus_mod
from flwr.clientapp import ClientApp
from flwr.common import ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server import LegacyContext, ServerConfig
from flwr.server.strategy import FedAvg as LegacyFedAvg
from flwr.server.workflow import DefaultWorkflow, SecAggPlusWorkflow
from flwr.serverapp.strategy import FedAvg

from secagg import Identity, Params, Roster
from secagg.integrations import Coding
from secagg.integrations.flower import SecAggGrid, secagg_mod

from .grid import Alive, CountingGrid
from .work import BITS, CLIP, MAX_WEIGHT, Array, Setting

MASKED_INPUT = 3  # the message that asks for it, in ours
LEGACY_MASKED_INPUT = 3  # setup, share keys, collect masked vectors, unmask


def plain(setting: Setting) -> tuple[list[Array], CountingGrid]:
    """FedAvg; who drops out never answers."""
    grid = CountingGrid(_apps(setting, []), _dropping(setting, 1))
    return _fedavg(setting, grid), grid


def ours(setting: Setting, *, active: bool = False) -> tuple[list[Array], CountingGrid]:
    """The same, with `secagg_mod` at the nodes and the grid wrapped."""
    with TemporaryDirectory() as folder:
        policies, roster = _policies(setting, Path(folder), active)
        apps = _apps(setting, [secagg_mod()])
        grid = CountingGrid(
            [(app, config | {"secagg-policy": str(policies[i])}) for i, (app, config) in enumerate(apps)],
            _dropping(setting, MASKED_INPUT),
        )
        coding = Coding(clip=CLIP, bits=BITS, max_weight=MAX_WEIGHT)
        secure = SecAggGrid(grid, coding, {}, roster=roster)
        arrays = _fedavg(setting, secure)
        assert secure.last is not None
        grid.bound = secure.last.mean_error or 0.0
    return arrays, grid


def flowers(setting: Setting) -> tuple[list[Array], CountingGrid]:
    """SecAgg+ of Flower's legacy API, where everybody shares with everybody; as many shares as ours reveal a secret."""

    class Client(NumPyClient):  # type: ignore[misc]
        def __init__(self, node: int) -> None:
            self.node = node

        def fit(self, parameters: list[Array], config: dict[str, Any]) -> tuple[list[Array], int, dict[str, Any]]:
            return setting.train(self.node, parameters), setting.weight(self.node), {}

    def client(context: Context) -> Any:
        return Client(int(context.node_config["node"])).to_client()

    apps = [(ClientApp(client, mods=[secaggplus_mod]), {"node": node}) for node in range(setting.n)]
    grid = CountingGrid(apps, _dropping(setting, LEGACY_MASKED_INPUT))
    strategy = Keeping(
        fraction_evaluate=0.0,
        min_fit_clients=setting.n,
        min_available_clients=setting.n,
        initial_parameters=ndarrays_to_parameters(setting.model),
    )
    t = Params(n=setting.n, m=1, modulus=1 << 20).t
    secure = SecAggPlusWorkflow(setting.n, t, max_weight=float(MAX_WEIGHT), clipping_range=CLIP)
    context = LegacyContext(Context(0, 0, {}, RecordDict(), {}), ServerConfig(num_rounds=1), strategy)
    DefaultWorkflow(fit_workflow=secure)(grid, context)
    return strategy.arrays, grid


class Keeping(LegacyFedAvg):  # type: ignore[misc]
    """FedAvg that keeps what it has made."""

    arrays: list[Array]

    def aggregate_fit(self, server_round: int, results: Any, failures: Any) -> Any:
        parameters, metrics = super().aggregate_fit(server_round, results, failures)
        self.arrays = parameters_to_ndarrays(parameters)
        return parameters, metrics


def _fedavg(setting: Setting, grid: Any) -> list[Array]:
    strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=setting.n, min_available_nodes=setting.n)
    done = strategy.start(grid, ArrayRecord(setting.model), num_rounds=1)
    arrays: list[Array] = done.arrays.to_numpy_ndarrays()
    return arrays


def _apps(setting: Setting, mods: list[Any]) -> list[tuple[ClientApp, dict[str, Any]]]:
    app = ClientApp()

    @app.train(mods=mods)  # type: ignore[untyped-decorator]
    def train(message: Message, context: Context) -> Message:
        node = int(context.node_config["node"])
        arrays = message.content.array_records["arrays"]
        trained = setting.train(node, arrays.to_numpy_ndarrays())
        new = ArrayRecord({name: FlowerArray(each) for name, each in zip(arrays, trained, strict=True)})
        metrics = MetricRecord({"num-examples": setting.weight(node)})
        return Message(RecordDict({"arrays": new, "metrics": metrics}), reply_to=message)

    return [(app, {"node": node}) for node in range(setting.n)]


def _dropping(setting: Setting, message: int) -> Alive:
    """The first nodes answer no message from this one on."""
    return lambda node, number: node >= setting.dropped or number < message


def _policies(setting: Setting, folder: Path, active: bool) -> tuple[list[Path], Roster | None]:
    """Everybody's policy, and the roster in the active model."""
    coding = f"[coding]\nclip = {CLIP}\nbits = {BITS}\nmax_weight = {MAX_WEIGHT}\n"
    files = [folder / f"{node}" / "policy.toml" for node in range(setting.n)]
    identities = {u: Identity.generate() for u in range(1, setting.n + 1)} if active else {}
    roster = Roster({u: each.verification_key for u, each in identities.items()}) if active else None
    if roster is not None:
        roster.write(folder / "roster.txt")
    for u, file in enumerate(files, 1):
        file.parent.mkdir()
        protection = '[protection]\nmodel = "semi-honest"\n'
        if active:
            identities[u].save(file.parent / "identity.pem")
            protection = '[protection]\nroster = "../roster.txt"\nidentity = "identity.pem"\n'
        file.write_text(protection + coding)
    return files, roster
