"""Finetuning: how good a start are these weights?

Every weight of the trunk is trained, and one fresh linear layer on top, after what the suite's card says. Where the card
lists several learning rates, short runs on the training videos, read on the validation videos, choose one; then the
training goes over training and validation videos together, and its last step is what counts. One clip a video and
epoch, its start drawn from (stage, seed, epoch, video id).

`fit` is also for the stages that build upon the finetuned model: it comes from the cache where it is there.

Shapes: B clips, T frames, H W rows and columns, D features, K classes, N videos.
"""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.cache import Key
from bench.encoder import architecture_kind, fresh_copy, normalise
from bench.forward import logits
from bench.guesses import Guesses, StageOutput, rank_labels
from bench.names import seed_of
from bench.schema import CLEAN
from bench.stages import selection
from bench.stages.case import Case
from bench.stages.classifier import FinetunedModel, kept, recolour, share_of
from bench.stages.lesson import Lesson, Look, learn, taught_videos
from bench.suites.protocol import TrainingCard
from bench.training import Loss

FEATURES_ONLY = "This encoder gives features only (its weights cannot be trained), so it is not finetuned."


@dataclass(frozen=True)
class Fit:
    """A finetuned model in eval mode, and what is told of its training."""

    model: FinetunedModel
    key: Key
    """Names it in the cache: for `forward.logits` and the like."""

    learning_rate: float
    final_loss: float
    seconds: float
    """Of the training; 0 where it was cached."""


def run(case: Case) -> StageOutput:
    """Guesses of each seed's model for the test videos."""
    if case.encoder.trunk is None:
        return StageOutput(remarks=(FEATURES_ONLY,))
    seeds, card = case.suite.finetune.seeds, card_of(case)
    guesses: list[Guesses] = []
    remarks: tuple[str, ...] = ()
    facts: dict[str, float | int | str] = {}
    for number, seed in enumerate(seeds):
        shared = case.reporting(share_of(case.report, f"seed {seed}", number, len(seeds)))
        fitted = fit_and_tell(shared, seed)
        said = logits(shared, fitted.model, fitted.key, "test", case.suite.views.test)[CLEAN]
        guesses.append(Guesses("finetune", case.dataset.name, case.dataset.test.ids, rank_labels(said), seed=seed))
        earlier = selection.by_epoch(shared, fitted.model, fitted.key, card.epochs, seed)
        guesses += earlier.guesses
        remarks += earlier.remarks
        facts |= {f"learning_rate.{seed}": fitted.learning_rate, f"final_loss.{seed}": fitted.final_loss}
        facts |= {f"seconds.{seed}": round(fitted.seconds, 1)}
    if len(card.learning_rates) > 1:
        facts["validation_accuracy"] = choose_rate(case)[1]
    if case.suite.finetune.transformer_card is not None:
        facts["card"] = architecture_kind(case.encoder.trunk)
    return StageOutput(tuple(guesses), facts=facts, remarks=remarks)


def fit(case: Case, seed: int) -> FinetunedModel:
    """The model finetuned with this seed, in eval mode on the case's device.

    Raises:
        ValueError: If the encoder gives features only.
    """
    return fit_and_tell(case, seed).model


def card_of(case: Case) -> TrainingCard:
    """The suite's card for this encoder's kind of network."""
    assert case.encoder.trunk is not None, "only what has a trunk is trained"
    return case.suite.finetune.card_of(architecture_kind(case.encoder.trunk))


def model_key(case: Case, seed: int) -> Key:
    """Names the model of `fit` in the cache."""
    return {
        **case.suite.fit_key("finetune", case.dataset.name),
        "encoder": case.encoder_hash,
        "seed": seed,
    }


def fit_and_tell(case: Case, seed: int) -> Fit:
    """The model finetuned with this seed, and how its training went."""
    key, model = model_key(case, seed), untrained(case, seed)
    rate, _ = choose_rate(case)
    prepare = partial(lesson, case, ("train", "validation"), seed)
    told = learn(case, "finetuned", key, model, prepare, label_loss(case), rate)
    return Fit(model, key, rate, told.final_loss, told.seconds)


def choose_rate(case: Case) -> tuple[float, float]:
    """The learning rate and the validation accuracy of the short run that chose it (NaN where the card names one rate).

    The first seed's short runs choose for all seeds: by accuracy, then by lower loss, then by place in the list. A rate at which
    the loss does not stay finite comes last.
    """
    card = card_of(case)
    if len(card.learning_rates) == 1:
        return card.learning_rates[0], math.nan
    seed = case.suite.finetune.seeds[0]
    labels_N = case.dataset.validation.labels
    found: list[tuple[float, float, float]] = []
    for number, rate in enumerate(card.learning_rates):
        key = {**model_key(case, seed), "search": rate}
        stored = case.cache.get("finetune-search", key)
        if stored is None:
            short = case.reporting(share_of(case.report, f"rate {rate:g}", number, len(card.learning_rates)))
            model = untrained(case, seed)
            prepare = partial(lesson, case, ("train",), seed, short=True)
            try:
                learn(short, "finetuned-short", key, model, prepare, while_finite(label_loss(case)), rate)
                said_NK = torch.from_numpy(logits(short, model, key, "validation", 1)[CLEAN])
                accuracy = float((said_NK.argmax(1).numpy() == labels_N).mean())
                final_loss = functional.cross_entropy(said_NK, torch.from_numpy(labels_N)).item()
            except DivergedError:
                kept(case, key).forget()
                accuracy, final_loss = 0.0, math.inf
            stored = {"accuracy": np.array(accuracy), "loss": np.array(final_loss)}
            case.cache.put("finetune-search", key, stored)
        found.append((-float(stored["accuracy"].item()), float(stored["loss"].item()), rate))
    negative, _, rate = min(found, key=lambda one: one[:2])
    return rate, -negative


def untrained(case: Case, seed: int) -> FinetunedModel:
    """The encoder's trunk, copied, under a fresh head."""
    if case.encoder.trunk is None:
        raise ValueError(FEATURES_ONLY)
    trunk = fresh_copy(case.encoder.trunk).float()
    for parameter in trunk.parameters():
        parameter.requires_grad_(True)
    with torch.random.fork_rng([]):
        torch.manual_seed(seed_of("finetune", seed, "head"))
        return FinetunedModel(trunk, case.encoder.feature_dim, case.num_classes, card_of(case))


def lesson(case: Case, splits: tuple[str, ...], seed: int, *, short: bool = False) -> Lesson:
    """One clip of every video in an epoch, from a start drawn anew."""
    card, videos = card_of(case), taught_videos(case, splits)

    def look(position: int, rng: np.random.Generator) -> Look:
        split, video_id, _ = videos[position]
        return Look(case.clips.training_clip(split, video_id, rng, card.crop), {})

    epochs = card.search_epochs or card.epochs if short else card.epochs
    return Lesson("finetune", seed, card, epochs, videos, look, keeps_milestones=not short)


class DivergedError(Exception):
    """The loss is not finite any more: the rate is too high."""


def while_finite(loss: Loss) -> Loss:
    """The same loss, which ends the training once it is not finite."""

    def checked(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        value, numbers = loss(model, batch)
        if not torch.isfinite(value):
            raise DivergedError
        return value, numbers

    return checked


def label_loss(case: Case) -> Loss:
    """Cross-entropy with the labels; log K is chance."""
    normalisation, label_smoothing = case.encoder.normalisation, card_of(case).label_smoothing

    def loss(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        clips_BTHWC = recolour(batch["clips"], batch["brightness"], batch["contrast"])
        logits_BK = model(normalise(clips_BTHWC, normalisation))
        right = (logits_BK.detach().argmax(1) == batch["labels"]).float().mean()
        value = functional.cross_entropy(logits_BK, batch["labels"], label_smoothing=label_smoothing)
        return value, {"accuracy": right}

    return loss
