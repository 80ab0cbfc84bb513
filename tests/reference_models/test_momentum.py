"""Slow copies and queues, alone and in a training that is cut off."""

import math
from collections import deque
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from bench.names import generator
from bench.schema import ClipSpec
from bench.training import Batch, Plan, train
from bench.unfinished import Kept
from reference_models.pretext.cvrl import InstanceContrast
from reference_models.pretext.momentum import MomentumEncoder, embed, projection_of
from reference_models.pretext.queue import KeyQueue, first_is_largest, key_logits, share_above
from reference_models.pretext.rspnet import RelativeSpeed
from reference_models.pretext.tdl import TemporalDiscrimination
from reference_models.pretrain import Learner
from tests.reference_models.tiny import TinyNet

CLIP = ClipSpec(num_frames=4, resize=(20, 24), size=16)

TASKS = {
    "cvrl": InstanceContrast(hidden=16, hidden_layers=2, dim=8),
    "tdl": TemporalDiscrimination(queue=10, dim=8, momentum=0.9, parts=2),
    "rspnet": RelativeSpeed(queue=10, dim=8, momentum=0.9, parts=2, normalise=True),
}


@pytest.fixture(autouse=True)
def chance():
    torch.manual_seed(0)


def encoder(momentum=0.9):
    trunk, projection = TinyNet(), nn.Linear(8, 5)
    return trunk, projection, MomentumEncoder(trunk, projection, momentum)


def test_the_copy_follows_by_the_formula():
    trunk, projection, slow = encoder(momentum=0.9)
    expected = trunk.stem[0].weight.detach().double().clone()
    for _ in range(3):
        with torch.no_grad():
            for weight in (*trunk.parameters(), *projection.parameters()):
                weight.add_(torch.randn_like(weight))
        slow.follow(trunk, projection)
        expected = 0.9 * expected + 0.1 * trunk.stem[0].weight.detach().double()
    torch.testing.assert_close(slow.trunk.stem[0].weight.double(), expected, atol=1e-6, rtol=0)


def test_the_copy_is_neither_trained_nor_does_it_train_the_network():
    trunk, projection, slow = encoder()
    assert not any(weight.requires_grad for weight in slow.parameters())
    assert all(weight.requires_grad for weight in (*trunk.parameters(), *projection.parameters()))
    assert not slow(torch.randn(4, 3, 4, 8, 8)).requires_grad


def test_the_copy_keeps_batch_statistics_of_its_own():
    trunk, projection, slow = encoder()
    slow(torch.randn(4, 3, 4, 8, 8) + 3)
    slow.follow(trunk, projection)
    assert slow.trunk.stem[1].num_batches_tracked == 1
    assert trunk.stem[1].num_batches_tracked == 0


def test_keys_come_back_in_the_order_of_the_clips():
    _, _, slow = encoder()
    slow.eval()
    clips = torch.randn(7, 3, 4, 8, 8)
    torch.testing.assert_close(slow(clips, parts=3), slow(clips))


def test_parts_are_normalised_apart():
    trunk, projection, _ = encoder()
    clips = torch.randn(6, 3, 4, 8, 8)
    apart = torch.cat([embed(trunk, projection, clips[:3]), embed(trunk, projection, clips[3:])])
    torch.testing.assert_close(embed(trunk, projection, clips, parts=2), apart)
    assert not torch.allclose(embed(trunk, projection, clips), apart, atol=1e-3)


def test_a_shared_direction_is_taken_out_of_features():
    features = torch.rand(64, 8) + 10
    plain, centred = (
        functional.normalize(projection_of(8, 5, normalise=normalise)(features), dim=1) for normalise in (False, True)
    )
    assert (plain @ plain.T).min() > 0.99
    assert abs((centred @ centred.T).mean()) < 0.3


def test_info_nce_within_the_batch_too_is_the_formula():
    """Positive, six keys of the queue, the two other own keys; never the own key twice."""
    query, own, others = (functional.normalize(torch.randn(count, 5), dim=1) for count in (3, 3, 6))
    loss = functional.cross_entropy(key_logits(query, own, others, 0.2, within_batch=True), torch.zeros(3).long())
    expected = 0.0
    for i in range(3):
        negatives = [*others, *(own[j] for j in range(3) if j != i)]
        terms = [math.exp(query[i].double() @ key.double() / 0.2) for key in (own[i], *negatives)]
        expected -= math.log(terms[0] / sum(terms)) / 3
    assert loss.item() == pytest.approx(expected, abs=1e-5)


def test_a_batch_of_one_has_the_queue_alone():
    query, own, others = (functional.normalize(torch.randn(count, 5), dim=1) for count in (1, 1, 6))
    alone = key_logits(query, own, others, 0.2, within_batch=True)
    assert torch.equal(alone[:, :-1], key_logits(query, own, others, 0.2))
    assert alone[0, -1] == -math.inf


@pytest.mark.parametrize("name", ["tdl", "rspnet"])
def test_within_the_batch_a_task_tells_its_videos_apart(name):
    """The same weights and clips, more negatives: a greater loss."""
    plain, within = TASKS[name], replace(TASKS[name], within_batch=True)
    trunk = TinyNet()
    clips = torch.randn(4, 3, 3, 4, 16, 16)
    losses = []
    for task in (plain, within):
        torch.manual_seed(1)
        loss, _ = task.loss(trunk, task.build_head(trunk, CLIP), {"clips": clips, "blended": torch.zeros(4).long()})
        losses.append(loss.item())
    assert losses[1] > losses[0] + 0.01


@pytest.mark.parametrize(("size", "batch"), [(7, 3), (6, 3), (5, 5), (16, 1)])
def test_a_queue_holds_the_last_keys_whatever_its_size(size, batch):
    queue, last = KeyQueue(size, 2), deque(maxlen=size)
    for step in range(20):
        keys = torch.randn(batch, 2) + step
        queue.push(keys)
        last.extend(keys.tolist())
    assert sorted(map(tuple, queue.keys_KD.tolist())) == sorted(map(tuple, last))


def test_a_queue_begins_with_unit_vectors():
    lengths = KeyQueue(50, 8).keys_KD.norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones(50))


def test_a_batch_larger_than_the_queue_is_refused():
    with pytest.raises(ValueError, match="holds 4 keys and a batch brings 5"):
        KeyQueue(4, 2).push(torch.randn(5, 2))
    with pytest.raises(ValueError, match="queue of 0"):
        KeyQueue(0, 2)


def test_a_queue_of_the_other_keys_is_the_full_batch():
    """InfoNCE over a batch, every key a candidate: the same as each query with its own key and a queue of the others."""
    queries, keys = (functional.normalize(torch.randn(6, 4), dim=1) for _ in range(2))
    whole = functional.cross_entropy(queries @ keys.T / 0.07, torch.arange(6))
    single = []
    for at in range(6):
        queue = KeyQueue(5, 4)
        queue.push(keys[[other for other in range(6) if other != at]])
        logits = key_logits(queries[at : at + 1], keys[at : at + 1], queue.keys_KD, 0.07)
        single.append(functional.cross_entropy(logits, torch.tensor([0])))
    torch.testing.assert_close(torch.stack(single).mean(), whole)


def test_what_enters_the_queue_leaves_the_gradient_alone():
    def gradient(push):
        torch.manual_seed(1)
        queue, query, key = KeyQueue(6, 4), torch.randn(3, 4, requires_grad=True), torch.randn(3, 4)
        loss = key_logits(query, key, queue.keys_KD, 0.1).logsumexp(1).sum()
        if push:
            queue.push(torch.randn(3, 4))
        loss.backward()
        return query.grad

    torch.testing.assert_close(gradient(push=True), gradient(push=False))


def test_accuracies_at_hand_made_points():
    assert first_is_largest(torch.tensor([[3.0, 1, 2], [1, 3, 2], [2, 2, 1]])).item() == pytest.approx(1 / 3)
    assert share_above(torch.tensor([1.0, 1, 0, 2]), torch.tensor([0.0, 1, 1, 1])).item() == pytest.approx(0.625)


def moving(step, task, num_videos=4):
    """A batch of noise videos, as `pretrain` would hand it to the task."""
    examples = []
    for at in range(num_videos):
        rng = generator("contrastive test", step, at)
        frames_NR = task.choose_frames(30, CLIP, rng)
        pixels = rng.integers(0, 256, (frames_NR.size, 8, 8, 3), dtype=np.uint8)
        example = dict(task.make_example(np.arange(frames_NR.size).reshape(frames_NR.shape), rng))
        examples.append({**example, "clips": pixels[example["clips"]]})
    tensors = {name: torch.from_numpy(np.stack([one[name] for one in examples])) for name in examples[0]}
    tensors["clips"] = tensors["clips"].permute(0, 1, 5, 2, 3, 4).float() / 255
    return Batch(tuple(f"video {at}" for at in range(num_videos)), tensors)


def learner_of(task):
    torch.manual_seed(3)
    trunk = TinyNet()
    return Learner(trunk, task.build_head(trunk, CLIP))


def run(task, folder=None, stop_after=None):
    learner, done = learner_of(task), []

    def loss(learner, batch):
        done.append(len(done))
        if stop_after is not None and len(done) > stop_after:
            raise KeyboardInterrupt
        return task.loss(learner.trunk, learner.head, batch)

    kept = Kept(folder, {"task": task.words}, every_s=0) if folder else None
    train(
        learner,
        loss,
        lambda step: moving(step, task),
        Plan(steps=8, optimiser="adamw", learning_rate=1e-2),
        names=("contrastive test",),
        device=torch.device("cpu"),
        kept=kept,
    )
    return learner.state_dict()


@pytest.mark.parametrize("name", TASKS)
def test_a_training_that_was_cut_off_ends_with_the_same_bits(name, tmp_path):
    """Trunk, slow copy, queue and its place: each is as if nothing had happened."""
    task = TASKS[name]
    whole = run(task)
    with pytest.raises(KeyboardInterrupt):
        run(task, tmp_path / "kept", stop_after=5)
    resumed = run(task, tmp_path / "kept")
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    assert ("head.queue.keys_KD" in whole) == (name != "cvrl")


@pytest.mark.parametrize("name", TASKS)
def test_what_is_trained_is_the_trunk_and_the_projection(name):
    learner = learner_of(TASKS[name])
    loss, numbers = TASKS[name].loss(learner.trunk, learner.head, moving(0, TASKS[name]).tensors)
    loss.backward()
    graded = {key for key, weight in learner.named_parameters() if weight.grad is not None}
    assert graded == {key for key, weight in learner.named_parameters() if ".slow." not in key}
    assert set(TASKS[name].chance) <= set(numbers)
    assert not any(number.requires_grad for number in numbers.values())


@pytest.mark.parametrize("name", TASKS)
def test_a_task_says_how_often_its_rows_are_drawn(name):
    task = TASKS[name]
    rows = task.choose_frames(task.span(CLIP), CLIP, np.random.default_rng(0))
    assert rows.shape == (len(task.draws), CLIP.num_frames)
    assert rows.min() >= 0
    assert rows.max() < task.span(CLIP)
    assert task.family == "contrastive"


@pytest.mark.parametrize("name", ["tdl", "rspnet"])
def test_a_batch_larger_than_the_queue_stops_the_training_in_a_sentence(name):
    task = replace(TASKS[name], queue=3)
    learner = learner_of(task)
    with pytest.raises(ValueError, match="a batch brings 4"):
        task.loss(learner.trunk, learner.head, moving(0, task).tensors)


def test_chance_of_a_queue_is_one_key_of_all():
    assert RelativeSpeed().chance["accuracy"] == pytest.approx(1 / 16385)
    assert TemporalDiscrimination().chance["accuracy"] == pytest.approx(1 / 502)
    assert math.isclose(InstanceContrast().chance["ahead"], 0.5)
