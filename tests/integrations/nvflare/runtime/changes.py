"""Training code of the simulated sites: each adds a constant of its own, and some do worse.

changes.py --nan SITE --reshaped SITE
"""

import argparse

import numpy as np
import nvflare.client as flare
from nvflare.client import FLModel


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--nan", type=int)
    parser.add_argument("--reshaped", type=int)
    options = parser.parse_args()
    flare.init()
    u = int(flare.get_site_name().rpartition("-")[2])
    while flare.is_running():
        weights = np.asarray(flare.receive().params["numpy_key"]) + 0.01 * u
        if u == options.nan:
            weights[0] = np.nan
        if u == options.reshaped:
            weights = weights.T.copy()
        flare.send(
            FLModel(
                params={"numpy_key": weights},
                metrics={"accuracy": 0.01 * u},
                meta={"NUM_STEPS_CURRENT_ROUND": 10 * u},
            )
        )


main()
