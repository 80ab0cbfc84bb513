"""The cache gives back what was put, or nothing."""

import numpy as np
import pytest

from bench import cache as cache_module
from bench.cache import Cache, write_atomically


def test_what_was_put_under_a_key_comes_back_equal(tmp_path):
    cache = Cache(tmp_path)
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array(3)}
    cache.put("features", {"encoder": "x", "views": 3}, arrays)
    found = cache.get("features", {"views": 3, "encoder": "x"})
    assert found is not None
    assert {name: array.tolist() for name, array in found.items()} == {"a": [[0, 1, 2], [3, 4, 5]], "b": 3}


def test_another_key_or_kind_finds_nothing(tmp_path):
    cache = Cache(tmp_path)
    cache.put("features", {"views": 3}, {"a": np.zeros(1)})
    assert cache.get("features", {"views": 4}) is None
    assert cache.get("logits", {"views": 3}) is None


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_a_damaged_entry_counts_as_absent_and_is_removed(tmp_path, damage):
    cache = Cache(tmp_path)
    cache.put("features", {"views": 3}, {"a": np.zeros(100)})
    path = cache.path("features", {"views": 3})
    path.write_bytes(path.read_bytes()[:-50] if damage is None else damage)
    assert cache.get("features", {"views": 3}) is None
    assert not path.exists()


def test_an_entry_in_the_wrong_place_is_noticed(tmp_path):
    cache = Cache(tmp_path)
    cache.put("features", {"views": 3}, {"a": np.zeros(1)})
    cache.path("features", {"views": 3}).rename(cache.path("features", {"views": 4}))
    assert cache.get("features", {"views": 4}) is None


def test_a_full_disk_ends_in_a_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module.os, "fsync", full)
    with pytest.raises(ValueError, match=r"No space left.*Free some space"):
        write_atomically(tmp_path / "entry", b"content")
    assert list(tmp_path.iterdir()) == []
