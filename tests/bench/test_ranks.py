"""Two processes train as one does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench.ranks import ALONE, Ranks, ranks_here

SCRIPT = """
import json
import sys
import numpy as np
import torch
from torch import nn
from torch.nn import functional
from bench.names import generator
from bench.ranks import ranks_here
from bench.training import Batch, Plan, train
from bench.unfinished import Kept
from pathlib import Path

ranks, device = ranks_here("cpu")

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk, self.head = nn.Conv3d(3, 8, 3), nn.Linear(8, 2)
    def forward(self, clips):
        return self.head(self.trunk(clips).relu().mean((2, 3, 4)))

def make_batch(step):
    rng = generator("ranks", step)
    labels = rng.integers(2, size=8)
    clips = rng.normal(size=(8, 3, 4, 8, 8)) + labels[:, None, None, None, None]
    rows = list(ranks.share(range(8)))
    tensors = {"clips": torch.from_numpy(clips[rows].astype(np.float32)), "labels": torch.from_numpy(labels[rows])}
    return Batch(tuple(f"video{row}" for row in rows), tensors)

def loss(module, batch):
    return functional.cross_entropy(module(batch["clips"]), batch["labels"]), {"rows": torch.tensor(float(len(batch["labels"])))}

torch.manual_seed(5 + ranks.rank)  # the others take the weights of the first
folder = Path(sys.argv[1])
told = []
net = Net()
log = train(
    net, loss, make_batch, Plan(steps=12, learning_rate=0.1, weight_decay=0.01), names=("ranks",), device=device,
    report=lambda words, share: told.append(share), kept=Kept(folder / "state", {"one": "training"}), ranks=ranks,
)
weight = net.head.weight.detach().tolist()
rows = log.columns["rows"]
seen = {"loss": log.loss, "rows": rows, "weight": weight, "told": len(told)}
(folder / f"rank{ranks.rank}.json").write_text(json.dumps(seen))
"""


def launched(folder, processes):
    folder.mkdir()
    script = folder / "script.py"
    script.write_text(SCRIPT)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    command = [sys.executable, *(launcher if processes > 1 else []), str(script), str(folder)]
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in range(processes)]


def test_two_processes_have_the_loss_of_one_with_the_whole_batch(tmp_path):
    (alone,) = launched(tmp_path / "one", 1)
    first, second = launched(tmp_path / "two", 2)
    assert first["loss"] == second["loss"]
    assert first["loss"] == pytest.approx(alone["loss"], abs=1e-5)
    assert first["weight"] == second["weight"]
    assert torch.allclose(torch.tensor(first["weight"]), torch.tensor(alone["weight"]), atol=1e-5)
    assert (alone["rows"][0], first["rows"][0]) == (8, 4)
    assert first["told"] > 0 == second["told"]


def test_every_process_sees_its_own_rows_and_together_they_see_all():
    shares = [Ranks(rank, 3).share(range(12)) for rank in range(3)]
    assert sorted(row for share in shares for row in share) == list(range(12))
    assert ALONE.share(range(12)) == range(12)
    with pytest.raises(ValueError, match="A batch of 8 cannot be shared out evenly to 3 processes"):
        Ranks(0, 3).share(range(8))


def test_one_process_is_alone_and_draws_under_the_training_s_own_names():
    ranks, device = ranks_here("cpu")
    assert (ranks, device) == (ALONE, torch.device("cpu"))
    assert ALONE.names == ()
    assert Ranks(1, 2).names == (1,)
