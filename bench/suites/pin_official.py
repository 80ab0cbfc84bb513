"""Write `official.json`: the manifest hashes of the official data sets, from their annotation files alone.

    python -m bench.suites.pin_official ANNOTATIONS

The folder holds ucf101/, hmdb51/ and diving48/ with the official lists. A pinned hash that changes is a new suite; say
so in CHANGELOG.md.
"""

import json
import sys
from pathlib import Path

from bench.data import OPENERS, dataset_manifest


def main(annotations: Path) -> None:
    """Read the lists, hash, write."""
    rows = []
    for name, opener in OPENERS.items():
        dataset = opener(annotations / name)
        rows.append(
            {
                "name": name,
                "manifest_hash": dataset_manifest(dataset),
                "num_classes": len(dataset.train.class_names),
            }
        )
    (Path(__file__).parent / "official.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
