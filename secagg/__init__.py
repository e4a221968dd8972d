"""Secure aggregation: a server learns the sum of many clients' private vectors and nothing else."""

from pathlib import Path


def get_include() -> str:
    """Directory that holds `secagg.h`, for a C compiler's -I."""
    return str(Path(__file__).with_name("include"))
