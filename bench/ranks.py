"""The processes that share one training, as `accelerate launch` starts them on GPUs, or `torchrun` anywhere.

Every process sees its share of each batch; gradients are averaged, so a step is that of the whole batch. Batch
statistics, queues and negatives stay with the process that saw them. The first process alone saves, logs and reports.
"""

import atexit
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

Item = TypeVar("Item")


@dataclass(frozen=True)
class Ranks:
    """How many processes there are, and which of them this is."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process saves, logs and reports."""
        return self.rank == 0

    @property
    def names(self) -> tuple[int, ...]:
        """What this process's random draws are called beside the training's own names: nothing where it is alone."""
        return () if self.count == 1 else (self.rank,)

    def share(self, batch: Sequence[Item]) -> Sequence[Item]:
        """This process's part of a batch.

        Raises:
            ValueError: If the batch cannot be shared out evenly.
        """
        if len(batch) % self.count:
            raise ValueError(
                f"A batch of {len(batch)} cannot be shared out evenly to {self.count} processes. "
                "Start another number of processes, or take another batch size."
            )
        return batch[self.rank :: self.count]

    def joined(self, module: nn.Module) -> nn.Module:
        """The module with its gradients averaged over the processes whenever it is called and backward has run."""
        if self.count == 1:
            return module
        return DistributedDataParallel(module, forward_sync_buffers=False)

    def apart(self, module: nn.Module) -> AbstractContextManager[object]:
        """While it lasts gradients are added up here and averaged later: for all parts of a batch but the last."""
        return module.no_sync() if isinstance(module, DistributedDataParallel) else nullcontext()

    def means(self, numbers: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Of each number over the processes, in one exchange."""
        if self.count == 1:
            return dict(numbers)
        together = torch.stack([number.detach().float() for number in numbers.values()])
        distributed.all_reduce(together)
        return dict(zip(numbers, together / self.count, strict=True))

    def wait(self) -> None:
        """Until every process has come here."""
        if self.count > 1:
            distributed.barrier()


ALONE = Ranks()


def ranks_here(device: str) -> tuple[Ranks, torch.device]:
    """This process's place among those that were launched together, and its device.

    Args:
        device: `cpu`, `cuda`, or `auto`. With several GPUs every process gets its own.
    """
    cpu = device == "cpu" or (device == "auto" and not torch.cuda.is_available())
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return ALONE, torch.device("cpu" if cpu else "cuda")
    from accelerate import PartialState  # noqa: PLC0415  (half a second that one process alone does not need)

    state = PartialState(cpu=cpu)
    # The group's threads, left alive, now and then abort a process that has done all its work.
    atexit.register(state.destroy_process_group)
    return Ranks(state.process_index, state.num_processes), state.device
