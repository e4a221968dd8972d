"""What a session costs over a sparse graph as n grows to 100,000: `python -m bench.sparse`, and its help."""
