"""A smaller drawing is the mean of its pixels, however the frames lie in memory."""

import torch

from reference_models.pretext.drawing import shrunk


def test_every_pixel_is_the_mean_of_its_square():
    frames = torch.arange(32.0).view(1, 1, 2, 4, 4)
    assert shrunk(frames, 2).tolist() == [[[[[2.5, 4.5], [10.5, 12.5]], [[18.5, 20.5], [26.5, 28.5]]]]]
    assert shrunk(frames, 1) is frames


def test_what_comes_out_lies_colour_by_colour():
    torch.manual_seed(0)
    for clips in (torch.rand(2, 3, 5, 8, 8), torch.rand(2, 5, 8, 8, 3).permute(0, 4, 1, 2, 3)):
        small = shrunk(clips[:, :, :4], 4)
        assert small.is_contiguous()
        expected = clips[:, :, :4].unflatten(4, (2, 4)).unflatten(3, (2, 4)).mean((4, 6))
        torch.testing.assert_close(small, expected)
