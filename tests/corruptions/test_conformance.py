"""The kit passes what keeps its promises and tells the author of anything else what to change."""

import itertools

import numpy as np
import pytest

from corruptions import conformance
from corruptions.definition import FAMILIES, POSITIONS, TABLES, Definition
from corruptions.noise import Noise
from tests.corruptions import authors_module as authors

HERE = "tests.corruptions.authors_module"


@pytest.mark.parametrize("family", FAMILIES)
def test_every_noise_of_ours_keeps_all_promises(family):
    for definition in (Definition(family), Definition(family, "imagenet-c", "input", hold=True)):
        report = conformance.check(Noise(definition))
        assert report.passed, str(report)
        assert report.works_on == "value"


@pytest.mark.prove
@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_definition_of_ours_keeps_all_promises(family, table, position):
    for hold in (False, True):
        report = conformance.check(Noise(Definition(family, table, position, hold=hold)))
        assert report.passed, str(report)


def test_a_process_of_its_own_draws_the_same():
    report = conformance.check(authors.shot, f"{HERE}:shot")
    assert report.passed, str(report)
    assert "draws the same in another process" in [finding.promise for finding in report.findings]


@pytest.mark.parametrize("corruption", [authors.dropout, authors.posterise])
def test_a_good_corruption_by_someone_else_passes(corruption):
    report = conformance.check(corruption)
    assert report.passed, str(report)


@pytest.mark.parametrize(
    ("corruption", "promise", "advice"),
    [
        (authors.OtherShape(), "same shape", "keep the shape"),
        (authors.Floats(), "uint8", "float64; clip to 0..255 and return uint8"),
        (authors.InPlace(), "leaves its input alone", "work on a copy"),
        (authors.GlobalGenerator(), "same for the same names", "Two calls with the same arguments differ"),
        (authors.ReseedsGlobally(), "same for the same names", "belongs to its caller"),
        (authors.SameForAllVideos(), "otherwise for another video", "let the video id into the seed"),
        (authors.SaysItDrawsNothing(), "as it draws nothing", "declare is_random = True"),
        (authors.ByPlaceInTheClip(), "each frame alone", "seed from each frame's number"),
        (authors.ForgetsTheRegion(Definition("shot")), "any region", "the argument region"),
        (authors.Smears(Definition("shot")), "no value has a say", 'declare works_on = "frame"'),
        (authors.Upside(), "more damage", "order the constants from mild to harsh"),
        (authors.DarkerThanDeclared(), "mean no further", "declared are at most 1.00; correct mean_shift"),
        (authors.TakesAnySeverity(), "refuses a severity", "Severity 0 was accepted"),
        (authors.IndexesByTheWrongError(), "refuses a severity", "raised KeyError; raise a ValueError"),
        (authors.Breaks(), "same shape", "It raised RuntimeError: no such codec"),
    ],
)
def test_a_fault_is_found_and_the_report_says_what_to_do(corruption, promise, advice):
    report = conformance.check(corruption)
    broken = {finding.promise: finding.problem for finding in report.findings if finding.problem}
    assert not report.passed
    assert any(promise in name and advice in problem for name, problem in broken.items()), str(report)
    assert "FAILS" in str(report)


def test_a_seed_by_the_builtin_hash_is_found_by_another_process():
    report = conformance.check(authors.hash_seeded, f"{HERE}:hash_seeded")
    assert [f.promise for f in report.findings if f.problem] == ["draws the same in another process"]
    assert "not hash()" in str(report)


@pytest.mark.parametrize(
    ("thing", "advice"),
    [
        (authors.Dropout, "is a class; give the kit an instance"),
        (len, "It has no name, works_on, is_random, mean_shift"),
        (type("T", (authors.Dropout,), {"works_on": "pixel"})(), '"value", "frame" or "video"'),
        (type("T", (authors.Dropout,), {"mean_shift": (1.0,)})(), "holds 1 numbers; expected five"),
    ],
)
def test_what_does_not_declare_itself_is_told_how(thing, advice):
    report = conformance.check(thing)
    assert not report.passed
    assert advice in str(report)


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("no.such.module:thing", "there is no module 'no'"),
        (f"{HERE}:fog", "has no 'fog'"),
        ("fog", "is not the full name of a noise"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused(target, found):
    with pytest.raises(ValueError, match=found):
        conformance.named(target)


def test_psnr_and_ssim_of_known_cases():
    clip = conformance.kit_clip()
    assert conformance.psnr(clip, clip) == float("inf")
    assert conformance.ssim(clip, clip) == pytest.approx(1.0)
    black, grey = np.zeros_like(clip), np.full_like(clip, 51)
    assert conformance.psnr(black, grey) == pytest.approx(20 * np.log10(5))
    # Flat windows: only the means count, (2 * 0 * 51 + c1) / (51**2 + c1).
    assert conformance.ssim(black, grey) == pytest.approx(6.5025 / (51**2 + 6.5025))


def test_damage_rises_with_severity_in_every_table_by_more_than_chance():
    clip = conformance.kit_clip()
    for family, table in itertools.product(FAMILIES, TABLES):
        noise = Noise(Definition(family, table))
        for video in ("p", "q"):
            levels = [
                conformance.psnr(clip, noise(clip, s, video_id=video, frame_numbers=range(8))) for s in (1, 2, 3, 4, 5)
            ]
            assert levels == sorted(levels, reverse=True)
