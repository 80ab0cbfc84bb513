"""The queue: who waits, who is judged, and how far it has come. The only writer of its tables.

A worker holds a submission under a lease and renews it while it works. When the lease runs out the submission goes back
to the queue, up to a number of attempts. Two workers never hold the same one: a claim is one statement.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Engine, delete, func, insert, select, update
from sqlalchemy.engine import Row
from sqlalchemy.exc import IntegrityError

from submissions.database import PROGRESS, SUBMISSIONS
from submissions.schema import NEXT, Entry, StageProgress, Status, Submission

LEASE = timedelta(seconds=90)
ATTEMPTS = 3


class LeaseLostError(Exception):
    """Another worker may hold the submission now; whoever gets this stops at once."""


class Queue:
    """All submissions of a service."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, submission: Submission) -> tuple[Entry, bool]:
        """Put a submission at the end; an identical request is found instead. Tells which it was (True: new)."""
        now = _now()
        values = {
            "identity": submission.identity,
            "body": submission.model_dump_json(),
            "status": Status.QUEUED,
            "attempts": 0,
            "note": "",
            "created": now,
            "changed": now,
        }
        try:
            with self._engine.begin() as db:
                made = db.execute(insert(SUBMISSIONS).values(**values).returning(SUBMISSIONS.c.id)).scalar_one()
        except IntegrityError:
            with self._engine.connect() as db:
                found = db.execute(select(SUBMISSIONS.c.id).where(SUBMISSIONS.c.identity == submission.identity))
                return self.entry(found.scalar_one()), False
        return self.entry(made), True

    def claim(self, worker: str) -> Entry | None:
        """Take the oldest queued submission under a lease; None if none waits. First frees those whose lease ran out."""
        now = _now()
        self._free(SUBMISSIONS.c.lease_until < now, now)
        oldest = (
            select(SUBMISSIONS.c.id)
            .where(SUBMISSIONS.c.status == Status.QUEUED)
            .order_by(SUBMISSIONS.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)  # PostgreSQL; SQLite has one writer at a time anyway
        )
        with self._engine.begin() as db:
            taken = db.execute(
                update(SUBMISSIONS)
                .where(SUBMISSIONS.c.id == oldest.scalar_subquery())
                .values(
                    status=Status.RUNNING,
                    worker=worker,
                    attempts=SUBMISSIONS.c.attempts + 1,
                    lease_until=now + LEASE,
                    heartbeat=now,
                    changed=now,
                )
                .returning(SUBMISSIONS.c.id)
            ).scalar_one_or_none()
            if taken is not None:
                db.execute(delete(PROGRESS).where(PROGRESS.c.submission_id == taken))
        return None if taken is None else self.entry(taken)

    def renew(self, entry_id: int, worker: str) -> None:
        """Say that the work goes on.

        Raises:
            LeaseLostError: If the lease is no longer this worker's.
        """
        now = _now()
        with self._engine.begin() as db:
            kept = db.execute(
                update(SUBMISSIONS)
                .where(
                    SUBMISSIONS.c.id == entry_id, SUBMISSIONS.c.worker == worker, SUBMISSIONS.c.status == Status.RUNNING
                )
                .values(lease_until=now + LEASE, heartbeat=now)
            ).rowcount
        if not kept:
            raise LeaseLostError(f"submission {entry_id} is no longer held by {worker}")

    def tell(self, entry_id: int, step: str, state: str, share: float, words: str) -> None:
        """Record how far a step has come."""
        now = _now()
        with self._engine.begin() as db:
            this = (PROGRESS.c.submission_id == entry_id) & (PROGRESS.c.step == step)
            if state != "waiting":  # a step's time begins with its work
                db.execute(update(PROGRESS).where(this, PROGRESS.c.state == "waiting").values(started=now))
            changed = db.execute(
                update(PROGRESS).where(this).values(state=state, share=share, words=words, changed=now)
            ).rowcount
            if not changed:
                db.execute(
                    insert(PROGRESS).values(
                        submission_id=entry_id,
                        step=step,
                        state=state,
                        share=share,
                        words=words,
                        started=now,
                        changed=now,
                    )
                )

    def identify(self, entry_id: int, submission: Submission) -> None:
        """Complete an anchor's request with the checkpoint that was made for it. Its identity stays."""
        with self._engine.begin() as db:
            db.execute(
                update(SUBMISSIONS)
                .where(SUBMISSIONS.c.id == entry_id)
                .values(body=submission.model_dump_json(), changed=_now())
            )

    def move(
        self, entry_id: int, to: Status, *, worker: str | None = None, note: str = "", result_id: str | None = None
    ) -> None:
        """Change where a submission stands.

        Raises:
            ValueError: If that is no legal move from where it stands.
            LeaseLostError: If `worker` is given and does not hold it.
        """
        with self._engine.begin() as db:
            row = db.execute(
                select(SUBMISSIONS.c.status, SUBMISSIONS.c.worker).where(SUBMISSIONS.c.id == entry_id)
            ).one_or_none()
            if row is None:
                raise ValueError(f"there is no submission {entry_id}")
            now = Status(row.status)
            if worker is not None and row.worker != worker:
                raise LeaseLostError(f"submission {entry_id} is no longer held by {worker}")
            if to not in NEXT[now]:
                raise ValueError(f"submission {entry_id} is {now} and cannot become {to}")
            values = {"status": to, "note": note, "changed": _now(), "worker": None, "lease_until": None}
            if result_id is not None:
                values["result_id"] = result_id
            if to == Status.QUEUED and now in (Status.FAILED, Status.REJECTED):
                values["attempts"] = 0
            done = db.execute(
                update(SUBMISSIONS).where(SUBMISSIONS.c.id == entry_id, SUBMISSIONS.c.status == now).values(**values)
            )
            if not done.rowcount:
                raise LeaseLostError(f"submission {entry_id} was changed by another process meanwhile")

    def release(self, entry_id: int, worker: str) -> None:
        """Give a submission back unharmed (the worker was asked to stop); the attempt does not count."""
        with self._engine.begin() as db:
            db.execute(
                update(SUBMISSIONS)
                .where(
                    SUBMISSIONS.c.id == entry_id, SUBMISSIONS.c.worker == worker, SUBMISSIONS.c.status == Status.RUNNING
                )
                .values(
                    status=Status.QUEUED,
                    worker=None,
                    lease_until=None,
                    attempts=SUBMISSIONS.c.attempts - 1,
                    changed=_now(),
                )
            )

    def entry(self, entry_id: int) -> Entry:
        """One submission with its progress."""
        return next(entry for entry in self.entries() if entry.id == entry_id)

    def entries(self) -> list[Entry]:
        """All submissions, oldest first."""
        with self._engine.connect() as db:
            rows = db.execute(select(SUBMISSIONS).order_by(SUBMISSIONS.c.id)).all()
            steps = db.execute(select(PROGRESS).order_by(PROGRESS.c.started)).all()
        by_submission: dict[int, list[StageProgress]] = {}
        for step in steps:
            until = _now() if step.state == "running" else step.changed
            by_submission.setdefault(step.submission_id, []).append(
                StageProgress(
                    step=step.step,
                    state=step.state,
                    share=step.share,
                    words=step.words,
                    seconds=(until - step.started).total_seconds(),
                )
            )
        return [_entry(row, tuple(by_submission.get(row.id, ()))) for row in rows]

    def waiting(self) -> int:
        """How many submissions wait or run."""
        with self._engine.connect() as db:
            return db.execute(
                select(func.count()).where(SUBMISSIONS.c.status.in_([Status.QUEUED, Status.RUNNING]))
            ).scalar_one()

    def holders(self) -> set[str]:
        """The workers that hold a submission."""
        with self._engine.connect() as db:
            return set(db.scalars(select(SUBMISSIONS.c.worker).where(SUBMISSIONS.c.status == Status.RUNNING)))

    def free_of(self, worker: str) -> None:
        """Free what a worker holds that is known to be gone, without waiting for its lease to run out."""
        self._free(SUBMISSIONS.c.worker == worker, _now())

    def _free(self, lost: ColumnElement[bool], now: datetime) -> None:
        held = (SUBMISSIONS.c.status == Status.RUNNING) & lost
        freed = {"worker": None, "lease_until": None, "changed": now}
        with self._engine.begin() as db:
            db.execute(
                update(SUBMISSIONS)
                .where(held, SUBMISSIONS.c.attempts >= ATTEMPTS)
                .values(
                    status=Status.FAILED,
                    note=f"The worker was lost {ATTEMPTS} times. See its log, then submit again with --again.",
                    **freed,
                )
            )
            db.execute(
                update(SUBMISSIONS)
                .where(held)
                .values(status=Status.QUEUED, note="The worker was lost; another attempt follows.", **freed)
            )


def _entry(row: Row[tuple[object, ...]], progress: tuple[StageProgress, ...]) -> Entry:
    return Entry(
        id=row.id,
        submission=Submission.model_validate_json(row.body),
        status=Status(row.status),
        attempts=row.attempts,
        note=row.note,
        created=row.created.replace(tzinfo=UTC),
        changed=row.changed.replace(tzinfo=UTC),
        result_id=row.result_id,
        heartbeat=row.heartbeat.replace(tzinfo=UTC) if row.heartbeat else None,
        progress=progress,
    )


def _now() -> datetime:
    """UTC without its zone: what every database stores alike."""
    return datetime.now(UTC).replace(tzinfo=None)
