"""Probe, retrieval and CKA, each in one run with the libraries that compute the same.

    python -m benchmarks.libraries [--quick] [--json] [--parts probe,retrieval,cka]

In every round each arm has its turn, so that a busy machine slows all of them alike; times are processor time of the process
(all its threads), the smallest of the rounds.

Probe: all strengths of the suites on real videos, on a training set of the size of UCF101's, against scikit-learn's
LogisticRegression, its tolerance tightened until its objective is within 1e-7 of ours or below; only the run that gets there counts.
Once on features whose spread falls over their principal axes, as it does in networks, and once on even ones. Retrieval: the 50
nearest for UCF101's test videos among its training videos, against torch, scikit-learn, and faiss where it is installed. On one thread.

CKA: ours against Grams taken in the hook and kept in float32 (the fastest peer's way, right where nothing is extreme) and
against outputs kept by reference (two peers' way, wrong under an in-place ReLU), all against float64.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.nn import functional

from bench.forward import one_thread
from bench.guesses import Grams
from bench.stages.cka import module_grams
from bench.stages.logistic import LogisticProblem
from bench.stages.retrieval import nearest
from bench.statistics.similarity import similarity_map
from bench.suites.ucf101_v1 import UCF101_V1
from bench.training import keep_large_buffers
from benchmarks.arms import Row, in_turns, show, words

PARTS = ("probe", "retrieval", "cka")
UCF101 = (9537, 3783, 101)
"""Training videos, test videos and classes of its first split."""


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


def ratios(rows: Sequence[Row]) -> dict[str, float]:
    """The promises of what was run, each named with its limit."""
    by_name = {(row["what"], row["arm"]): row for row in rows}
    whats = dict.fromkeys(row["what"] for row in rows)
    found = {}
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
    return found


def main(arguments: Sequence[str]) -> None:
    """Run, and print a table or JSON."""
    parser = argparse.ArgumentParser(description="Probe, retrieval and CKA beside the libraries that compute the same.")
    parser.add_argument("--quick", action="store_true", help="under 40 s: smaller, and once")
    parser.add_argument("--json", action="store_true", help="print the rows and ratios, and nothing else")
    parser.add_argument("--parts", type=words, default=PARTS, help=f"of {','.join(PARTS)}")
    settings = parser.parse_args(arguments)
    if unknown := {*settings.parts} - {*PARTS}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    keep_large_buffers()  # as the harness itself does
    quick, parts, rounds = settings.quick, settings.parts, 1 if settings.quick else 3
    rows: list[Row] = []
    with one_thread(), threadpool_limits(1):  # the libraries' threads wait for each other, which would be timed too
        for fall in (0.5, 0.0) if "probe" in parts else ():
            rows += probing(*(1000, 64, fall) if quick else (UCF101[0], 512, fall))
        if "retrieval" in parts:
            rows += retrieving(512, 1000 if quick else UCF101[1], rounds)
    if "cka" in parts:
        rows += comparing_layers(rounds if quick else 5, 1 if quick else 4)
    show(rows, ratios(rows), as_json=settings.json)


if __name__ == "__main__":
    main(sys.argv[1:])
