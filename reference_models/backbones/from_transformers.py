"""The Hub's own video encoders: VideoMAE, TimeSformer, ViViT and V-JEPA 2 of any size, by the classes of transformers.

Source: transformers 5.23.0 (Apache-2.0), the extra `transformers`. The classes are named here, one for each model type:
nothing in a repository chooses a class, and nothing of the library's loading is used, so no code from a repository can
run and no tensor can go astray in silence. State-dict keys are those of the library's base model.

Differs from the library:
- VideoMAE takes any clip of whole tubelets: its positions are sines, computed here for the clip at hand as there for
  the clip of the configuration. The feature is the mean over tokens with the norm where the repository has it
  (without one, its `use_mean_pooling: false` takes the first token of an encoder that has no class token);
- V-JEPA 2 takes any clip of whole tubelets: every token is told its frame, row and column, where the library counts
  tokens by the configured frame size. The predictor is left out; the feature is the mean over tokens;
- ViViT's pooler is left out, which its own classifier skips, too;
- nothing is dropped in training: a suite's card decides that.

Shapes: B clips, N tokens, C channels.
"""

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from reference_models.backbones.accepted import exactly, multiples
from reference_models.backbones.transformers_name import FIELDS, Spec, spec_named
from reference_models.backbones.videomae import Positions, counted_through

LARGEST_GRID = 64
"""Rows and columns of tokens up to which V-JEPA 2's tokens are numbered."""


class HubEncoder(nn.Module):
    """Clips to one feature a clip; what the four have in common."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec, self.feature_dim = spec, spec.width
        # some of the library's blocks return a tuple; each of these passes one block's tokens on, and can be hooked
        self.stem = nn.Identity()
        self.outputs = nn.ModuleDict({f"block{i}": nn.Identity() for i in range(spec.depth)})

    def layers(self) -> dict[str, nn.Module]:
        """The modules whose outputs are the layers, in the order in which they run."""
        return {"stem": self.stem, **dict(self.outputs.items())}

    def accepts(self, frames: int, height: int, width: int) -> str | None:
        """None, or why such clips cannot be taken."""
        clip, spec = (frames, height, width), self.spec
        if spec.built_for_one_clip:
            return exactly(f"{spec.family} of transformers", clip, spec.frames, spec.size)
        return multiples(f"{spec.family} of transformers", clip, spec.tubelet, spec.patch)

    def grid(self, clips: Tensor) -> tuple[int, int, int]:
        """Tokens over time, rows and columns."""
        spec = self.spec
        return clips.shape[2] // spec.tubelet, clips.shape[3] // spec.patch, clips.shape[4] // spec.patch

    def run(self, blocks: Iterable[nn.Module], x_BNC: Tensor, *places: Tensor) -> Tensor:
        """The tokens after the stem through every block."""
        x_BNC = self.stem(x_BNC)
        for block, output in zip(blocks, self.outputs.values(), strict=True):
            found = block(x_BNC, *places)
            x_BNC = output(found[0] if isinstance(found, tuple) else found)
        return x_BNC


class FromVideoMAE(HubEncoder):
    """`VideoMAEModel`, and the norm after the pooling of `VideoMAEForVideoClassification`."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        clip = {"image_size": spec.patch, "num_frames": spec.tubelet}  # of the library's table of sines, unused
        model = _model("VideoMAE", spec, use_mean_pooling=spec.norm != "tokens", **clip)
        self.embeddings, self.encoder, self.layernorm = model.embeddings, model.encoder, model.layernorm
        self.positions = Positions(counted_through)
        self.fc_norm = nn.LayerNorm(spec.width) if spec.norm == "pooled" else nn.Identity()

    def forward(self, clips: Tensor) -> Tensor:
        """Normalised clips [B, 3, T, H, W] to features [B, C]."""
        features: Tensor = self.fc_norm(self.forward_features(clips).float().mean(1))
        return features

    def forward_features(self, clips: Tensor) -> Tensor:
        """The last tokens [B, N, C]; N is T/2 x H/16 x W/16 with the usual tubelets."""
        tokens_BNC = self.embeddings.patch_embeddings.projection(clips).flatten(2).transpose(1, 2)
        x_BNC = self.run(self.encoder.layer, self.positions(tokens_BNC, self.grid(clips)))
        return x_BNC if self.layernorm is None else self.layernorm(x_BNC)


class FromTimeSformer(HubEncoder):
    """`TimesformerModel` with divided attention."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        model = _model("Timesformer", spec)
        self.embeddings, self.encoder, self.layernorm = model.embeddings, model.encoder, model.layernorm

    def forward(self, clips: Tensor) -> Tensor:
        """Normalised clips [B, 3, T, H, W] to features [B, C]: the class token."""
        return self.forward_features(clips)[:, 0].float()

    def forward_features(self, clips: Tensor) -> Tensor:
        """The last tokens, normalised, the class token first, [B, 1 + N, C]."""
        last: Tensor = self.layernorm(self.run(self.encoder.layer, self.embeddings(clips.transpose(1, 2))))
        return last


class FromViViT(HubEncoder):
    """`VivitModel` without its pooler."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        model = _model("Vivit", spec, tubelet_size=[spec.tubelet, spec.patch, spec.patch])
        # `layers` is taken by the contract, so its keys are those of transformers 5 under `blocks`
        self.embeddings, self.blocks, self.layernorm = model.embeddings, model.layers, model.layernorm

    def forward(self, clips: Tensor) -> Tensor:
        """Normalised clips [B, 3, T, H, W] to features [B, C]: the class token."""
        return self.forward_features(clips)[:, 0].float()

    def forward_features(self, clips: Tensor) -> Tensor:
        """The last tokens, normalised, the class token first, [B, 1 + N, C]."""
        last: Tensor = self.layernorm(self.run(self.blocks, self.embeddings(clips.transpose(1, 2))))
        return last


class FromVJepa2(HubEncoder):
    """The encoder of `VJEPA2Model`."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        ratio = (spec.mlp + 0.5) / spec.width  # the library rounds width x ratio down
        crop = {"crop_size": LARGEST_GRID * spec.patch, "pred_num_hidden_layers": 1}
        self.encoder = _model("VJEPA2", spec, mlp_ratio=ratio, **crop).encoder

    def forward(self, clips: Tensor) -> Tensor:
        """Normalised clips [B, 3, T, H, W] to features [B, C]."""
        return self.forward_features(clips).float().mean(1)

    def forward_features(self, clips: Tensor) -> Tensor:
        """The last tokens, normalised, [B, N, C]."""
        frames, rows, columns = (torch.arange(n, device=clips.device) for n in self.grid(clips))
        places = (frames[:, None, None] * LARGEST_GRID + rows[:, None]) * LARGEST_GRID + columns
        x_BNC = self.encoder.embeddings(clips.transpose(1, 2))
        last: Tensor = self.encoder.layernorm(self.run(self.encoder.layer, x_BNC, places.reshape(1, -1)))
        return last


NETS: dict[str, type[HubEncoder]] = {
    "videomae": FromVideoMAE,
    "timesformer": FromTimeSformer,
    "vivit": FromViViT,
    "vjepa2": FromVJepa2,
}


def build_named(name: str) -> HubEncoder:
    """The encoder of a name such as `transformers_vivit@32x224`, freshly initialised as the library does it.

    Raises:
        ValueError: If the name is none, or the library is not installed.
    """
    spec = spec_named(name)
    if find_spec("transformers") is None:
        raise ValueError(f"{name} is built by the library transformers: pip install 'reelproof[transformers]'.")
    return NETS[spec.family](spec)


def _model(words: str, spec: Spec, **more: Any) -> Any:
    """The library's base model of that class name, from the specification and what is set besides."""
    import transformers  # noqa: PLC0415  (an extra)

    settings = {field: getattr(spec, name) for name, field in FIELDS[spec.family].items()}
    config = getattr(transformers, f"{words}Config")(**{**settings, **more})
    return getattr(transformers, f"{words}Model")(config)
