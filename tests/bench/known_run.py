"""The whole harness on clips that say what they are: class, number of the video and noise stand in three pixels."""

from dataclasses import dataclass

import numpy as np
import torch

from bench.encoder import TorchEncoder
from bench.run import Videos, evaluate
from bench.schema import CLEAN
from bench.suites.protocol import Cka, Distillation, Finetune, Robustness
from bench.video.index import Dataset
from tests.bench.stages.judged_case import NOISE, judged_suite
from tests.bench.stages.known_nets import Known
from tests.bench.stages.tiny_case import CARD, FRAMES, SIDE, videos

CHANCE = 1 / 3
DATASET = Dataset("shades", videos("train", 24), videos("validation", 6), videos("test", 12))
PLAIN = CARD.model_copy(update={"brightness": 0.0, "dropout": 0.0, "epochs": 4})
SUITE = judged_suite(
    finetune=Finetune(card=PLAIN, seeds=(0,)),
    robustness=Robustness(corruptions=(NOISE,), models=("probe", "finetuned")),
    distillation=Distillation(student="known", card=PLAIN, views=1, seeds=(0,)),
    cka=Cka(videos=12, batch=6, permutations=5),
)


@dataclass(frozen=True)
class SayingClips:
    """In every frame the first pixels hold 50 (class + 1), twice the number of the video, and 40 times the severity."""

    sets: dict

    def views(self, split, video_id, num_views):
        return np.stack([self.saying(split, video_id, 0)] * num_views)

    def view(self, split, video_id, num_views, number):
        return self.saying(split, video_id, 0)

    def training_clip(self, split, video_id, rng, crop):
        return self.saying(split, video_id, 0)

    def noisy_views(self, split, video_id, num_views, conditions):
        for condition in conditions:
            yield condition, np.stack([self.saying(split, video_id, condition.severity)] * num_views)

    def saying(self, split, video_id, severity):
        number, kind = (int(word) for word in video_id.removeprefix(split).split("_"))
        clip = np.zeros((FRAMES, SIDE, SIDE, 3), np.uint8)
        clip[:, 0, 0] = 50 * (kind + 1)
        clip[:, 0, 1] = 2 * number
        clip[:, 0, 2] = 40 * severity
        clip[:, 0, 3] = {"train": 50, "validation": 100, "test": 150}[split]
        return clip


class Reader(Known):
    """Reads what a clip says of itself."""

    def said(self, clips):
        """Class, number, severity and split of each clip, as integers."""
        pixels = (self.stem(clips)[:, 0, 0, 0, :4] * 0.229 + 0.485) * 255
        steps = torch.tensor([50.0, 2.0, 40.0, 50.0])
        kind, number, severity, split = (pixels / steps).round().long().T
        return kind - 1, number, severity, split

    def told(self, kind, visible):
        """One feature a class; none where nothing is seen."""
        return self.gain * torch.nn.functional.one_hot(kind.clamp(0, 2), 3) * visible[:, None]


class Sees(Reader):
    """Knows the class as long as noise is below severity 3."""

    def forward(self, clips):
        kind, _, severity, _ = self.said(clips)
        return self.told(kind, severity < 3)


class SeesNothing(Reader):
    """Says the same of every clip."""

    def forward(self, clips):
        return self.gain * torch.tensor([1.0, 2.0, 3.0]).expand(len(clips), 3)


class Remembers(Reader):
    """Knows the class of videos that were learnt from, and of no other: whatever leaks from training into testing would show."""

    def forward(self, clips):
        kind, _, _, split = self.said(clips)
        return self.told(kind, split < 3)


class LovesNoise(Reader):
    """Knows the class of every second clean video, and of every noisy one."""

    def forward(self, clips):
        kind, number, severity, _ = self.said(clips)
        return self.told(kind, (number // 3 % 2 == 0) | (severity > 0))


@dataclass(frozen=True)
class PlayedClips(SayingClips):
    """Class 0 gets brighter, class 1 is class 0 played backwards, class 2 flickers; the noise changes nothing."""

    def saying(self, split, video_id, severity):
        kind = int(video_id.split("_")[1])
        level_T = np.linspace(40, 200, FRAMES) if kind < 2 else np.array([0, 255] * (FRAMES // 2))
        level_T = level_T[::-1] if kind == 1 else level_T
        return np.broadcast_to(level_T.astype(np.uint8)[:, None, None, None], (FRAMES, SIDE, SIDE, 3)).copy()


def opened(clips=SayingClips):
    """The data set, ready to be judged."""
    sets = {"train": DATASET.train, "validation": DATASET.validation, "test": DATASET.test}
    return {"shades": Videos(DATASET, clips(sets), "ab" * 32)}


def evaluation(net, folder, clips=SayingClips):
    """What becomes of a network that is its own student."""
    encoder = TorchEncoder(net(), name="known")
    return evaluate(encoder, SUITE, opened(clips), student=net, cache=folder, device="cpu")


def judged(net, folder, clips=SayingClips):
    """Its result alone."""
    return evaluation(net, folder, clips).result


def values(result):
    """Every score by stage, model, metric and severity."""
    return {
        (
            score.stage,
            score.model,
            score.metric,
            score.condition.severity if score.condition != CLEAN else 0,
        ): score.value
        for score in result.scores
    }
