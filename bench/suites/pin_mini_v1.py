"""Write `mini_v1.json`: the hashes that the suite stands on.

Run once when data or reference tables change:

    python -m bench.suites.pin_mini_v1

A pinned file that changes is a new suite; say so in CHANGELOG.md.
"""

import hashlib
import json
from pathlib import Path

from bench.activity import working
from bench.cores import cores
from bench.data import dataset_manifest, open_videos
from bench.home import Home
from bench.suites.mini_v1 import LOCAL_TEMPLATE
from bench.video.datasets.embedded import embedded

NAMES = ("appearance", "motion")


def main() -> None:
    """Generate, decode, hash, write."""
    here = Path(__file__).parent
    datasets, reference = [], {}
    with working(Home.default(), "Pinning mini-v1") as report:
        for name in NAMES:
            dataset = embedded(name, Home.default().videos, workers=cores(), report=report)
            videos = open_videos(dataset, LOCAL_TEMPLATE.clip, Home.default(), report)
            datasets.append(
                {
                    "name": name,
                    "manifest_hash": dataset_manifest(dataset),
                    "frames_digest": videos.frames_digest,
                    "num_classes": len(dataset.train.class_names),
                }
            )
            table = here / f"mini_v1_reference_{name}.npz"
            if table.exists():
                reference[name] = hashlib.sha256(table.read_bytes()).hexdigest()
    content = {"datasets": datasets, "reference": reference}
    (here / "mini_v1.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
