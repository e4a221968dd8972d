"""Federated averaging on handwritten digits in NVIDIA FLARE, each mean through secure aggregation.

    python digits_job.py --sites 4                 # in FLARE's simulation environment
    python digits_job.py --sites 4 --plain         # the same without secure aggregation
    python digits_job.py --kit PATH                # in a deployment: PATH is the folder of an admin's startup kit

In a deployment, each site's operator puts `site/privacy.json` and `site/secagg.toml` in the site's `local` folder; here
the simulation's sites get them.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np
from nvflare.app_common.np.recipes.fedavg import NumpyFedAvgRecipe
from nvflare.recipe import ProdEnv, SimEnv

from secagg.integrations.nvflare import Terms, secure

HERE = Path(__file__).resolve().parent


def recipe_for(sites: int, rounds: int, plain: bool) -> NumpyFedAvgRecipe:
    recipe = NumpyFedAvgRecipe(
        name="plain-digits" if plain else "secure-digits",
        model=np.zeros((65, 10)),
        min_clients=sites,
        num_rounds=rounds,
        train_script=str(HERE / "digits_client.py"),
    )
    if plain:
        return recipe
    terms = Terms(clip=2.0, max_weight=2000, metrics={"accuracy": {"mean": 1.0}}, min_users=3)
    return secure(recipe, terms, exchange_timeout=60.0)


def simulation(recipe: NumpyFedAvgRecipe, workspace: Path, sites: int, plain: bool) -> SimEnv:
    """FLARE's simulator; its sites share one `local` folder."""
    local = workspace / recipe.name / "local"
    local.mkdir(parents=True, exist_ok=True)
    for file in () if plain else (HERE / "site").iterdir():
        shutil.copy(file, local)
    return SimEnv(num_clients=sites, workspace_root=str(workspace))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sites", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plain", action="store_true", help="without secure aggregation")
    parser.add_argument("--workspace", type=Path, default=Path("workspace"), help="the simulation's folder")
    parser.add_argument("--kit", type=Path, help="an admin's startup kit: submit the job to its deployment")
    options = parser.parse_args()
    recipe = recipe_for(options.sites, options.rounds, options.plain)
    environment = (
        ProdEnv(startup_kit_location=str(options.kit), login_timeout=60.0)
        if options.kit
        else simulation(recipe, options.workspace.resolve(), options.sites, options.plain)
    )
    run = recipe.execute(environment)
    print("result:", run.get_result())


if __name__ == "__main__":
    main()
