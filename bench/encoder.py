"""The contract between an encoder and its judge.

An encoder turns normalised clips into pooled features, names its layers, and says which clips it takes and how it wants its colours.
The judge never asks who made it. `TorchEncoder` puts any nn.Module under the contract.

Shapes: B clips, C = 3 channels (RGB), T frames, H height, W width, D feature_dim.
"""

import copy
import hashlib
from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from bench.schema import ArchitectureKind, ClipSpec, Normalisation, content_hash

StudentFactory = Callable[[], nn.Module]
"""Makes a freshly initialised backbone (under the current torch seed) that keeps the contract of `Backbone`."""


class Backbone(Protocol):
    """What a module must offer to be fixed, finetuned or taught."""

    feature_dim: int

    def __call__(self, clips_BCTHW: Tensor) -> Tensor:
        """[B, 3, T, H, W] float, normalised, to the pooled feature [B, D]."""
        ...

    def layers(self) -> Mapping[str, nn.Module]:
        """Named modules whose outputs are the layers, in execution order: the stem, then every block."""
        ...


class Encoder(Protocol):
    """Anything from clips to features."""

    name: str
    architecture: str
    feature_dim: int
    normalisation: Normalisation
    weight_hash: str

    @property
    def parameters(self) -> int:
        """How many weights it computes with."""
        ...

    @property
    def trunk(self) -> nn.Module | None:
        """The trainable module; None on the features-only track."""
        ...

    def accepts(self, frames: int, height: int, width: int) -> str | None:
        """None if it takes such clips, else the sentence why not."""
        ...

    def encode(self, clips_BCTHW: Tensor) -> Tensor:
        """[B, 3, T, H, W] float, normalised, to the pooled feature [B, D]."""
        ...

    def layers(self, clips_BCTHW: Tensor) -> dict[str, Tensor]:
        """Named intermediates of these clips, each [B, ...], in execution order; the last is `pooled`."""
        ...


def encoder_hash(encoder: Encoder, clip: ClipSpec | None = None) -> str:
    """What rows and duplicates go by: the weights and the colours; in an open suite also the clip that is shown."""
    shown = {} if clip is None else {"clip": clip.model_dump(mode="json")}
    return content_hash(
        {"weights": encoder.weight_hash, "normalisation": encoder.normalisation.model_dump(mode="json"), **shown}
    )


def weight_hash(architecture: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over the architecture name and, sorted by key, the name, dtype, shape and little-endian bytes of each tensor."""
    digest = hashlib.sha256(architecture.encode() + b"\0")
    for key in sorted(tensors):
        tensor = tensors[key].detach().cpu().contiguous()
        digest.update(f"{key}\0{str(tensor.dtype).removeprefix('torch.')}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def normalise(clips_BTHWC: Tensor, normalisation: Normalisation) -> Tensor:
    """uint8 [B, T, H, W, 3] to float32 [B, 3, T, H, W] (in memory as the clips lie), mean and std applied."""
    mean = torch.tensor(normalisation.mean, dtype=torch.float32, device=clips_BTHWC.device) * 255
    scale = 1 / (torch.tensor(normalisation.std, dtype=torch.float32, device=clips_BTHWC.device) * 255)
    pixels_BTHWC = clips_BTHWC.float()
    if any(normalisation.mean):
        pixels_BTHWC = pixels_BTHWC - mean
    return (pixels_BTHWC * scale).permute(0, 4, 1, 2, 3)


class TorchEncoder:
    """An nn.Module under the contract.

    The module must map [B, 3, T, H, W] to pooled features [B, D]. Layers are read with forward hooks.

    Args:
        module: The trunk, without a head.
        name: Shown on the board.
        architecture: Goes into the weight hash; the name of one of our backbones, or a word of your own.
        feature_dim: D. Taken from `module.feature_dim` where the module has one.
        layers: Names of submodules (as in `named_modules`) to compare in CKA, in execution order; `module.layers()` where it has one.
        normalisation: How the module wants its colours.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        name: str,
        architecture: str | None = None,
        feature_dim: int | None = None,
        layers: tuple[str, ...] = (),
        normalisation: Normalisation | None = None,
    ) -> None:
        self._module = module.eval()
        self.name = name
        self.architecture = architecture or type(module).__name__
        width = feature_dim if feature_dim is not None else getattr(module, "feature_dim", None)
        if not isinstance(width, int):
            raise ValueError(f"{self.architecture} does not say how wide its features are. Pass feature_dim.")
        self.feature_dim = width
        self.normalisation = normalisation or Normalisation()
        self._layers = layers
        layer_modules(module, layers)  # a wrong name is told here, not after an hour of work
        self.weight_hash = weight_hash(self.architecture, module.state_dict())

    @property
    def parameters(self) -> int:
        """Of the module, buffers not counted."""
        return sum(parameter.numel() for parameter in self._module.parameters())

    @property
    def trunk(self) -> nn.Module:
        """The module itself; whoever trains it takes a copy."""
        return self._module

    def accepts(self, frames: int, height: int, width: int) -> str | None:
        """The module's own word where it has one, else a trial with one grey clip."""
        asked = getattr(self._module, "accepts", None)
        if asked is not None:
            answer: str | None = asked(frames, height, width)
            return answer
        device = next(self._module.parameters()).device
        try:
            with torch.inference_mode():
                shape = tuple(self._module(torch.zeros(1, 3, frames, height, width, device=device)).shape)
        except RuntimeError as error:
            return (
                f"{self.architecture} cannot take a clip of {frames} x {height} x {width}: {str(error).splitlines()[0]}"
            )
        if shape != (1, self.feature_dim):
            return f"{self.architecture} gives {shape} for one clip; a pooled feature of shape (1, {self.feature_dim}) is expected."
        return None

    def encode(self, clips_BCTHW: Tensor) -> Tensor:
        """[B, 3, T, H, W] float, normalised, to the pooled feature [B, D]."""
        features: Tensor = self._module(clips_BCTHW)
        return features

    def layers(self, clips_BCTHW: Tensor) -> dict[str, Tensor]:
        """Named intermediates, copied as they appear (a later in-place operation cannot change them), and `pooled`."""
        return layer_outputs(self._module, clips_BCTHW, self._layers)


def layer_modules(module: nn.Module, names: tuple[str, ...] = ()) -> dict[str, nn.Module]:
    """The modules whose outputs are the layers: by name, else `module.layers()`, else the direct children."""
    if names:
        known = dict(module.named_modules())
        if missing := [name for name in names if name not in known]:
            raise ValueError(f"No layer named {', '.join(missing)}. Its modules are: {', '.join(filter(None, known))}.")
        return {name: known[name] for name in names}
    own = getattr(module, "layers", None)
    return dict(own()) if callable(own) else dict(module.named_children())


def layer_outputs(module: nn.Module, clips_BCTHW: Tensor, names: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """Run the module once and collect its layers' outputs, in execution order, then the pooled feature."""
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if isinstance(output, Tensor):
                found[name] = output.detach().clone()

        return hook

    handles = [layer.register_forward_hook(keep(name)) for name, layer in layer_modules(module, names).items()]
    try:
        pooled = module(clips_BCTHW)
    finally:
        for handle in handles:
            handle.remove()
    return {**found, "pooled": pooled.detach()}


def fresh_copy(trunk: nn.Module) -> nn.Module:
    """A copy to train, so that the encoder's own weights never change."""
    return copy.deepcopy(trunk)


def architecture_kind(trunk: nn.Module) -> ArchitectureKind:
    """By where most of its weights lie: in the kernels of convolutions, or in matrices, as those of attention do."""
    kernels = sum(tensor.numel() for tensor in trunk.parameters() if tensor.dim() > 3)
    matrices = sum(tensor.numel() for tensor in trunk.parameters() if tensor.dim() == 2)
    return "transformer" if matrices > kernels else "convolutional"
