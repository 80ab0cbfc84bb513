"""The README.md of a checkpoint: for a person who finds it without us.

Its front matter is what the Hub reads: https://huggingface.co/docs/hub/model-cards.
"""

import json
import re

from reference_models.checkpoints.config import CheckpointConfig

PLACE = "path/to/this/folder"
"""Stands in the card until it is published; then the address on the Hub stands there."""

LEARNT, USE = "## How it learnt", "## Use it"
"""Sections: a published card has the first before the second."""

OWN_SETS = ("appearance", "motion")
"""Embedded data sets. On the Hub these plain words could be anybody's."""

LICENCES = (
    *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "isc", "mpl-2.0", "cc0-1.0", "unlicense", "openrail"),
    *("cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0"),
    *("gpl-2.0", "gpl-3.0", "lgpl-2.1", "lgpl-3.0", "agpl-3.0"),
)
"""Those of the Hub's own names that weights usually carry; it wants every other licence as `other`, with its name."""

PAPER = """@article{kumar2025contextual,
  title = {A Large-Scale Analysis on Contextual Self-Supervised Video Representation Learning},
  author = {Kumar, Akash and others},
  journal = {arXiv preprint arXiv:2504.06153},
  year = {2025}
}"""


def model_card(config: CheckpointConfig, parameters: int, story: str) -> str:
    """Markdown with the front matter that the Hub reads."""
    front = {
        **_licence(config.licence),
        "library_name": "reelproof",
        "pipeline_tag": "video-classification",
        "tags": ["video", "self-supervised", "reelproof", config.architecture],
        "datasets": [f"reelproof-{name}" if name in OWN_SETS else name for name in config.pretrained_on],
    }
    lines = [
        "---",
        *(f"{name}: {json.dumps(value)}" for name, value in front.items() if value),
        "---",
        "",
        f"# {config.name}",
        "",
        _first_sentence(config),
        "",
        *([story.strip(), ""] if story else []),
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in _facts(config, parameters)),
        "",
        USE,
        "",
        "```python",
        "import reference_models",
        "",
        f'loaded = reference_models.load("{PLACE}")',
        "features = loaded.encoder.encode(clips)  # normalised clips [B, 3, T, H, W] to features "
        f"[B, {config.feature_dim}]",
        "```",
        "",
        "Colours are scaled to 0..1, then normalised by the mean and deviation in `config.json`.",
        "",
        "## Judge it",
        "",
        "```sh",
        f"reelproof submit {PLACE}    # a row on the leaderboard",
        f"reelproof evaluate --checkpoint {PLACE} --data my_videos    # on videos of your own",
        "```",
        "",
        "## Cite it",
        "",
        _licence_words(config.licence),
        "Name it by its weight hash above, and cite the study whose tasks and protocol these are:",
        "",
        "```bibtex",
        PAPER,
        "```",
        "",
    ]
    return "\n".join(lines)


def published_card(card: str, address: str, learnt: str = "") -> str:
    """A folder's card as it stands on the Hub: with its address, and a section on its training where there is none yet.

    What its author wrote into it stays.
    """
    card = card.replace(PLACE, address)
    if not learnt or LEARNT in card:
        return card
    before, use, after = card.partition(f"{USE}\n")
    if not use:
        before = f"{before.rstrip()}\n\n"
    return f"{before}{LEARNT}\n\n{learnt}\n\n{use}{after}"


def _licence(licence: str) -> dict[str, str]:
    """In the Hub's words."""
    if not licence:
        return {"license": "unknown"}
    if licence.lower() in LICENCES:
        return {"license": licence.lower()}
    return {"license": "other", "license_name": re.sub(r"[^a-z0-9.]+", "-", licence.lower()).strip("-")}


def _licence_words(licence: str) -> str:
    if not licence:
        return "Its author names no licence: ask before you use it."
    return f"Licence of the weights: {licence}."


def _first_sentence(config: CheckpointConfig) -> str:
    if not config.pretext:
        return (
            f"A {config.architecture} as it is initialised, not trained on anything: it shows where the scale begins."
        )
    videos = " and ".join(config.pretrained_on) or "videos its author does not name"
    return f"A {config.architecture} pretrained by {config.pretext} on {videos}."


def _facts(config: CheckpointConfig, parameters: int) -> list[tuple[str, str]]:
    facts = [
        ("Architecture", config.architecture),
        ("Parameters of the trunk", f"{parameters:,}"),
        ("Features", str(config.feature_dim)),
    ]
    if config.clip is not None:
        clip = config.clip
        size = f"{clip.num_frames} frames, {clip.size} x {clip.size}"
        facts.append(
            ("Clips in training", f"{size}, every frame" if clip.stride == 1 else f"{size}, stride {clip.stride}")
        )
    facts += [("Recipe", config.recipe), ("Owner", config.owner), ("Licence", config.licence)]
    return [(name, value) for name, value in [*facts, ("Weight hash", config.weight_hash)] if value]
