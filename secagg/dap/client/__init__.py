"""Clients and the Collector: who asks the Aggregators."""
