"""From a suite's name, or somebody's folder, to opened videos."""

import hashlib
import io
import os
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from bench.cores import cores
from bench.home import Home
from bench.run import Videos
from bench.schema import ClipSpec, content_hash
from bench.suites.conditions import OPTIONAL, with_conditions
from bench.suites.diving48_v1 import DIVING48_V1
from bench.suites.hmdb51_v1 import HMDB51_V1
from bench.suites.mini_v1 import LOCAL_TEMPLATE, MINI_V1
from bench.suites.protocol import DatasetProtocol, Suite
from bench.suites.ucf101_open_v1 import UCF101_OPEN_V1
from bench.suites.ucf101_v1 import UCF101_V1
from bench.video.check import missing
from bench.video.clips import Clips
from bench.video.datasets.diving48 import diving48
from bench.video.datasets.embedded import embedded
from bench.video.datasets.hmdb51 import hmdb51
from bench.video.datasets.own import own_videos
from bench.video.datasets.ucf101 import ucf101
from bench.video.frame_list import FrameReader
from bench.video.frame_store import Policy, Say, build_store, log_it, open_stream
from bench.video.index import Dataset, some

SUITES: Mapping[str, Suite] = MappingProxyType(
    {suite.name: suite for suite in (MINI_V1, UCF101_V1, HMDB51_V1, DIVING48_V1, UCF101_OPEN_V1)}
)

OPENERS: Mapping[str, Callable[[Path], Dataset]] = MappingProxyType(
    {"ucf101": ucf101, "hmdb51": hmdb51, "diving48": diving48}
)
"""Data sets of the suites that somebody must have, by name: from the folder they lie in to who is in them."""

Report = Callable[[str, float], None]


def suite_named(name: str) -> Suite:
    """The suite of this name; `NAME+CONDITIONS` is the same suite under other noise.

    Raises:
        ValueError: If there is none, naming those there are.
    """
    plain, _, conditions = name.partition("+")
    if plain not in SUITES:
        raise ValueError(
            f"There is no suite {name!r}. There is: {', '.join(SUITES)}; each also with +{' or +'.join(OPTIONAL)}. "
            "For your own videos use --data."
        )
    return with_conditions(SUITES[plain], conditions) if "+" in name else SUITES[plain]


def open_suite(
    suite: Suite, home: Home, report: Report, *, root: Path | None = None, stream: bool = False, say: Say = log_it
) -> dict[str, Videos]:
    """Make or find every data set of a suite, and its frame stores.

    Args:
        suite: The protocol.
        home: Where generated videos and frames are kept.
        report: Told what is going on.
        root: Where the official videos lie that the suite stands on; see `official_root`.
        stream: Store no frames, decode every clip anew; and
        say: is told what will be written: see `open_videos`.

    Raises:
        ValueError: If videos are missing, or their lists are not those of the suite.
    """
    opened: dict[str, Videos] = {}
    for number, protocol in enumerate(suite.datasets):

        def partly(words: str, share: float, *, number: int = number, name: str = protocol.name) -> None:
            report(f"{name}: {words}", (number + share) / len(suite.datasets))

        if protocol.name in OPENERS:
            dataset = official(suite, protocol, official_root(protocol.name, home, root))
        else:
            dataset = embedded(protocol.name, home.videos, workers=cores(), report=partly)
        opened[protocol.name] = open_videos(dataset, suite.clip, home, partly, stream=stream, say=say)
    return opened


def official_root(name: str, home: Home, root: Path | None) -> Path:
    """The folder of an official data set: `root/name`, else `root`; without a root `$REELPROOF_DATA/name`, else `data/name` at home.

    Raises:
        ValueError: If there is no such folder.
    """
    kept = os.environ.get("REELPROOF_DATA")
    places = [root / name, root] if root is not None else [Path(kept) / name] if kept else [home.root / "data" / name]
    for place in places:
        if place.is_dir():
            return place
    raise ValueError(
        f"{name} was looked for in {places[0]}, and there is no such folder. Say where it lies with --root DIR, or put it (or a "
        f"link to it) into a folder named {name} below $REELPROOF_DATA. `reelproof data list` says how to obtain it."
    )


def official(suite: Suite, protocol: DatasetProtocol, root: Path) -> Dataset:
    """An official data set of a suite.

    Raises:
        ValueError: If its lists are not those the suite was made from, or videos are missing.
    """
    dataset = OPENERS[protocol.name](root)
    if dataset_manifest(dataset) != protocol.manifest_hash:
        raise ValueError(
            f"The lists of {protocol.name} in {root} are not those of {suite.name}: its manifest is "
            f"{protocol.manifest_hash[:12]}, theirs {dataset_manifest(dataset)[:12]}. Other versions of the lists, or a part of the "
            "videos, make another data set: judge it with --data."
        )
    absent = [video_id for split in (dataset.train, dataset.validation, dataset.test) for video_id in missing(split)]
    if absent:
        raise ValueError(
            f"{len(absent)} videos of {protocol.name} are not in {root}: {some(absent)}. {suite.name} needs all of them; "
            f"`reelproof data check {protocol.name} --root {root}` lists what is missing."
        )
    return dataset


def open_folder(
    place: Path,
    home: Home,
    report: Report,
    *,
    unreadable: Policy = "stop",
    stream: bool = False,
    say: Say = log_it,
) -> tuple[Suite, dict[str, Videos]]:
    """Somebody's own videos, and the suite that is mini's settings upon them.

    Args:
        place: A folder of class folders, one that `datasets` wrote, or hf://ORG/NAME@commit.
        home: Where frames are kept, and videos that are not files yet.
        report: Told what is going on.
        unreadable: Whether a video that cannot be read ends the work, or is left out and named in the result.
        stream: Store no frames, decode every clip anew; and
        say: is told what will be written: see `open_videos`.
    """
    videos = open_videos(
        own_videos(place, home.videos, report),
        LOCAL_TEMPLATE.clip,
        home,
        report,
        unreadable=unreadable,
        stream=stream,
        say=say,
    )
    dataset = videos.dataset
    manifest = content_hash({"manifest": dataset_manifest(dataset), "frames": videos.frames_digest})
    protocol = DatasetProtocol(name=dataset.name, manifest_hash=manifest, num_classes=len(dataset.train.class_names))
    suite = LOCAL_TEMPLATE.model_copy(update={"name": f"local:{manifest[:12]}", "datasets": (protocol,)})
    return suite, {dataset.name: videos}


def open_videos(
    dataset: Dataset,
    clip: ClipSpec,
    home: Home,
    report: Report,
    *,
    unreadable: Policy = "stop",
    stream: bool = False,
    say: Say = log_it,
) -> Videos:
    """Build or find the frame stores of a data set's splits; the videos that are left out are in them no more.

    With `stream` no frames are stored: a set too large for the disk is decoded anew for every clip, to the same bytes.
    `say` is told of every split, before the work, how much will be written and where.
    """
    sets = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    done, total = 0, sum(len(split) for split in sets.values())
    stores: dict[str, FrameReader] = {}
    for name, split in sets.items():

        def counted(ready: int, _of: int, *, done: int = done) -> None:
            report("decoding", (done + ready) / total)

        stores[name] = (open_stream if stream else build_store)(
            split,
            resize=clip.resize,
            folder=home.frames,
            workers=cores(),
            progress=counted,
            unreadable=unreadable,
            say=say,
        )
        done += len(split)
    left_out = tuple(video_id for store in stores.values() for video_id in store.left_out)
    if left_out:
        dataset = dataset.without(left_out)
        sets = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    digest = hashlib.sha256("".join(stores[name].digest for name in sorted(stores)).encode()).hexdigest()
    return Videos(dataset, Clips(clip, sets, stores), digest, left_out)


def dataset_manifest(dataset: Dataset) -> str:
    """One hash over the manifests of all splits that are judged."""
    splits = (dataset.train, dataset.validation, dataset.test)
    return content_hash({"name": dataset.name, "splits": [split.manifest_hash for split in splits]})


def reference_table(suite: str, dataset: str) -> Path:
    """Where the logits of a suite's reference teacher on the fixed training clips of a data set lie, if it has one."""
    plain, _, _ = suite.partition("+")
    return Path(str(files("bench.suites"))) / f"{plain.replace('-', '_')}_reference_{dataset}.npz"


def reference_logits(suite: Suite) -> dict[str, NDArray[np.float32]]:
    """The tables of logits of the suite's reference teacher, checked against their digests.

    Raises:
        AssertionError: If a table is not the one that the suite names.
    """
    tables = {}
    for name, digest in suite.distillation.reference_digest.items():
        path = reference_table(suite.name, name)
        content = path.read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest, f"{path} is not the table of {suite.name}"
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            tables[name] = stored["logits"].astype(np.float32)
    return tables
