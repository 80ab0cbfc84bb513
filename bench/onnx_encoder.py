"""The features-only track: an encoder that is an ONNX file, read by onnxruntime.

Such a file is weights and a graph of standard operators; nothing else of it is used. It is looked through before onnxruntime
sees it: operators outside the standard and tensors that lie in other files are refused, so reading it opens no other file
and loads no library. Loops are refused too, and functions that unfold without end: the work is what stands in the file.
What opening it and the first two clips may take of memory is bounded (on Linux, where it is computed on the CPU).
It cannot be trained, hence no finetuning; everything that reads features runs.

What a file must offer, as `reelproof export-onnx` writes it:
- one input, float32 [B, 3, T, H, W], the number of clips B free;
- an output `features` (else the first), float32 [B, D]: pooled;
- further outputs, in execution order, are its layers for CKA;
- the property `reelproof.normalisation`: how it wants its colours.

It is computed in the precision it was written in, whatever the suite's, on one thread: clips are read side by side.

Shapes: B clips, C channels, T frames, H W rows and columns, D features.
"""

import hashlib
import importlib.util
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from math import inf, prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from bench.memory_limit import memory_for
from bench.schema import Normalisation

if TYPE_CHECKING:
    import onnx

STANDARD = ("", "ai.onnx")
"""Domains of the standard's own operators."""

LOOPS = ("Loop", "Scan", "SequenceMap")
"""How often they go round is a number, not a size."""

MOST_BYTES = 2**31 - 1
"""What one protobuf message can hold."""

OLDEST_OPSET = 7
"""The first that onnxruntime promises to read."""

MOST_NODES = 100_000
"""Operators, functions unfolded; the largest of our own exports has some thousand."""

OPENING_BYTES, TRIAL_BYTES = 2**30, 2**32
"""Memory beside twice the file: for what onnxruntime makes of it, and for two clips on their way through."""

FEATURES = "features"
NORMALISATION = "reelproof.normalisation"


class OnnxEncoder:
    """An ONNX file under the contract of `bench.encoder`.

    Args:
        content: The file's bytes.
        name: Shown on the board.
        architecture: A word for what it is.
        device: Where it is computed; CUDA where onnxruntime offers it.

    Raises:
        ValueError: If the bytes are no ONNX, hold what we do not read, or do not offer what is needed.
    """

    trunk: None = None

    def __init__(self, content: bytes, *, name: str, architecture: str = "ONNX", device: torch.device) -> None:
        self.name = name
        self.architecture = architecture
        self.weight_hash = hashlib.sha256(content).hexdigest()
        model = inspect(content, name)
        self.parameters = max(1, sum(prod(tensor.dims) for tensor in model.graph.initializer))
        self.tensors = len(model.graph.initializer)
        self.properties = {entry.key: entry.value for entry in model.metadata_props}
        self.normalisation = _normalisation(self.properties.get(NORMALISATION), name)
        del model  # as large as the weights
        self._content, self._device = content, device
        self._session = _session(content, name, device)
        self.provider: str = self._session.get_providers()[0]
        self._input, self._features, self._layers = _signature(self._session, name)
        self.feature_dim: int = self._features.shape[1]

    def __reduce__(self) -> tuple[Any, ...]:
        """A session cannot travel to another process; what it is made from can."""
        return _again, (self._content, self.name, self.architecture, self._device)

    def accepts(self, frames: int, height: int, width: int) -> str | None:
        """What the file declares, then a trial with two grey clips."""
        declared = self._input.shape[2:]
        if any(
            isinstance(here, int) and here != asked
            for here, asked in zip(declared, (frames, height, width), strict=True)
        ):
            takes = " x ".join(str(size) if isinstance(size, int) else "any" for size in declared)
            return f"{self.name} takes clips of {takes} only. Export it for {frames} x {height} x {width}, or leave these free."
        try:
            with _bounded(len(self._content), TRIAL_BYTES, self._device):
                features = self.encode(torch.zeros(2, 3, frames, height, width))
        except ValueError as error:
            return str(error)
        if features.shape != (2, self.feature_dim):
            return f"{self.name} gives {tuple(features.shape)} for two clips; (2, {self.feature_dim}) is expected."
        return None

    def encode(self, clips_BCTHW: Tensor) -> Tensor:
        """[B, 3, T, H, W] float, normalised, to the pooled feature [B, D]."""
        (features,) = self._run([self._features.name], clips_BCTHW)
        return features

    def layers(self, clips_BCTHW: Tensor) -> dict[str, Tensor]:
        """Its other outputs, in the file's order, then `pooled`."""
        names = [output.name for output in self._layers]
        *layers, pooled = self._run([*names, self._features.name], clips_BCTHW)
        return {**dict(zip(names, layers, strict=True)), "pooled": pooled}

    def _run(self, outputs: list[str], clips_BCTHW: Tensor) -> list[Tensor]:
        clips = np.ascontiguousarray(clips_BCTHW.detach().float().cpu().numpy())
        try:
            found = self._session.run(outputs, {self._input.name: clips})
        except Exception as error:  # onnxruntime's errors have no other ancestor in common
            shape = " x ".join(str(size) for size in clips.shape)
            raise ValueError(f"{self.name} cannot read clips of {shape}: {_first_line(error)}") from error
        return [torch.from_numpy(array).to(clips_BCTHW.device) for array in found]


def open_onnx(path: Path, *, name: str, architecture: str = "ONNX", device: torch.device) -> OnnxEncoder:
    """Read an ONNX file.

    Raises:
        ValueError: If it is too large, or `OnnxEncoder` refuses it.
    """
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise ValueError(
            f"{path} has {size / 2**30:.1f} GiB; an ONNX file with all its weights inside has at most 2 GiB."
        )
    return OnnxEncoder(path.read_bytes(), name=name, architecture=architecture, device=device)


def inspect(content: bytes, name: str) -> "onnx.ModelProto":
    """The file as a message, if it holds standard operators and its own weights only.

    Raises:
        ValueError: If not, naming what was found.
    """
    if missing := [library for library in ("onnx", "onnxruntime") if importlib.util.find_spec(library) is None]:
        raise ValueError(f"{' and '.join(missing)} must be installed to read ONNX: pip install 'reelproof[onnx]'.")
    import onnx  # noqa: PLC0415  (an extra)

    model = onnx.ModelProto()
    try:
        with memory_for(len(content)):  # a part of two bytes takes some hundred in memory
            model.ParseFromString(content)
    except Exception as error:  # protobuf's DecodeError
        raise ValueError(f"{name} is no ONNX file, or a damaged one. Export it again.") from error
    if not model.ir_version or not model.graph.node:
        raise ValueError(f"{name} is no ONNX file: it holds no graph.")
    own = {(function.domain, function.name) for function in model.functions}
    try:
        count = _unfolded(model)
    except RecursionError as error:
        raise ValueError(f"{name} has functions nested too deeply to be run. Export it without functions.") from error
    if count > MOST_NODES:
        words = (
            f"more than {MOST_NODES:,} operators, functions unfolded"
            if count < inf
            else "functions that call themselves"
        )
        raise ValueError(f"{name} has {words}, so it is not run. Export it without functions.")
    if refusal := _of_another_time(model):
        raise ValueError(f"{name} {refusal}")
    for node in _nodes(model):
        if node.op_type in LOOPS and node.domain in STANDARD:
            raise ValueError(
                f"{name} uses {node.op_type}: how long that computes is not seen in the file, so it is not run. "
                "Export the encoder for a fixed number of frames, without loops."
            )
        if node.domain not in STANDARD and (node.domain, node.op_type) not in own:
            raise ValueError(
                f"{name} uses {node.domain}.{node.op_type}, which is no operator of the ONNX standard, so it is not run. "
                "Export it with standard operators only (without optimisation for one runtime)."
            )
    for tensor in _tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            place = next((entry.value for entry in tensor.external_data if entry.key == "location"), "elsewhere")
            raise ValueError(
                f"{name} keeps the weights of {tensor.name or 'a constant'} in another file ({place!r}), which is not opened. "
                "Save it with all weights inside (onnx.save_model(..., save_as_external_data=False))."
            )
    return model


def _graphs(model: "onnx.ModelProto") -> "Iterator[onnx.GraphProto]":
    """The graph and every graph inside it: bodies of loops and branches, of functions too."""
    waiting = [model.graph]
    nodes = [node for function in model.functions for node in function.node]
    while waiting or nodes:
        if waiting:
            graph = waiting.pop()
            yield graph
            nodes += graph.node
        for node in nodes:
            for attribute in node.attribute:
                waiting += [attribute.g] if attribute.HasField("g") else []
                waiting += attribute.graphs
        nodes = []


def _unfolded(model: "onnx.ModelProto") -> float:
    """Operators when every call of a function is replaced by what it does; infinite where one calls itself."""
    functions = {(function.domain, function.name): function for function in model.functions}
    counts: dict[tuple[str, str], float] = {}

    def count(nodes: "Iterable[onnx.NodeProto]") -> float:
        total = 0.0
        for node in nodes:
            if total > MOST_NODES:
                break
            own = (node.domain, node.op_type)
            if own in functions and own not in counts:
                counts[own] = inf  # until it is known: whoever comes here again calls itself
                counts[own] = count(functions[own].node)
            total += counts.get(own, 1)
            for attribute in node.attribute:
                total += sum(count(graph.node) for graph in (attribute.g, *attribute.graphs))
        return total

    return count(model.graph.node)


def _of_another_time(model: "onnx.ModelProto") -> str | None:
    """None, or why the edition of the standard it is written in is none that is read here."""
    import onnx  # noqa: PLC0415  (an extra)

    opsets = [entry.version for entry in model.opset_import if entry.domain in STANDARD]
    newest = onnx.defs.onnx_opset_version()
    if len(opsets) != 1 or not OLDEST_OPSET <= opsets[0] <= newest or model.ir_version > onnx.IR_VERSION:
        said = " and ".join(map(str, opsets)) or "none"
        return (
            f"is written in opset {said}, IR version {model.ir_version}; opsets {OLDEST_OPSET} to {newest} are read, IR versions "
            f"up to {onnx.IR_VERSION}. Export it with opset 18."
        )
    return None


def _nodes(model: "onnx.ModelProto") -> "Iterator[onnx.NodeProto]":
    for function in model.functions:
        yield from function.node
    for graph in _graphs(model):
        yield from graph.node


def _tensors(model: "onnx.ModelProto") -> "Iterator[onnx.TensorProto]":
    for graph in _graphs(model):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for node in _nodes(model):
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)


def _normalisation(declared: str | None, name: str) -> Normalisation:
    if declared is None:
        raise ValueError(
            f"{name} does not say how it wants its colours. Add the property {NORMALISATION} to the file, with onnx.helper."
            f"set_model_props(model, {{'{NORMALISATION}': '{Normalisation().model_dump_json()}'}}) for example."
        )
    try:
        return Normalisation.model_validate_json(declared)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{name}: {NORMALISATION} is {declared[:80]!r}: {first['msg']}.") from error


def _session(content: bytes, name: str, device: torch.device) -> Any:
    import onnxruntime  # noqa: PLC0415  (an extra)

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 4  # what goes wrong is raised
    # a file may be a message and, by its fifth to eighth byte, onnxruntime's own format: what was looked through is read
    options.add_session_config_entry("session.load_model_format", "ONNX")
    providers: list[Any] = ["CPUExecutionProvider"]
    if device.type == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        providers.insert(0, ("CUDAExecutionProvider", {"use_tf32": "0"}))
    try:
        with _bounded(len(content), OPENING_BYTES, device):
            return onnxruntime.InferenceSession(content, options, providers=providers)
    except Exception as error:  # onnxruntime's errors have no other ancestor in common
        raise ValueError(
            f"{name} cannot be run by onnxruntime {onnxruntime.__version__}: {_first_line(error)}"
        ) from error


def _bounded(content_bytes: int, margin: int, device: torch.device) -> AbstractContextManager[None]:
    """The memory that a file may take; CUDA needs far more address space than memory, so there nothing is bounded."""
    return memory_for(content_bytes, margin) if device.type == "cpu" else nullcontext()


def _signature(session: Any, name: str) -> tuple[Any, Any, list[Any]]:
    """The input, the output that is the feature, and the outputs that are layers."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1:
        raise ValueError(f"{name} has {len(inputs)} inputs ({_words(inputs)}); one is expected: clips [B, 3, T, H, W].")
    clips = inputs[0]
    if (
        clips.type != "tensor(float)"
        or len(clips.shape) != 5
        or (isinstance(clips.shape[1], int) and clips.shape[1] != 3)
    ):
        raise ValueError(f"{name} takes {_words(inputs)}; float clips [B, 3, T, H, W] are expected.")
    if isinstance(clips.shape[0], int):
        raise ValueError(f"{name} takes {clips.shape[0]} clips at a time. Export it with a free first dimension.")
    features = next((output for output in outputs if output.name == FEATURES), outputs[0])
    if features.type != "tensor(float)" or len(features.shape) != 2 or not isinstance(features.shape[1], int):
        raise ValueError(
            f"{name} gives {_words([features])}; a pooled feature, float [B, D] with a fixed D, is expected."
        )
    layers = [output for output in outputs if output is not features]
    if odd := [output for output in layers if output.type != "tensor(float)" or len(output.shape) < 2]:
        raise ValueError(f"{name} has the output {_words(odd)}; a layer is float [B, ...].")
    return clips, features, layers


def _again(content: bytes, name: str, architecture: str, device: torch.device) -> OnnxEncoder:
    return OnnxEncoder(content, name=name, architecture=architecture, device=device)


def _words(ends: list[Any]) -> str:
    return ", ".join(f"{end.name} {end.type} [{', '.join(str(size) for size in end.shape)}]" for end in ends)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
