"""The sweep over noises, probe, retrieval, CKA and memory, in one run with the bare model and with what others do.

    python -m benchmarks.harness [--quick] [--json] [--models NAME,NAME] [--precisions bf16,fp32] [--parts sweep,probe,...]

In every round each arm has its turn, so that a busy machine slows all of them alike; times are processor time of the process
(all its threads), the smallest of the rounds.

Sweep: files are made here, UCF101-like: 185 frames of 240 x 320, MPEG-4 in AVI. Clips are 16 x 112 x 112, from a frame store at
128 x 171, in the precision of the suites on real videos (bf16) where the processor computes in it, else in fp32. ShuffleNet is the
one of the study's table of networks, twice as wide. Arms, 21 conditions on the same videos:

- bare: 21 forward passes over normalised clips that lie ready in memory, in the same precision, laid out and threaded as ours;
- noise at input, noise at source: `bench.forward.sweep`, from files to stored outputs, cache and all;
- straightforward: for every condition decode the whole file anew, noise frame by frame in NumPy, Pillow's resize, fp32 in the
  usual layout, batches of 8. Over bare, it is what a harness could gain at most that computes the same forward pass.

Probe: all strengths of the suites on real videos, on a training set of the size of UCF101's, against scikit-learn's
LogisticRegression, its tolerance tightened until its objective is within 1e-7 of ours or below; only the run that gets there counts.
Once on features whose spread falls over their principal axes, as it does in networks, and once on even ones. Retrieval: the 50
nearest for UCF101's test videos among its training videos, against torch, scikit-learn, and faiss where it is installed. On one thread.

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
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.nn import functional

from bench.cache import Cache
from bench.encoder import TorchEncoder, normalise
from bench.estimate import peak_bytes
from bench.forward import Reader, arithmetic, lay_out, one_thread, sweep, trunk_reader
from bench.guesses import Grams
from bench.schema import CLEAN, ClipSpec, Condition, Normalisation
from bench.stages.case import Case
from bench.stages.cka import module_grams
from bench.stages.logistic import LogisticProblem
from bench.stages.retrieval import nearest
from bench.statistics.similarity import similarity_map
from bench.suites.mini_v1 import LOCAL_TEMPLATE
from bench.suites.protocol import DatasetProtocol
from bench.suites.ucf101_v1 import UCF101_V1
from bench.training import keep_large_buffers
from bench.video.clips import Clips
from bench.video.frame_store import build_store
from bench.video.index import Dataset, Video, VideoSet
from bench.video.sampling import spread_clips
from reference_models.backbones import build

Arm = Callable[[], object]
Row = dict[str, Any]
Precision = Literal["fp32", "bf16"]

SPEC = ClipSpec()
FRAMES = 185
FAMILIES = ("gaussian", "impulse", "shot", "speckle")
PROMISES = {
    "r2plus1d_10": {"noise at input": 1.10, "noise at source": 1.15},
    "shufflenet_v1_x2": {"noise at input": 1.30, "noise at source": 1.80},
}
PARTS = ("sweep", "probe", "retrieval", "cka", "memory", "growth")
UCF101 = (9537, 3783, 101)
"""Training videos, test videos and classes of its first split."""


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


def in_turns(arms: Mapping[str, Arm], rounds: int) -> dict[str, float]:
    """Processor seconds of each arm: the smallest of the rounds, after one small call that warms up."""
    best = dict.fromkeys(arms, float("inf"))
    for _ in range(rounds):
        for name, arm in arms.items():
            started = time.process_time()
            arm()
            best[name] = min(best[name], time.process_time() - started)
    return best


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


def computes_bf16() -> bool:
    """Whether the processor multiplies in bf16; else torch only imitates it, many times slower."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


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


def learnt_from(
    num_videos: int, width: int, classes: int, fall: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Standardised features of overlapping classes, whose spread along the n-th principal axis is about n^-fall, and labels."""
    rng = np.random.default_rng(0)
    labels = rng.integers(classes, size=num_videos)
    values = 0.15 * rng.normal(size=(classes, width))[labels] + rng.normal(size=(num_videos, width))
    values = values * np.arange(1.0, width + 1) ** -fall @ np.linalg.qr(rng.normal(size=(width, width)))[0]
    return (values - values.mean(axis=0)) / values.std(axis=0), labels


def probing(num_videos: int, width: int, fall: float) -> list[Row]:
    """All strengths, ours and scikit-learn's, at the same objective."""
    classes = UCF101[2]
    features, labels = learnt_from(num_videos, width, classes, fall)

    def objective(weights_DK: NDArray[np.float64], bias_K: NDArray[np.float64], strength: float) -> float:
        said = features @ weights_DK + bias_K
        losses = logsumexp(said, axis=1) - said[np.arange(num_videos), labels]
        return float(losses.mean() + strength / 2 * (weights_DK**2).sum())

    settings = UCF101_V1.linear_probe
    what, problem, spent, above = f"probe, spread n^-{fall:g}", LogisticProblem(features, labels, classes), 0.0, 0.0
    started = time.process_time()
    fits = [problem.solve(strength, settings.tolerance) for strength in settings.strengths]
    ours = time.process_time() - started
    for strength, (weights_DK, bias_K) in zip(settings.strengths, fits, strict=True):
        own = objective(weights_DK, bias_K, strength)
        for tolerance in (1e-5, 1e-6, 1e-7, 1e-8):
            started = time.process_time()
            peer = LogisticRegression(C=1 / (strength * num_videos), tol=tolerance, max_iter=10_000).fit(
                features, labels
            )
            took, theirs = time.process_time() - started, objective(peer.coef_.T, peer.intercept_, strength)
            if theirs <= own + 1e-7:
                break
        spent, above = spent + took, max(above, own - theirs)
    return [
        {"what": what, "arm": "ours", "ms": 1e3 * ours, "objective_above": above},
        {"what": what, "arm": "scikit-learn", "ms": 1e3 * spent},
    ]


def retrieving(width: int, num_queries: int, rounds: int) -> list[Row]:
    """The 50 nearest of every query by cosine, four ways."""
    rng = np.random.default_rng(0)
    centres = 0.5 * rng.normal(size=(UCF101[2], width))
    gallery, queries = (
        (centres[rng.integers(UCF101[2], size=count)] + rng.normal(size=(count, width))).clip(0).astype(np.float32)
        for count in (UCF101[0], num_queries)
    )

    def with_torch() -> NDArray[np.int64]:
        unit, asked = (functional.normalize(torch.from_numpy(rows)) for rows in (gallery, queries))
        return torch.cat([(part @ unit.T).topk(50, dim=1)[1] for part in asked.split(512)]).numpy()

    def with_sklearn() -> NDArray[np.int64]:
        finder = NearestNeighbors(n_neighbors=50, metric="cosine", algorithm="brute").fit(gallery)
        found: NDArray[np.int64] = finder.kneighbors(queries, return_distance=False)
        return found

    def with_faiss() -> NDArray[np.int64]:
        import faiss  # noqa: PLC0415 - nothing here needs it

        unit, asked = gallery.copy(), queries.copy()
        faiss.normalize_L2(unit)
        faiss.normalize_L2(asked)
        index = faiss.IndexFlatIP(width)
        index.add(unit)
        found: NDArray[np.int64] = index.search(asked, 50)[1]
        return found

    ways = {"ours": lambda: nearest(queries, gallery, 50), "torch": with_torch, "scikit-learn": with_sklearn}
    ways |= {"faiss": with_faiss} if find_spec("faiss") else {}
    found = {name: way() for name, way in ways.items()}
    times = in_turns(ways, rounds)
    return [
        {
            "what": "retrieval",
            "arm": name,
            "ms": 1e3 * times[name],
            "same_neighbours": (found[name] == found["ours"]).mean(),
        }
        for name in ways
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
    for what in (what for what in whats if what.startswith("probe") or what == "retrieval"):
        for peer in ("scikit-learn", "torch", "faiss"):
            if (what, peer) in by_name:
                limit = " (at most 1)" if peer != "faiss" else ""
                found[f"{what}, ours / {peer}{limit}"] = by_name[what, "ours"]["ms"] / by_name[what, peer]["ms"]
        if what != "retrieval":
            found[f"{what}, ours above the others' objective (at most 1e-6)"] = by_name[what, "ours"]["objective_above"]
    if "cka" in whats:
        ours, peer = by_name["cka", "ours"], by_name["cka", "Grams in the hook"]
        found["cka, ours / Grams in the hook (at most 1.3)"] = ours["ms"] / peer["ms"]
        found["cka, ours - float64 (at most 1e-6)"] = ours["largest_error"]
        found["cka, outputs by reference - float64 (wrong)"] = by_name["cka", "outputs by reference"]["largest_error"]
    for row in (row for row in rows if row["what"].startswith("memory")):
        found["memory of a sweep, GiB (at most 2)"] = row["mib_above_start"] / 1024
    if growth := [row["ms_a_clip"] for row in rows if row["what"] == "growth"]:
        found["growth, dearest clip / cheapest clip (1 is linear)"] = max(growth) / min(growth)
    return found


def words(text: str) -> tuple[str, ...]:
    """What stands between commas."""
    return tuple(text.split(","))


def main(arguments: Sequence[str]) -> None:
    """Run, and print a table or JSON."""
    parser = argparse.ArgumentParser(description="The harness against the bare model, libraries and simpler ways.")
    parser.add_argument("--quick", action="store_true", help="under 40 s: smaller, and once")
    parser.add_argument("--json", action="store_true", help="print the rows and ratios, and nothing else")
    parser.add_argument("--models", type=words, default=tuple(PROMISES), help="backbones, separated by commas")
    parser.add_argument(
        "--precisions",
        type=words,
        default=("bf16" if computes_bf16() else "fp32",),
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
        with one_thread(), threadpool_limits(1):  # the libraries' threads wait for each other, which would be timed too
            for fall in (0.5, 0.0) if "probe" in parts else ():
                rows += probing(*(1000, 64, fall) if quick else (UCF101[0], 512, fall))
            if "retrieval" in parts:
                rows += retrieving(512, 1000 if quick else UCF101[1], rounds)
        if "cka" in parts:
            rows += comparing_layers(rounds if quick else 5, 1 if quick else 4)
        if "memory" in parts:
            rows += keeping(400 if quick else UCF101[1], folder)
        if "growth" in parts:
            rows += growing(clips, folder, (3, 6, 11) if quick else (6, 11, 21))
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
