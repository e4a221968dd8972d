"""A deployment of DAP under load, and under faults."""
