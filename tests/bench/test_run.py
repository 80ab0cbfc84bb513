"""One call from an encoder to a result: what is refused, what comes out, and that test labels stay out of it."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import nn

from bench.cache import Cache
from bench.encoder import TorchEncoder, encoder_hash
from bench.results import read_result, write_result
from bench.run import Videos, evaluate, open_case
from bench.schema import CLEAN, STAGES, Card
from bench.suites.protocol import Distillation, Finetune, Robustness
from bench.video.index import Dataset
from tests.bench.stages.judged_case import NOISE, NoisyClips, judged_suite
from tests.bench.stages.known_nets import OracleNet
from tests.bench.stages.tiny_case import CARD, TinyNet, random_tiny_net, videos

SHORT = CARD.model_copy(update={"epochs": 2})
SUITE = judged_suite(
    finetune=Finetune(card=SHORT, seeds=(0,)),
    distillation=Distillation(student="tiny", card=SHORT, views=2, seeds=(0,)),
    robustness=Robustness(corruptions=(NOISE,), severities=(1, 5), models=("probe", "finetuned")),
)
DATASET = Dataset("shades", videos("train", 24), videos("validation", 6), videos("test", 12))
DIGEST = "ab" * 32


@dataclass(frozen=True)
class RunClips(NoisyClips):
    """Made-up clips whose sets can be exchanged."""

    sets: dict

    def __post_init__(self):
        object.__setattr__(self, "asked", [])
        object.__setattr__(self, "decoded", [])
        object.__setattr__(self, "unreadable", "")


def opened(dataset=DATASET):
    sets = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    return {"shades": Videos(dataset, RunClips(sets), DIGEST)}


def run(folder, *, net=None, dataset=DATASET, suite=SUITE, **more):
    encoder = TorchEncoder(net or random_tiny_net(), name="tiny")
    return evaluate(encoder, suite, opened(dataset), student=TinyNet, cache=folder, device="cpu", **more)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """The tiny network through all six stages, its cache, and what was told on the way."""
    folder, told = tmp_path_factory.mktemp("run"), []
    return run(folder, progress=lambda *words: told.append(words)), folder, told


# Refusals


class Picky(TinyNet):
    def accepts(self, frames, height, width):
        return f"It takes 32 frames, not {frames}."


def test_an_encoder_that_cannot_take_the_clip_is_refused_before_any_work(tmp_path):
    with pytest.raises(
        ValueError,
        match=r"^tiny shows 4 x 16 x 16 clips\. It takes 32 frames, not 4\. An open suite, such as ucf101-open-v1,",
    ):
        run(tmp_path, net=Picky())
    assert not list(tmp_path.iterdir())


class TooLarge(TinyNet):
    def __init__(self):
        super().__init__()
        self.large = nn.Conv3d(8, 8, 5)

    def forward(self, clips):
        return self.large(self.block(self.stem(clips))).mean((2, 3, 4))


def test_a_module_that_fails_on_the_clip_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(ValueError, match="TooLarge cannot take a clip of 4 x 16 x 16"):
        run(tmp_path, net=TooLarge())


def test_a_missing_data_set_is_named(tmp_path):
    encoder = TorchEncoder(random_tiny_net(), name="tiny")
    with pytest.raises(ValueError, match=r"^tiny needs the data set shades, which was not given\.$"):
        evaluate(encoder, SUITE, {}, student=TinyNet, cache=tmp_path)


# Odd encoders


class Dice(TinyNet):
    def forward(self, clips):
        return nn.functional.dropout(super().forward(clips), 0.5, training=True)


class Neighbours(TinyNet):
    def forward(self, clips):
        found = super().forward(clips)
        return found - found.mean(0, keepdim=True)


class Broken(TinyNet):
    def forward(self, clips):
        return super().forward(clips) / 0


QUICK = SUITE.model_copy(update={"datasets": (SUITE.datasets[0].model_copy(update={"frames_digest": DIGEST}),)})


@pytest.mark.parametrize(("net", "words"), [(Dice, "is stochastic in eval mode"), (Neighbours, "depends on what else")])
def test_an_encoder_that_is_odd_in_eval_mode_is_judged_but_named_first_and_cannot_be_posted(tmp_path, net, words):
    result = run(tmp_path, net=net(), suite=QUICK).result
    assert not result.postable
    assert words in result.remarks[0]


def test_an_encoder_that_gives_nan_is_refused_before_any_stage(tmp_path):
    told = []
    with pytest.raises(ValueError, match=r"The encoder gives NaN or infinity for video train0_0\. Nothing is scored"):
        run(tmp_path, net=Broken(), progress=lambda *words: told.append(words))
    assert told == []


def test_other_pixels_of_the_golden_clip_are_told_and_make_the_result_local(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.run.golden_clip_agrees", lambda: "The golden clip has other pixels here.")
    result = run(tmp_path, net=OracleNet(), suite=QUICK).result
    assert (result.postable, result.remarks[0]) == (False, "The golden clip has other pixels here.")


# A whole run


def test_every_stage_runs_and_has_its_scores(evaluated):
    result = evaluated[0].result
    assert [report.stage for report in result.stages] == list(STAGES)
    assert [report.stage_hash for report in result.stages] == [SUITE.stage_hash(stage) for stage in STAGES]
    assert {score.stage for score in result.scores} == set(STAGES)
    assert {score.model for score in result.scores if score.stage == "robustness"} == {"probe", "finetuned"}
    layers = {gram.model: gram.layers for gram in evaluated[0].grams}
    assert layers == dict.fromkeys(("pretrained", "finetuned"), ("stem", "block", "pooled"))
    (report,) = result.datasets
    assert (report.num_train, report.num_validation, report.num_test, report.num_clusters) == (24, 6, 12, 12)


def test_every_test_video_is_in_the_rows_once_a_model_and_condition(evaluated):
    rows = evaluated[0].rows
    groups = {}
    columns = [rows[name].tolist() for name in ("stage", "model", "corruption", "severity", "seed", "video_id")]
    for words in zip(*columns, strict=True):
        groups.setdefault(words[:5], []).append(words[5])
    assert all(sorted(ids) == sorted(DATASET.test.ids) for ids in groups.values())
    assert sum(key[0] == "robustness" for key in groups) == 2 * 3


def test_a_bare_result_says_what_it_is_and_is_never_postable(evaluated):
    result = evaluated[0].result
    encoder = TorchEncoder(random_tiny_net(), name="tiny")
    assert isinstance(result.card, Card)
    assert (result.card.name, result.card.encoder_hash) == ("tiny", encoder_hash(encoder))
    assert not result.postable
    assert any("is your own data: the result is local" in remark for remark in result.remarks)
    assert result.find("linear_probe", "shades", "top1") is not None


def test_frames_other_than_the_suites_are_told_and_make_the_result_local(evaluated):
    for expected, postable in (("cd" * 32, False), (DIGEST, True)):
        (protocol,) = SUITE.datasets
        suite = SUITE.model_copy(update={"datasets": (protocol.model_copy(update={"frames_digest": expected}),)})
        result = run(evaluated[1] / expected[:2], suite=suite, net=OracleNet()).result
        assert result.postable is postable
        told = [
            remark for remark in result.remarks if "have the digest abababababab; tiny expects cdcdcdcdcdcd" in remark
        ]
        assert len(told) == (not postable)


def test_progress_begins_each_stage_and_ends_each_with_done(evaluated):
    told = evaluated[2]
    assert [words[0] for words in told if words[1] == "done"] == list(STAGES)
    for stage in STAGES:
        shares = [share for name, state, _, share in told if name == stage and state == "running"]
        assert shares[0] == 0
        assert all(0 <= share <= 1 for share in shares)


def test_a_result_is_stored_and_read_back(evaluated, tmp_path):
    evaluation = evaluated[0]
    stored = write_result(tmp_path, evaluation.result, evaluation.rows, evaluation.grams)
    again = read_result(stored.folder)
    assert again.result == evaluation.result
    assert all(np.array_equal(again.rows()[name], evaluation.rows[name]) for name in again.rows())


def test_a_second_run_only_reads_the_cache_and_says_the_same(evaluated, monkeypatch):
    monkeypatch.setattr(Cache, "put", lambda _self, kind, *_: pytest.fail(f"{kind} was computed again"))
    again = run(evaluated[1])
    assert again.result.scores == evaluated[0].result.scores
    assert all(np.array_equal(again.rows[name], evaluated[0].rows[name]) for name in again.rows)


def test_a_run_that_is_stopped_leaves_no_result_and_the_next_one_goes_on(evaluated, tmp_path):
    def stop(stage, state, _words, _share):
        if (stage, state) == ("finetune", "done"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, progress=stop)
    assert run(tmp_path).result.scores == evaluated[0].result.scores


def test_a_process_for_each_data_set_computes_the_same_bytes(evaluated, tmp_path):
    first, folder, _ = evaluated
    told = []
    second = run(tmp_path, processes=2, progress=lambda *words: told.append(words))
    assert second.result.scores == first.result.scores
    assert [words[0] for words in told if words[1] == "done"] == list(STAGES)
    files = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.safetensors"))
    assert files
    assert all((tmp_path / file).read_bytes() == (folder / file).read_bytes() for file in files)


def test_what_cannot_be_sent_to_another_process_is_said(tmp_path):
    class Hidden(TinyNet):
        """Of this function alone."""

    with pytest.raises(ValueError, match=r"cannot be sent to another: .* in one process \(processes=1\)"):
        run(tmp_path, net=Hidden(), processes=2)


def test_the_encoders_own_weights_are_not_changed(tmp_path, evaluated):
    net = random_tiny_net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    run(evaluated[1] / "untouched", net=net)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


# Test labels


def poisoned(dataset):
    """The same data set with every test label turned to the next class."""
    rows = tuple(replace(video, label=(video.label + 1) % 3) for video in dataset.test.videos)
    return replace(dataset, test=replace(dataset.test, videos=rows))


def test_the_stages_are_given_no_test_labels(tmp_path):
    encoder = TorchEncoder(random_tiny_net(), name="tiny")
    case = open_case(encoder, SUITE, opened()["shades"], Cache(tmp_path), tmp_path, torch.device("cpu"), print, TinyNet)
    for given in (case.dataset.test, case.clips.sets["test"]):
        assert all(video.label is None for video in given.videos)
        with pytest.raises(ValueError, match="labels of 12 videos are withheld"):
            _ = given.labels
    assert len(case.dataset.train.labels) == 24


def test_other_test_labels_change_no_fitted_weight_and_no_guess(evaluated, tmp_path):
    first, folder, _ = evaluated
    second = run(tmp_path, dataset=poisoned(DATASET))
    for column in ("video_id", "stage", "model", "corruption", "severity", "seed", "predicted"):
        assert np.array_equal(first.rows[column], second.rows[column])
    assert not np.array_equal(first.rows["label"], second.rows["label"])
    assert first.result.find("linear_probe", "shades", "top1") != second.result.find("linear_probe", "shades", "top1")
    place = f"shades-{DIGEST[:12]}"
    files = sorted(path.relative_to(tmp_path) for path in (tmp_path / place).rglob("*.safetensors"))
    assert {path.parts[1] for path in files} >= {"linear_probe", "finetuned", "student", "outputs", "teacher", "grams"}
    assert files == sorted(path.relative_to(folder) for path in (folder / place).rglob("*.safetensors"))
    assert all((tmp_path / file).read_bytes() == (folder / file).read_bytes() for file in files)


def test_an_oracle_is_right_on_clean_clips_only_by_the_true_labels(tmp_path):
    net = OracleNet()
    right = run(tmp_path, net=net).result
    wrong = run(tmp_path, net=net, dataset=poisoned(DATASET)).result
    for metric, stage in (("top1", "linear_probe"), ("recall@1", "retrieval")):
        assert right.find(stage, "shades", metric, condition=CLEAN).value == 1
        assert wrong.find(stage, "shades", metric, condition=CLEAN).value == 0
