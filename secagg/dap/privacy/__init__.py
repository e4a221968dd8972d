"""Differential privacy of a task: its extension, its noise, and what a noisy result says."""
