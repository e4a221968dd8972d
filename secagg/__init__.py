"""Secure aggregation: a server learns the sum of many clients' private vectors and nothing else."""
