"""A Hugging Face data set with a Video column: saved here by `save_to_disk`, parquet files, or a Hub repository at a commit.

The `datasets` library reads it, undecoded; the files' bytes are put beside each other in a folder once, and from there on
they are video files like all others, decoded by us. Paths in a local data set are used where they are.

- A video's id is the stored file name without extension; where some rows lack one, or two rows share one, all are
  `split/row`, rows counted from 0.
- The class is the column of class labels, or one named `label`, `labels`, `class` or `class_name`; labels that are -1 or
  missing are withheld. Classes without any video are no classes here.
- The source is the column `group` or `source` where there is one, else the video.
- `test` is the judged split; where it is missing or its labels are withheld, `validation` is. Whatever part is then
  missing is carved from the training videos by whole sources: a fifth for test, a tenth for validation.

Read in datasets 5.2: a Video cast to decode=False yields {"bytes", "path"} (features/video.py); torchcodec is not needed.
"""

import errno
import hashlib
import json
import logging
import re
import shutil
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from filelock import FileLock

from bench.video.datasets.folder import GROUP_COLUMNS, TEST_SHARE, VALIDATION_SHARE, VIDEO_SUFFIXES
from bench.video.datasets.official import Description
from bench.video.index import Dataset, Video, VideoSet, some
from bench.video.splitting import carve

log = logging.getLogger(__name__)

Report = Callable[[str, float], None]

HUB = Description(
    name="hub",
    title="A Hugging Face data set with a Video column",
    num_videos=None,
    num_classes=None,
    gigabytes=None,
    licence="its card's",
    source="the column `group` or `source`; without one, the video",
    layout="a folder of save_to_disk, a folder of parquet files, or a repository; columns video, label",
    obtain="your own, or anyone's; give the folder, or hf://ORG/NAME@commit, in place of a name",
)
REPOSITORY = re.compile(r"hf:/{1,2}(?:datasets/)?(?P<repo>[\w.-]+/[\w.-]+?)(?:@(?P<revision>[\w./-]+))?/?")
"""With one slash, too: that is what is left of the two in a path."""

COMMIT = re.compile(r"[0-9a-f]{40}")
LABEL_COLUMNS = ("label", "labels", "class", "class_name")
SAVED = ("dataset_dict.json", "state.json")


@dataclass(frozen=True)
class Row:
    """One video of a Hugging Face data set, as it is kept in the list of those that were read."""

    split: str
    number: int
    file: str
    """Below the folder of the list, or absolute."""

    name: str
    """As stored, without extension; empty where there is none."""

    label: str | None
    source: str


def is_hub_dataset(place: str) -> bool:
    """Whether this names a repository, or a folder that the `datasets` library wrote."""
    folder = Path(place)
    return REPOSITORY.fullmatch(place) is not None or (
        folder.is_dir() and (any((folder / name).is_file() for name in SAVED) or bool(_parquet_files(folder)))
    )


def hub_dataset(place: str, folder: Path, report: Report) -> Dataset:
    """The data set, its videos as files.

    Args:
        place: A local folder, or `hf://ORG/NAME@commit`; a branch or tag is resolved to its commit.
        folder: Where the files of all such data sets lie on this machine.
        report: Told while they are written.

    Raises:
        ValueError: There is no such data set, it has no Video or label column, or its splits cannot be judged.
    """
    repository = REPOSITORY.fullmatch(place)
    if repository:
        repo, commit = repository["repo"], _commit(repository["repo"], repository["revision"])
        name, key = f"{repo}@{commit[:12]}", f"{repo.replace('/', '--')}-{commit}"
    else:
        repo, commit = str(Path(place).resolve()), None
        name, key = Path(repo).name, f"local-{_state_of(Path(repo))}"
    home = folder / key
    listed = home / "rows.json"
    if not listed.is_file():
        try:
            home.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / f"{key}.lock"):
                if not listed.is_file():  # somebody else may have written it meanwhile
                    _write(_open(repo, commit), name, home, is_local=commit is None, report=report)
        except OSError as error:
            raise ValueError(f"the videos of {name} cannot be written to {home} ({error.strerror}).") from error
    content = json.loads(listed.read_text(encoding="utf-8"))
    return _split(name, home, [Row(**row) for row in content["rows"]], content["class_names"])


def _commit(repo: str, revision: str | None) -> str:
    """The commit that a revision stands for; a commit stands for itself, and asks nobody."""
    if revision is not None and COMMIT.fullmatch(revision):
        return revision
    from huggingface_hub import HfApi  # noqa: PLC0415 - not needed for anybody's local videos

    try:
        commit = HfApi().dataset_info(repo, revision=revision).sha
    except _unreadable() as error:
        at = f" at {revision}" if revision else ""
        raise ValueError(f"the data set {repo}{at} cannot be asked for on the Hub: {_first_line(error)}") from error
    assert commit, "the Hub gives every revision a commit"
    log.info("%s at %s is commit %s", repo, revision or "its main branch", commit)
    return commit


def _state_of(folder: Path) -> str:
    """A name for what lies in a folder now: changed files make another."""
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}.")
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    lines = [f"{p.relative_to(folder).as_posix()} {p.stat().st_size} {p.stat().st_mtime_ns}\n" for p in files]
    return hashlib.sha256(f"{folder}\n{''.join(lines)}".encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _parquet_files(folder: Path) -> list[Path]:
    return sorted((*folder.glob("*.parquet"), *folder.glob("*/*.parquet")))


def _open(repo: str, commit: str | None) -> Mapping[str, Any]:
    """The data set's splits, as the library has them, read in passing where they are not saved."""
    from datasets import Dataset as Saved  # noqa: PLC0415 - half a second, for those who need it
    from datasets import load_dataset, load_from_disk  # noqa: PLC0415

    try:
        if commit is None and any((Path(repo) / name).is_file() for name in SAVED):
            loaded: Any = load_from_disk(repo)
            return {"train": loaded} if isinstance(loaded, Saved) else dict(loaded)
        streams = load_dataset(repo, revision=commit, streaming=True)
        # Columns of a repository are decoded ahead by threads, which a later cast does not undo.
        return {split: rows.decode(False) if rows.features else rows for split, rows in streams.items()}
    except _unreadable() as error:
        raise ValueError(f"{repo} is no data set that can be read: {_first_line(error)}") from error


def _write(splits: Mapping[str, Any], name: str, home: Path, *, is_local: bool, report: Report) -> None:
    """Every video as a file, and last the list of them; a killed write goes on with the files that are whole."""
    rows: list[Row] = []
    class_names: list[str] = []
    for number, (split, rows_of_split) in enumerate(splits.items()):
        video, label, source, names = _columns(name, rows_of_split.features)
        class_names = class_names or names
        plain = _undecoded(rows_of_split.select_columns([c for c in (video, label, source) if c]), video)
        total = getattr(plain, "num_rows", 0)
        (home / split).mkdir(parents=True, exist_ok=True)
        for at, example in enumerate(_all_of(plain, f"{name}, {split},")):
            report(f"{name}: reading {split}", (number + (at / total if total else 0.0)) / len(splits))
            stored, words = example[video] or {}, example[label]
            rows.append(
                Row(
                    split=split,
                    number=at,
                    file=_file_of(stored, name, home, split, at, is_local=is_local),
                    name=_stem(stored.get("path") or ""),
                    label=None if words in (None, -1, "") else names[words] if names else str(words),
                    source=str(example[source]) if source and example[source] is not None else "",
                )
            )
    if not class_names:
        found = {row.label for row in rows if row.label is not None}
        class_names = sorted(found, key=lambda word: (int(word), "") if word.isdecimal() else (len(found), word))
    half = home / "rows.half"
    content = {"class_names": class_names, "rows": [asdict(row) for row in rows]}
    half.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    half.replace(home / "rows.json")


def _columns(name: str, features: Mapping[str, Any] | None) -> tuple[str, str, str, list[str]]:
    """The columns of video, class and source (empty where there is none), and the classes' names if they are given."""
    from datasets import ClassLabel  # noqa: PLC0415 - loaded by now
    from datasets import Video as VideoColumn  # noqa: PLC0415

    if features is None:
        raise ValueError(f"{name} does not say what its columns are; write it as parquet.")
    words = f"its columns are {', '.join(features)}"
    videos = [column for column, kind in features.items() if isinstance(kind, VideoColumn)]
    videos = [column for column in videos if column == "video"] or videos
    if len(videos) != 1:
        raise ValueError(f"{name} has {len(videos)} Video columns, one is needed; {words}.")
    numbered = [column for column, kind in features.items() if isinstance(kind, ClassLabel)]
    labels = numbered if len(numbered) == 1 else [column for column in LABEL_COLUMNS if column in features]
    if not labels:
        raise ValueError(f"{name} has no column {' or '.join(LABEL_COLUMNS)}; {words}.")
    kind = features[labels[0]]
    source = next((column for column in GROUP_COLUMNS if column in features), "")
    return videos[0], labels[0], source, list(kind.names) if isinstance(kind, ClassLabel) else []


def _undecoded(rows: Any, video: str) -> Iterable[Mapping[str, Any]]:
    from datasets import Video as VideoColumn  # noqa: PLC0415 - loaded by now

    cast: Iterable[Mapping[str, Any]] = rows.cast_column(video, VideoColumn(decode=False))
    return cast


def _all_of(rows: Iterable[Mapping[str, Any]], name: str) -> Iterator[Mapping[str, Any]]:
    try:
        yield from rows
    except _unreadable() as error:
        raise ValueError(f"{name} cannot be read to its end: {_first_line(error)}") from error


def _file_of(stored: Mapping[str, Any], name: str, home: Path, split: str, at: int, *, is_local: bool) -> str:
    """Where a row's video lies as a file, written there if its bytes are in the row or in the repository."""
    path, content = stored.get("path") or "", stored.get("bytes")
    if content is None and is_local and path and not path.startswith("hf://"):
        return str(Path(path).resolve())
    suffix = PurePosixPath(path).suffix.lower()
    target = home / split / f"{at:06}{suffix if suffix in VIDEO_SUFFIXES else '.video'}"
    if target.is_file():
        return target.relative_to(home).as_posix()
    half = target.with_suffix(".half")
    try:
        with half.open("wb") as file:
            if content is not None:
                file.write(content)
            elif path.startswith("hf://"):
                from huggingface_hub import HfFileSystem  # noqa: PLC0415 - loaded by now

                with HfFileSystem().open(path, "rb") as remote:
                    shutil.copyfileobj(remote, file, 1 << 20)
            # A row without any video leaves an empty file, which is then named among those that do not decode.
        half.replace(target)
    except _unreadable() as error:
        half.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ValueError(f"{home} is full: no space for the videos of {name}.") from error
        raise ValueError(f"{split}/{at} of {name} cannot be fetched: {_first_line(error)}") from error
    return target.relative_to(home).as_posix()


def _split(name: str, home: Path, rows: Sequence[Row], class_names: Sequence[str]) -> Dataset:
    """Who is trained on, who is judged."""
    labelled: dict[str, list[Row]] = {}
    for row in rows:
        labelled.setdefault(row.split, [])
        if row.label is not None:
            labelled[row.split].append(row)
    with_labels = [split for split, members in labelled.items() if members]
    if not with_labels:
        raise ValueError(f"{name} has no video with a label.")
    train = "train" if "train" in with_labels else with_labels[0]
    if train != "train" and len(with_labels) > 1:
        raise ValueError(f"{name} has the splits {', '.join(labelled)}, none of them `train` with labels.")
    test = next((split for split in ("test", "validation") if split in with_labels and split != train), None)
    validation = "validation" if "validation" in with_labels and "validation" not in (train, test) else None
    used = [split for split in (train, validation, test) if split is not None]
    if unused := [split for split in labelled if split not in used]:
        log.info("%s: %s not used", name, ", ".join(unused))

    occurring = [class_name for class_name in class_names if any(row.label == class_name for row in rows)]
    number_of = {class_name: number for number, class_name in enumerate(occurring)}
    names = Counter(row.name for row in rows)
    by_name = not names[""] and max(names.values()) == 1

    def videos(split: str) -> list[Video]:
        found = []
        for row in labelled[split]:
            assert row.label is not None
            video_id = row.name if by_name else f"{row.split}/{row.number}"
            found.append(Video(video_id, home / row.file, number_of[row.label], row.source or video_id))
        return found

    rest = videos(train)
    judged = videos(test) if test else None
    if judged is None:
        held_out = carve(rest, occurring, TEST_SHARE, "test")
        judged = [video for video in rest if video.source in held_out]
        rest = [video for video in rest if video.source not in held_out]
    if validation:
        chosen = videos(validation)
    else:
        held_out = carve(rest, occurring, VALIDATION_SHARE, "validation")
        chosen = [video for video in rest if video.source in held_out]
        rest = [video for video in rest if video.source not in held_out]
    if len(occurring) < 2:
        raise ValueError(f"{name} has one class, {some(occurring)}; there is nothing to tell apart.")

    def part(of: str, members: Sequence[Video]) -> VideoSet:
        return VideoSet(f"{name} {of}", tuple(members), tuple(occurring))

    return Dataset(
        name="local",
        train=part("train", rest),
        validation=part("validation", chosen),
        test=part("test", judged),
        pretrain=part("pretrain", rest),
        licence="your own",
    )


def _unreadable() -> tuple[type[Exception], ...]:
    """What the library, Arrow, the Hub's client and its connection raise where a data set is damaged or out of reach."""
    import httpx2  # noqa: PLC0415 - the Hub's client, which raises its errors, has it loaded

    return ValueError, OSError, RuntimeError, KeyError, NotImplementedError, httpx2.HTTPError


def _stem(path: str) -> str:
    name = PurePosixPath(unicodedata.normalize("NFC", path.replace("\\", "/"))).name
    return str(PurePosixPath(name).with_suffix("")) if PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES else name


def _first_line(error: Exception) -> str:
    line = (str(error).strip().splitlines() or [type(error).__name__])[0].strip()
    return line if line.endswith(".") else f"{line}."
