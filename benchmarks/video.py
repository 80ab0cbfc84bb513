"""Reading videos, side by side in one run: our decode, resize, frame store, and what else could be used.

    python -m benchmarks.video [--quick] [--json] [--data FOLDER]

Files are made here, UCF101-like: 185 frames of 240 x 320, MPEG-4 in AVI with B-frames, and H.264 in MP4; with --data, the
files below that folder instead. In every round each arm has its turn, so that a busy machine slows all of them alike;
times are processor time of the process, the smallest of the rounds. One thread each. Arms:

- decode, every frame of a file as RGB: ours; PyAV without our flags (other pixels); OpenCV and torchcodec where they are
  installed (other pixels too). An arm that does not give the frames that were written, as many and in order, is named.
- resize to 128 x 171: ours with numba, Pillow frame by frame (from and to arrays), torch's antialiased uint8 (other pixels).
- store, from files to frames on disk: `build_store` with one worker against each reader followed by Pillow and one
  np.save; then one worker against two, by the clock.
- clips, batches of 8 random clips of 16 frames, 112 x 112: `FrameStore.clip` against the copy of the same bytes out of one
  memory map; and `FrameStream.clip`, which decodes the file up to the clip's end.
"""

import argparse
import importlib.util
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.video.decode import decode
from bench.video.frame_store import build_store, open_stream
from bench.video.index import Video, VideoSet
from bench.video.resize import resize_clip
from benchmarks.arms import Arm, in_turns

Frames = NDArray[np.uint8]
SIZE = (128, 171)
CODERS = {"avi": ("mpeg4", {"bf": "2", "g": "12", "qmin": "3", "qmax": "5"}), "mp4": ("libx264", {"crf": "20"})}


def written(seed: int, num_frames: int) -> Frames:
    """Frames with the smoothness of real ones, that move; each has a brightness of its own."""
    rng = np.random.default_rng(seed)
    row, column, channel = np.ogrid[:240, :320, :3]
    frames = np.empty((num_frames, 240, 320, 3), np.uint8)
    for t in range(num_frames):
        shade = 110 + 60 * np.sin((column + 3 * t + 20 * seed) / 40 + channel) * np.cos((row + t) / 30) + 40 * np.sin(t)
        frames[t] = np.clip(
            shade + 30 * ((row // 25 + (column + 2 * t) // 31) % 2) + rng.normal(0, 3, shade.shape), 0, 255
        )
    return frames


def write(path: Path, frames: Frames) -> None:
    """The frames as a file of its extension's coding."""
    codec, options = CODERS[path.suffix[1:]]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.thread_count = 1
        for number, frame_HW3 in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(frame_HW3, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def with_pyav(path: Path) -> Frames:
    """PyAV as its documentation shows it."""
    with av.open(str(path), metadata_errors="ignore") as container:
        container.streams.video[0].codec_context.thread_count = 1
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def with_opencv(path: Path) -> Frames:
    """OpenCV, one frame after the other."""
    import cv2  # noqa: PLC0415 - may not be installed

    cv2.setNumThreads(1)
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    frames = []
    while True:
        there, frame_HW3 = capture.read()
        if not there:
            return np.stack(frames)
        frames.append(cv2.cvtColor(frame_HW3, cv2.COLOR_BGR2RGB))


def with_torchcodec(path: Path) -> Frames:
    """Torchcodec, all frames in one call."""
    from torchcodec.decoders import VideoDecoder  # noqa: PLC0415 - may not be installed

    decoder = VideoDecoder(str(path), dimension_order="NHWC", num_ffmpeg_threads=1)
    frames: Frames = decoder[:].numpy()
    return frames


def readers() -> dict[str, Callable[[Path], Frames]]:
    """Those that are installed and work here."""
    found: dict[str, Callable[[Path], Frames]] = {"ours": decode, "PyAV": with_pyav}
    if importlib.util.find_spec("cv2"):
        found["OpenCV"] = with_opencv
    if importlib.util.find_spec("torchcodec"):
        import torchcodec  # noqa: PLC0415 - may not be installed

        if torchcodec.ffmpeg_major_version is not None:
            found["torchcodec"] = with_torchcodec
    return found


def with_pillow(frames: Frames) -> Frames:
    """Pillow's resize, frame by frame."""
    size = SIZE[1], SIZE[0]
    return np.stack([np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR)) for frame in frames])


def with_torch(frames: Frames) -> Frames:
    """Torch's antialiased resize of uint8."""
    import torch  # noqa: PLC0415 - the worker processes of the store import this file too

    torch.set_num_threads(1)
    pictures = torch.from_numpy(frames).permute(0, 3, 1, 2)
    small = torch.nn.functional.interpolate(pictures, size=SIZE, mode="bilinear", antialias=True)
    result: Frames = small.permute(0, 2, 3, 1).numpy()
    return result


def wrong_frames(frames: Frames, reference: Frames) -> str:
    """What is wrong with a reader's frames, if anything: their number, or their order."""
    if len(frames) != len(reference):
        return f"{len(frames)} frames instead of {len(reference)}"
    away = np.abs(frames.astype(int).mean((1, 2, 3)) - reference.astype(int).mean((1, 2, 3))).max()
    return "frames in the wrong place" if away > 4 else ""


def reading(paths: Sequence[Path], references: Mapping[Path, Frames], rounds: int) -> list[dict[str, Any]]:
    """Decoding, by the kind of file."""
    rows = []
    for kind in sorted({path.suffix for path in paths}):
        path = next(path for path in paths if path.suffix == kind)
        arms: dict[str, Arm] = {}
        for name, reader in readers().items():
            try:
                wrong = wrong_frames(reader(path), references[path])
            except (RuntimeError, IndexError, ValueError) as error:
                wrong = f"failed: {str(error).splitlines()[0]}"
            if wrong:
                rows.append({"what": f"decode {kind}", "arm": name, "wrong": wrong})
            else:
                arms[name] = lambda reader=reader, path=path: reader(path)  # type: ignore[misc]
        times = in_turns(arms, rounds, uncounted=1)
        frames = len(references[path])
        rows += [{"what": f"decode {kind}", "arm": name, "ms_a_frame": 1e3 * s / frames} for name, s in times.items()]
    return rows


def resizing(frames: Frames, rounds: int) -> list[dict[str, Any]]:
    """The resize alone."""
    assert (resize_clip(frames, SIZE) == with_pillow(frames)).all()
    times = in_turns(
        {
            "ours": lambda: resize_clip(frames, SIZE),
            "Pillow": lambda: with_pillow(frames),
            "torch": lambda: with_torch(frames),
        },
        rounds,
        uncounted=1,
    )
    return [{"what": "resize", "arm": name, "ms_a_frame": 1e3 * s / len(frames)} for name, s in times.items()]


def video_set(paths: Sequence[Path]) -> VideoSet:
    """The files as a set."""
    return VideoSet("benchmark", tuple(Video(path.name, path, None, path.name) for path in paths), ("x",))


def storing(
    paths: Sequence[Path], references: Mapping[Path, Frames], rounds: int, folder: Path
) -> list[dict[str, Any]]:
    """From files to frames on disk, by the kind of file; then two workers."""
    rows: list[dict[str, Any]] = []
    target = folder / "store"

    def build(some: Sequence[Path], workers: int) -> None:
        shutil.rmtree(target, ignore_errors=True)
        build_store(video_set(some), resize=SIZE, folder=target, workers=workers)

    def save(reader: Callable[[Path], Frames], some: Sequence[Path]) -> None:
        for path in some:
            np.save(folder / f"{path.name}.npy", with_pillow(reader(path)))

    for kind in sorted({path.suffix for path in paths}):
        some = [path for path in paths if path.suffix == kind][:2]
        arms: dict[str, Arm] = {"ours": lambda some=some: build(some, 1)}  # type: ignore[misc]
        for name, reader in readers().items():
            try:
                right = name != "ours" and not any(wrong_frames(reader(path), references[path]) for path in some)
            except (RuntimeError, IndexError, ValueError):
                right = False
            if right:
                arms[f"{name}, Pillow, np.save"] = lambda reader=reader, some=some: save(reader, some)  # type: ignore[misc]
        times = in_turns(arms, rounds, uncounted=1)
        frames = sum(len(references[path]) for path in some)
        rows += [{"what": f"store {kind}", "arm": name, "ms_a_frame": 1e3 * s / frames} for name, s in times.items()]

    many = []
    copies = 4 * rounds
    for number in range(copies):
        copy = folder / "many" / f"{number}{paths[number % len(paths)].suffix}"
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(paths[number % len(paths)].read_bytes() + bytes([number]))  # another file to the store
        many.append(copy)
    frames = sum(len(references[paths[number % len(paths)]]) for number in range(copies))
    times = in_turns(
        {f"{workers} workers": lambda workers=workers: build(many, workers) for workers in (1, 2)},  # type: ignore[misc]
        4,  # one core's own speed varies by a third on a shared host, from one build to the next
        uncounted=1,
        clock=time.perf_counter,
    )
    rows += [{"what": "store, by the clock", "arm": name, "ms_a_frame": 1e3 * s / frames} for name, s in times.items()]
    return rows


def clipping(paths: Sequence[Path], rounds: int, folder: Path) -> list[dict[str, Any]]:
    """Random clips from the store, against the copy of the same bytes out of one file."""
    store = build_store(video_set(paths), resize=SIZE, folder=folder / "clips")
    stream = open_stream(video_set(paths), resize=SIZE, folder=folder / "clips")
    places = dict(zip(store.ids, np.cumsum([0, *(store.num_frames(video_id) for video_id in store.ids)]), strict=False))
    total = sum(store.num_frames(video_id) for video_id in store.ids)
    one_file = np.lib.format.open_memmap(folder / "one.npy", "w+", np.uint8, (total, *SIZE, 3))
    for video_id, place in places.items():
        one_file[place : place + store.num_frames(video_id)] = store.clip(video_id, range(store.num_frames(video_id)))
    rng = np.random.default_rng(0)
    batches = [
        [
            (store.ids[n], int(rng.integers(store.num_frames(store.ids[n]) - 16)))
            for n in rng.integers(len(store.ids), size=8)
        ]
        for _ in range(20)
    ]

    def ours() -> None:
        for batch in batches:
            out = np.empty((8, 16, 112, 112, 3), np.uint8)
            for place, (video_id, start) in enumerate(batch):
                store.clip(video_id, np.arange(start, start + 16), (8, 30, 112), out[place])

    def copy() -> None:
        for batch in batches:
            out = np.empty((8, 16, 112, 112, 3), np.uint8)
            for place, (video_id, start) in enumerate(batch):
                first = places[video_id] + start
                out[place] = one_file[first : first + 16, 8:120, 30:142]

    def streamed() -> None:
        for video_id, start in batches[0]:
            stream.clip(video_id, np.arange(start, start + 16), (8, 30, 112))

    times = in_turns({"ours": ours, "copy": copy}, rounds, uncounted=1)
    rows = [{"what": "clips", "arm": name, "ms_a_batch": 1e3 * s / len(batches)} for name, s in times.items()]
    stream_s = in_turns({"stream": streamed}, 3, uncounted=1)["stream"]
    return [*rows, {"what": "clips", "arm": "stream", "ms_a_batch": 1e3 * stream_s}]


def ratios(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The promises: each at least, or at most, what its name says."""

    def time_of(what: str, arm: str) -> float:
        return next(
            row.get("ms_a_frame", row.get("ms_a_batch")) for row in rows if (row["what"], row["arm"]) == (what, arm)
        )

    found = {
        "resize: Pillow / ours": time_of("resize", "Pillow") / time_of("resize", "ours"),
        "clips: ours / copy (at most 1.3)": time_of("clips", "ours") / time_of("clips", "copy"),
        "store: 1 worker / 2 workers (at least 1.7)": time_of("store, by the clock", "1 workers")
        / time_of("store, by the clock", "2 workers"),
    }
    for what in sorted({row["what"] for row in rows if row["what"].startswith("store .")}):
        others = [row["ms_a_frame"] for row in rows if row["what"] == what and row["arm"] != "ours"]
        found[f"{what}: ours / fastest other (at most 1.3)"] = time_of(what, "ours") / min(others)
    return found


def main(arguments: Sequence[str]) -> None:
    """Run, and print a table or JSON."""
    parser = argparse.ArgumentParser(description="Reading videos, side by side.")
    parser.add_argument("--quick", action="store_true", help="under 40 s")
    parser.add_argument("--json", action="store_true", help="print the rows, and nothing else")
    parser.add_argument("--data", type=Path, help="use the videos below this folder")
    settings = parser.parse_args(arguments)
    rounds = 3 if settings.quick else 11
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if settings.data:
            paths = sorted(path for path in settings.data.rglob("*") if path.suffix[1:] in CODERS)
        else:
            paths = []
            for seed in range(2):
                frames = written(seed, 64 if settings.quick else 185)
                for kind in CODERS:
                    paths.append(folder / f"{seed}.{kind}")
                    write(paths[-1], frames)
        references = {path: decode(path) for path in paths}
        rows = reading(paths, references, rounds)
        rows += resizing(references[paths[0]][:64], rounds)
        rows += storing(paths, references, rounds, folder)
        rows += clipping(paths, 25, folder)
    if settings.json:
        print(json.dumps({"rows": rows, "ratios": ratios(rows)}))
        return
    for row in rows:
        measured = row.get("wrong") or " ".join(
            f"{v:.3f} {k.replace('_', ' ')}" for k, v in row.items() if k.startswith("ms")
        )
        print(f"{row['what']:<22}{row['arm']:<28}{measured}")
    print()
    for what, ratio in ratios(rows).items():
        print(f"{what}: {ratio:.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
