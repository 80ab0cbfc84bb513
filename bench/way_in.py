"""The way in from Python: a module of one's own through all six stages, in one call."""

from collections.abc import Callable
from pathlib import Path

from torch import nn

from bench.data import open_folder, open_suite, reference_logits, suite_named
from bench.encoder import Encoder
from bench.home import Home
from bench.results import write_result
from bench.run import Progress
from bench.run import evaluate as judge
from bench.schema import Result

LOCAL = (
    "Judged from Python, so nobody else holds what was judged: the result is local. To post it, save one of our networks with "
    "reference_models.checkpoints.save, or write any other as ONNX for the features-only track, and `reelproof submit` it."
)


def evaluate(
    encoder: Encoder,
    suite: str = "mini-v1",
    data: str | Path | None = None,
    *,
    student: Callable[[str], nn.Module],
    home: str | Path | None = None,
    save: str | Path | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Result:
    """Judge an encoder with every stage. The same call after a stop goes on where it was.

    Args:
        encoder: `TorchEncoder(module, name=...)` around a module of your own, or `reference_models.load(...).encoder`.
        suite: Name of the protocol.
        data: For a suite of official videos the folder they lie in. For `mini-v1` a folder of your own, FOLDER/class/*.mp4,
            which is then judged with mini's settings; its own generated videos where it is not given.
        student: Makes the backbone of a name, freshly initialised, for distillation: `reference_models.backbones.build`.
        home: Where frames and features are kept; `$REELPROOF_HOME`, else `.reelproof` here.
        save: Folder that the result folder (scores, predictions per video, Gram matrices) is written into.
        device: `cpu`, `cuda` or `auto`.
        progress: Told of stage, state, words and the share done; may raise to stop.

    Raises:
        ValueError: If the encoder cannot take the suite's clip, gives NaN, or videos are missing.
    """
    place, protocol = Home(Path(home).resolve()) if home else Home.default(), suite_named(suite)

    def quiet(_words: str, _share: float) -> None:
        pass

    if data is not None and suite == "mini-v1":
        protocol, videos = open_folder(Path(data), place, quiet)
    else:
        videos = open_suite(protocol, place, quiet, root=Path(data) if data is not None else None)
    found = judge(
        encoder,
        protocol,
        videos,
        student=lambda: student(protocol.distillation.student),
        cache=place.cache,
        reference_logits=reference_logits(protocol),
        device=device,
        progress=progress,
    )
    result = found.result.model_copy(update={"postable": False, "remarks": (LOCAL, *found.result.remarks)})
    if save is not None:
        write_result(Path(save), result, found.rows, found.grams)
    return result
