"""The tables, the same for SQLite and PostgreSQL.

Leader and Helper use the same schema, each a part of it; a store belongs to one role. Secrets and shares are sealed
(`vault`); uploaded reports stay as their Clients encrypted them. Times in columns named `bucket`, `start` or `end` are
counted in the task's time_precision; all other times are POSIX seconds.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)

metadata = MetaData()

_KEY = BigInteger().with_variant(Integer, "sqlite")  # which SQLite numbers by itself


def _task() -> Column[int]:
    return Column("task", ForeignKey("tasks.key"), nullable=False, primary_key=True, autoincrement=False)


hpke_keys = Table(
    "hpke_keys",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("config", LargeBinary, nullable=False),
    Column("private_key", LargeBinary, nullable=False),  # sealed
    Column("created", Float, nullable=False),
    Column("advertised_until", Float),  # Clients are told of it until then
    Column("accepted_until", Float),  # new reports may use it until then
)

tasks = Table(
    "tasks",
    metadata,
    Column("key", _KEY, primary_key=True),
    Column("id", LargeBinary, nullable=False, unique=True),
    Column("configuration", LargeBinary, nullable=False),
    Column("dialect", Text),  # its name; NULL of tasks that were stored before there was this column
    Column("secrets", LargeBinary, nullable=False),  # sealed
    Column("created", Float, nullable=False),
    Column("deleted", Boolean, nullable=False, server_default=text("false")),  # its marks and ledger stay
)

# Tasks that are advertised, and with whom.

peers = Table(
    "peers",
    metadata,
    Column("key", _KEY, primary_key=True),
    Column("leader", Text, nullable=False),  # URLs
    Column("helper", Text, nullable=False),
    Column("secrets", LargeBinary, nullable=False),  # sealed
    Column("created", Float, nullable=False),
)

advertised = Table(
    "advertised",
    metadata,
    _task(),
    Column("peer", BigInteger, nullable=False),  # stays after the peer is deleted
    Column("created", Float, nullable=False),
    Column("ends", Float),  # NULL if the task need not end
)
Index("advertised_created", advertised.c.peer, advertised.c.created)

old_tokens = Table(
    "old_tokens",
    metadata,
    _task(),
    Column("hash", LargeBinary, nullable=False),  # of the token before the present one; sealed
    Column("until", Float, nullable=False),  # it is accepted until then
)

client_tokens = Table(
    "client_tokens",
    metadata,
    _task(),
    Column("name", Text, primary_key=True),  # the operator's
    Column("hash", LargeBinary, nullable=False),  # sealed
    Column("created", Float, nullable=False),
)

# Uploads and aggregation jobs of the Leader.

jobs = Table(
    "jobs",
    metadata,
    Column("key", _KEY, primary_key=True),
    Column("task", ForeignKey("tasks.key"), nullable=False),
    Column("batch", LargeBinary),  # the batch ID, in leader-selected mode
    Column("resource", Text),  # where the Helper keeps it
    Column("problem", Text),  # why it was postponed, in words
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("due", Float, nullable=False),  # nobody else may work on it before
    sqlite_autoincrement=True,  # a number is never used again: a worker that is late must not end another job
)
Index("jobs_due", jobs.c.due)
Index("jobs_batch", jobs.c.task, jobs.c.batch)

reports = Table(
    "reports",
    metadata,
    Column("key", _KEY, primary_key=True),
    Column("task", ForeignKey("tasks.key"), nullable=False),
    Column("id", LargeBinary, nullable=False),
    Column("bucket", BigInteger, nullable=False),
    Column("job", BigInteger),
    Column("body", LargeBinary),  # the Report; NULL once its job has ended
)
Index("reports_id", reports.c.task, reports.c.id, unique=True)
_open = reports.c.body.is_not(None)
_waiting = _open & reports.c.job.is_(None)
_assigned = reports.c.job.is_not(None)
Index(
    "reports_open",
    reports.c.task,
    reports.c.bucket,
    reports.c.job,
    sqlite_where=_open,
    postgresql_where=_open,
)
Index("reports_waiting", reports.c.task, reports.c.key, sqlite_where=_waiting, postgresql_where=_waiting)
Index("reports_job", reports.c.job, sqlite_where=_assigned, postgresql_where=_assigned)

batches = Table(
    "batches",
    metadata,
    _task(),
    Column("batch", LargeBinary, primary_key=True),
    Column("created", Float, nullable=False),
    Column("reports", BigInteger, nullable=False),  # assigned, less those that were rejected
)

# Aggregation jobs of the Helper.

helper_jobs = Table(
    "helper_jobs",
    metadata,
    _task(),
    Column("id", LargeBinary, primary_key=True),
    Column("request", LargeBinary),  # until it is answered
    Column("response", LargeBinary),
    Column("digest", LargeBinary),  # of the request, where the Leader has chosen the ID
    Column("due", Float),  # nobody else may work on it before; NULL once it is answered
    Column("created", Float, nullable=False),
)
Index("helper_jobs_due", helper_jobs.c.due)

aggregated = Table(
    "aggregated",
    metadata,
    _task(),
    Column("report", LargeBinary, primary_key=True),
    Column("bucket", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Batch buckets, and the releases from them.

buckets = Table(
    "buckets",
    metadata,
    _task(),
    Column("bucket", LargeBinary, primary_key=True),
    Column("share", LargeBinary, nullable=False),  # sealed
    Column("count", BigInteger, nullable=False),
    Column("checksum", LargeBinary, nullable=False),
    Column("start", BigInteger, nullable=False),  # of the interval of its reports' times
    Column("end", BigInteger, nullable=False),
)

collected = Table(
    "collected",
    metadata,
    _task(),
    Column("batch", LargeBinary, primary_key=True),  # the encoded Interval or the batch ID
    Column("start", BigInteger),
    Column("end", BigInteger),
    Column("digest", LargeBinary, nullable=False),  # of the share that left, noise included
)
Index("collected_end", collected.c.task, collected.c.end)  # most reports are newer than most of what is collected

ledger = Table(
    "ledger",
    metadata,
    _task(),
    Column("batch", LargeBinary, primary_key=True),
    Column("spent", Float, nullable=False),  # when
)

journals = Table(
    "journals",
    metadata,
    Column("id", LargeBinary, primary_key=True),  # of a journal of releases, a file outside the database
)

collection_jobs = Table(
    "collection_jobs",
    metadata,
    _task(),
    Column("id", LargeBinary, primary_key=True),
    Column("digest", LargeBinary, nullable=False),  # of the request
    Column("request", LargeBinary, nullable=False),
    Column("share_request", LargeBinary),  # the AggregateShareReq, once our own share is noised and sealed
    Column("response", LargeBinary),  # first without the Helper's share
    Column("finished", Boolean, nullable=False, server_default=text("false")),
    Column("problem", Text),
    Column("waiting", Text),  # what for, in words
    Column("start", BigInteger),  # of its interval, from when that takes no more reports until the job has failed
    Column("end", BigInteger),
    Column("batch", LargeBinary),  # the ID of a batch whose last reports it waits for; then the batch it has collected
    Column("open_reports", BigInteger),  # of its batch, when their number was seen to change last
    Column("asked", Float),  # since when the Helper's share is awaited, or before that for any of these reports
    Column("share_location", Text),  # where the Helper keeps its share
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("due", Float),  # nobody else may work on it before; NULL once it has ended
    Column("created", Float, nullable=False),
)
Index("collection_jobs_digest", collection_jobs.c.task, collection_jobs.c.digest, unique=True)
Index("collection_jobs_due", collection_jobs.c.due)
collection_jobs_end = Index("collection_jobs_end", collection_jobs.c.task, collection_jobs.c.end)

aggregate_shares = Table(
    "aggregate_shares",
    metadata,
    _task(),
    Column("id", LargeBinary, primary_key=True),  # follows from the request
    Column("batch", LargeBinary, nullable=False),
    Column("response", LargeBinary),  # NULL once it is deleted
    Column("created", Float, nullable=False),
)

# What became of reports, for the operator to look at.

outcomes = Table(
    "outcomes",
    metadata,
    _task(),
    Column("hour", BigInteger, primary_key=True, autoincrement=False),  # since 1970
    Column("stage", Text, primary_key=True),  # where that was decided
    Column("outcome", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
)
Index("outcomes_hour", outcomes.c.hour)

# What is noticed of tasks.

task_watch = Table(
    "task_watch",
    metadata,
    _task(),
    Column("helper", Text),  # at the Leader, what its Helper said of the task; NULL before it was asked
    Column("reason", Text),  # in its words
    Column("checked", Float),  # when it was asked last
    Column("attempts", Integer, nullable=False, server_default=text("0")),  # in a row that did not succeed
    Column("due", Float, nullable=False),  # nobody asks it before
)
