"""Weights of the Hub that were cut into several files: an index names, for every tensor, the file that holds it.

Layout: `model.safetensors.index.json` with a `weight_map` from keys to file names, as huggingface_hub's
`save_torch_state_dict` writes it.
"""

from pathlib import Path, PurePosixPath

from safetensors import SafetensorError, safe_open
from torch import Tensor

from reference_models.checkpoints.json_file import read_json

INDEX = "model.safetensors.index.json"


def read_shards(index: Path) -> dict[str, Tensor]:
    """The tensors of all files that an index names.

    Raises:
        ValueError: If a file is missing, lies elsewhere, is damaged, or holds other keys than the index says.
    """
    content = read_json(index)
    places = content.get("weight_map")
    if not isinstance(places, dict) or not places or not all(isinstance(name, str) for name in places.values()):
        raise ValueError(f"{index} has no weight_map from keys to file names. Copy or download it again.")
    tensors: dict[str, Tensor] = {}
    for name in sorted(set(places.values())):
        if PurePosixPath(name).name != name or "\\" in name or not name.endswith(".safetensors"):
            raise ValueError(f"{index} names {name!r}; only .safetensors files of its own folder are read.")
        path = index.with_name(name)
        if not path.is_file():
            raise ValueError(f"{index} names {name}, which is not there. Copy or download the folder again.")
        expected = {key for key, place in places.items() if place == name}
        try:
            with safe_open(path, framework="pt") as shard:
                held = set(shard.keys())
                if held != expected:
                    other = ", ".join(sorted(held ^ expected)[:3])
                    raise ValueError(
                        f"{path} holds {len(held)} tensors and the index puts {len(expected)} there; they differ in "
                        f"{other}. The files are of different versions: download the folder again."
                    )
                tensors |= {key: shard.get_tensor(key) for key in expected}
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{path} is damaged or cut short ({error}). Copy or download it again.") from error
    return tensors
