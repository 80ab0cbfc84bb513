"""Reading a checkpoint folder: every tensor arrives, or one sentence says why not.

A folder in the layout of transformers (a repository of the Hub) is read as it is, too.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from bench.encoder import TorchEncoder
from bench.home import Home
from bench.schema import LoadReport
from reference_models.backbones import BACKBONES, build, parse
from reference_models.checkpoints.config import CONFIG, WEIGHTS, CheckpointConfig, name_of_folder
from reference_models.checkpoints.convert import COUNTER, adopt
from reference_models.checkpoints.formats.hugging_face import BY_MODEL_TYPE
from reference_models.checkpoints.json_file import read_json
from reference_models.hub import fetch, is_address

PICKLES = (".pt", ".pth", ".ckpt", ".tar", ".bin", ".pkl", ".pickle", ".pyth")


@dataclass(frozen=True)
class Loaded:
    """A checkpoint that arrived whole."""

    encoder: TorchEncoder
    config: CheckpointConfig
    report: LoadReport


def load(name_or_path: str | Path) -> Loaded:
    """Load a checkpoint: a folder, the name of one that `reelproof pretrain` made, or an address on the Hub.

    Raises:
        ValueError: If it is no checkpoint folder, does not fit its architecture, or was changed after it was saved. The
            sentence names what was found, what was expected and what to do.
    """
    folder = _folder(name_or_path)
    content = read_json(folder / CONFIG)
    if "layout" not in content and str(content.get("model_type")) in BY_MODEL_TYPE:
        return _repository(folder)
    config = _config(folder / CONFIG, content)
    tensors = _tensors(folder / WEIGHTS, config)
    module = _built(config.architecture)
    _compare_tables(folder / WEIGHTS, tensors, module.state_dict())
    module.load_state_dict(tensors)
    encoder = TorchEncoder(
        module, name=config.name, architecture=config.architecture, normalisation=config.normalisation
    )
    if encoder.weight_hash != config.weight_hash:
        raise ValueError(
            f"The weights in {folder / WEIGHTS} have the hash {encoder.weight_hash[:12]}, {CONFIG} says "
            f"{config.weight_hash[:12]}: one of the two was changed after the checkpoint was saved. "
            f"Copy the folder again, or save it anew with reference_models.checkpoints.save."
        )
    report = LoadReport(
        loaded=len(tensors),
        expected=len(module.state_dict()),
        recognised=f"checkpoint folder, layout {config.layout}, {config.architecture} by its config.json",
    )
    return Loaded(encoder, config, report)


def _repository(folder: Path) -> Loaded:
    """A folder of the Hub, in the layout of transformers."""
    adopted = adopt(folder)
    name = name_of_folder(folder)
    encoder = TorchEncoder(
        adopted.module, name=name, architecture=adopted.architecture, normalisation=adopted.normalisation
    )
    config = CheckpointConfig(
        name=name,
        architecture=adopted.architecture,
        normalisation=adopted.normalisation,
        feature_dim=encoder.feature_dim,
        weight_hash=encoder.weight_hash,
    )
    return Loaded(encoder, config, adopted.report)


def _folder(name_or_path: str | Path) -> Path:
    """The folder meant; anything else is refused by what it is."""
    if is_address(name_or_path):
        return _folder(fetch(name_or_path).folder)
    path = Path(name_or_path)
    if path.is_file():
        if path.suffix in PICKLES:
            raise ValueError(_pickle_words(path.name))
        raise ValueError(f"{path} is a file; name the folder that holds {CONFIG} and {WEIGHTS}.")
    if not path.exists():
        named = Home.default().checkpoints / path
        if path.is_absolute() or not named.is_dir():
            raise ValueError(
                f"There is no folder {path}, and no checkpoint of that name in {Home.default().checkpoints}. "
                "`reelproof pretrain` makes one."
            )
        path = named
    if not (path / CONFIG).is_file() or not (path / WEIGHTS).is_file():
        files = sorted(file.name for file in path.iterdir() if not file.name.startswith("."))
        if pickles := [name for name in files if name.endswith(PICKLES)]:
            raise ValueError(_pickle_words(pickles[0]))
        missing = " and ".join(name for name in (CONFIG, WEIGHTS) if not (path / name).is_file())
        raise ValueError(f"{path} is no checkpoint: {missing} is missing. It holds {_some(files) or 'nothing'}.")
    return path


def _pickle_words(name: str) -> str:
    return (
        f"{name} is a pickle, which can run code when it is opened, so it is not read. "
        f"`reelproof convert {name} -o FOLDER` takes the weights out of it, on the machine of their author."
    )


def _config(path: Path, content: dict[str, object]) -> CheckpointConfig:
    try:
        config = CheckpointConfig.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise ValueError(f"{path}: {where}: {first['msg']}.") from error
    try:
        parse(config.architecture)
    except ValueError as error:
        raise ValueError(f"{path} names an architecture that we do not have. {error}") from error
    return config


def _built(architecture: str) -> nn.Module:
    """The architecture; its random weights take nothing from the caller's chance."""
    with torch.random.fork_rng([]):
        return build(architecture)


def _tensors(path: Path, config: CheckpointConfig) -> dict[str, Tensor]:
    """The tensors of the file, if they are exactly those of the architecture; nothing large is made before that is known."""
    with torch.device("meta"):
        empty = build(config.architecture)
    expected = empty.state_dict()
    try:
        with safe_open(path, framework="pt") as file:
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118  (not a dict)
            _compare(path, found, {name: tuple(own.shape) for name, own in expected.items()}, config)
            tensors = {name: file.get_tensor(name) for name in found}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is damaged or cut short ({error}). Copy or download it again.") from error
    for name, tensor in tensors.items():
        if tensor.dtype != expected[name].dtype:
            raise ValueError(
                f"{path}: {name} is {_dtype(tensor.dtype)}, {config.architecture} has it in {_dtype(expected[name].dtype)}. "
                "Save the weights in that type."
            )
        if bad := int((~torch.isfinite(tensor)).sum()):
            raise ValueError(
                f"{path}: {bad} of {tensor.numel()} values of {name} are NaN or infinite. The training that made them "
                "went wrong; take an earlier checkpoint."
            )
    width = getattr(empty, "feature_dim", None)
    if width != config.feature_dim:
        raise ValueError(
            f"{path.with_name(CONFIG)} says {config.feature_dim} features, {config.architecture} has {width}. Correct it."
        )
    return tensors


def _compare_tables(path: Path, tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Tables of whole numbers (Swin's relative positions) belong to the architecture: a wrong one would point anywhere."""
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() and not name.endswith(COUNTER) and not torch.equal(tensor, own[name]):
            raise ValueError(
                f"{path}: {name} is a table of the architecture and has other values than it must have. Save the weights anew."
            )


def _compare(
    path: Path, found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]], config: CheckpointConfig
) -> None:
    """Refuse other keys and shapes than the architecture's."""
    missing = [name for name in expected if name not in found]
    surplus = [name for name in found if name not in expected]
    other = [name for name in expected if name in found and found[name] != expected[name]]
    if not (missing or surplus or other):
        return
    alike = get_close_matches(config.architecture, [name for name in BACKBONES if name != config.architecture], n=5)
    fits = next((name for name in alike if _shapes(name) == dict(found)), None)
    if fits is not None:
        raise ValueError(
            f"{path} holds the weights of {fits}, but {CONFIG} says {config.architecture}. Correct the architecture there."
        )
    if missing:
        hint = _prefix_hint(found, expected) or _near_hint(missing[0], surplus)
        raise ValueError(
            f"{path} lacks {_some(missing)}: {config.architecture} has {len(expected)} tensors, "
            f"{len(expected) - len(missing)} of them are there. {hint or 'Save the whole state_dict of the trunk.'}"
        )
    if other:
        name = other[0]
        more = f" ({len(other) - 1} more tensors differ)" if len(other) > 1 else ""
        raise ValueError(
            f"{path}: {name} has the shape {list(found[name])}, {config.architecture} has {list(expected[name])}{more}. "
            "Check the architecture in config.json."
        )
    raise ValueError(
        f"{path} holds {_some(surplus)}, which {config.architecture} does not have. Save the trunk alone, without heads."
    )


def _prefix_hint(found: Iterable[str], expected: Mapping[str, tuple[int, ...]]) -> str:
    """If the keys would fit without what they begin with."""
    names = list(found)
    for prefix in sorted({name.split(".")[0] + "." for name in names}):
        if any(name.removeprefix(prefix) in expected for name in names if name.startswith(prefix)):
            return f"The keys begin with {prefix!r}; save the state_dict of the trunk itself."
    return ""


def _near_hint(missing: str, surplus: list[str]) -> str:
    close = get_close_matches(missing, surplus, n=1, cutoff=0.7)
    return f"It has {close[0]} instead; was it renamed?" if close else ""


def _shapes(architecture: str) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in build(architecture).state_dict().items()}


def _dtype(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _some(names: list[str]) -> str:
    """The first three names, and how many more there are."""
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")
