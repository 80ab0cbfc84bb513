"""Somebody's own videos, in whatever form: a class folder, or a Hugging Face data set here or on the Hub."""

from collections.abc import Callable
from pathlib import Path

from bench.video.datasets.folder import folder_dataset
from bench.video.datasets.hub import hub_dataset, is_hub_dataset
from bench.video.index import Dataset

Report = Callable[[str, float], None]


def own_videos(place: str | Path, folder: Path, report: Report, *, split: int = 1) -> Dataset:
    """The videos as a data set named `local`.

    Args:
        place: A folder of class folders; a folder that `datasets` wrote; or `hf://ORG/NAME@commit`.
        folder: Where videos that are not files yet are written.
        report: Told while that goes on.
        split: Of a class folder with several pairs of lists.

    Raises:
        ValueError: There is nothing of the kind, or it cannot be judged.
    """
    if is_hub_dataset(str(place)):
        return hub_dataset(str(place), folder / "hub", report)
    return folder_dataset(Path(place), split=split)
