"""The tables behind queue and ledger. SQLite by default; another database by changing one URL (REELPROOF_DATABASE)."""

from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    DateTime,
    Engine,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
)
from sqlalchemy.engine import make_url

METADATA = MetaData()

SUBMISSIONS = Table(
    "submission",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("identity", String, nullable=False, unique=True),
    Column("body", Text, nullable=False),  # the Submission, as JSON
    Column("status", String, nullable=False, index=True),
    Column("attempts", Integer, nullable=False, default=0),
    Column("note", Text, nullable=False, default=""),
    Column("created", DateTime, nullable=False),  # UTC, as all times here
    Column("changed", DateTime, nullable=False),
    Column("result_id", String),
    Column("worker", String),
    Column("lease_until", DateTime),
    Column("heartbeat", DateTime),
)

PROGRESS = Table(
    "progress",
    METADATA,
    Column("submission_id", Integer, ForeignKey("submission.id"), primary_key=True),
    Column("step", String, primary_key=True),
    Column("state", String, nullable=False),
    Column("share", Float, nullable=False),
    Column("words", Text, nullable=False),
    Column("started", DateTime, nullable=False),
    Column("changed", DateTime, nullable=False),
)

LEDGER = Table(
    "ledger",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("time", DateTime, nullable=False),
    Column("event", String, nullable=False),
    Column("encoder_hash", String, nullable=False, index=True),
    Column("suite", String, nullable=False),
    Column("words", Text, nullable=False),
    Column("submission_id", Integer),
    Column("result_id", String),
)


def connect(url: str) -> Engine:
    """Open the database, making it and its tables where they do not exist.

    Raises:
        ValueError: If SQLAlchemy cannot make sense of the URL.
    """
    try:
        parsed = make_url(url)
    except Exception as error:
        raise ValueError(
            f"{url!r} is no database URL. Expected is e.g. sqlite:///service.sqlite or postgresql+psycopg://..."
        ) from error
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed)
    if parsed.get_backend_name() == "sqlite":

        @event.listens_for(engine, "connect")
        def _several_processes(connection: Any, _record: Any) -> None:
            connection.execute("PRAGMA journal_mode=WAL")  # readers do not wait for the writer
            connection.execute("PRAGMA busy_timeout=10000")

    METADATA.create_all(engine)
    return engine
