"""Differential privacy: budgets, exact discrete noise, and the accuracy that each choice buys."""
