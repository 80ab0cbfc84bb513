"""Where a model is computed: `cpu`, `cuda`, `cuda:1`, or `auto` for the GPU where there is one."""

import torch


def device_named(name: str) -> torch.device:
    """The device of this name.

    Raises:
        ValueError: If it is none, or this machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"There is no device {name!r}. Name cpu, cuda or auto.") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"This machine has {torch.cuda.device_count()} GPUs that torch can use, so not {name}. Use auto."
        )
    return device
