"""From a video file to RGB frames: what a pixel is, before any resize.

Frames are counted in one sequential decode by PyAV, from the first to the last; there is no seeking, since on AVIs with
B-frames every reader that seeks may return a neighbour. YUV becomes RGB in libswscale with ACCURATE_RND, BITEXACT and
FULL_CHR_H_INT set: without them up to 26 of 255 grey levels differ, and with them the bytes do not depend on the
processor's vector instructions. Matrix and range are as tagged, BT.601 limited where untagged; gray is decoded as luma,
10 bits are rounded to 8, the display rotation is applied, the pixel aspect is ignored.

What differs from `ffmpeg -i FILE`: a frame that its decoder reports as damaged is never shown. Damage at the very end
(AVIs that promise a frame more than they hold) shortens the video; damage before an intact frame is an error, and so is
a file that was cut short.

Whoever changes what a pixel is raises PIXEL_CONTRACT. Letters: T frames, H height, W width.
"""

import struct
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, cast

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

PIXEL_CONTRACT = 1
"""Raised with every change that moves a byte of a frame, here or in the resize."""

Frames = NDArray[np.uint8]

CONVERSION = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT | Interpolation.FULL_CHR_H_INT
KNOWN_MATRICES = frozenset({1, 4, 5, 6, 7, 9, 10})
"""Matrices of ITU-T H.273, table 4, that libswscale converts: BT.709, FCC, BT.601 (twice), SMPTE 240M, BT.2020."""

VIDEO_CONTAINERS = (
    "3g2,3gp,asf,avi,dv,flv,gif,h264,hevc,ivf,m4a,m4v,matroska,mj2,mov,mp4,mpeg,mpegts,mpegvideo,mxf,nut,ogg,rm,webm"
)
"""No stills, no text, and no playlists, which would open other files."""


class UndecodableVideo(ValueError):  # noqa: N818 - named after the thing, as it is in every message
    """A file from which the frames of a video cannot be had, in a sentence that names it."""


def decode(path: Path) -> Frames:
    """All frames of a video, uint8 [T, H, W, 3] RGB.

    Raises:
        UndecodableVideo: The file is missing, no video, holds no frame, or is damaged before its end.
    """
    frames = list(decode_frames(path))
    video_THW3 = np.empty((len(frames), *frames[0].shape), dtype=np.uint8)
    for place, frame_HW3 in enumerate(frames):
        video_THW3[place] = frame_HW3
        frames[place] = _NOTHING  # a long video is not held twice
    return video_THW3


def decode_frames(path: Path, only: Collection[int] | None = None) -> Iterator[Frames]:
    """The frames of a video one by one, uint8 [H, W, 3] RGB, each an array of its own.

    Args:
        path: The file.
        only: Frame numbers; the others are decoded, since they must be, but not converted, and nothing is read beyond
            the last. All frames where it is None.

    Raises:
        UndecodableVideo: As in `decode`; damage is noticed when the first intact frame after it is reached. Also when
            the video ends before the last frame that was asked for.
    """
    converter = VideoReformatter()
    last = None if only is None else max(only, default=-1)
    shape = None
    num_frames = 0
    with _opened(path) as (container, stream):
        for picture in _intact(path, container, stream):
            num_frames += 1
            if only is None or num_frames - 1 in only:
                frame_HW3 = _to_rgb(path, picture, converter)
                shape = shape or frame_HW3.shape
                if frame_HW3.shape != shape:
                    raise UndecodableVideo(f"{path} changes its frame size from {shape[:2]} to {frame_HW3.shape[:2]}.")
                yield frame_HW3
            if last is not None and num_frames > last:
                return
    if num_frames == 0:
        raise UndecodableVideo(f"{path} holds no frame that can be decoded.")
    if last is not None:
        raise UndecodableVideo(f"{path} holds {num_frames} frames; number {last} was asked for, counted from 0.")


class Promise(NamedTuple):
    """What a file's header says of its video; not counted, and not always true."""

    num_frames: int
    height: int
    width: int


def promised(path: Path) -> Promise:
    """Length and size as the header has them, without decoding: for estimates.

    Raises:
        UndecodableVideo: The file is missing or no video.
    """
    with _opened(path) as (container, stream):
        num_frames = stream.frames
        if num_frames == 0 and container.duration is not None and stream.guessed_rate is not None:
            num_frames = int(container.duration / av.time_base * stream.guessed_rate)
        return Promise(max(num_frames, 1), stream.height, stream.width)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    try:
        if not path.is_file():
            raise UndecodableVideo(
                f"{path} is a folder, not a video file." if path.is_dir() else f"{path} does not exist."
            )
        # With "file:" a colon in a name is no protocol. Old AVIs carry metadata that is not UTF-8.
        container = av.open(
            f"file:{path}", metadata_errors="ignore", options={"format_whitelist": VIDEO_CONTAINERS}, mode="r"
        )
    except (av.FFmpegError, OSError) as error:
        raise UndecodableVideo(f"{path} is no video file that can be read ({_reason(error)}).") from error
    with container:
        # A cover picture is a video stream too.
        streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
        if not streams:
            raise UndecodableVideo(f"{path} holds no video stream.")
        stream = streams[0]
        if missing := _bytes_cut_off(path, stream):
            raise UndecodableVideo(f"{path} was cut short: at least {missing} bytes are missing at its end.")
        if stream.codec_context is None:
            raise UndecodableVideo(f"{path} is coded in a way for which there is no decoder.")
        stream.codec_context.thread_count = 1
        yield container, stream


def _bytes_cut_off(path: Path, stream: VideoStream) -> int:
    """Bytes by which a file is shorter than its first chunk (AVI) or its index (MP4 and others) says."""
    with path.open("rb") as file:
        head = file.read(12)
    promised_end = 0
    if len(head) == 12 and head[:4] == b"RIFF" and head[8:] == b"AVI ":
        promised_end = 8 + struct.unpack("<I", head[4:8])[0]
    elif len(stream.index_entries) > 0:
        last = stream.index_entries[len(stream.index_entries) - 1]
        promised_end = last.pos + last.size
    return max(promised_end - path.stat().st_size, 0)


def _intact(path: Path, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Frames in the order of display, up to the damage at the end if there is any."""
    num_intact = 0
    damage: str | None = None
    try:
        for packet in container.demux(stream):
            try:
                pictures = packet.decode()
            except av.FFmpegError as error:
                damage = _reason(error)
                continue
            for picture in pictures:
                if picture.is_corrupt:
                    damage = "the decoder had to conceal errors"
                elif damage is not None:
                    raise UndecodableVideo(f"{path} is damaged after frame {num_intact - 1} ({damage}).")
                else:
                    num_intact += 1
                    yield picture
    except av.FFmpegError as error:
        raise UndecodableVideo(f"{path} cannot be read beyond frame {num_intact - 1} ({_reason(error)}).") from error


def _to_rgb(path: Path, picture: VideoFrame, converter: VideoReformatter) -> Frames:
    """uint8 [H, W, 3], turned as it is to be displayed."""
    is_rgb = picture.format.is_rgb
    known = picture.colorspace in KNOWN_MATRICES
    try:
        converted = converter.reformat(
            picture,
            format="rgb24",
            src_colorspace=None if is_rgb or known else Colorspace.ITU601,
            dst_color_range=ColorRange.JPEG,
            interpolation=CONVERSION,
            threads=1,
        )
    except (av.FFmpegError, ValueError) as error:
        raise UndecodableVideo(
            f"{path}: {picture.format.name} cannot be converted to RGB ({_reason(error)})."
        ) from error
    frame_HW3: Frames = np.asarray(converted.to_ndarray(), dtype=np.uint8)
    side_data = cast(Mapping[str, bytes], picture.side_data)
    if "DISPLAYMATRIX" in side_data:
        frame_HW3 = _turned(path, frame_HW3, struct.unpack("<9i", bytes(side_data["DISPLAYMATRIX"])))
    return np.ascontiguousarray(frame_HW3)


def _turned(path: Path, frame_HW3: Frames, matrix: tuple[int, ...]) -> Frames:
    """A frame as its display matrix wants it shown.

    Source: the track header box, ISO/IEC 14496-12 section 8.3, with the 3 x 3 matrix (a b u, c d v, x y w) in fixed
    point: what is at (p, q) is shown at (a p + c q, b p + d q), with p to the right and q downwards.
    """
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    if b == 0 and c == 0:
        x_sign, y_sign = a, d
    elif a == 0 and d == 0:
        frame_HW3 = frame_HW3.transpose(1, 0, 2)
        x_sign, y_sign = c, b
    else:
        raise UndecodableVideo(f"{path} is to be shown turned by other than quarter turns; re-encode it upright.")
    return frame_HW3[:: -1 if y_sign < 0 else 1, :: -1 if x_sign < 0 else 1]


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


_NOTHING: Frames = np.empty((0, 0, 3), dtype=np.uint8)
