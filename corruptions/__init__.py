"""What noise does to video: the same pixels for the same names, on every machine.

    from corruptions import Definition, corrupt

    noisy = corrupt(clip, Definition("shot"), severity=3, video_id="v_Archery_g01_c01", frame_numbers=range(16))

`clip` is uint8 RGB, [T, H, W, 3] (or one frame [H, W, 3]), a NumPy array or a torch tensor on any device.
Nothing is loaded until it is used: importing this package imports no NumPy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from corruptions.conformance import check as check
    from corruptions.definition import FAMILIES as FAMILIES
    from corruptions.definition import SEVERITIES as SEVERITIES
    from corruptions.definition import TABLES as TABLES
    from corruptions.definition import Definition as Definition
    from corruptions.noise import corrupt as corrupt

_HOME = {
    "Definition": "corruptions.definition",
    "FAMILIES": "corruptions.definition",
    "SEVERITIES": "corruptions.definition",
    "TABLES": "corruptions.definition",
    "corrupt": "corruptions.noise",
    "check": "corruptions.conformance",
}

__all__ = ["FAMILIES", "SEVERITIES", "TABLES", "Definition", "check", "corrupt"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'corruptions' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
