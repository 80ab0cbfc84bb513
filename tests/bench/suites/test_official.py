"""A suite on official videos, end to end: a made-up UCF101 of generated AVIs and lists as the official ones are written."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from bench.cli import suites
from bench.data import dataset_manifest, official_root, open_suite
from bench.encoder import TorchEncoder
from bench.home import Home
from bench.run import evaluate
from bench.schema import STAGES, ClipSpec
from bench.suites.protocol import Cka, DatasetProtocol
from bench.suites.ucf101_open_v1 import UCF101_OPEN_V1
from bench.suites.ucf101_v1 import UCF101_V1
from bench.video.datasets.ucf101 import ucf101
from tests.bench.stages.tiny_case import TinyNet, random_tiny_net
from tests.bench.video.conftest import write_levels

CLASSES = ("Archery", "HandstandPushups", "YoYo")
LEVELS = {"Archery": 60, "HandstandPushups": 120, "YoYo": 190}
STEMS = {"HandstandPushups": "HandStandPushups"}
GROUPS = {"test": (1, 2), "train": (8, 9, 10)}


def names(split):
    return [
        f"{c}/v_{STEMS.get(c, c)}_g{g:02}_c{clip:02}.avi" for c in CLASSES for g in GROUPS[split] for clip in (1, 2)
    ]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """UCF-101 and ucfTrainTestlist: 3 classes of 6 test and 4 training videos' groups, 18 frames each, of known brightness."""
    root = tmp_path_factory.mktemp("ucf101")
    lists = root / "ucfTrainTestlist"
    lists.mkdir()
    lists.joinpath("classInd.txt").write_text("".join(f"{n} {name}\r\n" for n, name in enumerate(CLASSES, start=1)))
    lists.joinpath("testlist01.txt").write_text("".join(f"{name}\n" for name in names("test")))
    lists.joinpath("trainlist01.txt").write_text(
        "".join(f"{name} {1 + CLASSES.index(name.split('/')[0])}\n" for name in names("train"))
    )
    for number, name in enumerate(names("train") + names("test")):
        level = LEVELS[name.split("/")[0]] + number % 5
        write_levels(
            root / "UCF-101" / name, [level + frame % 3 for frame in range(18)], codec="mpeg4", pixels="yuv420p"
        )
    return root


def small(suite, root):
    """The paper's suite, its own functions, on these lists and at the size of a test."""
    manifest = dataset_manifest(ucf101(root))
    brief = {"learning_rates": (0.002, 0.02), "epochs": 11, "search_epochs": 2, "batch_size": 4}
    finetune = suite.finetune.model_copy(update={"card": suite.finetune.card.model_copy(update=brief), "seeds": (0, 1)})
    student = suite.distillation.card.model_copy(update={"epochs": 3, "batch_size": 4})
    return suite.model_copy(
        update={
            "clip": ClipSpec(num_frames=8, resize=(24, 32), size=16),
            "views": suite.views.model_copy(update={"train": 2, "test": 3}),
            "datasets": (DatasetProtocol(name="ucf101", manifest_hash=manifest, num_classes=3, official=True),),
            "finetune": finetune,
            "robustness": suite.robustness.model_copy(update={"severities": (1, 5)}),
            "distillation": suite.distillation.model_copy(update={"card": student, "seeds": (0, 1), "views": 2}),
            "cka": Cka(videos=12, batch=6, permutations=2),
        }
    )


def judged(suite, videos, cache):
    encoder = TorchEncoder(random_tiny_net(), name="tiny")
    return evaluate(encoder, suite, videos, student=TinyNet, cache=cache, device="cpu")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def evaluated(root, home):
    suite = small(UCF101_V1, root)
    videos = open_suite(suite, home, lambda _words, _share: None, root=root)
    return suite, videos, judged(suite, videos, home.cache)


def test_all_six_stages_run_on_official_lists(evaluated):
    suite, _, evaluation = evaluated
    result = evaluation.result
    assert {score.stage for score in result.scores} == set(STAGES)
    assert [report.stage_hash for report in result.stages] == [suite.stage_hash(stage) for stage in STAGES]
    (report,) = result.datasets
    assert (report.name, report.num_train + report.num_validation, report.num_test) == ("ucf101", 18, 12)
    assert report.num_clusters == 6
    assert result.find("linear_probe", "ucf101", "top1").value == 1  # the class is the brightness
    assert result.find("finetune", "ucf101", "top1").seeds == (0, 1)
    assert {s.model for s in result.scores if s.stage == "distillation"} == {"", "alone", "submission"}


def test_frames_that_no_suite_can_know_are_named_and_the_result_is_no_local_one(evaluated):
    _, videos, evaluation = evaluated
    digest, result = videos["ucf101"].frames_digest, evaluation.result
    assert (result.datasets[0].official, result.datasets[0].frames_expected) == (True, None)
    assert result.datasets[0].frames_digest == digest
    assert any("official lists" in remark and digest[:12] in remark for remark in result.remarks)
    assert not any("your own data" in remark for remark in result.remarks)
    assert any("no reference teacher" in remark for remark in result.remarks)


def test_the_gap_to_the_best_on_test_is_shown_for_probe_and_finetuning(evaluated):
    _, _, evaluation = evaluated
    rows = evaluation.rows
    for stage, models in (
        ("linear_probe", {"", *(f"strength {s:g}" for s in UCF101_V1.linear_probe.strengths)}),
        ("finetune", {"", "epoch 10", "epoch 11"}),
    ):
        assert set(rows["model"][rows["stage"] == stage].tolist()) == models
        score = evaluation.result.find(stage, "ucf101", "gap_to_best_on_test")
        assert 0 <= score.low <= score.value <= score.high
        assert "Shown, never used" in score.note


def test_a_rate_is_chosen_by_short_runs(evaluated):
    (facts,) = [report.facts for report in evaluated[2].result.stages if report.stage == "finetune"]
    assert facts["ucf101.learning_rate.0"] in (0.002, 0.02)
    assert facts["ucf101.card"] == "convolutional"
    assert 0 <= facts["ucf101.validation_accuracy"] <= 1


def test_other_test_labels_change_no_weight_no_strength_no_epoch_and_no_guess(evaluated, home, tmp_path):
    suite, videos, evaluation = evaluated
    dataset = videos["ucf101"].dataset
    turned = tuple(replace(video, label=(video.label + 1) % 3) for video in dataset.test.videos)
    poisoned = replace(dataset, test=replace(dataset.test, videos=turned))
    brief = suite.datasets[0].model_copy(update={"stages": ("linear_probe", "finetune")})
    again = judged(
        suite.model_copy(update={"datasets": (brief,)}),
        {"ucf101": replace(videos["ucf101"], dataset=poisoned)},
        tmp_path,
    )
    kinds = (
        "linear_probe",
        "linear_probe_path",
        "finetuned",
        "finetuned-short",
        "finetuned-by-epoch",
        "finetune-search",
    )
    files = [file.relative_to(tmp_path) for kind in kinds for file in tmp_path.glob(f"*/{kind}/*")]
    assert {file.parts[1] for file in files} == set(kinds)
    assert all((tmp_path / file).read_bytes() == (home.cache / file).read_bytes() for file in files)
    same = np.isin(evaluation.rows["stage"], ["linear_probe", "finetune"])
    assert np.array_equal(evaluation.rows["predicted"][same], again.rows["predicted"])
    assert again.result.find("linear_probe", "ucf101", "top1").value == 0


def test_an_open_suite_shows_the_encoders_own_clip_and_the_result_says_which(evaluated, root, tmp_path):
    suite = small(UCF101_OPEN_V1, root)
    brief = suite.datasets[0].model_copy(update={"stages": ("retrieval",)})
    own = ClipSpec(num_frames=4, stride=2, resize=(24, 32), size=20)
    open_here = suite.model_copy(update={"datasets": (brief,)}).with_clip(own)
    videos = open_suite(open_here, Home(tmp_path), quiet, root=root)
    result = judged(open_here, videos, tmp_path / "cache").result
    assert result.datasets[0].clip == own
    assert any("here 4 frames, stride 2, 20 x 20 out of 24 x 32" in remark for remark in result.remarks)
    assert evaluated[2].result.datasets[0].clip is None


# Where the videos lie


def quiet(_words, _share):
    pass


def test_other_lists_than_the_suites_are_refused_with_both_hashes(root, tmp_path):
    with pytest.raises(ValueError, match=r"are not those of ucf101-v1: its manifest is acbef049f1ce, .*--data"):
        open_suite(UCF101_V1, Home(tmp_path), quiet, root=root)


def test_missing_videos_are_counted_and_named(root, tmp_path):
    broken = tmp_path / "ucf101"
    shutil.copytree(root, broken)
    for name in names("test")[:4]:
        (broken / "UCF-101" / name).unlink()
    with pytest.raises(ValueError, match=r"^4 videos of ucf101 are not in .*Archery/v_Archery_g01_c01, .* and 1 more"):
        open_suite(small(UCF101_V1, root), Home(tmp_path), quiet, root=tmp_path)


def test_a_root_is_named_by_hand_by_the_environment_or_found_at_home(tmp_path, monkeypatch):
    home = Home(tmp_path / "home")
    monkeypatch.delenv("REELPROOF_DATA", raising=False)
    with pytest.raises(ValueError, match=r"ucf101 was looked for in .*home/data/ucf101, and .*--root DIR"):
        official_root("ucf101", home, None)
    (home.root / "data" / "ucf101").mkdir(parents=True)
    assert official_root("ucf101", home, None) == home.root / "data" / "ucf101"
    (tmp_path / "all" / "ucf101").mkdir(parents=True)
    monkeypatch.setenv("REELPROOF_DATA", str(tmp_path / "all"))
    assert official_root("ucf101", home, None) == tmp_path / "all" / "ucf101"
    assert official_root("ucf101", home, tmp_path / "all") == tmp_path / "all" / "ucf101"
    assert official_root("ucf101", home, tmp_path / "all" / "ucf101") == tmp_path / "all" / "ucf101"


# The command


def test_the_command_explains_every_suite_and_prints_nothing_but_rows_as_json(capsys):
    suites(as_json=True)
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == ["mini-v1", "ucf101-v1", "hmdb51-v1", "diving48-v1", "ucf101-open-v1"]
    assert all(row["about"]["cost"] and set(row["stage_hashes"]) == set(STAGES) for row in rows)
    suites(as_json=False)
    words = " ".join(capsys.readouterr().out.split())
    for expected in ("The paper's", "Ours", "Cost", "mini-v1+held", "hmdb51-v1 (released)", rows[0]["hash"]):
        assert expected in words
