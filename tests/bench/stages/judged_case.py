"""Cases for judges: made-up clips whose noise wipes a video out from severity 3 on, so that every score is known."""

from dataclasses import replace

import numpy as np

from bench.schema import CLEAN
from bench.suites.protocol import Cka, LinearProbe, Retrieval, Robustness
from tests.bench.stages.tiny_case import FRAMES, SIDE, MadeUpClips, tiny_case, tiny_suite

NOISE = "gaussian/test@source/v1"
OTHER_NOISE = "impulse/test@source/v1"


class NoisyClips(MadeUpClips):
    """Below severity 3 noise changes a clip a little; from 3 on every clip is black."""

    def __init__(self, sets):
        super().__init__(sets)
        self.decoded = []
        self.unreadable = ""

    def views(self, split, video_id, num_views):
        if video_id == self.unreadable:
            raise ValueError(f"{video_id} is no video.")
        return super().views(split, video_id, num_views)

    def noisy_views(self, split, video_id, num_views, conditions):
        self.decoded.append(video_id)
        clean = self.views(split, video_id, num_views)
        for condition in conditions:
            if condition == CLEAN:
                yield condition, clean
            elif condition.severity < 3:
                yield condition, clean + np.uint8(condition.severity)
            else:
                yield condition, np.zeros_like(clean)


class PlayedClips(NoisyClips):
    """Class 0 gets brighter, class 1 is class 0 played backwards, class 2 flickers between black and white."""

    def _clip(self, video_id, which):
        kind = int(video_id.split("_")[1])
        level_T = np.linspace(40, 200, FRAMES) if kind < 2 else np.array([0, 255] * (FRAMES // 2))
        level_T = level_T[::-1] if kind == 1 else level_T
        return np.broadcast_to(level_T.astype(np.uint8)[:, None, None, None], (FRAMES, SIDE, SIDE, 3)).copy()


def judged_suite(**settings):
    """The tiny suite with two noises and every stage's own small settings."""
    return tiny_suite().model_copy(
        update={
            "linear_probe": LinearProbe(),
            "retrieval": Retrieval(ks=(1, 5)),
            "robustness": Robustness(corruptions=(NOISE, OTHER_NOISE), models=("probe",)),
            "cka": Cka(videos=12, batch=6, permutations=5),
            **settings,
        }
    )


def judged_case(folder, suite=None, *, net=None, clips=NoisyClips):
    """The tiny case with noise."""
    case = tiny_case(folder, suite or judged_suite(), net=net)
    return replace(case, clips=clips(case.clips.sets))
