"""A judging that a test can kill: run in a process of its own."""

import os
import signal

from bench.encoder import TorchEncoder
from bench.results import write_result
from bench.run import evaluate
from tests.bench.known_run import SUITE, opened
from tests.bench.stages.tiny_case import TinyNet, random_tiny_net


def judge(folder, results, killed_in=None):
    """Judge the tiny network; at the middle of a stage the process kills itself, as by `kill -9`."""

    def tell(stage, _state, _words, share):
        if stage == killed_in and share >= 0.5:
            os.kill(os.getpid(), signal.SIGKILL)

    encoder = TorchEncoder(random_tiny_net(), name="tiny")
    found = evaluate(encoder, SUITE, opened(), student=TinyNet, cache=folder, device="cpu", progress=tell)
    write_result(results, found.result, found.rows, found.grams)
