"""The picture of a training."""

import io
import json

import pytest
from PIL import Image

from reference_models.curves import binned, curves, read_log


def write(path, rows):
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def test_bins_are_equal_stretches_with_their_lowest_mean_and_highest():
    assert binned([1, 3, 5, 5, 2, 9], 3) == [(1, 2, 3), (5, 5, 5), (2, 5.5, 9)]
    assert binned([4.0, 6.0], 10) == [(4, 4, 4), (6, 6, 6)]


def test_only_columns_of_numbers_that_every_line_has_are_read(tmp_path):
    log = write(
        tmp_path / "log", [{"step": 1, "loss": 2, "word": "a", "once": 1}, {"step": 2, "loss": 1.5, "word": "b"}]
    )
    assert read_log(log) == {"step": [1, 2], "loss": [2, 1.5]}


@pytest.mark.parametrize(("columns", "size"), [(1, (360, 220)), (2, (720, 220)), (3, (720, 440)), (9, (720, 440))])
def test_every_column_has_a_panel_up_to_four(tmp_path, columns, size):
    rows = [{"step": n, "rate": 0.1} | {f"column {c}": n * c for c in range(columns)} for n in range(1, 31)]
    with Image.open(io.BytesIO(curves(write(tmp_path / "log", rows)))) as picture:
        assert picture.size == size


def test_a_falling_line_goes_from_the_upper_left_to_the_lower_right(tmp_path):
    """The lines of the picture alone are blue; their rows are read off the pixels."""
    log = write(tmp_path / "log", [{"step": n, "loss": -n} for n in range(200)])
    with Image.open(io.BytesIO(curves(log))) as picture:
        pixels = picture.convert("RGB")
    places = [(x, y) for x in range(360) for y in range(220)]
    blue = [place for place in places if pixels.getpixel(place)[2] - pixels.getpixel(place)[0] > 150]
    assert min(blue)[1] < 60
    assert max(blue)[1] > 170


def test_the_same_log_draws_the_same_bytes(tmp_path):
    log = write(
        tmp_path / "log", [{"step": 1, "loss": 2.0}, {"step": 2, "loss": float("inf")}, {"step": 3, "loss": 1.0}]
    )
    assert curves(log) == curves(log)


@pytest.mark.parametrize("content", ["", "loss\n", "[1]\n", '{"step": 1}\n', '{"step": 1, "loss": NaN}\n'])
def test_what_is_no_log_is_refused(tmp_path, content):
    (tmp_path / "log").write_text(content)
    with pytest.raises(ValueError, match="log"):
        curves(tmp_path / "log")
