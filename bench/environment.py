"""Where a result was computed. No part of any hash: two environments that give the same numbers are equally good."""

import os
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

import torch

from bench.schema import Environment

LIBRARIES = (
    "torch",
    "torchvision",
    "numpy",
    "av",
    "pillow",
    "scipy",
    "scikit-learn",
    "safetensors",
    "numba",
    "onnxruntime",
    "onnxruntime-gpu",
)


@cache
def environment(device_type: str = "cpu") -> Environment:
    """The machine, the libraries and the code that are at work in this process."""
    commit, dirty = _checkout()
    return Environment(
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.release()} {platform.machine()}",
        cpu=_cpu(),
        accelerator=torch.cuda.get_device_name() if device_type == "cuda" else "",
        threads=torch.get_num_threads(),
        libraries={name: found for name in LIBRARIES if (found := _version(name))},
        code_version=_version("reelproof"),
        code_commit=commit,
        code_dirty=dirty,
    )


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _checkout() -> tuple[str, bool | None]:
    """Commit and dirty flag of the checkout that this file lies in; nothing known where it is none."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return "", None
    plain = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        commit, status = (
            subprocess.run(
                ["git", "-C", str(root), *words], capture_output=True, text=True, check=True, env=plain, timeout=10
            ).stdout
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.SubprocessError):
        return "", None
    return commit.strip(), bool(status.strip())
