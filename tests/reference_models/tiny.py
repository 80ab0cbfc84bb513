"""What a training in a test is made of: a network under a thousand weights, and videos that brighten."""

import av
import numpy as np
from torch import nn

from reference_models.backbones import BACKBONES, Listing


class TinyNet(nn.Module):
    """Under a thousand weights, with batch statistics."""

    feature_dim = 8

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv3d(3, 8, 3, stride=(1, 2, 2), padding=1), nn.BatchNorm3d(8), nn.ReLU())

    def forward(self, clips):
        return self.stem(clips).mean((2, 3, 4))

    def layers(self):
        return {"stem": self.stem}

    def accepts(self, frames, height, width):
        return None


def list_as_tiny_net(network, monkeypatch):
    """As a backbone of the tests, `tiny_net`, built like any other."""
    monkeypatch.setitem(BACKBONES, "tiny_net", Listing("tiny_net", "the tests"))
    monkeypatch.setattr(
        "reference_models.backbones.import_module", lambda _name: type("tiny", (), {"tiny_net": staticmethod(network)})
    )


def write_video(path, num_frames, seed):
    """Grey frames that grow brighter, with a pattern."""
    path.parent.mkdir(exist_ok=True)
    pattern = np.random.default_rng(seed).integers(0, 40, size=(40, 48, 3))
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=20)
        stream.width, stream.height, stream.pix_fmt = 48, 40, "yuv420p"
        for number in range(num_frames):
            frame = (pattern + 30 + 150 * number // num_frames).astype(np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode(None))
