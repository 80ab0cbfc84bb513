"""For which clip a network with position tables was built, read off the tables."""

import math
from collections.abc import Mapping

from torch import Tensor


def built_clip(
    architecture: str, tensors: Mapping[str, Tensor], config: Mapping[str, object]
) -> tuple[int, int] | None:
    """(frames, size) of the clip; None where the tables are missing or do not tell.

    Args:
        architecture: Plain name of a backbone that is built for one clip.
        tensors: By the keys of that backbone.
        config: The config.json beside the file; transformers writes `num_frames` and `image_size` into it.
    """
    if architecture == "timesformer_b":
        frames = _rows(tensors, "time_embed", 1)
        patches = _rows(tensors, "pos_embed", 1) - 1
        return _clip(frames, 16 * _root(patches))
    if architecture == "vivit_b":
        built_frames, built_size = config.get("num_frames"), config.get("image_size")
        if not isinstance(built_frames, int) or not isinstance(built_size, int):
            return None
        return _clip(built_frames, built_size)
    if architecture == "mvit_v1_b":
        return _clip(
            2 * _rows(tensors, "pos_encoding.temporal_pos"), 4 * _root(_rows(tensors, "pos_encoding.spatial_pos"))
        )
    assert architecture == "mvit_v2_s"
    frames = _rows(tensors, "blocks.0.attn.rel_pos_t") + 1  # 2 x (T / 2) - 1 distances
    side = (_rows(tensors, "blocks.0.attn.rel_pos_h") + 1) // 2
    return _clip(frames, 4 * side)


def _rows(tensors: Mapping[str, Tensor], key: str, axis: int = 0) -> int:
    tensor = tensors.get(key)
    return tensor.shape[axis] if tensor is not None and tensor.ndim > axis else 0


def _root(number: int) -> int:
    """The side of a square of that many, else 0."""
    side = math.isqrt(max(0, number))
    return side if side * side == number else 0


def _clip(frames: int, size: int) -> tuple[int, int] | None:
    return (frames, size) if 1 <= frames <= 999 and 1 <= size <= 999 else None
