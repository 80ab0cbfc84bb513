"""A result folder: `result.json`, `predictions.parquet` (one row per video, model, condition and seed), `grams.npz`.

A folder appears whole, by a rename, and is never edited afterwards. The board is a pure function of the set of these
folders. No torch here: the page reads them.
"""

import io
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import ValidationError

from bench.guesses import Grams
from bench.schema import Result

Rows = dict[str, NDArray[np.generic]]
"""Columns of equal length: video_id, source, label, stage, dataset, model, corruption, severity, seed, predicted, rank."""

TEXT_COLUMNS = ("video_id", "source", "stage", "dataset", "model", "corruption")
NUMBER_COLUMNS = ("label", "severity", "seed", "predicted", "rank")


@dataclass(frozen=True)
class StoredResult:
    """A result on the disk; rows and Gram matrices are read when asked for."""

    result: Result
    folder: Path

    def rows(self) -> Rows:
        """The per-video records behind the scores."""
        table = pq.read_table(self.folder / "predictions.parquet")
        rows: Rows = {name: _words(table[name].combine_chunks()) for name in TEXT_COLUMNS}
        rows |= {name: table[name].to_numpy().astype(np.int64) for name in NUMBER_COLUMNS}
        return rows

    def grams(self) -> tuple[Grams, ...]:
        """The Gram matrices behind the CKA maps; empty where the stage did not run."""
        path = self.folder / "grams.npz"
        if not path.exists():
            return ()
        with np.load(path, allow_pickle=False) as stored:
            names = sorted({tuple(key.split("/")[:2]) for key in stored.files})
            return tuple(
                Grams(
                    dataset=dataset,
                    model=model,
                    video_ids=tuple(stored[f"{dataset}/{model}/video_ids"].tolist()),
                    layers=tuple(stored[f"{dataset}/{model}/layers"].tolist()),
                    grams_LBNN=stored[f"{dataset}/{model}/grams"],
                )
                for dataset, model in names
            )


def _words(column: pa.DictionaryArray) -> NDArray[np.str_]:
    """A column of words: each distinct word is made once."""
    words: NDArray[np.str_] = np.asarray(column.dictionary.to_pylist(), dtype=np.str_)[column.indices.to_numpy()]
    return words


def write_result(folder: Path, result: Result, rows: Rows, grams: Iterable[Grams]) -> StoredResult:
    """Write a result into `folder/<result id>`; whole or not at all.

    Raises:
        ValueError: If a result of this id is already there (results are never edited), or the disk is full.
    """
    final = folder / result.result_id
    if final.exists():
        raise ValueError(f"{final} exists. A result is never overwritten; this one was not written.")
    half = folder / f".half-{result.result_id}"
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    try:
        (half / "result.json").write_text(result.model_dump_json(indent=1) + "\n")
        columns = {name: pa.array(rows[name].tolist(), pa.string()).dictionary_encode() for name in TEXT_COLUMNS}
        columns |= {name: pa.array(rows[name].astype(np.int32)) for name in NUMBER_COLUMNS}
        pq.write_table(pa.table(columns), half / "predictions.parquet", compression="zstd")
        arrays: dict[str, NDArray[np.generic]] = {}
        for one in grams:
            arrays[f"{one.dataset}/{one.model}/grams"] = one.grams_LBNN
            arrays[f"{one.dataset}/{one.model}/layers"] = np.array(one.layers)
            arrays[f"{one.dataset}/{one.model}/video_ids"] = np.array(one.video_ids)
        if arrays:
            content = io.BytesIO()
            np.savez_compressed(content, allow_pickle=False, **arrays)
            (half / "grams.npz").write_bytes(content.getvalue())
        half.rename(final)
    except OSError as error:
        shutil.rmtree(half, ignore_errors=True)
        raise ValueError(
            f"Could not write the result to {final}: {error.strerror}. Free some space and run it again."
        ) from error
    return StoredResult(result, final)


def read_result(folder: Path) -> StoredResult:
    """Read one result folder.

    Raises:
        ValueError: If it is none, or of a layout that this version does not know.
    """
    path = folder / "result.json"
    if not path.exists():
        raise ValueError(f"{folder} holds no result.json; a result folder is expected.")
    try:
        return StoredResult(Result.model_validate_json(path.read_bytes()), folder)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{path} is no result that this version can read: {where}: {first['msg']}.") from error


def read_results(folder: Path) -> list[StoredResult]:
    """All results in a folder, oldest first. What cannot be read is an error, never skipped."""
    if not folder.exists():
        return []
    names = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return sorted((read_result(path) for path in names), key=lambda stored: (stored.result.created, stored.folder.name))
