"""Milliseconds a clip of every backbone, side by side in one run: the suite's way, the naive way, and the library's own class.

    python -m benchmarks.backbones [--quick] [--json] [--compile] [--checkpoint FOLDER] [NAME ...]

One thread, clips of 16 x 112 x 112 (or of the network's own size), eval mode. In every round each arm has its turn;
times are processor time, the fastest of the rounds, so a busy machine slows all arms alike. Arms:

- naive: the same network in float32, every tensor in the plain layout and every convolution torch's own, as one would
  first write it;
- library: torchvision's own class, or timm's own blocks, in float32 and the plain layout, where there is one;
- suite, fp32: kernels and clips channels last, as the harness runs it in a float32 suite;
- suite, bf16: the same under bf16 autocast, where the processor computes in bfloat16 (AVX512-BF16 or AMX); elsewhere
  it would only be emulated, and is not timed;
- compiled (with --compile): `torch.compile` with inductor's freezing, in the suite's precision. It takes up to a
  minute for a network and pays from some hundred clips on; the harness computes eagerly.

Then the cosine of the bf16 feature with the float32 feature, the lowest of the clips, of networks as they are
initialised; on smaller clips where bfloat16 is only emulated. `--checkpoint FOLDER` shows it for trained weights.
"""

import argparse
import copy
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torchvision.models.video as theirs
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.video.mvit import MViT
from torchvision.models.video.resnet import BasicBlock, BasicStem, Conv3DSimple, VideoResNet

from bench.encoder import normalise
from bench.forward import arithmetic, lay_out
from bench.schema import Normalisation
from benchmarks.processor import computes_in_bf16
from reference_models.backbones import BACKBONES, build, parse
from reference_models.backbones.mvit import block_settings
from reference_models.backbones.shufflenet import DepthwiseConv
from reference_models.backbones.temporal_conv import TemporalConv
from reference_models.backbones.videomae import Positions, TubeletEmbedding
from reference_models.checkpoints.load import load

CPU = torch.device("cpu")
QUICK = ("shufflenet_v1_x0_5", "shufflenet_v1_x2", "mobilenet_v2_x1", "r3d_10", "r2plus1d_10")
TARGETS = {"r2plus1d_10": 2.5, "shufflenet_v1_x2": 2.5, "mobilenet_v2_x1": 2.5, "r3d_10": 2.2}
"""How many times faster than naive the suite's bf16 shall be, on a processor that computes in it."""

TURN_S = 0.1
"""How long an arm's turn lasts at least."""

COSINE = 0.999
SLACK = 0.03
"""By how much a ratio of times may miss 1 before it counts as slower: what two runs of one arm differ by."""


def main() -> None:
    """Run, print, end with the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="backbones; all of them if none is given")
    parser.add_argument("--quick", action="store_true", help="the nets with a target, two clips, under 40 s")
    parser.add_argument("--json", action="store_true", help="print the rows and nothing else")
    parser.add_argument("--compile", action="store_true", help="time torch.compile, too")
    parser.add_argument("--checkpoint", type=Path, help="show the cosine for these weights, and time their network")
    options = parser.parse_args()

    torch.set_num_threads(1)
    names = options.names or (QUICK if options.quick else list(BACKBONES))
    weights: dict[str, Tensor] | None = None
    if options.checkpoint:
        loaded = load(options.checkpoint).encoder
        names, weights = [loaded.architecture], loaded.trunk.state_dict()
    rounds, clips = (2, 2) if options.quick else (5, 4)
    rows = []
    for name in names:
        rows += measure(name, weights, rounds, clips, compiled=options.compile)
        if not options.json:
            print(line(rows, name), flush=True)
    ratios = summary(rows, names)
    if options.json:
        sys.stdout.write(json.dumps([*rows, *ratios], indent=1) + "\n")
        return
    print("\nratios: how many times faster than the other")
    for row in ratios:
        print(f"  {row['arm']:52}{row['ratio']:8.2f}  {row['said']}")
    if not computes_in_bf16():
        goals = ", ".join(f"{name} {goal}" for name, goal in TARGETS.items())
        print(f"this processor does not compute in bfloat16: the goals for it ({goals}) do not apply here")


def measure(
    name: str, weights: dict[str, Tensor] | None, rounds: int, clips: int, *, compiled: bool
) -> list[dict[str, Any]]:
    """The rows of one backbone, freshly initialised or with these weights."""
    torch.manual_seed(0)
    ours: Any = build(name).eval()
    if weights is not None:
        ours.load_state_dict(weights)
    naive = copy.deepcopy(ours)
    clip = parse(name)[1] or (16, 112)
    suite_clips = normalise(textured(clips, *clip), Normalisation())
    plain_clips = suite_clips.contiguous()
    lay_out(ours, CPU)
    library = own_class(name)

    def plainly(net: nn.Module) -> Tensor:
        with plain_layout():
            out: Tensor = net(plain_clips)
        return out

    arms: dict[str, Callable[[], Tensor]] = {"naive": lambda: plainly(naive)}
    if library is not None:
        arms["library"] = lambda: plainly(library)
    arms["suite, fp32"] = lambda: ours(suite_clips)
    if computes_in_bf16():
        arms["suite, bf16"] = lambda: in_bf16(ours, suite_clips)
    if compiled:
        torch._inductor.config.freezing = True  # type: ignore[attr-defined]  # the documented switch is this or a variable
        fast = torch.compile(ours)
        arms["compiled"] = lambda: in_bf16(fast, suite_clips) if computes_in_bf16() else fast(suite_clips)
    with torch.inference_mode():
        took = in_turn(arms, rounds)
        cosine = lowest_cosine(ours, suite_clips if computes_in_bf16() else small_clips(ours, clips))
    rows: list[dict[str, Any]] = [
        {"net": name, "arm": arm, "ms": 1000 * seconds / clips} for arm, seconds in took.items()
    ]
    return [*rows, {"net": name, "arm": "cosine of bf16 with fp32", "cosine": cosine, "clips": clips}]


def lowest_cosine(net: Callable[[Tensor], Tensor], clips: Tensor) -> float:
    """Between the bf16 and the float32 feature of a clip, the lowest of the clips."""
    pair = torch.stack([net(clips), in_bf16(net, clips)]).double()
    pair = pair / pair.norm(dim=2, keepdim=True)  # a fresh network's features may be small beyond any epsilon
    return float((pair[0] * pair[1]).sum(1).min())


def small_clips(net: Any, clips: int) -> Tensor:
    """The smallest clips of some that the network takes."""
    sizes = ((4, 32), (8, 32), (16, 34), (16, 112), (16, 224))
    frames, size = next((t, s) for t, s in sizes if net.accepts(t, s, s) is None)
    return normalise(textured(clips, frames, size), Normalisation())


def in_bf16(net: Callable[[Tensor], Tensor], clips: Tensor) -> Tensor:
    """As the harness runs a bf16 suite."""
    with arithmetic("bf16", CPU):
        return net(clips)


def in_turn(arms: dict[str, Callable[[], Tensor]], rounds: int) -> dict[str, float]:
    """Seconds of processor time of one run of each arm, the fastest of all its turns after one run to warm up."""
    best = dict.fromkeys(arms, float("inf"))
    for run in arms.values():
        run()
    for _ in range(rounds):
        for name, run in arms.items():
            turn = time.thread_time()
            while (start := time.thread_time()) - turn < TURN_S:
                run()
                best[name] = min(best[name], time.thread_time() - start)
    return best


@contextmanager
def plain_layout() -> Iterator[None]:
    """Every request for channels last is answered with the plain layout, every convolution is torch's own."""
    contiguous = Tensor.contiguous
    with ExitStack() as patches:
        patches.enter_context(
            mock.patch.object(Tensor, "contiguous", lambda tensor, memory_format=None: contiguous(tensor))
        )
        for ours in (TemporalConv, DepthwiseConv):
            patches.enter_context(mock.patch.object(ours, "forward", nn.Conv3d.forward))
        yield


def textured(clips: int, frames: int, size: int) -> Tensor:
    """uint8 [B, T, H, W, 3] with the smoothness of real frames."""
    coarse = torch.rand(clips, 3, frames // 4, 8, 8, generator=torch.Generator().manual_seed(0))
    fine = functional.interpolate(coarse, (frames, size, size), mode="trilinear")
    return (255 * fine).to(torch.uint8).permute(0, 2, 3, 4, 1).contiguous()


def own_class(name: str) -> nn.Module | None:
    """What the well-kept library has of it: a class of torchvision, or timm's blocks where ours has its own."""
    torch.manual_seed(0)
    if name in ("r3d_18", "r2plus1d_18", "swin3d_t"):
        net: Any = getattr(theirs, name)()
        return without_head(net)
    if name == "r3d_10":
        return without_head(VideoResNet(BasicBlock, [Conv3DSimple] * 4, [1] * 4, BasicStem))
    if name in ("mvit_v1_b", "mvit_v2_s"):
        second = name == "mvit_v2_s"
        return without_head(
            MViT(
                spatial_size=(112, 112),
                temporal_size=16,
                block_setting=block_settings(2 if second else 1),
                residual_pool=second,
                residual_with_cls_embed=False,
                rel_pos_embed=second,
                proj_after_attn=second,
            )
        )
    if name in ("videomae_vit_s", "videomae_vit_b"):
        width, heads = (384, 6) if name == "videomae_vit_s" else (768, 12)
        blocks = (Block(width, heads, qkv_bias=True) for _ in range(12))
        return nn.Sequential(TubeletEmbedding(width), Positions(), *blocks, nn.LayerNorm(width)).eval()
    return None


def without_head(net: Any) -> nn.Module:
    """Without its classifier."""
    setattr(net, "head" if hasattr(net, "head") else "fc", nn.Identity())
    trunk: nn.Module = net.eval()
    return trunk


def line(rows: list[dict[str, Any]], name: str) -> str:
    """One network, for people."""
    mine = {row["arm"]: row for row in rows if row["net"] == name}
    times = ", ".join(f"{arm} {row['ms']:.1f}" for arm, row in mine.items() if "ms" in row)
    return f"{name:20} ms/clip: {times}; cosine of bf16 {mine['cosine of bf16 with fp32']['cosine']:.6f}"


def summary(rows: list[dict[str, Any]], names: list[str] | tuple[str, ...]) -> list[dict[str, Any]]:
    """The ratios that matter, each with what was promised."""
    found = []
    for name in names:
        ms = {row["arm"]: row["ms"] for row in rows if row["net"] == name and "ms" in row}
        chosen = "suite, bf16" if "suite, bf16" in ms else "suite, fp32"
        goal = TARGETS.get(name, 1.0) if chosen == "suite, bf16" else 1.0
        pairs = [(chosen, other, goal if other == "naive" else 1.0) for other in ("naive", "library") if other in ms]
        pairs += [("compiled", chosen, 0.0)] if "compiled" in ms else []
        for fast, slow, at_least in pairs:
            ratio = ms[slow] / ms[fast]
            said = "" if not at_least else f"at least {at_least}: {'yes' if ratio >= at_least - SLACK else 'NO'}"
            found.append({"net": name, "arm": f"{name}: {fast} over {slow}", "ratio": ratio, "said": said})
        cosine = next(row["cosine"] for row in rows if row["net"] == name and "cosine" in row)
        if cosine < COSINE:
            found.append(
                {"net": name, "arm": f"{name}: cosine of bf16", "ratio": cosine, "said": f"at least {COSINE}: NO"}
            )
    lowest = min((row for row in rows if "cosine" in row), key=lambda row: row["cosine"])
    arm = f"lowest cosine of bf16 with fp32 ({lowest['net']})"
    yes = "yes" if lowest["cosine"] >= COSINE else "NO"
    return [*found, {"net": "", "arm": arm, "ratio": lowest["cosine"], "said": f"at least {COSINE}: {yes}"}]


if __name__ == "__main__":
    main()
