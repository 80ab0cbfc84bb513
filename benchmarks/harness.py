"""The sweep over noises, CKA and memory, side by side in one run with the bare model and with simpler ways.

    python -m benchmarks.harness [--quick] [--json] [--models NAME,NAME]

Files are made here, UCF101-like: 185 frames of 240 x 320, MPEG-4 in AVI. Clips are 16 x 112 x 112, in fp32, from a frame
store at 128 x 171. In every round each arm has its turn, so that a busy machine slows all of them alike; times are processor
time of the process (all its threads), the smallest of the rounds. Arms of the sweep, 21 conditions on the same videos:

- bare: 21 forward passes over normalised clips that lie ready in memory, laid out and threaded as ours;
- noise at input, noise at source: `bench.forward.sweep`, from files to stored outputs, cache and all;
- straightforward: for every condition decode the whole file anew, noise frame by frame in NumPy, Pillow's resize, fp32 in the
  usual layout, batches of 8.

CKA: ours against Grams taken in the hook and kept in float32 (the fastest peer's way, right where nothing is extreme) and
against outputs kept by reference (two peers' way, wrong under an in-place ReLU), all against float64. Memory: the sweep of a
data set as large as UCF101's test split, with 1920 features, in a process of its own. Growth: time a clip at three sizes.
"""

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from bench.cache import Cache
from bench.encoder import TorchEncoder, normalise
from bench.estimate import peak_bytes
from bench.forward import Reader, lay_out, one_thread, sweep, trunk_reader
from bench.guesses import Grams
from bench.schema import CLEAN, ClipSpec, Condition, Normalisation
from bench.stages.case import Case
from bench.stages.cka import module_grams
from bench.statistics.similarity import similarity_map
from bench.suites.mini_v1 import LOCAL_TEMPLATE
from bench.suites.protocol import DatasetProtocol
from bench.training import keep_large_buffers
from bench.video.clips import Clips
from bench.video.frame_store import build_store
from bench.video.index import Dataset, Video, VideoSet
from bench.video.sampling import spread_clips
from reference_models.backbones import build

Arm = Callable[[], object]
Row = dict[str, Any]

SPEC = ClipSpec()
FRAMES = 185
FAMILIES = ("gaussian", "impulse", "shot", "speckle")
PROMISES = {
    "r2plus1d_10": {"noise at input": 1.10, "noise at source": 1.15},
    "shufflenet_v1_x1": {"noise at input": 1.30, "noise at source": 1.80},
}


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


def case_of(module: nn.Module, clips: Any, cache: Path, width: int) -> Case:
    """What a sweep asks for; nothing is learnt here, so train and validation only have to be there."""
    suite = LOCAL_TEMPLATE.model_copy(
        update={"clip": SPEC, "datasets": (DatasetProtocol(name="made", manifest_hash="0" * 64, num_classes=2),)}
    )
    here = Path()
    some = {name: VideoSet(name, (Video(name, here, 0, name),), ("x",)) for name in ("train", "validation")}
    dataset = Dataset("made", some["train"], some["validation"], clips.sets["test"])
    encoder = TorchEncoder(module, name="timed", feature_dim=width)
    nothing = torch.device("cpu"), lambda _words, _share: None
    return Case(encoder, suite, dataset, clips, Cache(cache), cache, *nothing, lambda: module, None)


def in_turns(arms: Mapping[str, Arm], rounds: int) -> dict[str, float]:
    """Processor seconds of each arm: the smallest of the rounds, after one small call that warms up."""
    best = dict.fromkeys(arms, float("inf"))
    for _ in range(rounds):
        for name, arm in arms.items():
            started = time.process_time()
            arm()
            best[name] = min(best[name], time.process_time() - started)
    return best


def bare(module: nn.Module, batches: Sequence[Tensor]) -> None:
    """Forward passes and nothing else, a batch a thread, as the sweep reads them."""
    with one_thread() as threads, ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:

        def read(batch: Tensor) -> None:
            with torch.inference_mode():
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


def sweeping(name: str, clips: Clips, folder: Path, count: int, rounds: int) -> list[Row]:
    """One model, all arms."""
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
        case = case_of(module, clips, folder / f"cache-{name}-{next(runs)}", module.feature_dim)
        sweep(case, {"trunk": trunk_reader(case)}, "test", 1, conditions(position, count), ids[:most])

    few = conditions("source", 3 if count > 3 else 2)
    bare(module, batches[:1])
    swept("source", 2, 1)
    swept("input", 2, 1)
    arms: dict[str, Arm] = {
        "bare": lambda: bare(module, batches),
        "noise at input": lambda: swept("input", count),
        "noise at source": lambda: swept("source", count),
        "straightforward": lambda: straightforward(plain, clips, few),
    }
    share = {"straightforward": len(few)}
    times = in_turns(arms, rounds)
    return [
        {"what": f"sweep {name}", "arm": arm, "ms_a_clip": 1e3 * seconds / len(ids) / share.get(arm, count)}
        for arm, seconds in times.items()
    ]


class Layered(nn.Module):
    """Six blocks whose ReLU works in place; their normalisations are the layers."""

    feature_dim = 32

    def __init__(self) -> None:
        super().__init__()
        blocks = [
            nn.Sequential(nn.Conv3d(3 if at == 0 else 32, 32, 3, padding=1), nn.BatchNorm3d(32), nn.ReLU(inplace=True))
            for at in range(6)
        ]
        self.blocks = nn.Sequential(*blocks)

    def forward(self, clips: Tensor) -> Tensor:
        """Pooled."""
        pooled: Tensor = self.blocks(clips).mean((2, 3, 4))
        return pooled

    def layers(self) -> dict[str, nn.Module]:
        """After each normalisation, before its ReLU."""
        return {f"norm{at}": block[1] for at, block in enumerate(self.blocks)}


def hooked(module: Layered, batch: Tensor, take: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """What `take` makes of each layer's output, in execution order, then of the pooled feature."""
    found: list[Tensor] = []
    handles = [
        layer.register_forward_hook(lambda _module, _inputs, output: found.append(take(output)))
        for layer in module.layers().values()
    ]
    pooled = module(batch)
    for handle in handles:
        handle.remove()
    return [*found, take(pooled)]


def gram(output: Tensor) -> Tensor:
    """X X' in the output's own precision."""
    flat = output.flatten(1)
    return flat @ flat.T


def as_map(grams: Sequence[Sequence[Tensor]]) -> NDArray[np.float64]:
    """Unbiased minibatch CKA of every layer with every other, from Grams of any precision."""
    stacked = torch.stack([torch.stack(list(batch)) for batch in grams]).double()
    size = stacked.shape[-1]
    stacked = stacked * (1 - torch.eye(size, dtype=stacked.dtype))
    rows, total = stacked.sum(-1), stacked.sum((-1, -2))
    inner = torch.einsum("blij,bmij->blm", stacked, stacked)
    middle = total[:, :, None] * total[:, None] / ((size - 1) * (size - 2))
    cross = torch.einsum("bli,bmi->blm", rows, rows) * 2 / (size - 2)
    hsic = (inner + middle - cross).mean(0) / (size * (size - 3))
    own = hsic.diagonal().sqrt()
    found: NDArray[np.float64] = (hsic / own[:, None] / own[None]).double().numpy()
    return found


def comparing_layers(rounds: int, num_batches: int) -> list[Row]:
    """CKA of one network with itself, three ways and in float64."""
    torch.manual_seed(0)
    module = Layered().eval()
    # As videos are: each of a brightness and a pattern of its own, below what moves.
    batches = [
        torch.randn(64, 3, 1, 24, 24) + 2 * torch.randn(64, 3, 1, 1, 1) + 0.3 * torch.randn(64, 3, 4, 24, 24)
        for _ in range(num_batches)
    ]

    def ours() -> NDArray[np.float64]:
        scales: dict[str, float] = {}
        parts = [module_grams(module, batch, module.layers(), scales) for batch in batches]
        stacked = np.stack([np.stack([part[name] for part in parts]) for name in parts[0]])
        ids = tuple(str(number) for number in range(64 * num_batches))
        grams = Grams("made", "pretrained", ids, tuple(parts[0]), stacked)
        return similarity_map(grams, grams)

    def in_the_hook() -> NDArray[np.float64]:
        return as_map([hooked(module, batch, gram) for batch in batches])

    def by_reference() -> NDArray[np.float64]:
        return as_map([[gram(output) for output in hooked(module, batch, lambda output: output)] for batch in batches])

    ways = {"ours": ours, "Grams in the hook": in_the_hook, "outputs by reference": by_reference}
    with torch.inference_mode(), one_thread():
        reference = as_map([hooked(module, batch, lambda output: gram(output.double())) for batch in batches])
        errors = {name: float(np.abs(way() - reference).max()) for name, way in ways.items()}
        forward = in_turns({"forward": lambda: [module(batch) for batch in batches]}, rounds)["forward"]
        times = in_turns(ways, rounds)
    return [{"what": "cka", "arm": "forward alone", "ms": 1e3 * forward}] + [
        {"what": "cka", "arm": name, "ms": 1e3 * times[name], "largest_error": errors[name]} for name in ways
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


def growing(clips: Clips, folder: Path, rounds: int) -> list[Row]:
    """Time a clip at three numbers of videos and three of conditions."""
    module = build("shufflenet_v1_x0_5").eval()
    ids, runs = clips.sets["test"].ids, iter(range(10**6))

    def swept(num_videos: int, count: int) -> None:
        case = case_of(module, clips, folder / f"growth-{next(runs)}", module.feature_dim)
        sweep(case, {"trunk": trunk_reader(case)}, "test", 1, conditions("source", count), ids[:num_videos])

    swept(len(ids), 21)
    sizes = [(len(ids) // 4, 21), (len(ids) // 2, 21), (len(ids), 21), (len(ids), 6), (len(ids), 11)]
    times = in_turns({f"{n} x {c}": lambda n=n, c=c: swept(n, c) for n, c in sizes}, rounds)  # type: ignore[misc]
    return [
        {"what": "growth", "arm": f"{n} videos x {c}", "ms_a_clip": 1e3 * times[f"{n} x {c}"] / (n * c)}
        for n, c in sizes
    ]


def ratios(rows: Sequence[Row]) -> dict[str, float]:
    """The promises, each named with its limit."""
    by_name = {(row["what"], row["arm"]): row for row in rows}
    found = {}
    for what in dict.fromkeys(row["what"] for row in rows if row["what"].startswith("sweep")):
        name = what.removeprefix("sweep ")
        own = by_name[what, "bare"]["ms_a_clip"]
        for arm, limit in PROMISES.get(name, {}).items():
            found[f"{name}, {arm} / bare (at most {limit:.2f})"] = by_name[what, arm]["ms_a_clip"] / own
        slow, fast = by_name[what, "straightforward"]["ms_a_clip"], by_name[what, "noise at source"]["ms_a_clip"]
        found[f"{name}, straightforward / noise at source"] = slow / fast
    peer = by_name["cka", "Grams in the hook"]
    found["cka, ours / Grams in the hook (at most 1.3)"] = by_name["cka", "ours"]["ms"] / peer["ms"]
    found["cka, ours - float64 (at most 1e-6)"] = by_name["cka", "ours"]["largest_error"]
    found["cka, outputs by reference - float64 (wrong)"] = by_name["cka", "outputs by reference"]["largest_error"]
    memory = next(row for row in rows if row["what"].startswith("memory"))
    found["memory of a sweep, GiB (at most 2)"] = memory["mib_above_start"] / 1024
    growth = [row["ms_a_clip"] for row in rows if row["what"] == "growth"]
    found["growth, dearest clip / cheapest clip (1 is linear)"] = max(growth) / min(growth)
    return found


def main(arguments: Sequence[str]) -> None:
    """Run, and print a table or JSON."""
    parser = argparse.ArgumentParser(description="The harness against the bare model and simpler ways.")
    parser.add_argument("--quick", action="store_true", help="under 40 s: fewer videos, conditions and rounds")
    parser.add_argument("--json", action="store_true", help="print the rows and ratios, and nothing else")
    parser.add_argument("--models", default=",".join(PROMISES), help="backbones, separated by commas")
    settings = parser.parse_args(arguments)
    keep_large_buffers()  # as the harness itself does
    rounds = 2 if settings.quick else 3
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = write_videos(folder, 4 if settings.quick else 8)
        for model in settings.models.split(","):
            large = model.startswith("r2plus1d")
            some = clips.sets["test"].ids[: 2 if large and settings.quick else 4 if large else 8]
            few = Clips(SPEC, {"test": clips.sets["test"].only(some)}, clips.stores)
            count = 3 if large and settings.quick else 21
            rows += sweeping(model, few, folder, count, rounds // 2 if large else rounds)
        rows += comparing_layers(2 if settings.quick else 5, 1 if settings.quick else 4)
        rows += keeping(400 if settings.quick else 3783, folder)
        rows += growing(clips, folder, rounds // 2 or 1)
    if settings.json:
        print(json.dumps({"rows": rows, "ratios": ratios(rows)}))
        return
    for row in rows:
        numbers = " ".join(f"{v:.3g} {k.replace('_', ' ')}" for k, v in row.items() if k not in ("what", "arm"))
        print(f"{row['what']:<36}{row['arm']:<24}{numbers}")
    print()
    for what, ratio in ratios(rows).items():
        print(f"{what}: {ratio:.3g}")


if __name__ == "__main__":
    main(sys.argv[1:])
