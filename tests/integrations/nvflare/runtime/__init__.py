"""FLARE's own runtimes, in processes: its simulator, and a provisioned deployment."""
