"""Runs `python -m bench.peers.federated`."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: CPU times are of one thread
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from .measure import main

main()
