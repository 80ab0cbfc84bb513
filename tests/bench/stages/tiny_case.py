"""A case small enough for a test: 16 x 16 pixels, 4 frames, a network of some hundred weights, clips made on the spot."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from bench.cache import Cache
from bench.encoder import TorchEncoder
from bench.names import generator
from bench.schema import ClipSpec
from bench.stages.case import Case
from bench.suites.protocol import (
    Cka,
    DatasetProtocol,
    Distillation,
    Finetune,
    LinearProbe,
    Retrieval,
    Robustness,
    Suite,
    TrainingCard,
    Views,
)
from bench.video.index import Dataset, Video, VideoSet

FRAMES, SIDE = 4, 16
CLASSES = ("dark", "grey", "bright")
CARD = TrainingCard(
    optimiser="adamw", learning_rates=(2e-2,), weight_decay=0.05, epochs=8, batch_size=8, brightness=0.02, dropout=0.1
)


class TinyNet(nn.Module):
    """Two convolutions, to 8 features."""

    feature_dim = 8

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv3d(3, 4, 3, stride=2, padding=1), nn.BatchNorm3d(4), nn.ReLU())
        self.block = nn.Sequential(nn.Conv3d(4, 8, 3, stride=2, padding=1), nn.BatchNorm3d(8), nn.ReLU())

    def forward(self, clips):
        return self.block(self.stem(clips)).mean((2, 3, 4))

    def layers(self):
        return {"stem": self.stem, "block": self.block}


class MadeUpClips:
    """The class is the brightness; noise over it."""

    def __init__(self, sets):
        self.sets = sets
        self.asked = []

    def views(self, split, video_id, num_views):
        self.asked.append((split, video_id))
        return np.stack([self._clip(video_id, f"view{n}") for n in range(num_views)])

    def view(self, split, video_id, num_views, number):
        self.asked.append((split, video_id))
        return self._clip(video_id, f"view{number}")

    def training_clip(self, split, video_id, rng, crop):
        self.asked.append((split, video_id))
        return self._clip(video_id, str(rng.integers(8)))

    def _clip(self, video_id, which):
        level = 70 + 50 * int(video_id.split("_")[1])
        noise = generator(video_id, which).normal(scale=25, size=(FRAMES, SIDE, SIDE, 3))
        return (level + noise).clip(0, 255).astype(np.uint8)


def videos(split, count):
    """Ids end in the class, which clips are made from; labels may be withheld."""
    rows = [Video(f"{split}{n}_{n % 3}", Path("none"), n % 3, f"{split}-source{n}") for n in range(count)]
    return VideoSet(split, tuple(rows), CLASSES)


def tiny_suite(card=CARD, **settings):
    """A suite of one data set."""
    return Suite(
        name="tiny",
        clip=ClipSpec(num_frames=FRAMES, resize=(SIDE, SIDE), size=SIDE),
        pixel_contract=1,
        views=Views(train=1, test=2),
        datasets=(DatasetProtocol(name="shades", manifest_hash="0" * 64, num_classes=3),),
        linear_probe=LinearProbe(),
        finetune=settings.get("finetune", Finetune(card=card, seeds=(0, 1))),
        retrieval=Retrieval(),
        robustness=Robustness(corruptions=()),
        distillation=settings.get(
            "distillation", Distillation(student="tiny", card=card, teacher_weight=0.7, views=2, seeds=(0,))
        ),
        cka=Cka(),
    )


def random_tiny_net(seed=0):
    """A network whose weights are always the same."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return TinyNet()


def tiny_case(folder, suite=None, *, net=None, report=lambda _words, _share: None, reference_logits=None):
    """A case that learns within a second."""
    dataset = Dataset("shades", videos("train", 24), videos("validation", 6), videos("test", 12).without_labels())
    return Case(
        encoder=TorchEncoder(net or random_tiny_net(), name="tiny"),
        suite=suite or tiny_suite(),
        dataset=dataset,
        clips=MadeUpClips({"train": dataset.train, "validation": dataset.validation, "test": dataset.test}),
        cache=Cache(folder / "cache"),
        training=folder / "training",
        device=torch.device("cpu"),
        report=report,
        student=TinyNet,
        reference_logits=reference_logits,
    )
