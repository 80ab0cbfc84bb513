"""Models whose every number matters."""

import torch
from torch import nn


def shaken(model: nn.Module) -> nn.Module:
    """With no number left at the zero or one it starts with."""
    torch.manual_seed(0)
    for name, weight in model.named_parameters():
        if weight.ndim < 2 or "embedding" in name or "token" in name:
            nn.init.normal_(weight, std=0.3)
        elif "temporal_dense" in name:
            nn.init.normal_(weight, std=0.02)
    return model.eval()
