"""Runs `python -m bench.peers`."""

from .measure import main

main()
