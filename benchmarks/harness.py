"""The sweep over noises beside the bare model and beside what one would first write; its memory, and how it grows.

    python -m benchmarks.harness [--quick] [--json] [--models NAME,NAME] [--precisions bf16,fp32] [--parts sweep,memory,growth]

In every round each arm has its turn, so that a busy machine slows all of them alike; times are processor time of the process
(all its threads), the smallest of the rounds.

Sweep: files are made here, UCF101-like: 185 frames of 240 x 320, MPEG-4 in AVI. Clips are 16 x 112 x 112, from a frame store at
128 x 171, in the precision of the suites on real videos (bf16) where the processor computes in it, else in fp32. ShuffleNet is the
one of the study's table of networks, twice as wide. Arms, 21 conditions on the same videos:

- bare: 21 forward passes over normalised clips that lie ready in memory, in the same precision, laid out and threaded as ours;
- noise at input, noise at source: `bench.forward.sweep`, from files to stored outputs, cache and all;
- straightforward: for every condition decode the whole file anew, noise frame by frame in NumPy, Pillow's resize, fp32 in the
  usual layout, batches of 8. Over bare, it is what a harness could gain at most that computes the same forward pass.

Memory: the sweep of a data set as large as UCF101's test split, with 1920 features, in a process of its own. Growth: time a
clip at three sizes.
"""

import argparse
import multiprocessing
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from bench.cache import Cache
from bench.encoder import TorchEncoder, normalise
from bench.estimate import peak_bytes
from bench.forward import Reader, arithmetic, lay_out, one_thread, sweep, trunk_reader
from bench.schema import CLEAN, ClipSpec, Condition, Normalisation
from bench.stages.case import Case
from bench.suites.mini_v1 import LOCAL_TEMPLATE
from bench.suites.protocol import DatasetProtocol
from bench.training import keep_large_buffers
from bench.video.clips import Clips
from bench.video.frame_store import build_store
from bench.video.index import Dataset, Video, VideoSet
from bench.video.sampling import spread_clips
from benchmarks.arms import Arm, Row, in_turns, show, words
from benchmarks.processor import computes_in_bf16
from reference_models.backbones import build

Precision = Literal["fp32", "bf16"]

SPEC = ClipSpec()
FRAMES = 185
FAMILIES = ("gaussian", "impulse", "shot", "speckle")
PROMISES = {
    "r2plus1d_10": {"noise at input": 1.10, "noise at source": 1.15},
    "shufflenet_v1_x2": {"noise at input": 1.30, "noise at source": 1.80},
}
PARTS = ("sweep", "memory", "growth")
TEST_VIDEOS = 3783
"""Of UCF101's first split."""


def conditions(position: str, count: int) -> list[Condition]:
    """Clean and the first of the 20 noisy conditions, families in turn."""
    names = [f"{family}/ucf101-p@{position}/v1" for family in FAMILIES]
    noisy = [Condition(corruption=name, severity=level) for level in range(1, 6) for name in names]
    return [CLEAN, *noisy][:count]


def write_videos(folder: Path, count: int) -> Clips:
    """Files with smooth, moving, slightly grainy frames, and the store of their frames."""
    rng = np.random.default_rng(0)
    row, column, channel = np.ogrid[:240, :320, :3]
    grain = rng.normal(0, 3, (240, 320, 3)).astype(np.float32)
    videos = []
    for number in range(count):
        path = folder / f"{number}.avi"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=25, options={"bf": "2", "g": "12", "qmin": "3", "qmax": "5"})
            stream.width, stream.height, stream.pix_fmt, stream.thread_count = 320, 240, "yuv420p", 1
            for t in range(FRAMES):
                wave = np.sin((column + 3 * t + 20 * number) / 40 + channel) * np.cos((row + t) / 30)
                shade = 110 + 60 * wave + np.roll(grain, 37 * t, axis=1)
                frame = av.VideoFrame.from_ndarray(shade.clip(0, 255).astype(np.uint8), format="rgb24")
                frame.pts = t
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        videos.append(Video(path.stem, path, 0, path.stem))
    split = VideoSet("test", tuple(videos), ("x",))
    return Clips(SPEC, {"test": split}, {"test": build_store(split, resize=SPEC.resize, folder=folder / "frames")})


def case_of(module: nn.Module, clips: Any, cache: Path, width: int, precision: Precision = "fp32") -> Case:
    """What a sweep asks for; nothing is learnt here, so train and validation only have to be there."""
    made = DatasetProtocol(name="made", manifest_hash="0" * 64, num_classes=2)
    suite = LOCAL_TEMPLATE.model_copy(update={"clip": SPEC, "datasets": (made,), "precision": precision})
    here = Path()
    some = {name: VideoSet(name, (Video(name, here, 0, name),), ("x",)) for name in ("train", "validation")}
    dataset = Dataset("made", some["train"], some["validation"], clips.sets["test"])
    encoder = TorchEncoder(module, name="timed", feature_dim=width)
    nothing = torch.device("cpu"), lambda _words, _share: None
    return Case(encoder, suite, dataset, clips, Cache(cache), cache, *nothing, lambda: module, None)


def bare(module: nn.Module, batches: Sequence[Tensor], precision: Precision) -> None:
    """Forward passes and nothing else, a batch a thread, as the sweep reads them."""
    with one_thread() as threads, ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:

        def read(batch: Tensor) -> None:
            with torch.inference_mode(), arithmetic(precision, torch.device("cpu")):
                module(batch)

        list(pool.map(read, batches))


FORMULAS: Mapping[str, Callable[[NDArray[Any], int, np.random.Generator], NDArray[Any]]] = {
    "gaussian": lambda x, s, rng: x + rng.normal(size=x.shape, scale=(0.08, 0.12, 0.18, 0.26, 0.38)[s - 1]),
    "shot": lambda x, s, rng: rng.poisson(x * (250, 100, 50, 30, 15)[s - 1]) / (250, 100, 50, 30, 15)[s - 1],
    "speckle": lambda x, s, rng: x + x * rng.normal(size=x.shape, scale=(0.15, 0.2, 0.25, 0.3, 0.35)[s - 1]),
    "impulse": lambda x, s, rng: np.where(
        rng.random(x.shape) < (0.03, 0.06, 0.09, 0.17, 0.27)[s - 1], rng.integers(0, 2, x.shape), x
    ),
}
"""As in the code of ImageNet-C, on 0 to 1, before clipping."""


def straightforward(module: nn.Module, clips: Clips, some: Sequence[Condition]) -> None:
    """The usual loop, on all videos."""
    rng, colours = np.random.default_rng(0), Normalisation()
    top, left = (SPEC.resize[0] - SPEC.size) // 2, (SPEC.resize[1] - SPEC.size) // 2
    mean, std = np.float32(colours.mean), np.float32(colours.std)
    for condition in some:
        batch = []
        for video in clips.sets["test"].videos:
            with av.open(str(video.path), metadata_errors="ignore") as container:
                frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
            shown = []
            for number in spread_clips(len(frames), SPEC, 1)[0]:
                frame = frames[number]
                if condition.severity:
                    noisy = FORMULAS[condition.family](frame / 255.0, condition.severity, rng)
                    frame = (np.clip(noisy, 0, 1) * 255).astype(np.uint8)
                small = Image.fromarray(frame).resize(SPEC.resize[::-1], Image.Resampling.BILINEAR)
                shown.append(np.asarray(small)[top : top + SPEC.size, left : left + SPEC.size])
            batch.append(((np.stack(shown) / np.float32(255) - mean) / std).transpose(3, 0, 1, 2))
        with torch.inference_mode():
            for at in range(0, len(batch), 8):
                module(torch.from_numpy(np.ascontiguousarray(np.stack(batch[at : at + 8]), dtype=np.float32)))


def sweeping(name: str, precision: Precision, clips: Clips, folder: Path, count: int, rounds: int) -> list[Row]:
    """One model in one precision, all arms."""
    torch.manual_seed(0)
    module, plain = build(name).eval(), build(name).eval()
    plain.load_state_dict(module.state_dict())
    ids, runs = clips.sets["test"].ids, iter(range(10**6))
    ready = torch.from_numpy(np.concatenate([clips.views("test", video_id, 1) for video_id in ids]))
    lay_out(module, torch.device("cpu"))
    with torch.inference_mode():
        normal = normalise(ready, Normalisation())
        places = torch.arange(len(ids) * count) % len(ids)
        size = min(8, count)  # as the sweep makes them up
        batches = [normal[places[at : at + size]] for at in range(0, len(places), size)]

    def swept(position: str, count: int, most: int | None = None) -> None:
        case = case_of(module, clips, folder / f"cache-{name}-{precision}-{next(runs)}", module.feature_dim, precision)
        sweep(case, {"trunk": trunk_reader(case)}, "test", 1, conditions(position, count), ids[:most])

    few = [
        each for each in conditions("source", 21) if each.severity == 3
    ]  # of every noise one, so dear as all are on average
    bare(module, batches[:1], precision)
    swept("source", 2, 1)
    swept("input", count, 1)  # makes the tables of all noises
    arms: dict[str, Arm] = {
        "bare": lambda: bare(module, batches, precision),
        "noise at input": lambda: swept("input", count),
        "noise at source": lambda: swept("source", count),
        "straightforward": lambda: straightforward(plain, clips, few),
    }
    share = {"straightforward": len(few)}
    times = in_turns(arms, rounds)
    return [
        {"what": f"sweep {name} {precision}", "arm": arm, "ms_a_clip": 1e3 * seconds / len(ids) / share.get(arm, count)}
        for arm, seconds in times.items()
    ]


@dataclass(frozen=True)
class TinyClips:
    """Clips that weigh nothing, so that what a sweep keeps is all there is to see."""

    sets: Mapping[str, VideoSet]

    def noisy_views(self, _split: str, _video_id: str, views: int, some: Sequence[Condition]) -> Any:
        """Black."""
        for condition in some:
            yield condition, np.zeros((views, 1, 2, 2, 3), np.uint8)


def peak_of_a_sweep(num_videos: int, width: int, folder: str) -> tuple[float, float]:
    """MiB before and at the highest, of features of so many videos under 21 conditions; for a process of its own."""
    split = VideoSet("test", tuple(Video(f"{n:05d}", Path(), 0, f"{n}") for n in range(num_videos)), ("x",))
    case = case_of(nn.Linear(1, 1), TinyClips({"test": split}), Path(folder), width)
    before = peak_bytes() / 2**20
    reader = Reader(lambda clips: torch.zeros(len(clips), width), {"made": "up"})
    sweep(case, {"trunk": reader}, "test", 1, conditions("source", 21), split.ids)
    return before, peak_bytes() / 2**20


def keeping(num_videos: int, folder: Path) -> list[Row]:
    """Peak memory."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        before, peak = pool.apply(peak_of_a_sweep, (num_videos, 1920, str(folder / "memory")))
    return [{"what": f"memory, {num_videos} videos x 21 x 1920", "arm": "ours", "mib_above_start": peak - before}]


def growing(clips: Clips, folder: Path, counts: tuple[int, int, int]) -> list[Row]:
    """Time a clip at three numbers of videos and three of conditions."""
    module = build("shufflenet_v1_x0_5").eval()
    ids, runs, most = clips.sets["test"].ids, iter(range(10**6)), counts[-1]

    def swept(num_videos: int, count: int) -> None:
        case = case_of(module, clips, folder / f"growth-{next(runs)}", module.feature_dim)
        sweep(case, {"trunk": trunk_reader(case)}, "test", 1, conditions("source", count), ids[:num_videos])

    swept(1, most)
    sizes = [*((len(ids) // part, most) for part in (4, 2, 1)), *((len(ids), count) for count in counts[:-1])]
    times = in_turns({f"{n} x {c}": lambda n=n, c=c: swept(n, c) for n, c in sizes}, 1)  # type: ignore[misc]
    return [
        {"what": "growth", "arm": f"{n} videos x {c}", "ms_a_clip": 1e3 * times[f"{n} x {c}"] / (n * c)}
        for n, c in sizes
    ]


def ratios(rows: Sequence[Row]) -> dict[str, float]:
    """The promises of what was run, each named with its limit."""
    by_name = {(row["what"], row["arm"]): row for row in rows}
    whats = dict.fromkeys(row["what"] for row in rows)
    found = {}
    for what in (what for what in whats if what.startswith("sweep")):
        name = what.removeprefix("sweep ")
        own, source = (by_name[what, arm]["ms_a_clip"] for arm in ("bare", "noise at source"))
        for arm, limit in PROMISES.get(name.split()[0], {}).items():
            found[f"{name}, {arm} / bare (at most {limit:.2f})"] = by_name[what, arm]["ms_a_clip"] / own
        slow = by_name[what, "straightforward"]["ms_a_clip"]
        found[f"{name}, straightforward / noise at source (at least 5)"] = slow / source
        found[f"{name}, straightforward / bare (no harness could gain more)"] = slow / own
    for row in (row for row in rows if row["what"].startswith("memory")):
        found["memory of a sweep, GiB (at most 2)"] = row["mib_above_start"] / 1024
    if growth := [row["ms_a_clip"] for row in rows if row["what"] == "growth"]:
        found["growth, dearest clip / cheapest clip (1 is linear)"] = max(growth) / min(growth)
    return found


def main(arguments: Sequence[str]) -> None:
    """Run, and print a table or JSON."""
    parser = argparse.ArgumentParser(description="The sweep over noises beside the bare model and a simpler way.")
    parser.add_argument("--quick", action="store_true", help="under 40 s: smaller, and once")
    parser.add_argument("--json", action="store_true", help="print the rows and ratios, and nothing else")
    parser.add_argument("--models", type=words, default=tuple(PROMISES), help="backbones, separated by commas")
    parser.add_argument(
        "--precisions",
        type=words,
        default=("bf16" if computes_in_bf16() else "fp32",),
        help="of the sweep: bf16, fp32 or both",
    )
    parser.add_argument("--parts", type=words, default=PARTS, help=f"of {','.join(PARTS)}")
    settings = parser.parse_args(arguments)
    if unknown := {*settings.parts} - {*PARTS} | {*settings.precisions} - {"bf16", "fp32"}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    keep_large_buffers()  # as the harness itself does
    quick, parts, rounds = settings.quick, settings.parts, 1 if settings.quick else 3
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if {"sweep", "growth"} & {*parts}:
            clips = write_videos(folder, 4 if quick else 8)
        for model in settings.models if "sweep" in parts else ():
            large = model.startswith("r2plus1d")
            some = clips.sets["test"].ids[: (1 if quick else 4) if large else (2 if quick else 8)]
            few = Clips(SPEC, {"test": clips.sets["test"].only(some)}, clips.stores)
            for precision in settings.precisions:
                count = 8 if large and quick else 21
                rows += sweeping(model, precision, few, folder, count, 1 if large else rounds)
        if "memory" in parts:
            rows += keeping(400 if quick else TEST_VIDEOS, folder)
        if "growth" in parts:
            rows += growing(clips, folder, (3, 6, 11) if quick else (6, 11, 21))
    show(rows, ratios(rows), as_json=settings.json)


if __name__ == "__main__":
    main(sys.argv[1:])
