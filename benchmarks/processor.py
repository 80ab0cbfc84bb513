"""What this processor computes in: no benchmark itself."""

import torch


def computes_in_bf16() -> bool:
    """Whether it has instructions for bfloat16; else torch only imitates it, many times slower."""
    can = torch.cpu.get_capabilities()
    return bool(can.get("avx512_bf16") or can.get("amx_bf16"))
