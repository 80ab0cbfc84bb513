"""From a suite's name, or somebody's folder, to opened videos."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.cores import cores
from bench.home import Home
from bench.run import Videos
from bench.schema import ClipSpec, content_hash
from bench.suites.mini_v1 import LOCAL_TEMPLATE, MINI_V1, REFERENCE_TABLES
from bench.suites.protocol import DatasetProtocol, Suite
from bench.video.clips import Clips
from bench.video.datasets.embedded import embedded
from bench.video.datasets.folder import folder_dataset
from bench.video.frame_store import build_store
from bench.video.index import Dataset

SUITES = {MINI_V1.name: MINI_V1}

Report = Callable[[str, float], None]


def suite_named(name: str) -> Suite:
    """The suite of this name.

    Raises:
        ValueError: If there is none, naming those there are.
    """
    if name not in SUITES:
        raise ValueError(f"There is no suite {name!r}. There is: {', '.join(SUITES)}. For your own videos use --data.")
    return SUITES[name]


def open_suite(suite: Suite, home: Home, report: Report) -> dict[str, Videos]:
    """Make or find every data set of a suite, and its frame stores."""
    opened: dict[str, Videos] = {}
    for number, protocol in enumerate(suite.datasets):

        def partly(words: str, share: float, *, number: int = number, name: str = protocol.name) -> None:
            report(f"{name}: {words}", (number + share) / len(suite.datasets))

        dataset = embedded(protocol.name, home.videos, workers=cores(), report=partly)
        opened[protocol.name] = open_videos(dataset, suite.clip, home, partly)
    return opened


def open_folder(folder: Path, home: Home, report: Report) -> tuple[Suite, dict[str, Videos]]:
    """Somebody's own videos, and the suite that is mini's settings upon them."""
    dataset = folder_dataset(folder)
    videos = open_videos(dataset, LOCAL_TEMPLATE.clip, home, report)
    manifest = content_hash({"manifest": dataset_manifest(dataset), "frames": videos.frames_digest})
    protocol = DatasetProtocol(name=dataset.name, manifest_hash=manifest, num_classes=len(dataset.train.class_names))
    suite = LOCAL_TEMPLATE.model_copy(update={"name": f"local:{manifest[:12]}", "datasets": (protocol,)})
    return suite, {dataset.name: videos}


def open_videos(dataset: Dataset, clip: ClipSpec, home: Home, report: Report) -> Videos:
    """Build or find the frame stores of a data set's splits."""
    sets = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    done, total = 0, sum(len(split) for split in sets.values())
    stores = {}
    for name, split in sets.items():

        def counted(ready: int, _of: int, *, done: int = done) -> None:
            report("decoding", (done + ready) / total)

        stores[name] = build_store(split, resize=clip.resize, folder=home.frames, workers=cores(), progress=counted)
        done += len(split)
    digest = hashlib.sha256("".join(stores[name].digest for name in sorted(stores)).encode()).hexdigest()
    return Videos(dataset, Clips(clip, sets, stores), digest)


def dataset_manifest(dataset: Dataset) -> str:
    """One hash over the manifests of all splits that are judged."""
    splits = (dataset.train, dataset.validation, dataset.test)
    return content_hash({"name": dataset.name, "splits": [split.manifest_hash for split in splits]})


def reference_logits(suite: Suite) -> dict[str, NDArray[np.float32]]:
    """The tables of logits of the suite's reference teacher, checked against their digests.

    Raises:
        AssertionError: If a table is not the one that the suite names.
    """
    tables = {}
    for name, digest in suite.distillation.reference_digest.items():
        content = REFERENCE_TABLES[name].read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest, (
            f"{REFERENCE_TABLES[name]} is not the table of {suite.name}"
        )
        with np.load(REFERENCE_TABLES[name], allow_pickle=False) as stored:
            tables[name] = stored["logits"].astype(np.float32)
    return tables
