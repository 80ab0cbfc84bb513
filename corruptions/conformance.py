"""What every corruption must pass before a score may be measured under it.

A corruption declares what it works on, and the kit checks what is declared, on a clip made here:

- value: each value of each frame alone. Any slice of the frames and any region of them comes out as it would within
  the whole, and no value has a say in another. Such a corruption takes the argument `region`.
- frame: each frame alone (a blur, a JPEG). Any slice comes out as it would within the whole.
- video: the frames together (a lost frame, motion blur). Only the same call is expected to give the same result.

A problem is put in words for the author: what was found, and what to change.
"""

import hashlib
import importlib
import itertools
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from corruptions.definition import SEVERITIES, Definition
from corruptions.noise import Noise

WorksOn = Literal["value", "frame", "video"]
Clip = NDArray[np.uint8]

VIDEOS = ("kit/a", "kit/b", "kit/c")
FIRST_FRAME = 5
"""The kit's clip begins in the middle of its video, so that numbers and positions differ."""


class Corruption(Protocol):
    """A corruption and what it declares of itself."""

    @property
    def name(self) -> str:
        """Stands beside every score measured under it."""

    @property
    def works_on(self) -> WorksOn:
        """What it treats alone: each value, each frame, or the video as a whole."""

    @property
    def is_random(self) -> bool:
        """Whether it draws anything: then another video draws otherwise. False for a blur."""

    @property
    def mean_shift(self) -> tuple[float, ...]:
        """The most that the expected mean of the frames can move, severities 1 to 5, in grey levels (0 to 255)."""

    @property
    def __call__(self) -> Callable[..., Any]:
        """(frames [T, H, W, 3] uint8, severity, *, video_id, frame_numbers) to frames of the same shape.

        If it works on values, it takes `region` as well: (top, left, full height, full width) of frames that are cut
        out of larger ones.
        """


@dataclass(frozen=True)
class Finding:
    """One promise and whether it is kept."""

    promise: str
    problem: str = ""
    """What was found and what to change; empty when the promise is kept."""


@dataclass(frozen=True)
class Report:
    """What the kit found."""

    name: str
    works_on: str
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether every promise is kept."""
        return not any(finding.problem for finding in self.findings)

    def __str__(self) -> str:
        lines = [f"{self.name} (works on: {self.works_on})"]
        for finding in self.findings:
            lines.append(f"  {'FAILS' if finding.problem else 'keeps'}  {finding.promise}")
            if finding.problem:
                lines.append(f"         {finding.problem}")
        failed = sum(bool(finding.problem) for finding in self.findings)
        total = len(self.findings)
        lines.append(f"{total} promises kept." if self.passed else f"{failed} of {total} promises broken.")
        return "\n".join(lines)


def check(corruption: Corruption, target: str | None = None) -> Report:
    """Hold a corruption to what it declares.

    Args:
        corruption: What is to be checked.
        target: Where a new process finds it, as `package.module:name`; with it, the kit also checks that a new process
            draws the same.
    """
    problem = _declaration_problem(corruption)
    name = str(getattr(corruption, "name", "") or type(corruption).__name__)
    works_on = str(getattr(corruption, "works_on", "?"))
    if problem:
        return Report(name, works_on, (Finding("declares what the kit needs to know", problem),))
    findings = [Finding("declares what the kit needs to know")]
    for promise, find in _promises(corruption, target):
        try:
            found = find()
        except Exception as error:  # the author's code may raise anything, and the report goes on
            found = f"It raised {type(error).__name__}: {error}"
        findings.append(Finding(promise, found))
    return Report(name, works_on, tuple(findings))


def named(target: str) -> Corruption:
    """The corruption called `package.module:name`, or one of ours by its full name.

    Raises:
        ValueError: There is no such corruption; the message says where the search ended.
    """
    if ":" not in target:
        return Noise(Definition.parse(target))
    module_name, _, attribute = target.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there, and something that it imports is not
        raise ValueError(
            f"there is no module {error.name!r}; expected package.module:name, importable from here"
        ) from error
    if not hasattr(module, attribute):
        raise ValueError(f"module {module_name!r} has no {attribute!r}; expected package.module:name")
    corruption: Corruption = getattr(module, attribute)
    return corruption


def kit_clip() -> Clip:
    """Smooth shading, a grid and a moving disc: 8 frames of 45 x 67, all in integers."""
    t, row, column = np.ogrid[:8, :45, :67]
    shade = 40 + 3 * row + column
    grid = 50 * (((row // 5) + (column // 7)) % 2)
    disc = 70 * ((row - 20) ** 2 + (column - 12 - 5 * t) ** 2 < 90)
    grey = np.clip(shade + grid - disc, 0, 255)
    return np.stack([grey, 255 - grey // 2, (grey * 3) // 4], axis=-1).astype(np.uint8)


# The promises. Each returns what is wrong and what to do about it, or nothing.


def _promises(corruption: Corruption, target: str | None) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "gives back uint8 frames of the same shape", lambda: _shape_and_type(corruption)
    yield "leaves its input alone", lambda: _input_untouched(corruption)
    yield "draws the same for the same names", lambda: _same_twice(corruption)
    if target is not None:
        yield "draws the same in another process", lambda: _same_elsewhere(corruption, target)
    if corruption.is_random:
        yield "draws otherwise for another video", lambda: _other_video(corruption)
    else:
        yield "does the same to every video, as it draws nothing", lambda: _no_other_video(corruption)
    if corruption.works_on in ("value", "frame"):
        yield "treats each frame alone: any slice or order of frames", lambda: _slices(corruption)
    if corruption.works_on == "value":
        yield "treats each value alone: any region of the frames", lambda: _regions(corruption)
        yield "treats each value alone: no value has a say in another", lambda: _lone_values(corruption)
    yield "does more damage with each severity (PSNR and SSIM)", lambda: _severities_rise(corruption)
    yield "moves the mean no further than declared", lambda: _mean_within_bound(corruption)
    yield "refuses a severity other than 1 to 5 with a ValueError", lambda: _other_severities(corruption)


def _declaration_problem(corruption: Corruption) -> str:
    if isinstance(corruption, type):
        return f"{corruption.__name__} is a class; give the kit an instance of it."
    missing = [part for part in ("name", "works_on", "is_random", "mean_shift") if not hasattr(corruption, part)]
    if missing:
        return f"It has no {', '.join(missing)}; corruptions.conformance.Corruption says what each one means."
    if not callable(corruption):
        return "It cannot be called; it needs (frames, severity, *, video_id, frame_numbers)."
    if corruption.works_on not in get_args(WorksOn):
        return f'works_on is {corruption.works_on!r}; expected "value", "frame" or "video".'
    if len(corruption.mean_shift) != len(SEVERITIES):
        return f"mean_shift holds {len(corruption.mean_shift)} numbers; expected five, severities 1 to 5."
    return ""


def _call(corruption: Corruption, clip: Clip, severity: int = 3, video_id: str = VIDEOS[0]) -> Clip:
    numbers = range(FIRST_FRAME, FIRST_FRAME + len(clip))
    out: Clip = corruption(clip, severity, video_id=video_id, frame_numbers=numbers)
    return out


def _shape_and_type(corruption: Corruption) -> str:
    clip = kit_clip()
    for severity in SEVERITIES:
        for part in (clip, clip[:1], clip[:3, :31, :64]):
            out = _call(corruption, part, severity)
            if not isinstance(out, np.ndarray):
                return f"A NumPy array went in and a {type(out).__name__} came out; return a NumPy array."
            if out.shape != part.shape:
                return f"Frames of shape {part.shape} came out as {out.shape}; keep the shape."
            if out.dtype != np.uint8:
                return f"The result is {out.dtype}; clip to 0..255 and return uint8."
    return ""


def _input_untouched(corruption: Corruption) -> str:
    clip = kit_clip()
    out = _call(corruption, clip)
    if not np.array_equal(clip, kit_clip()):
        return "The frames that were handed in have changed; work on a copy."
    if np.shares_memory(out, clip):
        return "The result shares memory with the input; return frames of their own."
    return ""


def _same_twice(corruption: Corruption) -> str:
    clip = kit_clip()
    seed = "seed a generator of its own from severity, video id and frame number (corruptions.bits.frame_keys)"
    first = _call(corruption, clip)
    if not np.array_equal(first, _call(corruption, clip)):
        return f"Two calls with the same arguments differ; {seed}."
    global_states = random.getstate(), np.random.get_state()  # noqa: NPY002  (the global generator is what is watched)
    try:
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002
        before = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]  # noqa: NPY002
        again = _call(corruption, clip)
        after = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]  # noqa: NPY002
    finally:
        random.setstate(global_states[0])
        np.random.set_state(global_states[1])  # noqa: NPY002
    if not np.array_equal(first, again):
        return f"The result depends on the global random generator; {seed}."
    if before != after:
        return f"It draws from, or seeds, the global random generator, which belongs to its caller; {seed}."
    return ""


def _same_elsewhere(corruption: Corruption, target: str) -> str:
    # A hash seed of its own, because hash(video_id) is the usual way to get this wrong.
    hash_seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.run(
        [sys.executable, "-m", "corruptions.conformance", target],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if child.returncode:
        last = (child.stderr.strip().splitlines() or ["no message"])[-1]
        return f"A new process could not run it: {last}"
    if child.stdout.strip() != _digest(_call(corruption, kit_clip())):
        return (
            "A new process drew something else; seed from a hash of the names that is the same in every process, "
            "such as hashlib's, not hash()."
        )
    return ""


def _other_video(corruption: Corruption) -> str:
    clip = kit_clip()
    for severity in SEVERITIES:
        one, other = (_call(corruption, clip, severity, video) for video in VIDEOS[:2])
        if np.array_equal(one, other):
            return (
                f"Two videos drew the same at severity {severity}; let the video id into the seed, "
                "or declare is_random = False."
            )
    return ""


def _no_other_video(corruption: Corruption) -> str:
    clip = kit_clip()
    for severity in SEVERITIES:
        one, other = (_call(corruption, clip, severity, video) for video in VIDEOS[:2])
        if not np.array_equal(one, other):
            return f"Two videos were treated differently at severity {severity}; declare is_random = True."
    return ""


def _slices(corruption: Corruption) -> str:
    clip = kit_clip()
    numbers = np.arange(FIRST_FRAME, FIRST_FRAME + len(clip))
    for severity in SEVERITIES:
        whole = _call(corruption, clip, severity)
        for chosen in (slice(2, 5), slice(4, 5), slice(None, None, -1), slice(1, None, 3)):
            part = corruption(clip[chosen], severity, video_id=VIDEOS[0], frame_numbers=numbers[chosen].tolist())
            if not np.array_equal(part, whole[chosen]):
                return (
                    f"Frames {numbers[chosen].tolist()} alone came out other than within the whole clip at severity {severity}; "
                    'seed from each frame\'s number, not from its place in the clip, or declare works_on = "video".'
                )
    return ""


def _regions(corruption: Corruption) -> str:
    clip = kit_clip()
    height, width = clip.shape[1:3]
    numbers = range(FIRST_FRAME, FIRST_FRAME + len(clip))
    for severity in SEVERITIES:
        whole = _call(corruption, clip, severity)
        for top, left, bottom, right in ((0, 0, 20, 30), (7, 11, 45, 67), (44, 66, 45, 67), (3, 0, 4, 67)):
            part = corruption(
                clip[:, top:bottom, left:right],
                severity,
                video_id=VIDEOS[0],
                frame_numbers=numbers,
                region=(top, left, height, width),
            )
            if not np.array_equal(part, whole[:, top:bottom, left:right]):
                return (
                    f"Rows {top} to {bottom} and columns {left} to {right} alone came out other than within the whole frame at "
                    f"severity {severity}; draw by place in the full frame (the argument region), or declare "
                    'works_on = "frame".'
                )
    return ""


def _lone_values(corruption: Corruption) -> str:
    clip = kit_clip()
    changed = clip.copy()
    place = (3, 20, 30, 1)
    changed[place] = 255 - changed[place]
    for severity in SEVERITIES:
        same = _call(corruption, clip, severity) == _call(corruption, changed, severity)
        same[place] = True
        if not same.all():
            return (
                f"One value was changed and {int((~same).sum())} others came out differently at severity {severity}; "
                'declare works_on = "frame".'
            )
    return ""


def _severities_rise(corruption: Corruption) -> str:
    clip = kit_clip()
    for measure, unit in ((psnr, "dB PSNR"), (ssim, "SSIM")):
        levels = [
            float(np.mean([measure(clip, _call(corruption, clip, severity, video)) for video in VIDEOS]))
            for severity in SEVERITIES
        ]
        for severity, (milder, harsher) in enumerate(itertools.pairwise(levels), start=1):
            if not harsher < milder:
                return (
                    f"Severity {severity + 1} does no more damage than severity {severity} "
                    f"({harsher:.4g} against {milder:.4g} {unit}); order the constants from mild to harsh."
                )
    return ""


def _mean_within_bound(corruption: Corruption) -> str:
    clip = kit_clip()
    for severity, bound in zip(SEVERITIES, corruption.mean_shift, strict=True):
        change = np.stack([_call(corruption, clip, severity, video).astype(float) - clip for video in VIDEOS])
        shift = abs(change.mean())
        chance = 4 * change.std() / np.sqrt(change.size)
        if shift > bound + chance:
            return (
                f"The mean moved by {shift:.2f} grey levels at severity {severity}, declared are at most {bound:.2f}; "
                "correct mean_shift, or the corruption."
            )
    return ""


def _other_severities(corruption: Corruption) -> str:
    for severity in (0, 6, -1, 2.5):
        try:
            _call(corruption, kit_clip(), severity)  # type: ignore[arg-type]
        except ValueError:
            continue
        except Exception as error:  # the author's code may raise anything
            return f"Severity {severity} raised {type(error).__name__}; raise a ValueError that says 1 to 5."
        return f"Severity {severity} was accepted; raise a ValueError that says 1 to 5 (as an index, 0 would mean the last)."
    return ""


def psnr(clean: Clip, noisy: Clip) -> float:
    """Peak signal-to-noise ratio in dB over all values; infinite when nothing changed."""
    error = np.mean((clean.astype(float) - noisy) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def ssim(clean: Clip, noisy: Clip) -> float:
    """Structural similarity, the mean over 7 x 7 windows and channels.

    Source: Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004, with
    flat windows instead of Gaussian ones.
    """
    x, y = (_windows(clip.astype(float)) for clip in (clean, noisy))
    x_mean, y_mean = x.mean(axis=(-2, -1)), y.mean(axis=(-2, -1))
    x_var, y_var = x.var(axis=(-2, -1)), y.var(axis=(-2, -1))
    both = (x * y).mean(axis=(-2, -1)) - x_mean * y_mean
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    likeness = (2 * x_mean * y_mean + c1) * (2 * both + c2) / ((x_mean**2 + y_mean**2 + c1) * (x_var + y_var + c2))
    return float(likeness.mean())


def _windows(clip: NDArray[np.float64]) -> NDArray[np.float64]:
    windows: NDArray[np.float64] = np.lib.stride_tricks.sliding_window_view(clip, (7, 7), axis=(1, 2))[:, ::3, ::3]
    return windows


def _digest(clip: Clip) -> str:
    return hashlib.sha256(np.ascontiguousarray(clip).tobytes()).hexdigest()


def main(arguments: Sequence[str]) -> None:
    """Print the digest of the kit's clip under the corruption of that name: what another process draws."""
    sys.stdout.write(_digest(_call(named(arguments[0]), kit_clip())) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
