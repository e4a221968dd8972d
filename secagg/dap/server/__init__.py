"""The Aggregators behind HTTP: resources, limits, configuration and processes."""
