"""A judging that is killed goes on where it was and ends with the same bytes."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.results import read_results
from reference_models.pretrain import random_checkpoint
from tests.bench import killed_run
from tests.bench.video.conftest import write_picture

ROOT = Path(__file__).parents[2]
KILLS = 20


def same_bytes(one, other):
    """Whether all results of another folder have the scores and predictions of the one. A kill after writing leaves two."""
    (first,), others = read_results(one), read_results(other)
    assert others
    for second in others:
        assert first.result.scores == second.result.scores
        for name in ("predictions.parquet", "grams.npz"):
            assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes(), name


def test_two_kills_in_training_and_inference_change_no_byte(tmp_path):
    threads = torch.get_num_threads()
    killed_run.judge(tmp_path / "whole", tmp_path / "unbroken")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.bench.killed_run"])
    for stage, code in (("finetune", -signal.SIGKILL), ("robustness", -signal.SIGKILL), (None, 0)):
        child = context.Process(target=killed_run.judge, args=(tmp_path / "cache", tmp_path / "killed", stage))
        child.start()
        child.join()
        assert child.exitcode == code
        assert bool(read_results(tmp_path / "killed")) == (stage is None)
    assert torch.get_num_threads() == threads
    same_bytes(tmp_path / "unbroken", tmp_path / "killed")


@pytest.mark.prove
def test_twenty_kills_at_random_change_no_byte_of_what_evaluate_writes(tmp_path):
    checkpoint = random_checkpoint("shufflenet_v1_x0_25", seed=0, folder=tmp_path / "checkpoint")
    draw = np.random.default_rng(0)
    for kind in range(3):
        (tmp_path / "videos" / str(kind)).mkdir(parents=True)
        for number in range(24):
            picture = draw.integers(0, 80, (64, 86, 3)) + 50 * kind
            write_picture(tmp_path / "videos" / str(kind) / f"{number}.mp4", picture.astype(np.uint8), num_frames=24)

    def start(home):
        words = ["reelproof.py", "evaluate", "--checkpoint", str(checkpoint), "--data", str(tmp_path / "videos")]
        settings = {**os.environ, "REELPROOF_HOME": str(home), "OMP_NUM_THREADS": "2"}
        return subprocess.Popen([sys.executable, *words], cwd=ROOT, env=settings, stdout=subprocess.DEVNULL)

    began = time.monotonic()
    assert start(tmp_path / "unbroken").wait() == 0
    takes = time.monotonic() - began
    chance, kills, round_number = random.Random(0), 0, 0
    while kills < KILLS:
        round_number += 1
        home, done = tmp_path / f"round-{round_number}", False
        while not done:
            child = start(home)
            try:
                assert child.wait(chance.uniform(0.1, 1.0) * takes if kills < KILLS else None) == 0
                done = True
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
                kills += 1
        same_bytes(tmp_path / "unbroken" / "results", home / "results")
