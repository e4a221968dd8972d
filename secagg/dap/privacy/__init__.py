"""Differential privacy of a task: its extension, the noise and what a noisy result says."""
