"""A set that is too large for the disk: judged from its files, to the same scores; and what is said before frames are stored."""

from dataclasses import replace

import numpy as np
import pytest

from bench.activity import working
from bench.data import open_folder, open_videos
from bench.encoder import TorchEncoder
from bench.home import Home
from bench.run import evaluate
from bench.suites.protocol import Distillation, Finetune, Robustness
from bench.video import frame_store
from bench.video.datasets.folder import folder_dataset
from tests.bench.stages.judged_case import judged_suite
from tests.bench.stages.tiny_case import CARD, TinyNet, random_tiny_net
from tests.bench.video.conftest import write_levels

SHORT = CARD.model_copy(update={"epochs": 2})
SUITE = judged_suite(
    finetune=Finetune(card=SHORT, seeds=(0,)),
    distillation=Distillation(student="tiny", card=SHORT, views=2, seeds=(0,)),
    robustness=Robustness(
        corruptions=("gaussian/ucf101-p@source/v1", "shot/imagenet-c@input/v1"), severities=(1, 5), models=("probe",)
    ),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Eight dim, eight grey and eight bright videos of 9 to 16 frames."""
    root = tmp_path_factory.mktemp("videos")
    for kind, level in (("bright", 170), ("dim", 60), ("grey", 110)):
        for number in range(8):
            write_levels(
                root / kind / f"v{number}.mp4", [level + number + t % 5 for t in range(9 + number)], size=(24, 32)
            )
    return root


def judged(folder, home, *, stream, said):
    dataset = replace(folder_dataset(folder), name="shades")
    videos = open_videos(dataset, SUITE.clip, home, lambda words, share: None, stream=stream, say=said.append)
    encoder = TorchEncoder(random_tiny_net(), name="tiny")
    found = evaluate(encoder, SUITE, {"shades": videos}, student=TinyNet, cache=home.cache, device="cpu")
    return videos.frames_digest, found.result.scores, found.rows


def test_a_stream_is_judged_to_the_scores_of_a_store_and_leaves_no_frames(folder, tmp_path):
    said = {True: [], False: []}
    stored, streamed = (
        judged(folder, Home(tmp_path / str(stream)), stream=stream, said=said[stream]) for stream in (False, True)
    )
    assert streamed[:2] == stored[:2]
    assert streamed[2].keys() == stored[2].keys()
    for name, column in stored[2].items():
        np.testing.assert_array_equal(streamed[2][name], column)
    assert len(list(Home(tmp_path / "False").frames.rglob("*.npy"))) == 24
    assert not list(Home(tmp_path / "True").frames.rglob("*.npy"))
    assert [len(words) for words in said.values()] == [3, 3]
    assert all("Nothing of them is stored" in words for words in said[True])
    assert all(f"GB in {tmp_path / 'False' / 'frames'}" in words for words in said[False])


def test_a_disk_that_is_too_small_is_refused_and_the_way_round_it_is_named(folder, tmp_path, monkeypatch):
    home = Home(tmp_path)
    usage = frame_store.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(frame_store.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(ValueError, match=r"need about .* GB and .* has 0\.0 GB free\. Make room, .*\(--stream\)"):
        open_folder(folder, home, lambda words, share: None)
    suite, _ = open_folder(folder, home, lambda words, share: None, stream=True)
    monkeypatch.undo()
    assert open_folder(folder, home, lambda words, share: None)[0] == suite


def test_what_is_said_stays_in_the_terminal_in_one_line(tmp_path, capsys):
    sentence = f"videos: the frames of 9 videos take about 2.0 GB in {tmp_path}/[frames], which has 3.0 GB free. " * 2
    with working(Home(tmp_path), "Judging") as activity:
        activity.say(sentence)
    assert capsys.readouterr().err == f"{sentence}\n"
