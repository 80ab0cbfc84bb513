"""The README.md of a checkpoint: for a person who finds it without us."""

import json

from reference_models.checkpoints.config import CheckpointConfig


def model_card(config: CheckpointConfig, parameters: int, story: str) -> str:
    """Markdown with the front matter that the Hub reads."""
    front = {
        "license": (config.licence or "other").lower(),
        "library_name": "reelproof",
        "pipeline_tag": "video-classification",
        "tags": ["video", "self-supervised", "reelproof", config.architecture],
        "datasets": list(config.pretrained_on),
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
        "## Use it",
        "",
        "```python",
        "import reference_models",
        "",
        'loaded = reference_models.load("path/to/this/folder")',
        "features = loaded.encoder.encode(clips)  # normalised clips [B, 3, T, H, W] to features "
        f"[B, {config.feature_dim}]",
        "```",
        "",
        "Colours are scaled to 0..1, then normalised by the mean and deviation in `config.json`.",
        "",
        "## Judge it",
        "",
        "```sh",
        "reelproof submit path/to/this/folder    # a row on the leaderboard",
        "reelproof evaluate --checkpoint path/to/this/folder --data my_videos    # on videos of your own",
        "```",
        "",
    ]
    return "\n".join(lines)


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
