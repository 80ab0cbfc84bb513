"""What `reelproof evaluate --dry-run` says a judging would cost, beside what it then costs.

    python -m benchmarks.estimate [--quick] [--json] [--checkpoint DIR] [--data FOLDER]

First the estimate, then the judging itself from an empty cache, both as the command does them: on mini-v1, or on somebody's
own videos. Videos and frames come from `$REELPROOF_HOME`, or are made there first; cache and result are thrown away.

Time of a stage is that of the slowest data set, since they are judged side by side on a CPU. Memory is the largest that all
processes together had of their own by the end of the stage, read from /proc (on Linux alone); disk is what the stage left in the cache.
Without --checkpoint a random initialisation is judged. --quick judges a quarter-wide one on a few videos made here: there
starting up costs more than the work, so its ratios prove nothing.
"""

import argparse
import json
import multiprocessing
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from safetensors import safe_open

from bench.data import open_folder, open_suite
from bench.estimate import peak_bytes
from bench.home import Home
from bench.run import Videos, processes_for
from bench.schema import StageName
from bench.suites.mini_v1 import MINI_V1
from bench.suites.protocol import Suite
from reference_models.pretrain import random_checkpoint
from submissions.evaluate import estimate, judge

KINDS: Mapping[str, StageName] = {
    "linear_probe": "linear_probe",
    "linear_probe_path": "linear_probe",
    "finetuned": "finetune",
    "finetuned-milestone": "finetune",
    "finetuned-by-epoch": "finetune",
    "finetune-search": "finetune",
    "student": "distillation",
    "teacher": "distillation",
    "grams": "cka",
}
"""Which stage leaves a cache entry; outputs and readings of conduct say it by their keys."""


class Peaks:
    """The most memory that this process, or its children together, had by the end of each stage."""

    def __init__(self) -> None:
        self.by_stage: dict[StageName, int] = {}
        self._of_child: dict[int, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def told(self, stage: StageName, state: str, _words: str, _share: float) -> None:
        """As progress is told."""
        if state == "done":
            self.by_stage[stage] = self._sum()

    def end(self) -> None:
        """Watch no more."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            for child in multiprocessing.active_children():
                if child.pid is not None and (most := peak_bytes(child.pid)):
                    self._of_child[child.pid] = most

    def _sum(self) -> int:
        return sum(self._of_child.values()) or peak_bytes()


def stage_of(path: Path, suite: Suite) -> StageName | None:
    """The stage that left this entry of the cache."""
    if path.parent.name != "outputs":
        return KINDS.get(path.parent.name)
    with safe_open(path, framework="numpy") as entry:
        key = json.loads(entry.metadata()["key"])
    if len(key["conditions"]) > 1:
        return "robustness"
    fit = key["model"].get("fit")
    if fit is None:
        return "linear_probe"
    return "distillation" if fit["stage"] == suite.stage_hash("distillation") else "finetune"


def compared(checkpoint: Path, suite: Suite, videos: Mapping[str, Videos], folder: Path) -> list[dict[str, Any]]:
    """Estimate, then judge: one row a stage, and one of all together."""
    home = Home(folder)
    costs = {cost.stage: cost for cost in estimate(checkpoint, suite, videos, home)}
    peaks = Peaks()
    started = time.monotonic()
    result = judge(checkpoint, suite, videos, home, progress=peaks.told).result
    whole = time.monotonic() - started
    peaks.end()
    disk: dict[StageName | None, int] = defaultdict(int)
    for path in home.cache.rglob("*.safetensors"):
        disk[stage_of(path, suite)] += path.stat().st_size
    rows: list[dict[str, Any]] = []
    for report in result.stages:
        cost = costs[report.stage]
        seconds = [float(report.facts.get(f"{dataset.name}.seconds", 0.0)) for dataset in suite.datasets]
        rows.append(
            {
                "stage": report.stage,
                "seconds_predicted": cost.seconds,
                "seconds": max(seconds) if processes_for(suite, "auto") > 1 else sum(seconds),
                "mib_predicted": cost.memory_bytes / 2**20,
                "mib": peaks.by_stage[report.stage] / 2**20,
                "disk_mib_predicted": cost.disk_bytes / 2**20,
                "disk_mib": disk[report.stage] / 2**20,
            }
        )
    rows.append(
        {
            "stage": "all",
            "seconds_predicted": sum(cost.seconds for cost in costs.values()),
            "seconds": whole,
            "mib_predicted": max(cost.memory_bytes for cost in costs.values()) / 2**20,
            "mib": max(peaks.by_stage.values()) / 2**20,
            "disk_mib_predicted": sum(cost.disk_bytes for cost in costs.values()) / 2**20,
            "disk_mib": sum(disk.values()) / 2**20,
        }
    )
    return rows


def write_folder(folder: Path) -> Path:
    """Two classes of twelve short videos: noise on grey, dim and bright."""
    rng = np.random.default_rng(0)
    for name, level in (("dim", 60), ("bright", 160)):
        (folder / name).mkdir(parents=True)
        for number in range(12):
            with av.open(str(folder / name / f"{number}.mp4"), "w") as container:
                stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
                stream.width, stream.height, stream.pix_fmt, stream.thread_count = 86, 64, "yuv420p", 1
                for _ in range(24):
                    picture = (level + rng.integers(0, 60, (64, 86, 3))).astype(np.uint8)
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
                container.mux(stream.encode())
    return folder


def ratios(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Predicted over actual."""
    found = {}
    for row in rows:
        for what, words in (("seconds", "time"), ("mib", "memory"), ("disk_mib", "disk")):
            if row[what] and row[f"{what}_predicted"]:
                found[f"{row['stage']}, {words}: predicted / actual (within 1.5)"] = (
                    row[f"{what}_predicted"] / row[what]
                )
    return found


def main(arguments: Sequence[str]) -> None:
    """Run, and print a table or JSON."""
    parser = argparse.ArgumentParser(description="The cost that is told before the work, beside the cost of the work.")
    parser.add_argument("--quick", action="store_true", help="under 40 s: a few small videos made here")
    parser.add_argument("--json", action="store_true", help="print the rows and ratios, and nothing else")
    parser.add_argument(
        "--checkpoint", type=Path, help="folder of a checkpoint; a random initialisation where it is left out"
    )
    parser.add_argument("--data", type=Path, help="your own videos, FOLDER/class/*.mp4; mini-v1 where it is left out")
    settings = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        home = Home(folder / "home") if settings.quick else Home.default()
        data = write_folder(folder / "videos") if settings.quick else settings.data
        suite, videos = (
            (MINI_V1, open_suite(MINI_V1, home, lambda *_: None))
            if data is None
            else open_folder(data, home, lambda *_: None)
        )
        width = "x0_25" if settings.quick else "x0_5"
        checkpoint = settings.checkpoint or random_checkpoint(
            f"shufflenet_v1_{width}", seed=0, folder=folder / "random"
        )
        rows = compared(checkpoint, suite, videos, folder / "judged")
    if settings.json:
        print(json.dumps({"rows": rows, "ratios": ratios(rows)}))
        return
    print(f"{'stage':<14}{'time, s':>22}{'memory, MiB':>22}{'disk, MiB':>22}   predicted, actual")
    for row in rows:
        pairs = ((row[f"{what}_predicted"], row[what]) for what in ("seconds", "mib", "disk_mib"))
        print(f"{row['stage']:<14}" + "".join(f"{one:>11.2f}{other:>11.2f}" for one, other in pairs))
    print()
    for what, ratio in ratios(rows).items():
        print(f"{what}: {ratio:.3g}")


if __name__ == "__main__":
    main(sys.argv[1:])
