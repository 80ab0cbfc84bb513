"""The installed huggingface_hub, pointed at the server of a test."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.hub_server.server import ALICE, Hub

CLOCKS = ("huggingface_hub.utils._http.time", "huggingface_hub.file_download.time", "reference_models.hub.time")


def connect(hub: Hub, monkeypatch: pytest.MonkeyPatch, folder: Path, token: str = ALICE) -> list[float]:
    """Set what a person would set in his environment, also where the library read it when it was imported.

    Returns:
        The pauses that are made between tries, in seconds; none of them is waited for.
    """
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_TOKEN", token)
    monkeypatch.setenv("REELPROOF_HOME", str(folder / "home"))
    constants = "huggingface_hub.constants."
    monkeypatch.setattr(f"{constants}HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(f"{constants}HF_TOKEN_PATH", str(folder / "no token"))
    monkeypatch.setattr(f"{constants}HF_HUB_CACHE", str(folder / "cache"))
    pauses: list[float] = []
    for clock in CLOCKS:
        monkeypatch.setattr(clock, SimpleNamespace(sleep=pauses.append))
    return pauses
