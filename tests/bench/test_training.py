import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from bench.encoder import weight_hash
from bench.names import generator
from bench.training import Batch, Plan, train
from bench.unfinished import Kept, remove_old_halves

CPU = torch.device("cpu")
PLAN = Plan(steps=30, optimiser="adamw", learning_rate=1e-2, weight_decay=0.05, rates={"head": 0.1})


class Net(nn.Module):
    """Convolution, batch statistics and dropout: everything that a resumed run could get wrong."""

    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv3d(3, 8, 3, padding=1), nn.BatchNorm3d(8), nn.ReLU(), nn.Dropout(0.3))
        self.head = nn.Linear(8, 2)

    def forward(self, clips):
        return self.head(self.trunk(clips).mean((2, 3, 4)))


def fresh_net():
    with torch.random.fork_rng([]):
        torch.manual_seed(3)
        return Net()


def make_batch(step):
    """Bright clips are of class 1."""
    rng = generator("test", step)
    labels = rng.integers(2, size=6)
    clips = rng.normal(size=(6, 3, 4, 8, 8)) + labels[:, None, None, None, None]
    tensors = {"clips": torch.from_numpy(clips.astype(np.float32)), "labels": torch.from_numpy(labels)}
    return Batch(tuple(f"video{step}_{n}" for n in range(6)), tensors)


def loss(module, batch):
    logits = module(batch["clips"])
    accuracy = (logits.detach().argmax(1) == batch["labels"]).float().mean()
    return functional.cross_entropy(logits, batch["labels"]), {"accuracy": accuracy}


def run(plan=PLAN, *, net=None, **settings):
    net = net or fresh_net()
    log = train(net, loss, make_batch, plan, names=("test",), device=CPU, **settings)
    return weight_hash("net", net.state_dict()), log


class StopAfter:
    """A report that stops the training at a share."""

    def __init__(self, share):
        self.share = share

    def __call__(self, words, share):
        if share >= self.share:
            raise KeyboardInterrupt


@pytest.fixture
def told_every_step(monkeypatch):
    monkeypatch.setattr("bench.training.REPORT_EVERY_S", -1.0)


def test_the_loss_falls_and_every_step_is_logged():
    _, log = run()
    assert {len(column) for column in log.columns.values()} == {PLAN.steps}
    assert set(log.columns) == {"loss", "rate", "accuracy"}
    assert np.mean(log.loss[-5:]) < 0.7 * np.mean(log.loss[:5])


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
@pytest.mark.usefixtures("told_every_step")
def test_stopped_anywhere_and_started_again_gives_the_same_weights_to_the_bit(optimiser, tmp_path):
    plan = Plan(steps=20, optimiser=optimiser, learning_rate=1e-2, weight_decay=0.05, clip_gradient=1.0)
    whole, whole_log = run(plan)
    kept = Kept(tmp_path, {"net": 1})
    for share in (0.1, 0.5, 0.95):
        with pytest.raises(KeyboardInterrupt):
            run(plan, kept=kept, report=StopAfter(share))
    parts, parts_log = run(plan, kept=kept)
    assert parts == whole
    assert parts_log == whole_log


def test_killed_and_started_again_gives_the_same_weights_to_the_bit(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(f"""
        import os
        import signal
        import sys
        from pathlib import Path
        sys.path[:0] = {[str(Path.cwd()), str(Path(__file__).parent)]!r}
        import torch
        import bench.training
        import bench.unfinished
        import test_training
        def report(words, share):
            if share > 0.5:
                os.kill(os.getpid(), signal.SIGKILL)
        torch.set_num_threads({torch.get_num_threads()})
        bench.training.REPORT_EVERY_S = -1.0
        kept = bench.unfinished.Kept(Path({str(tmp_path / "state")!r}), {{}}, every_s=0.0)
        test_training.run(kept=kept, report=report)
        """)
    )
    killed = subprocess.run([sys.executable, program], capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    kept = Kept(tmp_path / "state", {})
    assert kept.path.exists()
    assert run(kept=kept) == run()


def test_draws_of_the_caller_go_on_as_if_nothing_had_been_trained():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    run()
    assert torch.equal(torch.rand(3), expected)


def test_the_rate_rises_in_a_line_and_falls_as_a_cosine():
    plan = Plan(steps=100, learning_rate=2.0, warm_up=0.1)
    rates = [plan.rate(step) for step in range(100)]
    assert np.diff(rates[:10]) == pytest.approx(np.full(9, 2 / 11))
    assert max(rates) == rates[10] == 2.0
    assert rates[55] == pytest.approx(1.0)
    assert 0 < rates[-1] < 0.001


def test_a_child_has_the_rate_it_was_given_and_vectors_do_not_decay():
    seen = {}

    def look(module, batch):
        return sum((p * 0).sum() for p in module.parameters()), {}

    net = fresh_net()
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    plan = Plan(steps=1, optimiser="sgd", learning_rate=0.1, weight_decay=1.0, warm_up=0.0, rates={"head": 0.5})
    train(net, look, make_batch, plan, names=("test",), device=CPU)
    for name, p in net.named_parameters():
        seen[name] = (p.detach() / before[name]).nanmean().item()
    assert seen["trunk.0.weight"] == pytest.approx(0.9, abs=1e-4)
    assert seen["head.weight"] == pytest.approx(0.95, abs=1e-4)
    assert seen["trunk.0.bias"] == pytest.approx(1.0)


def test_a_rate_for_a_child_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"no neck .* there is trunk, head"):
        run(Plan(steps=1, learning_rate=0.1, rates={"neck": 0.1}))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_with_the_step_and_its_videos(bad, tmp_path):
    def explode(module, batch):
        value, numbers = loss(module, batch)
        return value * (bad if batch["step"].item() == 7 else 1.0), numbers

    def numbered(step):
        batch = make_batch(step)
        return batch._replace(tensors={**batch.tensors, "step": torch.tensor(step)})

    kept = Kept(tmp_path, {}, every_s=0.0)
    with pytest.raises(ValueError, match="in step 8; its videos were video7_0, video7_1"):
        train(fresh_net(), explode, numbered, PLAN, names=("test",), device=CPU, kept=kept)


@pytest.mark.usefixtures("told_every_step")
def test_a_state_of_another_training_is_refused(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(kept=Kept(tmp_path, {"rate": 1}), report=StopAfter(0.5))
    with pytest.raises(ValueError, match="another training"):
        run(kept=Kept(tmp_path, {"rate": 2}))


@pytest.mark.usefixtures("told_every_step")
def test_a_damaged_state_is_named(tmp_path):
    kept = Kept(tmp_path, {})
    with pytest.raises(KeyboardInterrupt):
        run(kept=kept, report=StopAfter(0.5))
    kept.path.write_bytes(kept.path.read_bytes()[:500])
    with pytest.raises(ValueError, match="damaged"):
        run(kept=kept)


@pytest.fixture
def half_done(tmp_path, told_every_step):
    """Where the state of a training lies that was stopped half-way."""
    kept = Kept(tmp_path / "state", {})
    with pytest.raises(KeyboardInterrupt):
        run(kept=kept, report=StopAfter(0.5))
    return kept


def rewritten(kept, change):
    """The state with its tensors changed."""
    with safe_open(kept.path, framework="pt") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(tensors)
    save_file(tensors, kept.path, metadata=metadata)


OTHER_HEADS = {
    "of another shape": (lambda: nn.Linear(8, 3), r"module/head\.weight is \[2, 8\], wanted \[3, 8\]"),
    "with more in it": (
        lambda: nn.Sequential(nn.Linear(8, 2), nn.Linear(2, 2)),
        r"module/head\.0\.weight is missing, wanted \[2, 8\].*; and 9 more\.",
    ),
    "with less in it": (lambda: nn.Linear(8, 2, bias=False), r"module/head\.bias is \[2\], wanted nowhere"),
}


@pytest.mark.parametrize("made", OTHER_HEADS)
def test_a_state_of_a_network_whose_code_has_changed_is_refused_and_nothing_of_it_is_loaded(half_done, made):
    build_head, said = OTHER_HEADS[made]
    net = fresh_net()
    net.head = build_head()
    before = weight_hash("net", net.state_dict())
    with pytest.raises(ValueError, match=rf"state holds the state of .*{said}.* Delete that folder"):
        run(net=net, kept=half_done)
    assert weight_hash("net", net.state_dict()) == before
    assert half_done.path.exists()


def test_an_optimisers_slot_of_another_shape_is_refused_even_where_it_would_broadcast(half_done):
    rewritten(half_done, lambda tensors: tensors.update({"optimiser/head.weight/exp_avg": torch.zeros(1, 8)}))
    net = fresh_net()
    before = weight_hash("net", net.state_dict())
    with pytest.raises(ValueError, match=r"optimiser/head\.weight/exp_avg is \[1, 8\], wanted \[2, 8\]"):
        run(net=net, kept=half_done)
    assert weight_hash("net", net.state_dict()) == before


def test_an_optimisers_slot_of_no_parameter_is_refused(half_done):
    rewritten(half_done, lambda tensors: tensors.update({"optimiser/neck.weight/exp_avg": torch.zeros(2)}))
    with pytest.raises(ValueError, match=r"optimiser/neck\.weight/exp_avg is \[2\], wanted nowhere"):
        run(kept=half_done)


@pytest.mark.usefixtures("told_every_step")
def test_a_full_disk_ends_in_a_sentence_and_leaves_the_older_state(tmp_path, monkeypatch):
    kept = Kept(tmp_path, {})
    with pytest.raises(KeyboardInterrupt):
        run(kept=kept, report=StopAfter(0.3))
    older = kept.path.read_bytes()

    def full(_fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ValueError, match=r"Could not write .* No space left on device"):
        run(kept=kept)
    assert kept.path.read_bytes() == older
    assert [path.name for path in tmp_path.iterdir()] == [kept.path.name]


@pytest.mark.usefixtures("told_every_step")
def test_the_state_is_gone_when_it_is_forgotten(tmp_path):
    kept = Kept(tmp_path / "state", {})
    run(kept=kept)
    assert kept.path.exists()
    kept.forget()
    assert not (tmp_path / "state").exists()
    kept.forget()


def test_only_old_halves_are_removed(tmp_path):
    young, old = tmp_path / ".half-young", tmp_path / ".half-old"
    young.touch()
    old.touch()
    os.utime(old, (0, 0))
    remove_old_halves(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".half-young"]


def test_the_log_is_written_as_one_json_object_a_step(tmp_path):
    _, log = run(log_file=tmp_path / "log.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, PLAN.steps + 1))
    assert [line["loss"] for line in lines] == log.loss


def test_a_batch_that_cannot_be_made_stops_the_training_with_its_own_words():
    def broken(step):
        if step == 3:
            raise ValueError("video7 cannot be read")
        return make_batch(step)

    with pytest.raises(ValueError, match="video7 cannot be read"):
        train(fresh_net(), loss, broken, PLAN, names=("test",), device=CPU)


def test_bf16_trains_float32_weights():
    plan = Plan(steps=5, learning_rate=1e-2, precision="bf16")
    seen = set()

    def look(module, batch):
        seen.add(module.trunk[0](batch["clips"]).dtype)
        return loss(module, batch)

    net = fresh_net()
    train(net, look, make_batch, plan, names=("test",), device=CPU)
    assert seen == {torch.bfloat16}
    assert {p.dtype for p in net.parameters()} == {torch.float32}


@pytest.mark.parametrize("share", [0.4, 1.0])
@pytest.mark.usefixtures("told_every_step")
def test_progress_says_step_loss_and_speed(share):
    told = []
    run(report=lambda words, done: told.append((words, done)))
    words = {round(done, 6): words for words, done in told}[share]
    assert words.startswith(f"step {round(share * 30)} of 30, loss ")
    assert "accuracy" in words
    assert words.endswith("clips/s")


def test_a_batch_in_parts_takes_the_step_of_the_whole_batch():
    class Plain(nn.Module):
        """No batch statistics, no dropout."""

        def __init__(self):
            super().__init__()
            self.head = nn.Linear(3, 2)

        def forward(self, clips):
            return self.head(clips.mean((2, 3, 4)))

    def trained(accumulate):
        torch.manual_seed(0)
        net = Plain()
        plan = Plan(steps=20, learning_rate=0.1, weight_decay=0.01, accumulate=accumulate)
        return net, train(net, loss, make_batch, plan, names=("test",), device=CPU)

    whole, parts = trained(1), trained(3)
    assert parts[1].loss == pytest.approx(whole[1].loss, abs=1e-6)
    assert parts[1].columns["accuracy"] == pytest.approx(whole[1].columns["accuracy"])
    assert torch.allclose(parts[0].head.weight, whole[0].head.weight, atol=1e-6)
    with pytest.raises(ValueError, match="A batch of 6 cannot be cut into 4 parts"):
        trained(4)


def test_other_schedules_are_constant_fall_in_steps_or_end_above_zero():
    constant = Plan(steps=100, learning_rate=1.0, schedule="constant", warm_up=0.1)
    assert constant.rate(4) == pytest.approx(5 / 11)
    assert {constant.rate(step) for step in range(10, 100)} == {1.0}
    steps = Plan(steps=100, learning_rate=1.0, schedule="step", drops=(0.5, 0.9), warm_up=0.0)
    assert [steps.rate(step) for step in (0, 49, 50, 89, 90)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])
    floor = Plan(steps=1000, learning_rate=2.0, floor=1e-3, warm_up=0.0)
    assert floor.rate(0) == 2.0
    assert floor.rate(999) == pytest.approx(2e-3, rel=1e-2)


def test_milestones_see_the_module_as_it_is_then_and_change_nothing():
    seen = {}
    net = fresh_net()

    def look(step):
        seen[step] = (net.training, weight_hash("net", net.state_dict()))

    whole, _ = run(net=net, milestones={step: lambda step=step: look(step) for step in (10, 30)})
    assert whole == run()[0] == seen[30][1]
    assert not any(training for training, _ in seen.values())
    assert seen[10][1] != seen[30][1]
