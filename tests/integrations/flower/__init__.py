"""Tests of the Flower adapters; they need flwr, and run in an environment of their own."""
