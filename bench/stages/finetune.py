"""Finetuning: how good a start are these weights?

Every weight of the trunk is trained, and one fresh linear layer on top, after what the suite's card says. Where the card
lists several learning rates, short runs on the training videos, read on the validation videos, choose one; then the
training goes over training and validation videos together, and its last step is what counts. One clip a video and
epoch, its start drawn from (stage, seed, epoch, video id).

`fit` is also for the stages that build upon the finetuned model: it comes from the cache where it is there.

Shapes: B clips, T frames, H W rows and columns, D features, K classes, N videos.
"""

import math
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.cache import Key
from bench.encoder import fresh_copy, normalise
from bench.forward import logits
from bench.guesses import Guesses, StageOutput, rank_labels
from bench.names import generator, seed_of
from bench.schema import CLEAN, Normalisation
from bench.stages.case import Case
from bench.stages.classifier import (
    FinetunedModel,
    changed,
    epochs_of,
    fill,
    kept,
    plan_of,
    recolour,
    share_of,
    shuffled,
    stacked,
    weights_of,
)
from bench.suites.protocol import TrainingCard
from bench.training import Batch, Loss, MakeBatch, TrainingLog, train

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
    settings = case.suite.finetune
    guesses: list[Guesses] = []
    facts: dict[str, float | int | str] = {}
    for number, seed in enumerate(settings.seeds):
        shared = case.reporting(share_of(case.report, f"seed {seed}", number, len(settings.seeds)))
        fitted = fit_and_tell(shared, seed)
        said = logits(shared, fitted.model, fitted.key, "test", case.suite.views.test)[CLEAN]
        guesses.append(Guesses("finetune", case.dataset.name, case.dataset.test.ids, rank_labels(said), seed=seed))
        facts |= {f"learning_rate.{seed}": fitted.learning_rate, f"final_loss.{seed}": fitted.final_loss}
        facts |= {f"seconds.{seed}": round(fitted.seconds, 1)}
    if len(settings.card.learning_rates) > 1:
        facts["validation_accuracy"] = choose_rate(case)[1]
    return StageOutput(tuple(guesses), facts=facts)


def fit(case: Case, seed: int) -> FinetunedModel:
    """The model finetuned with this seed, in eval mode on the case's device.

    Raises:
        ValueError: If the encoder gives features only.
    """
    return fit_and_tell(case, seed).model


def model_key(case: Case, seed: int) -> Key:
    """Names the model of `fit` in the cache."""
    return {
        "stage": case.suite.stage_hash("finetune"),
        "dataset": case.dataset.name,
        "encoder": case.encoder_hash,
        "seed": seed,
    }


def fit_and_tell(case: Case, seed: int) -> Fit:
    """The model finetuned with this seed, and how its training went."""
    key = model_key(case, seed)
    model = untrained(case, seed)
    stored = case.cache.get("finetuned", key)
    if stored is None:
        rate, _ = choose_rate(case)
        card = case.suite.finetune.card
        split = Learning(case, ("train", "validation"), seed, card, card.epochs)
        log, seconds = teach_labels(case, model, split, rate, key)
        stored = {**weights_of(model), "fact/rate": np.array(rate), "fact/loss": np.array(log.last("loss"))}
        case.cache.put("finetuned", key, stored)
        kept(case, key).forget()
    else:
        seconds = 0.0
        fill(model, stored)
    model.to(case.device).eval()
    return Fit(model, key, float(stored["fact/rate"].item()), float(stored["fact/loss"].item()), seconds)


def choose_rate(case: Case) -> tuple[float, float]:
    """The learning rate and the validation accuracy of the short run that chose it (NaN where the card names one rate).

    The first seed's short runs choose for all seeds: by accuracy, then by lower loss, then by place in the list.
    """
    card = case.suite.finetune.card
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
            split = Learning(case, ("train",), seed, card, card.search_epochs or card.epochs)
            teach_labels(short, model, split, rate, key)
            said_NK = torch.from_numpy(logits(short, model, key, "validation", 1)[CLEAN])
            stored = {
                "accuracy": np.array((said_NK.argmax(1).numpy() == labels_N).mean()),
                "loss": np.array(functional.cross_entropy(said_NK, torch.from_numpy(labels_N)).item()),
            }
            case.cache.put("finetune-search", key, stored)
            kept(case, key).forget()
        found.append((-float(stored["accuracy"].item()), float(stored["loss"].item()), rate))
    accuracy, _, rate = min(found, key=lambda one: one[:2])
    return rate, -accuracy


def untrained(case: Case, seed: int) -> FinetunedModel:
    """The encoder's trunk, copied, under a fresh head."""
    if case.encoder.trunk is None:
        raise ValueError(FEATURES_ONLY)
    trunk = fresh_copy(case.encoder.trunk).float()
    for parameter in trunk.parameters():
        parameter.requires_grad_(True)
    with torch.random.fork_rng([]):
        torch.manual_seed(seed_of("finetune", seed, "head"))
        return FinetunedModel(trunk, case.encoder.feature_dim, case.num_classes, case.suite.finetune.card)


def teach_labels(
    case: Case, model: FinetunedModel, learning: "Learning", rate: float, key: Key
) -> tuple[TrainingLog, float]:
    """Train on labels; the log, and the seconds it took."""
    started = time.monotonic()
    log = train(
        model,
        label_loss(case.encoder.normalisation, learning.card.label_smoothing),
        learning.batch,
        plan_of(learning.card, rate, learning.steps, case.suite.precision),
        names=("finetune", learning.seed),
        device=case.device,
        report=case.report,
        kept=kept(case, key),
    )
    return log, time.monotonic() - started


@dataclass(frozen=True)
class Learning:
    """Which clips are learnt from in which step.

    Epochs follow each other without a seam: a batch that an epoch leaves unfilled is filled from the next, so every batch is full.
    """

    case: Case
    splits: tuple[str, ...]
    seed: int
    card: TrainingCard
    epochs: int

    @property
    def videos(self) -> list[tuple[str, str, int]]:
        """(split, video id, label) of every video learnt from."""
        sets = {"train": self.case.dataset.train, "validation": self.case.dataset.validation}
        return [
            (split, video_id, int(label))
            for split in self.splits
            for video_id, label in zip(sets[split].ids, sets[split].labels, strict=True)
        ]

    @property
    def steps(self) -> int:
        """Until every video was seen once an epoch."""
        return math.ceil(self.epochs * len(self.videos) / self.card.batch_size)

    @property
    def batch(self) -> MakeBatch:
        """From step to batch: uint8 clips, labels, brightness and contrast."""
        card, clips, videos, order = self.card, self.case.clips, self.videos, shuffled("finetune", self.seed)

        def make(step: int) -> Batch:
            chosen = [videos[at] for at in order(step, card.batch_size, len(videos))]
            epochs = epochs_of(step, card.batch_size, len(videos))
            examples = []
            for (split, video_id, label), epoch in zip(chosen, epochs, strict=True):
                rng = generator("finetune", self.seed, epoch, video_id)
                clip_THWC = clips.training_clip(split, video_id, rng, card.crop)
                examples.append({**changed(clip_THWC, card, rng), "labels": np.asarray(label)})
            return Batch(tuple(video_id for _, video_id, _ in chosen), stacked(examples))

        return make


def label_loss(normalisation: Normalisation, label_smoothing: float) -> Loss:
    """Cross-entropy with the labels; log K is chance."""

    def loss(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        clips_BTHWC = recolour(batch["clips"], batch["brightness"], batch["contrast"])
        logits_BK = model(normalise(clips_BTHWC, normalisation))
        right = (logits_BK.detach().argmax(1) == batch["labels"]).float().mean()
        value = functional.cross_entropy(logits_BK, batch["labels"], label_smoothing=label_smoothing)
        return value, {"accuracy": right}

    return loss
