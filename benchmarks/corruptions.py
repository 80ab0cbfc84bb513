"""Noise, side by side in one run: ours, the usual package, and the limits of what could be reached.

    python -m benchmarks.corruptions [--quick] [--json]

One core each. In every round each arm has its turn, so that a busy machine slows all of them alike; times are
processor time of this thread, the median over the rounds. Arms, on a 16 x 112 x 112 clip at severity 3:

- imagecorruptions: the package `imagecorruptions-imaug`, frame by frame (left out when it is not installed:
  `pip install imagecorruptions-imaug`);
- formulas: the sources' formulas on the whole clip in NumPy;
- compiled; plain (no numba), given an array or a torch tensor; torch operations, as on an accelerator: ours;
- copy, generator, look-up: the limits; no construction of this kind can be faster than these.

Then noise at source: 16 frames of 240 x 320, noise, the suite's resize to 128 x 171 and crop to 112 x 112, over the
region that the crop needs and over full frames (the same bytes, which is checked). Then memory.
"""

import argparse
import importlib
import importlib.util
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from math import exp, log
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from bench.video.resize import centre_crop, resize_region, source_region
from corruptions import bits
from corruptions.definition import FAMILIES, Definition
from corruptions.noise import corrupt
from corruptions.tables import alias_table

Clip = NDArray[np.uint8]

SEVERITY = 3
FRAMES = 16

SLOT_S = 0.015
"""An arm's turn; long enough that it has the caches to itself."""


def textured(height: int, width: int, num_frames: int = FRAMES) -> Clip:
    """A clip with the smoothness of real frames: shading, edges and a little grain."""
    t, row, column, channel = np.ogrid[:num_frames, :height, :width, :3]
    grain = np.random.default_rng(0).normal(0, 4, (num_frames, height, width, 3))
    shade = (
        120 + 60 * np.sin((column + 3 * t) / 40 + channel) * np.cos(row / 30) + 40 * ((row // 25 + column // 31) % 2)
    )
    clip: Clip = np.clip(shade + grain, 0, 255).astype(np.uint8)
    return clip


def time_in_turn(arms: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Milliseconds of processor time of one run of each arm, the median over rounds in which each has its turn."""
    took: dict[str, list[float]] = {name: [] for name in arms}
    for run in arms.values():
        run()
    for _ in range(rounds):
        for name, run in arms.items():
            runs, start = 0, time.thread_time()
            while (spent := time.thread_time() - start) < SLOT_S:
                run()
                runs += 1
            took[name].append(1000 * spent / runs)
    return {name: statistics.median(times) for name, times in took.items()}


def formula(clip: Clip, family: str, c: float) -> Clip:
    """The sources' formulas, on the whole clip."""
    rng = np.random.default_rng()
    x = clip / 255.0
    if family == "gaussian":
        x = x + rng.normal(size=x.shape, scale=c)
    elif family == "shot":
        x = rng.poisson(x * c) / float(c)
    elif family == "speckle":
        x = x + x * rng.normal(size=x.shape, scale=c)
    else:
        hit = rng.random(x.shape)
        x[hit < c / 2] = 0
        x[hit > 1 - c / 2] = 1
    return (np.clip(x, 0, 1) * 255).astype(np.uint8)


def usual_package() -> Callable[[Clip, str], Any] | None:
    """The corrupting function of imagecorruptions over the frames of a clip, if it is installed."""
    if importlib.util.find_spec("imagecorruptions") is None:
        return None
    imagecorruptions = importlib.import_module("imagecorruptions")
    return lambda clip, family: [
        imagecorruptions.corrupt(frame, severity=SEVERITY, corruption_name=f"{family}_noise") for frame in clip
    ]


@numba.njit(nogil=True)
def _generate(start, twist, words):  # type: ignore[no-untyped-def]
    for w in range(words.size):
        z = start + np.uint64(w) * np.uint64(bits.GOLDEN)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(bits.FIRST_FACTOR) ^ twist
        z = (z ^ (z >> np.uint64(27))) * np.uint64(bits.SECOND_FACTOR)
        words[w] = z ^ (z >> np.uint64(31))


@numba.njit(nogil=True)
def _look_up(places, table, out):  # type: ignore[no-untyped-def]
    for i in range(places.size):
        out[i] = table[places[i]]


def limits(clip: Clip) -> dict[str, Callable[[], Any]]:
    """What any construction of this kind must at least do, compiled."""
    out, words = np.empty_like(clip), np.empty(clip.size // bits.LANES, np.uint64)
    places = (clip.ravel().astype(np.uint16) << 8) | np.random.default_rng(0).integers(0, 256, clip.size, np.uint16)
    entries = np.empty(clip.size, np.int16)
    table = alias_table("gaussian", Definition("gaussian").constant(SEVERITY))
    return {
        "copy": lambda: np.copyto(out, clip),
        "generator": lambda: _generate(np.uint64(1), np.uint64(2), words),
        "look-up": lambda: _look_up(places, table, entries),
    }


def per_clip(rounds: int) -> list[dict[str, Any]]:
    """Every arm on a model's clip, by family."""
    clip = textured(112, 112)
    tensor = torch.from_numpy(clip)
    package = usual_package()
    names: dict[str, Any] = {"video_id": "v", "frame_numbers": range(FRAMES)}
    rows = []
    for family in FAMILIES:
        d = Definition(family)
        # The package knows the constants of ImageNet-C only; formulas and ours use the default table.
        arms: dict[str, Callable[[], Any]] = {
            "formulas": partial(formula, clip, d.family, d.constant(SEVERITY)),
            "compiled": partial(corrupt, clip, d, SEVERITY, engine="compiled", **names),
            "plain, array": partial(corrupt, clip, d, SEVERITY, engine="plain", **names),
            "plain, tensor": partial(corrupt, tensor, d, SEVERITY, engine="plain", **names),
            "torch operations": partial(corrupt, tensor, d, SEVERITY, engine="torch", **names),
        }
        if package is not None:
            arms = {"imagecorruptions": partial(package, clip, family)} | arms
        for arm, ms in time_in_turn(arms | limits(clip), rounds).items():
            rows.append({"measure": "clip", "noise": family, "arm": arm, "ms": ms})
    return rows


NATIVE, RESIZE = (240, 320), (128, 171)
CROP = centre_crop(RESIZE, 112)


def with_pillow(frames: Clip) -> Clip:
    """The suite's resize and crop, in Pillow's words."""
    top, left, side = CROP
    box = (left, top, left + side, top + side)
    small = [Image.fromarray(frame).resize(RESIZE[::-1], Image.Resampling.BILINEAR) for frame in frames]
    return np.stack([np.asarray(frame.crop(box)) for frame in small])


def at_source(rounds: int) -> list[dict[str, Any]]:
    """Noise at native resolution, then resize and crop, for one clip and one condition."""
    source = textured(*NATIVE)
    names: dict[str, Any] = {"video_id": "v", "frame_numbers": range(FRAMES), "engine": "compiled"}
    top, left, height, width = source_region(NATIVE, RESIZE, CROP)
    needed = source[:, top : top + height, left : left + width]
    where = (top, left, *NATIVE)

    def full(d: Definition) -> Clip:
        return with_pillow(corrupt(source, d, SEVERITY, **names))

    def region(d: Definition) -> Clip:
        return resize_region(corrupt(needed, d, SEVERITY, region=where, **names), NATIVE, RESIZE, CROP)

    rows = []
    for family in FAMILIES:
        d = Definition(family)
        assert np.array_equal(full(d), region(d)), f"{family}: the region alone does not give the crop of the whole"
        arms: dict[str, Callable[[], Any]] = {
            "region only": partial(region, d),
            "  its noise": partial(corrupt, needed, d, SEVERITY, region=where, **names),
            "full frames, Pillow": partial(full, d),
            "  their noise": partial(corrupt, source, d, SEVERITY, **names),
        }
        for arm, ms in time_in_turn(arms, rounds).items():
            rows.append({"measure": "source", "noise": family, "arm": arm, "ms": ms})
    return rows


def _peak_of(arm: str, answer: Any) -> None:
    """In a process of its own: send the MiB that one call needs at its peak beyond its output."""
    torch.set_num_threads(1)
    array = textured(480, 640, 8).repeat(8, axis=0)
    clip: Any = torch.from_numpy(array) if arm == "torch" else array
    engine: Any = "plain" if arm == "numpy" else arm
    d = Definition("shot")
    corrupt(clip[0], d, SEVERITY, video_id="v", frame_numbers=0, engine=engine)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = _status("VmRSS")
    out = corrupt(clip, d, SEVERITY, video_id="v", frame_numbers=range(len(clip)), engine=engine)
    answer.send(_status("VmHWM") - before - array.nbytes / (1 << 20))
    assert out.shape == clip.shape


def _status(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"/proc/self/status has no {field}")


def memory() -> list[dict[str, Any]]:
    """Peak memory of one call on 64 frames of 480 x 640 (56 MiB), beyond the output; Linux only."""
    if not Path("/proc/self/clear_refs").exists():
        return []
    spawn = multiprocessing.get_context("spawn")
    rows = []
    for arm in ("compiled", "numpy", "torch"):
        receive, send = spawn.Pipe(duplex=False)
        process = spawn.Process(target=_peak_of, args=(arm, send))
        process.start()
        send.close()
        rows.append({"measure": "memory", "noise": "shot", "arm": arm, "mib_beyond_output": receive.recv()})
        process.join()
    return rows


def geometric_mean(rows: list[dict[str, Any]], measure: str, arm: str) -> float:
    """Of an arm's milliseconds over the four noises."""
    times = [row["ms"] for row in rows if (row["measure"], row["arm"]) == (measure, arm)]
    return exp(sum(map(log, times)) / len(times))


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The ratios that matter, from geometric means over the four noises."""
    ms = {row["arm"]: geometric_mean(rows, "clip", row["arm"]) for row in rows if row["measure"] == "clip"}
    ratios = []
    for theirs in ("imagecorruptions", "formulas"):
        for ours in ("compiled", "plain, array", "plain, tensor", "torch operations"):
            if theirs in ms:
                ratios.append({"measure": "ratio", "arm": f"{ours} over {theirs}", "ratio": ms[theirs] / ms[ours]})
    for limit in ("copy", "generator", "look-up"):
        ratios.append(
            {"measure": "ratio", "arm": f"compiled against {limit} alone", "ratio": ms["compiled"] / ms[limit]}
        )
    return ratios


def table(rows: list[dict[str, Any]], measure: str) -> list[str]:
    """Arms down, noises across, milliseconds a clip."""
    arms = list(dict.fromkeys(row["arm"] for row in rows if row["measure"] == measure))
    lines = [f"{'':26}" + "".join(f"{family:>10}" for family in FAMILIES) + f"{'geo. mean':>12}{'clips/s':>10}"]
    for arm in arms:
        cells = {row["noise"]: row["ms"] for row in rows if (row["measure"], row["arm"]) == (measure, arm)}
        mean = geometric_mean(rows, measure, arm)
        lines.append(
            f"{arm:26}" + "".join(f"{cells[family]:10.3f}" for family in FAMILIES) + f"{mean:12.3f}{1000 / mean:10.0f}"
        )
    return lines


def main() -> None:
    """Run, print, end with the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, under 40 s")
    parser.add_argument("--json", action="store_true", help="print the rows and nothing else")
    options = parser.parse_args()

    torch.set_num_threads(1)
    rounds = 7 if options.quick else 41
    start = time.perf_counter()
    built = [alias_table(f, Definition(f).constant(s)) for f in FAMILIES for s in (1, 2, 3, 4, 5)]
    build_s = (time.perf_counter() - start) / len(built)
    rows = per_clip(rounds) + at_source(rounds) + memory()
    rows.append({"measure": "build", "arm": "one table", "ms": 1000 * build_s})
    rows += summary(rows)
    if options.json:
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
        return

    print("ms of processor time a clip of 16 x 112 x 112, one core, severity 3")
    print("\n".join(table(rows, "clip")))
    print("\nms a clip-condition from 16 frames of 240 x 320: noise, resize to 128 x 171, crop to 112 x 112")
    print("\n".join(table(rows, "source")))
    print(f"\nbuilding one table: {1000 * build_s:.0f} ms, once a process")
    for row in rows:
        if row["measure"] == "memory":
            print(f"peak memory beyond the output, {row['arm']}: {row['mib_beyond_output']:.1f} MiB")
    if usual_package() is None:
        print("\nimagecorruptions is not installed; pip install imagecorruptions-imaug to compare with it")
    print("\nratios of geometric means")
    for row in rows:
        if row["measure"] == "ratio":
            print(f"  {row['arm']:34} {row['ratio']:6.1f}")


if __name__ == "__main__":
    main()
