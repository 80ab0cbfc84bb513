"""Robustness: how far do the probe and the finetuned models fall under noise?

They were fitted on clean videos only. One list of test videos serves all: whole sources in the order of a hash, up to
the suite's number of videos; clean accuracy is taken on the same list, from the same views. One pass decodes a video
once, noises it once a condition, and shows the same clips to every model.

The probe under noise is the fitted probe on features of noisy clips.
"""

import hashlib
from collections import defaultdict

from bench.forward import Reader, module_reader, sweep, trunk_reader
from bench.guesses import Guesses, StageOutput, rank_labels
from bench.schema import CLEAN, Condition
from bench.stages import finetune, linear_probe
from bench.stages.case import Case
from bench.video.index import VideoSet


def run(case: Case) -> StageOutput:
    """Guesses of every model for the same videos under every condition."""
    settings = case.suite.robustness
    noises = [
        Condition(corruption=name, severity=level) for name in settings.corruptions for level in settings.severities
    ]
    conditions = (CLEAN, *noises)
    videos = chosen_videos(case.dataset.test, settings.videos)
    readers = _readers(case)
    said = sweep(case, {name: reader for name, _, _, reader in readers}, "test", settings.views, conditions, videos)
    probe = linear_probe.fit(case) if "probe" in settings.models else None
    guesses = []
    for name, model, seed, _ in readers:
        for condition, values in said[name].items():
            logits = probe.logits(values) if probe is not None and model == "probe" else values
            guesses.append(
                Guesses("robustness", case.dataset.name, videos, rank_labels(logits), model, condition, seed)
            )
    remarks: tuple[str, ...] = ()
    if "finetuned" in settings.models and case.encoder.trunk is None:
        remarks = (f"{finetune.FEATURES_ONLY} Its robustness is that of the probe.",)
    return StageOutput(tuple(guesses), facts={"videos": len(videos)}, remarks=remarks)


def _readers(case: Case) -> list[tuple[str, str, int, Reader]]:
    """Name for messages, model, seed and reader of everything that is put under noise."""
    found: list[tuple[str, str, int, Reader]] = []
    if "probe" in case.suite.robustness.models:
        found.append(("probe's trunk", "probe", 0, trunk_reader(case)))
    if "finetuned" in case.suite.robustness.models and case.encoder.trunk is not None:
        for seed in case.suite.finetune.seeds:
            reader = module_reader(case, finetune.fit(case, seed), finetune.model_key(case, seed))
            found.append((f"model finetuned with seed {seed}", "finetuned", seed, reader))
    return found


def chosen_videos(test: VideoSet, most: int | None) -> tuple[str, ...]:
    """Ids of the videos used, in the set's order: whole sources by hash while they fit, at least one source."""
    if most is None or most >= len(test):
        return test.ids
    by_source: dict[str, list[str]] = defaultdict(list)
    for video_id, source in zip(test.ids, test.sources, strict=True):
        by_source[source].append(video_id)
    chosen: set[str] = set()
    for source in sorted(by_source, key=lambda name: hashlib.sha256(f"robustness\0{name}".encode()).digest()):
        if not chosen or len(chosen) + len(by_source[source]) <= most:
            chosen.update(by_source[source])
    return tuple(video_id for video_id in test.ids if video_id in chosen)
