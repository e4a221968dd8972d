"""What the coordinator of the service costs."""
