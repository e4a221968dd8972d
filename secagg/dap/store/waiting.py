"""The oldest job of an Aggregator that has not ended."""

from sqlalchemy import func, select

from ..messages import Role
from .engine import Tx
from .schema import collection_jobs, helper_jobs


def find_oldest_job(tx: Tx, role: Role) -> float | None:
    """When it was made, in POSIX seconds; None if there is none.

    Args:
        tx: a transaction.
        role: LEADER, of whose collection jobs it is, or HELPER.
    """
    table = collection_jobs if role is Role.LEADER else helper_jobs
    waiting = table.c.due.is_not(None)
    created: float | None = tx.execute(select(func.min(table.c.created)).where(waiting)).scalar_one()
    return created
