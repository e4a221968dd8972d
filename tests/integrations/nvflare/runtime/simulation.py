"""Runs one job in FLARE's simulation environment: `simulation.py WORKSPACE SETTINGS`, the settings as JSON."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from nvflare.app_common.np.recipes.fedavg import NumpyFedAvgRecipe
from nvflare.recipe import SimEnv

from secagg.integrations.nvflare import Terms, secure


def main(workspace: str, sites: int, threads: int, rounds: int, terms: dict[str, Any], **options: Any) -> None:
    recipe = NumpyFedAvgRecipe(
        name="job",
        model=np.zeros((3, 4)),
        min_clients=sites,
        num_rounds=rounds,
        train_script=str(Path(__file__).with_name("changes.py")),
        train_args=options.pop("train_args", ""),
    )
    secure(recipe, Terms(**terms), **options)
    recipe.execute(SimEnv(num_clients=sites, num_threads=threads, workspace_root=workspace)).get_result()


if __name__ == "__main__":
    main(sys.argv[1], **json.loads(sys.argv[2]))
