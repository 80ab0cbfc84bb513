"""Distillation: does a small student learn more when this model teaches it?

A freshly initialised student is trained four times with the same seed and budget: *alone* on the labels, taught by the
*submission*, by the suite's *reference* teacher, and by *both*. Teachers are tables of logits over fixed clips of the
training videos; no teacher runs while a student learns. The submission's table comes from its finetuned models: the
student of the i-th seed is taught by the finetuned model of the i-th seed, so the spread over seeds holds the teacher's.
An encoder that cannot be finetuned teaches with its linear probe.

Source: Hinton et al., "Distilling the knowledge in a neural network", 2015: cross-entropy with soft targets at a
temperature T, times T^2, beside cross-entropy with the labels. The paper we follow gives no formula, so these are ours:
- two teachers speak as one: the arithmetic mean of their softened probabilities (not of their logits, where the more
  confident teacher would decide);
- the student sees the very clips the teachers saw, mirrored or brightened as the card says, but not cropped elsewhere;
- the soft term is a Kullback-Leibler divergence, so it is zero for a perfect student.

Shapes: N training and validation videos in this order, V views, K classes, M teachers, B clips of a batch.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bench.cache import Key
from bench.encoder import TorchEncoder, normalise
from bench.forward import arithmetic, logits, one_thread
from bench.guesses import Guesses, StageOutput, rank_labels
from bench.names import seed_of
from bench.schema import CLEAN, Normalisation
from bench.stages import finetune, linear_probe
from bench.stages.case import Case
from bench.stages.classifier import FinetunedModel, recolour, share_of
from bench.stages.lesson import Lesson, Look, learn, taught_videos
from bench.suites.protocol import Distillation
from bench.training import Loss

Arm = Literal["alone", "submission", "reference", "both"]
Table = NDArray[np.float32]
"""A teacher: logits [N, V, K]."""

STUDENT_COLOURS = Normalisation()
"""Students of all submissions see the same colours, so that arms without the submission are computed once."""

BLOCK_VIDEOS = 32

WITHOUT_REFERENCE = (
    "has no reference teacher for {}: its students learn alone and from the submission. Those taught by the reference and by "
    "both, and the gain over the better of the two, do not exist here."
)


def run(case: Case) -> StageOutput:
    """Guesses of every arm's students for the test videos; the model is named by the arm."""
    settings = case.suite.distillation
    reference = checked_reference(case)
    arms: tuple[Arm, ...] = (
        ("alone", "submission") if reference is None else ("alone", "submission", "reference", "both")
    )
    parts = [(seed, arm) for seed in settings.seeds for arm in arms]
    guesses: list[Guesses] = []
    facts: dict[str, float | int | str] = {}
    for number, (seed, arm) in enumerate(parts):
        shared = case.reporting(share_of(case.report, f"student {arm}, seed {seed}", number, len(parts)))
        student, key, facts_of_fit = fit(shared, arm, seed)
        guesses.append(guesses_of(shared, student, key, arm, seed))
        facts |= {f"{word}.{arm}.{seed}": value for word, value in facts_of_fit.items()}
    remarks = () if reference is not None else (f"{case.suite.name} {WITHOUT_REFERENCE.format(case.dataset.name)}",)
    return StageOutput(tuple(guesses), facts=facts, remarks=remarks)


def fit(case: Case, arm: Arm, seed: int) -> tuple[FinetunedModel, Key, dict[str, float]]:
    """The student of an arm, the key that names it, and what is told of its training. From the cache where it is there."""
    key: Key = {**case.suite.fit_key("distillation", case.dataset.name), "arm": arm, "seed": seed}
    if arm in ("submission", "both"):
        key["encoder"] = case.encoder_hash
        if case.encoder.trunk is None:
            key["probe"] = case.suite.stage_hash("linear_probe")
    return teach(case, key, lambda: teachers(case, arm, seed), seed)


def teach(
    case: Case, key: Key, tables: Callable[[], tuple[Table, ...]], seed: int
) -> tuple[FinetunedModel, Key, dict[str, float]]:
    """A student of any number of teachers, or of none.

    Args:
        case: Its student, its fixed training clips, its suite's settings.
        key: Names the student in the cache: everything that its teachers were made from.
        tables: Gives the teachers' logits [N, V, K]; asked only where the student is not in the cache.
        seed: Of the student's start and of what it sees when.
    """
    settings = case.suite.distillation
    student = untrained_student(case, seed)
    rate = settings.card.learning_rates[0]
    told = learn(case, "student", key, student, lambda: lesson(case, tables(), seed), taught_loss(settings), rate)
    return student, key, {"final_loss": told.final_loss, "seconds": round(told.seconds, 1)}


def guesses_of(case: Case, student: FinetunedModel, key: Key, name: str, seed: int) -> Guesses:
    """What a student says of the test videos. Its outputs are cached without the submission's name."""
    architecture = case.suite.distillation.student
    encoder = TorchEncoder(student.trunk, name=architecture, architecture=architecture, normalisation=STUDENT_COLOURS)
    said = logits(replace(case, encoder=encoder), student, key, "test", case.suite.views.test)[CLEAN]
    ids = case.dataset.test.ids
    return Guesses("distillation", case.dataset.name, ids, rank_labels(said), model=name, seed=seed)


def teachers(case: Case, arm: Arm, seed: int) -> tuple[Table, ...]:
    """The tables that teach in an arm."""
    found = []
    if arm in ("submission", "both"):
        found.append(submission_logits(case, seed))
    if arm in ("reference", "both"):
        table = checked_reference(case)
        assert table is not None, "this arm runs only where there is a reference"
        found.append(table)
    return tuple(found)


def submission_logits(case: Case, seed: int) -> Table:
    """What the submission's finetuned model, or its probe, says of the fixed training clips."""
    if case.encoder.trunk is None:
        features_NVD = outputs_on_fixed_clips(case, case.encoder.encode, {"encoder": case.encoder_hash})
        logits_LK = linear_probe.fit(case).logits(features_NVD.reshape(-1, features_NVD.shape[2]))
        return logits_LK.reshape(*features_NVD.shape[:2], -1)
    place = case.suite.distillation.seeds.index(seed)
    finetuned_seeds = case.suite.finetune.seeds
    fitted = finetune.fit_and_tell(case, finetuned_seeds[place % len(finetuned_seeds)])
    return teacher_logits(case, fitted.model, fitted.key)


def teacher_logits(case: Case, model: nn.Module, key: Key) -> Table:
    """A model's logits on the fixed clips of training and validation videos; also makes a suite's reference table."""
    return outputs_on_fixed_clips(case, model.eval(), {"fit": key})


def outputs_on_fixed_clips(case: Case, read: Callable[[Tensor], Tensor], key: Key) -> Table:
    """What a model says of every view of the taught videos [N, V, K]; kept by blocks, so a kill loses one."""
    views = case.suite.distillation.views
    videos = taught_videos(case)
    blocks = []
    for at in range(0, len(videos), BLOCK_VIDEOS):
        case.report("teacher", at / len(videos))
        block = videos[at : at + BLOCK_VIDEOS]
        block_key = {
            "model": key,
            "clips": [case.suite.clip_set(case.dataset.name, split, views) for split in ("train", "validation")],
            "normalisation": case.encoder.normalisation.model_dump(mode="json"),
            "videos": [video_id for _, video_id, _ in block],
        }
        stored = case.cache.get("teacher", block_key)
        if stored is None:
            clips = np.concatenate([case.clips.views(split, video_id, views) for split, video_id, _ in block])
            stored = {"outputs_NVK": _read(case, read, clips).reshape(len(block), views, -1)}
            case.cache.put("teacher", block_key, stored)
        blocks.append(stored["outputs_NVK"])
    return np.concatenate(blocks)


def checked_reference(case: Case) -> Table | None:
    """The reference teacher's table, if there is one."""
    table = case.reference_logits
    return None if table is None else checked_table(case, table, "The reference teacher's logits")


def checked_table(case: Case, table: Table, name: str) -> Table:
    """A teacher's table itself.

    Raises:
        ValueError: If its shape is not that of the training and validation videos.
    """
    expected = (len(taught_videos(case)), case.suite.distillation.views, case.num_classes)
    if table.shape != expected:
        raise ValueError(
            f"{name} for {case.dataset.name} have the shape {table.shape}; training and validation videos, views and "
            f"classes make {expected}."
        )
    return table


def untrained_student(case: Case, seed: int) -> FinetunedModel:
    """A student as every arm of this seed begins with."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed_of("distillation", seed, "student"))
        trunk = case.student()
        width = getattr(trunk, "feature_dim", None)
        assert isinstance(width, int), "a student's factory makes a backbone"
        return FinetunedModel(trunk, width, case.num_classes, case.suite.distillation.card)


def lesson(case: Case, teachers: tuple[Table, ...], seed: int) -> Lesson:
    """One of a video's fixed clips an epoch, and what the teachers say of it [M, K]."""
    settings, videos = case.suite.distillation, taught_videos(case)

    def look(position: int, rng: np.random.Generator) -> Look:
        split, video_id, _ = videos[position]
        number = int(rng.integers(settings.views))
        clip_THWC = case.clips.view(split, video_id, settings.views, number)
        beside = {"teachers": np.stack([table[position, number] for table in teachers])} if teachers else {}
        return Look(clip_THWC, beside)

    return Lesson("distillation", seed, settings.card, settings.card.epochs, videos, look)


def taught_loss(settings: Distillation) -> Loss:
    """(1 - w) cross-entropy with the labels + w T^2 KL(teachers || student); cross-entropy alone without teachers."""

    def loss(student: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        clips_BTHWC = recolour(batch["clips"], batch["brightness"], batch["contrast"])
        logits_BK = student(normalise(clips_BTHWC, STUDENT_COLOURS))
        labels_loss = functional.cross_entropy(
            logits_BK, batch["labels"], label_smoothing=settings.card.label_smoothing
        )
        right = (logits_BK.detach().argmax(1) == batch["labels"]).float().mean()
        if "teachers" not in batch:
            return labels_loss, {"accuracy": right}
        soft_loss = soft_divergence(logits_BK, batch["teachers"], settings.temperature)
        weight = settings.teacher_weight
        return (1 - weight) * labels_loss + weight * soft_loss, {"accuracy": right, "soft": soft_loss.detach()}

    return loss


def soft_divergence(logits_BK: Tensor, teachers_BMK: Tensor, temperature: float) -> Tensor:
    """T^2 times the divergence of the student from the teachers' mean softened probabilities, a mean over clips."""
    targets_BK = (teachers_BMK / temperature).softmax(2).mean(1)
    log_said_BK = (logits_BK / temperature).log_softmax(1)
    return temperature**2 * functional.kl_div(log_said_BK, targets_BK, reduction="batchmean")


def _read(case: Case, read: Callable[[Tensor], Tensor], clips_BTHWC: NDArray[np.uint8]) -> Table:
    """A model's outputs, in small batches."""
    parts = []
    with one_thread(), torch.inference_mode(), arithmetic(case.suite.precision, case.device):
        for clips in torch.split(torch.from_numpy(clips_BTHWC), 8 if case.device.type == "cpu" else 32):
            said = read(normalise(clips.to(case.device), case.encoder.normalisation))
            parts.append(said.float().cpu().numpy())
    table: Table = np.concatenate(parts)
    if not np.isfinite(table).all():
        raise ValueError("The output of the submission's model holds NaN or infinity. It teaches no student.")
    return table
