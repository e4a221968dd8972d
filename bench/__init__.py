"""Benchmarks of speed and memory: `python -m bench.report` measures everything and writes RESULTS.md's tables."""
