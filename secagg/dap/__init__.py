"""DAP, the Distributed Aggregation Protocol of draft-ietf-ppm-dap-18, with differential privacy."""
