"""The commands `reelproof corrupt` and `reelproof corruptions sheet | export`, joined with the engine's own list and check."""

from pathlib import Path
from typing import Annotated

import typer

from corruptions.cli import app as engine

corruptions = typer.Typer(
    help="The noises: list them, check one of your own, see them on a video, copy a test set under them.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
corruptions.add_typer(engine)

Video = Annotated[Path, typer.Argument(help="The video file.", show_default=False)]
VideoId = Annotated[
    str, typer.Option("--video-id", help="What the noise is drawn for. Default: the file's name without extension.")
]
NOISES = "gaussian, impulse, shot or speckle, or a full name such as shot/imagenet-c@source/held/v1"


def corrupt(
    video: Video,
    noise: Annotated[str, typer.Option("--noise", help=f"{NOISES}.", show_default=False)],
    severity: Annotated[int, typer.Option("--severity", help="1 to 5.", show_default=False)],
    out: Annotated[Path, typer.Option("--output", "-o", help="The noisy video, .mp4 (H.264).", show_default=False)],
    video_id: VideoId = "",
    crf: Annotated[int, typer.Option("--crf", help="Quality of H.264: 0 is best, 51 worst.")] = 12,
) -> None:
    """Write a video under noise, for looking at: H.264, the same frames, size and rate, no sound.

    For measuring, use `reelproof corruptions export`, whose files hold the exact pixels.
    """
    from bench.activity import working
    from bench.home import Home
    from bench.noisy_copies import conditions, one_video

    condition = conditions.noise(noise, severity)
    with working(Home.default(), f"{video.name} under {condition}") as activity:
        made = one_video.corrupt_video(
            video, condition, out, video_id=video_id or video.stem, crf=crf, progress=activity
        )
    print(
        f"{out}: {made.num_frames} frames of {made.size[0]} x {made.size[1]}, {float(made.rate):.5g} a second, "
        f"{condition}, drawn for {video_id or video.stem!r}.\n"
        f"H.264 {made.pixels}, crf {crf}: {made.psnr:.1f} dB PSNR against the exact noisy frames. "
        "For looking at; to measure, export without loss."
    )


@corruptions.command("sheet")
def sheet(
    video: Video,
    out: Annotated[Path, typer.Option("--output", "-o", help="The picture, .png.", show_default=False)],
    table: Annotated[
        str, typer.Option("--table", help="Whose constants; see `reelproof corruptions list`.")
    ] = "ucf101-p",
    held: Annotated[bool, typer.Option("--held", help="Noise held over the video, not fresh for each frame.")] = False,
    frame: Annotated[
        int | None,
        typer.Option("--frame", help="Number of the frame, from 0. Default: the middle.", show_default=False),
    ] = None,
    video_id: VideoId = "",
) -> None:
    """Draw one frame of a video under every noise and severity, as a PNG."""
    from bench.noisy_copies.sheet import draw_sheet

    shown = draw_sheet(video, out, video_id=video_id or video.stem, table=table, hold=held, frame_number=frame)
    print(f"{out}: {shown}.")


@corruptions.command("export")
def export(
    data: Annotated[
        Path, typer.Option("--data", help="Your videos: FOLDER/class/*.mp4, with or without lists.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option("--output", "-o", help="A new folder, or an export to go on with.", show_default=False)
    ],
    condition: Annotated[
        list[str] | None,
        typer.Option(
            "--condition",
            "-c",
            help=f"clean, NOISE (all severities) or NOISE#severity; may be repeated. NOISE is {NOISES}. "
            "Default: the benchmark's twenty.",
            show_default=False,
        ),
    ] = None,
    split: Annotated[int, typer.Option("--split", help="Which testlist, where the folder has several.")] = 1,
    every: Annotated[
        bool, typer.Option("--all", help="Copy every video of the folder, not the test videos alone.")
    ] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Decode what is there and redo what differs.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")] = False,
) -> None:
    """Copy a test set under noise without loss (FFV1 in Matroska), with a manifest of digests.

    The same command goes on with an interrupted export. Every file decodes to exactly the pixels of `corruptions.corrupt`.
    """
    from bench.activity import working
    from bench.cores import cores
    from bench.home import Home
    from bench.noisy_copies import export as exporting
    from bench.noisy_copies.conditions import conditions_named
    from bench.video.datasets.folder import folder_dataset
    from bench.video.index import VideoSet

    conditions = conditions_named(condition or [])
    dataset = folder_dataset(data, split=split)
    videos = dataset.test
    if every:
        parts = (dataset.train, dataset.validation, dataset.test)
        together = sorted((video for part in parts for video in part.videos), key=lambda video: video.video_id)
        videos = VideoSet(f"{data.resolve().name} all", tuple(together), dataset.test.class_names)
    if dry_run:
        print(f"{videos.name}: {exporting.plan(videos, conditions, out, workers=cores())}")
        return
    with working(Home.default(), f"Exporting {videos.name}") as activity:
        manifest = exporting.export(videos, conditions, out, workers=cores(), progress=activity, verify=verify)
    print(f"{manifest} says what every file is.")
