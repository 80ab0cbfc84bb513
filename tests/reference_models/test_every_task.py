"""Every pretext task on every backbone: it takes a step that reaches the whole trunk, or says why it cannot."""

import copy

import numpy as np
import pytest
import torch

from bench.encoder import normalise
from bench.schema import ClipSpec, Normalisation
from bench.stages.classifier import stacked
from reference_models.backbones import BACKBONES, build
from reference_models.pretext.cvrl import InstanceContrast
from reference_models.pretext.prp import PlaybackRate
from reference_models.pretext.rotnet import Rotation
from reference_models.pretext.rspnet import RelativeSpeed
from reference_models.pretext.tdl import TemporalDiscrimination
from reference_models.pretext.vcop import ClipOrder
from reference_models.pretext.videomae import TubeMasking
from reference_models.pretext.videomae_map import TubePainting

TASKS = {
    "rotnet": Rotation(),
    "vcop": ClipOrder(hidden=16),
    "prp": PlaybackRate((1, 2), width=16, narrowest=4),
    "cvrl": InstanceContrast(hidden=16, dim=8),
    "tdl": TemporalDiscrimination(queue=4, dim=8),
    "rspnet": RelativeSpeed(queue=4, dim=8),
    "videomae": TubeMasking(depth=1),
    "videomae on maps": TubePainting(tubelet=(2, 8, 8), width=8),
}
MAPS = {
    "c3d",
    "r3d_10",
    "r2plus1d_10",
    "r3d_18",
    "r3d_18_eps3",
    "r2plus1d_18",
    "r2plus1d_18_eps3",
    "r2plus1d_18_vmz",
} | {name for name in BACKBONES if name.startswith(("shufflenet", "squeezenet", "mobilenet", "swin3d"))}
"""Backbones whose last layer is a map: PRP and VideoMAE on maps draw from it."""

QUICK = ("shufflenet_v1_x0_25", "squeezenet_1_1", "videomae_vit_mini")
"""In `make test`; the others are in `make prove`."""

RUNS_ON = {
    "prp": MAPS,
    "videomae on maps": MAPS,
    "videomae": {name for name in BACKBONES if name.startswith("videomae")},
}


@pytest.fixture(
    scope="module",
    params=[name if name in QUICK else pytest.param(name, marks=pytest.mark.prove) for name in BACKBONES],
)
def backbone(request):
    """Its plain name, the network, and the smallest clip of 16 frames that it takes; made once for all tasks."""
    name = request.param
    torch.manual_seed(0)
    trunk = build(f"{name}@16x32" if BACKBONES[name].built_for_one_clip else name)
    size = next(size for size in (32, 48, 64, 112) if trunk.accepts(16, size, size) is None)
    return name, trunk, ClipSpec(num_frames=16, resize=(size, size), size=size)


def examples(task, clip):
    """A batch of two videos of noise, as the training loop hands it to the task."""
    made = []
    for at in range(2):
        rng = np.random.default_rng(at)
        frames_NR = task.choose_frames(task.span(clip), clip, rng)
        one = dict(task.make_example(np.arange(frames_NR.size).reshape(frames_NR.shape), rng))
        one["clips"] = rng.integers(0, 256, (*one["clips"].shape, clip.size, clip.size, 3), dtype=np.uint8)
        made.append(one)
    batch = stacked(made)
    clips_BNRHWC = batch.pop("clips")
    normal = normalise(clips_BNRHWC.flatten(0, 1), Normalisation()).unflatten(0, clips_BNRHWC.shape[:2])
    return {**batch, "clips": normal}


@pytest.mark.parametrize("kind", TASKS)
def test_a_task_reaches_the_whole_trunk_or_says_in_a_sentence_why_not(backbone, kind):
    name, made, clip = backbone
    trunk, task = copy.deepcopy(made).train(), TASKS[kind]
    refusal = task.refusal(trunk, clip)
    assert (refusal is None) == (name in RUNS_ON.get(kind, BACKBONES)), refusal
    if refusal is not None:
        assert "Take " in refusal
        return
    head = task.build_head(trunk, clip)
    loss, _ = task.loss(trunk, head.train(), examples(task, clip))
    loss.backward()
    assert loss.isfinite()
    still = [key for key, weight in trunk.named_parameters() if weight.requires_grad and weight.grad is None]
    assert not still, f"no gradient reaches {still}"
