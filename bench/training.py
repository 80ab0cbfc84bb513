"""The one training loop of pretraining, finetuning and distillation.

Everything in a step is a function of the step's number: the batch, the rate, torch's random draws. So a run that is
killed and started again ends with the same weights, bit for bit, as one that was never interrupted (on a CPU, with the
same number of threads). Batches are made ahead by threads while the network computes.

What a caller brings: a module, a loss, a function from step to batch, and a plan. Non-finite losses, full disks and
states of another run end in a sentence.
"""

import contextlib
import ctypes
import json
import math
import platform
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from bench.cache import write_atomically
from bench.cores import cores
from bench.forward import arithmetic, one_thread
from bench.names import Name, seed_of
from bench.ranks import ALONE, Ranks
from bench.unfinished import Kept, Run, resume, save_state

REPORT_EVERY_S = 0.25


class Batch(NamedTuple):
    """What one step learns from."""

    video_ids: tuple[str, ...]
    tensors: dict[str, Tensor]


MakeBatch = Callable[[int], Batch]
"""From the step's number to its batch. Called from threads, several steps ahead; must not draw from torch's global generator."""

Loss = Callable[[nn.Module, dict[str, Tensor]], tuple[Tensor, dict[str, Tensor]]]
"""The module and a batch on its device to the loss and named numbers to log (detached scalars, the same names every step)."""

Report = Callable[[str, float], None]
"""Called with a few words and the share done. May raise to stop: the state is saved first, nothing is lost."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long and how fast to learn."""

    steps: int
    optimiser: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float
    """Peak: reached by a linear warm-up, left as the schedule says."""

    schedule: Literal["cosine", "constant", "step"] = "cosine"
    drops: tuple[float, ...] = ()
    """Shares of the steps after which a `step` schedule falls to a tenth."""

    floor: float = 0.0
    """Share of the peak at which the cosine ends."""

    betas: tuple[float, float] = (0.9, 0.999)
    """Of AdamW."""

    accumulate: int = 1
    """Parts in which a batch passes through the network, one after the other, before a step is taken: the step of the
    whole batch in the memory of a part. Batch statistics are those of a part."""

    weight_decay: float = 0.0
    """On weights; vectors (biases, scales of norms) are left alone."""

    momentum: float = 0.9
    """Of SGD."""

    warm_up: float = 0.1
    """Share of the steps."""

    rates: Mapping[str, float] = field(default_factory=dict)
    """Multiples of the learning rate for the module's direct children of these names (`head`); 1 for the rest."""

    clip_gradient: float | None = None
    """Norm to which all gradients together are clipped."""

    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16 autocasts the loss; weights, gradients and optimiser stay float32."""

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        warm_steps = round(self.warm_up * self.steps)
        if step < warm_steps:
            return self.learning_rate * (step + 1) / (warm_steps + 1)
        if self.schedule == "constant":
            return self.learning_rate
        if self.schedule == "step":
            return self.learning_rate * 0.1 ** sum(step >= round(drop * self.steps) for drop in self.drops)
        falling = (1 + math.cos(math.pi * (step - warm_steps) / (self.steps - warm_steps))) / 2
        return self.learning_rate * (self.floor + (1 - self.floor) * falling)


@dataclass(frozen=True)
class TrainingLog:
    """What each step saw: columns of equal length, `loss`, `rate` and whatever the loss names."""

    columns: dict[str, list[float]]
    seconds_per_step: float = field(default=0.0, compare=False)
    """Of this process's steps, waiting for videos included; 0 where an earlier process made them all."""

    @property
    def loss(self) -> list[float]:
        """Of every step."""
        return self.columns["loss"]

    def last(self, column: str, share: float = 0.1) -> float:
        """Mean over the last share of the steps."""
        values = self.columns[column]
        tail = values[-max(1, round(share * len(values))) :]
        return sum(tail) / len(tail)

    def write(self, path: Path) -> None:
        """As JSON lines, one a step."""
        rows = zip(*self.columns.values(), strict=True)
        lines = (
            json.dumps({"step": n, **dict(zip(self.columns, row, strict=True))}) for n, row in enumerate(rows, start=1)
        )
        write_atomically(path, "".join(f"{line}\n" for line in lines).encode())


def train(
    module: nn.Module,
    loss: Loss,
    make_batch: MakeBatch,
    plan: Plan,
    *,
    names: tuple[Name, ...],
    device: torch.device,
    report: Report = lambda _words, _share: None,
    kept: Kept | None = None,
    log_file: Path | None = None,
    milestones: Mapping[int, Callable[[], None]] | None = None,
    clips_per_video: int = 1,
    ranks: Ranks = ALONE,
) -> TrainingLog:
    """Train the module in place and leave it in eval mode on the device.

    Args:
        module: In float32.
        loss: See `Loss`.
        make_batch: See `MakeBatch`.
        plan: Optimiser, rates, steps, precision.
        names: What this training is called in its random draws (dropout and the like).
        device: Where to compute.
        report: See `Report`; called at most four times a second, and at the end.
        kept: Saves the state now and then, and goes on from one that is there. It stays until `kept.forget()`.
        log_file: Where to write the log, at every save and at the end.
        milestones: What to do after so many steps, such as writing a checkpoint; done again where a kill came in between.
        clips_per_video: Clips of a video that a step learns from; the progress counts them.
        ranks: The processes that share this training; `make_batch` gives this process's share.

    Raises:
        ValueError: If the loss is not finite (naming step and videos), if the state belongs to another training
            or does not fit the module, or if the disk is full.
    """
    keep_large_buffers()
    module.to(device, memory_format=torch.channels_last_3d).train()  # type: ignore[call-overload]
    run = Run(module, _optimiser(module, plan), {})
    first = resume(run, kept) if kept else 0
    question = ranks.joined(_Question(module, loss))
    saved, told = time.monotonic(), 0.0
    started, trained_clips = time.monotonic(), 0
    pending: list[_Pending] = []

    def keep(step: int) -> None:
        _settle(pending, run.columns)
        if kept and ranks.first:
            save_state(run, kept, step)
        if log_file and ranks.first:
            TrainingLog(run.columns).write(log_file)

    with (
        torch.random.fork_rng([device] if device.type == "cuda" else []),
        _threads(device),
        arithmetic("fp32", device),  # autocast is for the loss alone; backward takes each operation's own type
    ):
        for step, batch in _ahead(make_batch, range(first, plan.steps), device):
            torch.manual_seed(seed_of(*names, step, *ranks.names))
            for group in run.optimiser.param_groups:
                group["lr"] = plan.rate(step) * group["multiple"]
            tensors = {name: tensor.to(device, non_blocking=True) for name, tensor in batch.tensors.items()}
            run.optimiser.zero_grad(set_to_none=True)
            seen: list[dict[str, Tensor]] = []
            for part in _parts(tensors, plan.accumulate):
                held = len(seen) + 1 < plan.accumulate
                with ranks.apart(question) if held else contextlib.nullcontext():
                    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=plan.precision == "bf16"):
                        value, numbers = question(part)
                    (value / plan.accumulate).backward()
                seen.append({"loss": value.detach(), **numbers})
            if plan.clip_gradient is not None:
                nn.utils.clip_grad_norm_(module.parameters(), plan.clip_gradient)
            run.optimiser.step()
            means = {name: torch.stack([one[name] for one in seen]).mean() for name in seen[0]}
            pending.append(_Pending(step, batch.video_ids, plan.rate(step), ranks.means(means)))
            trained_clips += clips_per_video * len(batch.video_ids)

            now = time.monotonic()
            if now - told > REPORT_EVERY_S or step + 1 == plan.steps:
                told = now
                _settle(pending, run.columns)
                words = _words(step + 1, plan.steps, run.columns, trained_clips / (now - started))
                try:
                    if ranks.first:
                        report(words, (step + 1) / plan.steps)
                except BaseException:
                    keep(step + 1)
                    raise
            if milestones and step + 1 in milestones:
                module.eval()
                milestones[step + 1]()
                module.train()
            if kept and now - saved > kept.every_s:
                keep(step + 1)
                saved = time.monotonic()
        seconds = time.monotonic() - started
        keep(plan.steps)
    module.eval()
    return TrainingLog(run.columns, seconds / max(1, plan.steps - first))


def _threads(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """One thread inside torch on a machine of two cores: the other core makes batches.

    Measured on two cores with the small networks of the demo: 11 ms a clip with one thread, 13 with two that spin at
    barriers, 20 with two that sleep there (docs/lab_notes.md).
    """
    few = device.type == "cpu" and torch.get_num_threads() <= 2
    return one_thread() if few else contextlib.nullcontext()


def keep_large_buffers() -> None:
    """Ask glibc to reuse large buffers instead of handing them back to the system after every operation.

    Without it a 3D network on a CPU spends a part of each step on page faults. Elsewhere than on Linux with glibc this
    does nothing. One arena for all threads, since in an arena of its own a thread that makes batches hands them back all the
    same. Values as in malloc.h: M_TRIM_THRESHOLD is -1, M_MMAP_THRESHOLD is -3, M_ARENA_MAX is -8.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(-1, 2**31 - 1)
        libc.mallopt(-3, 2**30)
        libc.mallopt(-8, 1)


class _Question(nn.Module):
    """The loss as a module's forward pass: what gradients are averaged over when several processes train."""

    def __init__(self, module: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.module = module
        self.loss = loss

    def forward(self, tensors: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        return self.loss(self.module, tensors)


def _parts(tensors: dict[str, Tensor], count: int) -> list[dict[str, Tensor]]:
    """A batch in so many parts of one size."""
    if count == 1:
        return [tensors]
    size = len(next(iter(tensors.values())))
    if size % count:
        raise ValueError(f"A batch of {size} cannot be cut into {count} parts of one size.")
    cut = {name: tensor.chunk(count) for name, tensor in tensors.items()}
    return [{name: parts[number] for name, parts in cut.items()} for number in range(count)]


class _Pending(NamedTuple):
    """Numbers of a step that are still on the device: reading each at once would make a GPU wait."""

    step: int
    video_ids: tuple[str, ...]
    rate: float
    numbers: dict[str, Tensor]


def _settle(pending: list[_Pending], columns: dict[str, list[float]]) -> None:
    """Read the numbers of the steps since the last time; refuse a loss that is not finite."""
    for step, video_ids, rate, numbers in pending:
        values = {name: float(number) for name, number in numbers.items()}
        if not math.isfinite(values["loss"]):
            raise ValueError(
                f"The loss became {values['loss']} in step {step + 1}; its videos were {', '.join(video_ids)}. "
                "Training has stopped. Try a lower learning rate, or look at these videos."
            )
        for name, value in {"loss": values.pop("loss"), "rate": rate, **values}.items():
            columns.setdefault(name, []).append(value)
    pending.clear()


def _words(step: int, steps: int, columns: dict[str, list[float]], clips_per_s: float) -> str:
    recent = {name: values[-10:] for name, values in columns.items() if name != "rate"}
    means = ", ".join(f"{name} {sum(values) / len(values):.3f}" for name, values in recent.items())
    return f"step {step} of {steps}, {means}, {clips_per_s:.1f} clips/s"


def _ahead(make_batch: MakeBatch, steps: range, device: torch.device) -> Iterator[tuple[int, Batch]]:
    """The batches in order, made by threads while the network computes."""
    workers = max(1, min(8, cores() // 2))
    waiting: deque[Future[Batch]] = deque()
    coming = iter(steps)

    def make(step: int) -> Batch:
        batch = make_batch(step)
        if device.type == "cuda":
            return batch._replace(tensors={name: tensor.pin_memory() for name, tensor in batch.tensors.items()})
        return batch

    with ThreadPoolExecutor(workers, thread_name_prefix="batches") as pool:
        try:
            for step in steps:
                while len(waiting) <= workers and (upcoming := next(coming, None)) is not None:
                    waiting.append(pool.submit(make, upcoming))
                yield step, waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _optimiser(module: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    """One group for every (multiple of the rate, weight decay) that occurs."""
    children = dict(module.named_children())
    if unknown := [name for name in plan.rates if name not in children]:
        raise ValueError(f"There is no {', '.join(unknown)} to give a rate of its own; there is {', '.join(children)}.")
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            multiple = plan.rates.get(name.split(".")[0], 1.0)
            decay = plan.weight_decay if parameter.dim() > 1 else 0.0
            groups.setdefault((multiple, decay), []).append(parameter)
    described = [
        {"params": parameters, "multiple": multiple, "weight_decay": decay}
        for (multiple, decay), parameters in groups.items()
    ]
    # `foreach`: the same operations to the last bit, called for all parameters together; on a CPU it is not the default.
    if plan.optimiser == "sgd":
        return torch.optim.SGD(described, lr=plan.learning_rate, momentum=plan.momentum, foreach=True)
    return torch.optim.AdamW(described, lr=plan.learning_rate, betas=plan.betas, foreach=True)
