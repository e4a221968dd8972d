"""Benchmarks of speed and memory: `python -m bench.report` measures all and writes the tables of results/suites.md."""
