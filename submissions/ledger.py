"""The ledger: every admission, score and verdict, with its reason. Lines are added, never changed or removed."""

from datetime import UTC, datetime

from sqlalchemy import Engine, insert, select

from submissions.database import LEDGER
from submissions.schema import Event


class Ledger:
    """What happened, in order."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def record(
        self,
        event: str,
        *,
        encoder_hash: str,
        suite: str,
        words: str,
        submission_id: int | None = None,
        result_id: str | None = None,
    ) -> None:
        """Add a line."""
        with self._engine.begin() as db:
            db.execute(
                insert(LEDGER).values(
                    time=datetime.now(UTC).replace(tzinfo=None),
                    event=event,
                    encoder_hash=encoder_hash,
                    suite=suite,
                    words=words,
                    submission_id=submission_id,
                    result_id=result_id,
                )
            )

    def events(self, encoder_hash: str | None = None) -> list[Event]:
        """All lines, oldest first; of one encoder where its hash is given."""
        query = select(LEDGER).order_by(LEDGER.c.id)
        if encoder_hash is not None:
            query = query.where(LEDGER.c.encoder_hash == encoder_hash)
        with self._engine.connect() as db:
            rows = db.execute(query).all()
        return [
            Event(
                time=row.time.replace(tzinfo=UTC),
                event=row.event,
                encoder_hash=row.encoder_hash,
                suite=row.suite,
                words=row.words,
                submission_id=row.submission_id,
                result_id=row.result_id,
            )
            for row in rows
        ]
