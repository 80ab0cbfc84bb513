"""A clip is augmented as one: the same parameters for all its frames, each operation as its formula says."""

import colorsys
import math
import random

import numpy as np
import pytest
import torch
from scipy import ndimage

from reference_models.augmentation import Augmentation, Box, augmented, blurred, recoloured, sampling

FRAME, SIZE = (40, 52), 32

EVERYTHING = Augmentation(
    crop="resized",
    rotation=10,
    flip=0.5,
    brightness=0.4,
    contrast=0.4,
    saturation=0.4,
    hue=0.2,
    jitter_probability=0.8,
    grayscale=0.3,
    gamma=(0.75, 1.25),
    blur=(1.0, 0.5),
    solarise=(0.0, 0.5),
    channel_drop=0.3,
    erase=0.5,
)


def drawn_for(augmentation, seed, draws=(0,)):
    return augmentation.draw(np.random.default_rng(seed), draws, FRAME, SIZE)


def apply(clips, *drawn):
    """`augmented` on NumPy clips [B, T, H, W, 3]."""
    arrays = {name: np.concatenate([one.arrays[name] for one in drawn]) for name in drawn[0].arrays}
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return augmented(torch.from_numpy(clips), tensors, SIZE).numpy()


def pixels(shape, seed=0, low=0, high=256):
    return np.random.default_rng(seed).integers(low, high, size=shape).astype(np.uint8)


def test_frames_of_a_static_clip_stay_equal_whatever_is_done():
    clips = np.repeat(pixels((12, 1, *FRAME, 3)), 5, axis=1)
    found = apply(clips, *(drawn_for(EVERYTHING, seed) for seed in range(12)))
    assert found.shape == (12, 5, SIZE, SIZE, 3)
    assert (found == found[:, :1]).all()
    assert found.min() >= 0
    assert found.max() <= 255


def test_clips_are_drawn_for_one_by_one_and_rows_of_one_number_alike():
    clips = np.repeat(pixels((1, 2, *FRAME, 3)), 4, axis=0)
    found = apply(clips, drawn_for(EVERYTHING, 3, draws=(0, 1, 1, 2)))
    assert (found[1] == found[2]).all()
    assert all((found[1] != found[row]).any() for row in (0, 3))
    cuts = drawn_for(Augmentation(flip=0.5), 3, draws=(0, 1, 1, 2)).cuts
    assert cuts[1] == cuts[2] != cuts[0]


def test_python_random_has_no_part_in_it_and_no_global_generator_is_touched():
    """Reseeding `random` before every frame is how the sources meant to keep a clip together; it must not matter here."""
    clips = pixels((1, 3, *FRAME, 3))
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    outcomes = []
    for seed in (1, 1, 2):
        random.seed(seed)
        outcomes.append(apply(clips, drawn_for(EVERYTHING, 7)))
    random.setstate(states[0])
    assert (outcomes[0] == outcomes[1]).all()
    assert (outcomes[0] == outcomes[2]).all()
    drawn_for(EVERYTHING, 8)
    assert random.getstate() == states[0]
    assert (np.random.get_state()[1] == states[1]).all()  # noqa: NPY002
    assert (torch.get_rng_state() == states[2]).all()


def test_a_clip_that_is_only_cut_is_handed_through():
    drawn = drawn_for(Augmentation(flip=0.5), 0)
    assert drawn.arrays == {}
    clips = torch.zeros(1, 2, SIZE, SIZE, 3, dtype=torch.uint8)
    assert augmented(clips, {}, SIZE) is clips


def test_windows_begin_everywhere_and_the_centre_is_in_the_middle():
    cuts = [drawn_for(Augmentation(flip=0.3), seed).cuts[0] for seed in range(600)]
    assert {cut.top for cut in cuts} == set(range(9))
    assert {cut.left for cut in cuts} == set(range(21))
    assert 0.22 < np.mean([cut.mirrored for cut in cuts]) < 0.38
    assert drawn_for(Augmentation(crop="centre"), 0).cuts[0][:2] == (4, 10)


def test_resized_boxes_keep_to_area_and_aspect_and_lie_inside():
    augmentation = Augmentation(crop="resized", area=(0.3, 0.9), aspect=(0.5, 2))
    rng = np.random.default_rng(0)
    boxes = [augmentation._box(rng, FRAME, SIZE) for _ in range(400)]
    shares = np.array([box.height * box.width / (40 * 52) for box in boxes])
    aspects = np.array([box.width / box.height for box in boxes])
    assert ((shares > 0.299) & (shares < 0.901)).all()
    assert ((aspects > 0.499) & (aspects < 2.001)).all()
    assert shares.min() < 0.35
    assert shares.max() > 0.8
    assert all(0 <= box.top <= 40 - box.height + 1e-9 and 0 <= box.left <= 52 - box.width + 1e-9 for box in boxes)
    tall = Augmentation(crop="resized", area=(1.0, 1.0), aspect=(0.5, 0.5))._box(rng, FRAME, SIZE)
    assert tall == Box(0, 16, 40, 20)


def test_a_sampled_window_is_the_slice_and_mirrors_like_it():
    clip = pixels((1, 2, *FRAME, 3))
    for mirrored in (False, True):
        maps = torch.from_numpy(sampling(Box(5, 9, SIZE, SIZE), FRAME, 0.0, mirrored))[None]
        found = augmented(torch.from_numpy(clip), {"sampling": maps}, SIZE).numpy()
        sliced = clip[:, :, 5:37, 9:41].astype(float)
        assert found == pytest.approx(sliced[:, :, :, ::-1] if mirrored else sliced, abs=1e-2)


def test_sampling_turns_the_frame_about_its_centre_and_leaves_the_outside_black():
    clip, angle, box = pixels((1, 2, *FRAME, 3)), math.radians(9), Box(2.5, 7.25, 30, 40)
    maps = torch.from_numpy(sampling(box, FRAME, angle, mirrored=True))[None]
    found = augmented(torch.from_numpy(clip), {"sampling": maps}, SIZE).numpy()[0]
    rows, columns = np.meshgrid(np.arange(SIZE) + 0.5, np.arange(SIZE) + 0.5, indexing="ij")
    down = box.top + rows * box.height / SIZE - 20
    across = box.left + (SIZE - columns) * box.width / SIZE - 26
    places = np.stack(
        [
            20 + math.sin(angle) * across + math.cos(angle) * down - 0.5,
            26 + math.cos(angle) * across - math.sin(angle) * down - 0.5,
        ]
    )
    for frame in range(2):
        for colour in range(3):
            plain = ndimage.map_coordinates(
                clip[0, frame, :, :, colour].astype(float), places, order=1, mode="grid-constant"
            )
            assert found[frame, :, :, colour] == pytest.approx(plain, abs=2e-2)
    assert drawn_for(Augmentation(rotation=10), 0).arrays["sampling"].shape == (1, 2, 3)


def test_colours_change_as_the_definitions_say_one_after_the_other():
    clips = pixels((2, 1, 3, 3, 3), low=60, high=120)
    changes = np.array([[0.1, -0.2, 0.3, 0.05, 0], [0, 0, 0, 0, 0]], dtype=np.float32)
    by_colour = torch.from_numpy(clips).permute(0, 4, 1, 2, 3).float()
    found = recoloured(by_colour, torch.from_numpy(changes)).permute(0, 2, 3, 4, 1).numpy()

    plain = clips[0].astype(np.float64)
    grey = (plain @ [0.299, 0.587, 0.114])[..., None]
    plain = grey + 1.3 * (plain - grey)
    in_phase, quadrature = plain @ [0.595716, -0.274453, -0.321263], plain @ [0.211456, -0.522591, 0.311135]
    turn = 2 * math.pi * 0.05
    turned = np.stack(
        [
            plain @ [0.299, 0.587, 0.114],
            math.cos(turn) * in_phase - math.sin(turn) * quadrature,
            math.sin(turn) * in_phase + math.cos(turn) * quadrature,
        ],
        axis=-1,
    )
    back = np.linalg.inv([[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])
    plain = turned @ back.T
    mean = plain.mean((0, 1, 2))
    plain = 1.1 * (mean + 0.8 * (plain - mean))
    assert found[0] == pytest.approx(plain, abs=1e-3)
    assert found[1] == pytest.approx(clips[1].astype(np.float64), abs=1e-3)


def test_a_third_of_the_hues_circle_takes_red_towards_green():
    red = torch.tensor([200.0, 60, 60]).view(1, 3, 1, 1, 1)
    turned = [recoloured(red, torch.tensor([[0, 0, 0, share, 0]])).flatten().tolist() for share in (1 / 3, 2 / 3)]
    strongest = [int(np.argmax(colour)) for colour in turned]
    assert sorted(strongest) == [1, 2]
    hues = [colorsys.rgb_to_hsv(*(value / 255 for value in colour))[0] for colour in turned]
    assert abs(hues[0] - hues[1]) > 0.2


def test_grey_clips_have_one_value_a_pixel_and_gamma_bends_only_those():
    augmentation = Augmentation(grayscale=0.5, gamma=(0.5, 0.5))
    clips, drawn = pixels((40, 2, SIZE, SIZE, 3)), [drawn_for(augmentation, seed) for seed in range(40)]
    found = apply(clips, *drawn)
    is_grey = np.array([one.arrays["colours"][0, 4] == 1 for one in drawn])
    assert 8 < is_grey.sum() < 32
    for clip, plain, grey in zip(found, clips.astype(float), is_grey, strict=True):
        grey_pixels = np.repeat((plain @ [0.299, 0.587, 0.114])[..., None], 3, axis=-1)
        expected = 255 * (grey_pixels / 255) ** 0.5 if grey else plain
        assert clip == pytest.approx(expected, abs=1e-2)


def test_a_dropped_colour_is_zero_and_a_grey_clip_keeps_all():
    augmentation = Augmentation(grayscale=0.4, channel_drop=0.6)
    drawn = [drawn_for(augmentation, seed) for seed in range(60)]
    kept = np.array([one.arrays["kept"][0] for one in drawn])
    is_grey = np.array([one.arrays["colours"][0, 4] == 1 for one in drawn])
    assert (kept.sum(1) == np.where(is_grey, 3, 2)).all()
    assert {int(np.argmin(row)) for row in kept[~is_grey]} == {0, 1, 2}
    clips = pixels((60, 1, SIZE, SIZE, 3), low=1)
    found = apply(clips, *drawn)
    assert ((found[~is_grey] == 0).all((1, 2, 3)) == (kept[~is_grey] == 0)).all()


def test_blur_is_a_gaussian_over_every_frame():
    clips = pixels((2, 3, SIZE, SIZE, 3)).astype(np.float64)
    by_colour = torch.from_numpy(clips).float().permute(0, 4, 1, 2, 3)
    found = blurred(by_colour, torch.tensor([0.7, 1.6])).permute(0, 2, 3, 4, 1).numpy()
    for clip, plain, sigma in zip(found, clips, (0.7, 1.6), strict=True):
        for frame in range(3):
            for colour in range(3):
                expected = ndimage.gaussian_filter(plain[frame, ..., colour], sigma, radius=SIZE // 20, mode="mirror")
                assert clip[frame, ..., colour] == pytest.approx(expected, abs=1e-2)


def test_blur_and_solarise_ask_each_view_with_its_own_probability():
    augmentation = Augmentation(blur=(1.0, 0.0), solarise=(0.0, 1.0))
    drawn = drawn_for(augmentation, 1, draws=(0, 1, 2))
    assert (drawn.arrays["blur"] > 0).tolist() == [True, False, False]
    assert drawn.arrays["solarised"].tolist() == [False, True, True]
    clips = pixels((3, 1, SIZE, SIZE, 3)).astype(np.uint8)
    found, plain = apply(clips, drawn)[1:], clips[1:].astype(float)
    assert (found == np.where(plain >= 128, 255 - plain, plain)).all()


def test_an_erased_box_is_black_and_has_the_sources_size():
    found = apply(
        np.full((50, 2, SIZE, SIZE, 3), 9, np.uint8), *(drawn_for(Augmentation(erase=0.6), s) for s in range(50))
    )
    black = found[:, 0, :, :, 0] == 0
    sizes = black.any(2).sum(1), black.any(1).sum(1)
    erased = black.any((1, 2))
    assert 18 < erased.sum() < 42
    assert (black.sum((1, 2)) == sizes[0] * sizes[1]).all()
    assert max(sizes[0].max(), sizes[1].max()) <= SIZE // 6
    assert (found[~erased] == 9).all()


def test_jitter_keeps_to_its_strengths_and_its_probability():
    augmentation = Augmentation(brightness=0.4, contrast=0.3, saturation=0.2, hue=0.1, jitter_probability=0.7)
    changes = np.array([drawn_for(augmentation, seed).arrays["colours"][0] for seed in range(400)])
    assert (np.abs(changes).max(0)[:4] <= [0.4, 0.3, 0.2, 0.1]).all()
    assert (np.abs(changes).max(0)[:4] > [0.38, 0.28, 0.18, 0.09]).all()
    assert 0.62 < changes.any(1).mean() < 0.78


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="not between 0 and 1"):
        Augmentation(flip=1.5)
    with pytest.raises(ValueError, match="must not exceed 1"):
        Augmentation(grayscale=0.6, channel_drop=0.6)
    with pytest.raises(ValueError, match="Gamma follows grayscale"):
        Augmentation(gamma=(0.75, 1.25))
