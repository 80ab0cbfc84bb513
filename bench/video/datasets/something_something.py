"""Something-Something V2: 220,847 short clips of 174 things that people do with things; looks tell little.

Source: Goyal et al., "The 'something something' video database for learning and evaluating visual common sense", ICCV
2017; version 2. The class is the template with its square brackets removed. Labels of the official test set are not
public, so its validation set is what one tests on, as everywhere; validation is carved from train. A source is the video.
"""

from pathlib import Path

from bench.video.datasets.official import Description, first_folder, read_json, with_validation
from bench.video.index import Dataset, Video, VideoSet, some

SSV2 = Description(
    name="ssv2",
    title="Something-Something V2",
    num_videos=220847,
    num_classes=174,
    gigabytes=19.4,
    licence="Something-Something V2 licence; research use",
    source="the video",
    layout="20bn-something-something-v2/ID.webm and something-something-v2-{labels,train,validation}.json",
    obtain="the parts of 20bn-something-something-v2 and its labels from Qualcomm's developer site",
)


def ssv2(root: Path, *, lists: Path | None = None) -> Dataset:
    """Something-Something V2.

    Args:
        root: Holds the videos, in 20bn-something-something-v2 or directly.
        lists: Folder of the JSON files, where it is not `root` or `root/labels`.

    Raises:
        ValueError: A JSON file is missing or not as expected. Missing videos are not looked for here.
    """
    rest = ssv2_set(root, "train", lists=lists)
    test = ssv2_set(root, "validation", lists=lists)
    return with_validation(SSV2, rest.videos, test.videos, test.class_names)


def ssv2_set(root: Path, part: str, *, lists: Path | None = None) -> VideoSet:
    """The official `train` or `validation` videos."""
    places = (lists,) if lists is not None else (root, root / "labels")
    labels = read_json(_json(places, "labels"))
    class_names = tuple(sorted(labels, key=lambda name: int(labels[name])))
    folder = first_folder(root / "20bn-something-something-v2", root)
    path = _json(places, part)
    videos, strange = [], []
    for row in read_json(path):
        template = row.get("template", "").replace("[", "").replace("]", "")
        if template not in labels:
            strange.append(f"{row.get('id')} ({template or 'no template'})")
            continue
        videos.append(Video(row["id"], folder / f"{row['id']}.webm", int(labels[template]), row["id"]))
    if strange:
        raise ValueError(
            f"{path} has {len(strange)} videos of classes that are not in the list of labels: {some(strange)}."
        )
    return VideoSet(f"ssv2 {part}", tuple(videos), class_names)


def _json(places: tuple[Path, ...], what: str) -> Path:
    """The file of this content, under the name of its first or its second home."""
    for name in (f"something-something-v2-{what}.json", f"{what}.json"):
        for place in places:
            if (place / name).is_file():
                return place / name
    raise ValueError(f"there is no something-something-v2-{what}.json in {' or '.join(map(str, places))}.")
