"""Names of the Hub's video encoders: all that shapes one stands in its name, so that the name alone builds it.

`transformers_videomae`, `transformers_timesformer@8x224`, `transformers_vjepa2+w1408+d40+h22+m6144`: the library's model
type, the clip where positions are stored for one (frames x size), then what differs from `USUAL`, by `CODES`.
Source: the four configuration classes of transformers 5.23.0, whose defaults `USUAL` holds.

A config.json from the Hub becomes such a name and nothing else: no class name, no path and no code in it is followed.
What it says of training (dropout, drop path, decoder, predictor, labels) is left behind; a suite's card decides that.
"""

import re
from collections.abc import Collection, Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from bench.schema import Frozen

PREFIX = "transformers_"

Family = Literal["videomae", "timesformer", "vivit", "vjepa2"]


class Spec(Frozen):
    """One encoder of the library, without its weights."""

    family: Family
    """`model_type` in config.json."""

    frames: Annotated[int, Field(ge=0, le=999)] = 0
    """Of the clip for which positions are stored; 0 where any clip is taken."""

    size: Annotated[int, Field(ge=0, le=999)] = 0
    """Rows and columns of that clip."""

    width: Annotated[int, Field(ge=1, le=4096)] = 768
    depth: Annotated[int, Field(ge=1, le=64)] = 12
    heads: Annotated[int, Field(ge=1, le=64)] = 12
    mlp: Annotated[int, Field(ge=1, le=16384)] = 3072
    """Channels inside the MLP."""

    patch: Annotated[int, Field(ge=1, le=64)] = 16
    """Rows and columns of a token."""

    tubelet: Annotated[int, Field(ge=1, le=16)] = 2
    """Frames of a token."""

    act: Literal["gelu", "gelu_fast", "gelu_new", "gelu_pytorch_tanh", "quick_gelu", "relu", "silu"] = "gelu"
    eps: Annotated[float, Field(gt=0, lt=1)] = 1e-6
    """Of the norms."""

    bias: bool = True
    """Whether queries and values have a bias (and keys, except in VideoMAE)."""

    norm: Literal["pooled", "tokens", "none"] = "tokens"
    """Where the last LayerNorm stands: after the pooling or before. VideoMAE has all three."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"{self.width} channels cannot be split over {self.heads} heads")
        if bool(self.frames) != self.built_for_one_clip or bool(self.size) != self.built_for_one_clip:
            raise ValueError("positions are stored for a clip in TimeSformer and ViViT, and only there")
        if self.size % self.patch or self.frames % self.tubelet:
            raise ValueError(f"{self.frames} x {self.size} is no whole number of tokens")
        return self

    @property
    def built_for_one_clip(self) -> bool:
        """Whether positions are stored for one clip."""
        return self.family in ("timesformer", "vivit")


USUAL: dict[Family, Spec] = {
    "videomae": Spec(family="videomae", eps=1e-12, norm="pooled"),
    "timesformer": Spec(family="timesformer", frames=8, size=224, tubelet=1),
    "vivit": Spec(family="vivit", frames=32, size=224, act="gelu_fast"),
    "vjepa2": Spec(family="vjepa2", width=1024, depth=24, heads=16, mlp=4096),
}

CODES = {
    "width": "w",
    "depth": "d",
    "heads": "h",
    "mlp": "m",
    "patch": "p",
    "tubelet": "t",
    "act": "act-",
    "eps": "eps-",
    "bias": "bias-",
    "norm": "norm-",
}
"""How a name says what differs: short, and of characters that the names of files and of rows may have."""

_SIZES = {
    "width": "hidden_size",
    "depth": "num_hidden_layers",
    "heads": "num_attention_heads",
    "mlp": "intermediate_size",
    "patch": "patch_size",
    "act": "hidden_act",
    "eps": "layer_norm_eps",
    "bias": "qkv_bias",
}
_CLIP = {"frames": "num_frames", "size": "image_size"}
FIELDS: dict[Family, dict[str, str]] = {
    "videomae": _SIZES | {"tubelet": "tubelet_size", "bias": "qv_bias"},
    "timesformer": _SIZES | _CLIP,
    "vivit": _SIZES | _CLIP,  # tokens: `tubelet_size` is frames, rows, columns
    "vjepa2": {name: field for name, field in _SIZES.items() if name != "mlp"} | {"tubelet": "tubelet_size"},
}
"""Where a configuration of the library has what."""


def name_of(spec: Spec) -> str:
    """The name that builds it."""
    usual = USUAL[spec.family].model_dump()
    clip = f"@{spec.frames}x{spec.size}" if spec.built_for_one_clip else ""
    values = spec.model_dump()
    return PREFIX + spec.family + clip + "".join(f"+{c}{values[f]}" for f, c in CODES.items() if values[f] != usual[f])


def spec_named(name: str) -> Spec:
    """What a name says.

    Raises:
        ValueError: If it is no name of the kind that `name_of` gives.
    """
    codes = "|".join(CODES.values())
    pattern = rf"([a-z0-9]+)(?:@([0-9]{{1,3}})x([0-9]{{1,3}}))?((?:\+(?:{codes})[\w.-]+)*)"
    match = re.fullmatch(pattern, name.removeprefix(PREFIX))
    if match is None or match[1] not in USUAL:
        raise ValueError(
            f"{name!r} is no encoder of transformers that we take. There is: {', '.join(PREFIX + f for f in USUAL)}."
        )
    values: dict[str, object] = USUAL[match[1]].model_dump()
    said = dict(re.findall(rf"\+({codes})([\w.-]+)", match[4]))
    values |= {field: said[code] for field, code in CODES.items() if code in said}
    if match[2] is not None:
        values |= {"frames": match[2], "size": match[3]}
    spec = _valid(values, name)
    if name_of(spec) != name:
        raise ValueError(f"{name!r} is written otherwise: {name_of(spec)}.")
    return spec


def spec_of(config: Mapping[str, object], keys: Collection[str], where: str) -> Spec:
    """The encoder that a config.json of the library describes.

    Args:
        config: Its content; `model_type` is one of the four.
        keys: Of the tensors beside it: they tell whether VideoMAE's norm after the pooling is there.
        where: The file, for a refusal.

    Raises:
        ValueError: If it is no encoder of the kinds and sizes that we take.
    """
    family = next((known for known in USUAL if known == config.get("model_type")), None)
    if family is None:
        raise ValueError(f"{where} names the model type {config.get('model_type')!r}. We take {', '.join(USUAL)}.")
    values: dict[str, object] = USUAL[family].model_dump()
    values |= {name: _single(config[field]) for name, field in FIELDS[family].items() if field in config}
    if config.get("num_channels", config.get("in_chans", 3)) != 3:
        raise ValueError(f"{where} wants other pictures than RGB. Clips have three channels.")
    if config.get("attention_type", "divided_space_time") != "divided_space_time":
        raise ValueError(
            f"{where} wants the attention {config['attention_type']!r}; TimeSformer is taken with divided_space_time."
        )
    if family == "videomae" and config.get("use_mean_pooling", True):
        values["norm"] = "pooled" if "fc_norm.weight" in keys else "none"
    elif family == "videomae":
        values["norm"] = "tokens"
    if family == "vivit" and isinstance(token := config.get("tubelet_size"), list | tuple) and len(token) == 3:
        values |= {"tubelet": token[0], "patch": _single(token[1:])}
    ratio, width = config.get("mlp_ratio", 4), values["width"]
    if family == "vjepa2" and isinstance(ratio, int | float) and isinstance(width, int):
        values["mlp"] = int(width * ratio) if 0 < ratio < 100 else ratio
    return _valid(values, where)


def _single(value: object) -> object:
    """224 of [224, 224]; what is no pair of equals stays."""
    return value[0] if isinstance(value, list | tuple) and value and all(v == value[0] for v in value) else value


def _valid(values: dict[str, object], where: str) -> Spec:
    try:
        return Spec.model_validate(values, strict=False)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise ValueError(f"{where}: {field + ': ' if field else ''}{first['msg']}.") from error
