"""Coverage-guided fuzzing of every decoder: `python -m fuzz.fuzz_decoders`, which needs the `fuzz` extra."""
