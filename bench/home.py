"""Where things lie on the disk: one folder, `.reelproof` here or wherever REELPROOF_HOME points."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Home:
    """The folder that holds everything Reelproof writes. Deleting it loses results and caches, nothing else."""

    root: Path

    @classmethod
    def default(cls) -> "Home":
        """`$REELPROOF_HOME`, else `.reelproof` in the current folder."""
        return cls(Path(os.environ.get("REELPROOF_HOME") or ".reelproof").resolve())

    @property
    def videos(self) -> Path:
        """Generated data sets, as video files."""
        return self.root / "videos"

    @property
    def frames(self) -> Path:
        """Frame stores. May be deleted at any time: they are made again."""
        return self.root / "frames"

    @property
    def cache(self) -> Path:
        """Features, predictions and fitted models. May be deleted at any time: they are computed again."""
        return self.root / "cache"

    @property
    def checkpoints(self) -> Path:
        """Checkpoint folders written by `reelproof pretrain` and the anchors."""
        return self.root / "checkpoints"

    @property
    def weights(self) -> Path:
        """Canonical copies of judged checkpoints, by weight hash, so that a row can be run again."""
        return self.root / "weights"

    @property
    def training(self) -> Path:
        """State of unfinished trainings."""
        return self.root / "training"

    @property
    def results(self) -> Path:
        """One immutable folder a result. The truth of the board."""
        return self.root / "results"

    @property
    def logs(self) -> Path:
        """What the processes of the service print."""
        return self.root / "logs"

    @property
    def database_url(self) -> str:
        """Queue and ledger; SQLite unless REELPROOF_DATABASE names another."""
        return os.environ.get("REELPROOF_DATABASE") or f"sqlite:///{self.root / 'service.sqlite'}"
