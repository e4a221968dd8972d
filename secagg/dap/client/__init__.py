"""The Client and the Collector: those who ask the Aggregators."""
