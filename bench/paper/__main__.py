"""Runs `python -m bench.paper`."""

import sys

from .measure import main

main(sys.argv[1:])
