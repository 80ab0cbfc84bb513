"""From a checkpoint that somebody has to a checkpoint folder, with every tensor accounted for.

Run by the author of the weights on his machine. The format and the architecture are recognised by the keys and shapes;
a trunk that is not filled whole, or a tensor that no rule explains, is refused.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.schema import LoadReport, Normalisation
from reference_models.backbones import BACKBONES, FRAMES, SIZE, build, parse
from reference_models.backbones.transformers_name import name_of, spec_of
from reference_models.checkpoints.built_clip import built_clip
from reference_models.checkpoints.config import About, name_of_folder
from reference_models.checkpoints.formats import FORMATS
from reference_models.checkpoints.formats.format import Format, Translated, translate
from reference_models.checkpoints.formats.hugging_face import BY_MODEL_TYPE
from reference_models.checkpoints.save import save
from reference_models.checkpoints.weights_file import WeightsFile, read_weights
from reference_models.hub import fetch, is_address

COUNTER = "num_batches_tracked"
"""A batch norm's count of batches: unused in judging, and absent from files older than it."""


def convert(
    file: Path,
    out: Path,
    format: str = "auto",
    arch: str = "auto",
    normalisation: Normalisation | None = None,
) -> LoadReport:
    """Write the trunk of a checkpoint as a checkpoint folder, and say what became of every tensor.

    Args:
        file: What torch.save or safetensors wrote, a folder of the Hub with one such file and its config.json, or the
            address of such a repository.
        out: The folder to write; its name becomes the checkpoint's.
        format: Name of one of `FORMATS`, where the keys would leave it open.
        arch: Name of a backbone, likewise.
        normalisation: The colours the network was trained with; by default those usual for the format.

    Raises:
        ValueError: If the file cannot be read safely, or does not fill the whole trunk of any architecture.
    """
    adopted = adopt(fetch(file).folder if is_address(file) else file, format, arch, normalisation)
    about = About(name=name_of_folder(out), architecture=adopted.architecture, normalisation=adopted.normalisation)
    save(out, adopted.module, about)
    return adopted.report


@dataclass(frozen=True)
class Adopted:
    """Somebody's weights in a trunk that we can judge."""

    module: nn.Module
    architecture: str
    normalisation: Normalisation
    report: LoadReport


def adopt(file: Path, format: str = "auto", arch: str = "auto", normalisation: Normalisation | None = None) -> Adopted:
    """What `convert` writes, without writing it; arguments and refusals as there."""
    read = read_weights(file)
    best = recognise(read, file, format, arch)
    with torch.random.fork_rng([]):
        module = build(best.architecture)
    tensors = _filled(best, module, file)
    module.load_state_dict(tensors)
    report = LoadReport(
        loaded=len(tensors),
        expected=len(module.state_dict()),
        dropped={**best.dropped, **read.beside},
        recognised=_recognised(best, read, format, arch, normalisation),
    )
    colours = normalisation or read.colours or best.form.normalisation
    return Adopted(module, best.architecture, colours, report)


@dataclass(frozen=True)
class Attempt:
    """A file read as one format of one architecture."""

    form: Format
    architecture: str
    tensors: dict[str, Tensor]
    """Under the trunk's keys, those with its shapes."""

    dropped: dict[str, str]
    fresh: dict[str, str]
    """Keys of the trunk that keep their initial value, and why."""

    missing: tuple[str, ...]
    other_shape: dict[str, str]
    surplus: tuple[str, ...]
    twins: tuple[str, ...] = ()
    """Architectures that the same tensors fill as well, and that compute something else."""

    @property
    def whole(self) -> bool:
        """Whether every tensor of the trunk is filled and every tensor of the file is explained."""
        return not (self.missing or self.other_shape or self.surplus)

    @property
    def share(self) -> float:
        """Of the trunk's tensors that are filled."""
        total = len(self.tensors) + len(self.missing) + len(self.other_shape)
        return len(self.tensors) / total


def recognise(read: WeightsFile, file: Path, format: str = "auto", arch: str = "auto") -> Attempt:
    """The first reading that fills a whole trunk and explains every tensor; a refusal that names the nearest otherwise."""
    failed = []
    found: Attempt | None = None
    twins: list[str] = []
    for attempt in _attempts(read, format, arch):
        if found is None and not attempt.whole:
            failed.append(attempt)
        elif found is None:
            found = attempt
        elif attempt.form is not found.form:
            break
        elif attempt.whole:
            twins.append(attempt.architecture)
    if found is None:
        raise ValueError(_refusal(file, failed))
    return replace(found, twins=tuple(twins))


def _attempts(read: WeightsFile, format: str, arch: str) -> Iterator[Attempt]:
    """The file read as all that was asked for: first the formats whose mark is there, then the others, to name the nearest.

    Where the config.json beside it names one of the library's encoders, and nothing else is asked for, it is that.
    """
    if format == arch == "auto" and (form := BY_MODEL_TYPE.get(str(read.config.get("model_type")))):
        yield _library_attempt(form, read)
        return
    names = list(dict.fromkeys(form.name for form in FORMATS))
    if format != "auto" and format not in names:
        raise ValueError(f"There is no format {format!r}. There are: {', '.join(names)}.")
    plain, clip = ("auto", None) if arch == "auto" else parse(arch)
    forms = [form for form in FORMATS if format in ("auto", form.name)]
    forms = [form for form in forms if plain == "auto" or plain in form.architectures]
    if not forms:
        raise ValueError(f"No format {format} of ours holds a {plain}. Leave one of the two to be recognised.")
    forms.sort(key=lambda form: not any(re.search(form.marks, key) for key in read.tensors))
    for form in forms:
        translated = translate(form, read.tensors)
        for name in form.architectures:
            if plain in ("auto", name):
                yield _attempt(form, translated, name, clip, read.config)


def _library_attempt(form: Format, read: WeightsFile) -> Attempt:
    """A repository of the Hub, for the library's own class."""
    architecture = name_of(spec_of(read.config, read.tensors, "config.json"))
    try:
        _shapes(architecture)
    except ValueError as error:
        raise ValueError(
            f"{error} Or name a network of ours that has this layout, as --arch videomae_vit_b."
        ) from error
    return _compared(form, translate(form, read.tensors), architecture)


def _attempt(
    form: Format,
    translated: Translated,
    plain: str,
    clip: tuple[int, int] | None,
    config: Mapping[str, object],
) -> Attempt:
    architecture = plain
    if BACKBONES[plain].built_for_one_clip:
        clip = clip or built_clip(plain, translated.tensors, config) or (FRAMES, SIZE)
        if clip != (FRAMES, SIZE):
            architecture = f"{plain}@{clip[0]}x{clip[1]}"
    try:
        _shapes(architecture)
    except ValueError:  # position tables of no possible clip: compared with the usual one, which tells which differ
        architecture = plain
    return _compared(form, translated, architecture)


def _compared(form: Format, translated: Translated, architecture: str) -> Attempt:
    """What is there, missing, of another shape and too much."""
    expected, found = _shapes(architecture), translated.tensors
    absent = [key for key in expected if key not in found]
    reasons = {key: _why_fresh(key, form) for key in absent}
    return Attempt(
        form=form,
        architecture=architecture,
        tensors={key: found[key] for key, shape in expected.items() if key in found and found[key].shape == shape},
        dropped=translated.dropped,
        fresh={key: why for key, why in reasons.items() if why},
        missing=tuple(key for key in absent if not reasons[key]),
        other_shape={
            key: f"{list(found[key].shape)} instead of {list(shape)}"
            for key, shape in expected.items()
            if key in found and found[key].shape != shape
        },
        surplus=tuple(key for key in found if key not in expected),
    )


def _why_fresh(key: str, form: Format) -> str:
    if key.endswith(f".{COUNTER}"):
        return "older than the counter"
    return next((why for pattern, why in form.fresh if re.search(pattern, key)), "")


@lru_cache(maxsize=64)
def _shapes(architecture: str) -> dict[str, torch.Size]:
    with torch.device("meta"):
        return {key: tensor.shape for key, tensor in build(architecture).state_dict().items()}


def _filled(attempt: Attempt, module: nn.Module, file: Path) -> dict[str, Tensor]:
    """The trunk's whole state in its own types, checked value by value."""
    state = module.state_dict()
    tensors: dict[str, Tensor] = {}
    for key, own in state.items():
        if key in attempt.fresh:
            tensors[key] = own.clone()
            continue
        tensor = attempt.tensors[key]
        if not _widens(tensor.dtype, own.dtype):
            raise ValueError(f"{file}: {key} is {_dtype(tensor)}, {attempt.architecture} has it in {_dtype(own)}.")
        tensors[key] = tensor.to(own.dtype, copy=True).contiguous()
        if own.is_floating_point():
            if bad := int((~torch.isfinite(tensors[key])).sum()):
                raise ValueError(
                    f"{file}: {bad} of {tensor.numel()} values of {key} are NaN or infinite in {_dtype(own)}. The training "
                    "that made them went wrong; take an earlier checkpoint."
                )
        elif not key.endswith(COUNTER) and not torch.equal(tensors[key], own):
            raise ValueError(
                f"{file}: {key} is a table of {attempt.architecture} and has other values than it must have."
            )
    return tensors


def _widens(theirs: torch.dtype, own: torch.dtype) -> bool:
    """Whether numbers of one type are taken for the other: whole for whole, or any of the usual floats."""
    if own.is_floating_point:
        return theirs in (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    return theirs in (torch.int32, torch.int64)


def _recognised(
    attempt: Attempt, read: WeightsFile, format: str, arch: str, normalisation: Normalisation | None
) -> str:
    """Format and architecture, how they were recognised, and what was assumed."""
    asked = [what for what, value in (("format", format), ("architecture", arch)) if value != "auto"]
    how = f"{' and '.join(asked)} as asked for, the rest by keys and shapes" if asked else "by keys and shapes"
    words = [f"{attempt.form.name} ({attempt.form.source}), {attempt.architecture}, {how}; weights in {read.where}"]
    if attempt.twins:
        words.append(f"the tensors fit {' and '.join(attempt.twins)} as well, which --arch chooses")
    for why in dict.fromkeys(attempt.fresh.values()):
        keys = [key for key, reason in attempt.fresh.items() if reason == why]
        words.append(f"{_some(keys)} keep{'s' if len(keys) == 1 else ''} the initial value: {why}")
    types = sorted({_dtype(tensor) for tensor in attempt.tensors.values() if tensor.is_floating_point()})
    if types != ["float32"]:
        words.append(f"stored in {' and '.join(types)}, written in float32")
    if normalisation is None:
        usual = "colours as usual for this format; say so if yours differ"
        words.append(usual if read.colours is None else "colours by its preprocessor_config.json")
    return "; ".join(words) + "."


def _refusal(file: Path, attempts: list[Attempt]) -> str:
    """Which format comes nearest, and what it lacks."""
    near = max(attempts, key=lambda attempt: (attempt.share, -len(attempt.surplus)))
    total = len(near.tensors) + len(near.missing) + len(near.other_shape)
    if not near.tensors:
        return (
            f"{file} is in no format we know: none of its {len(near.surplus) + len(near.dropped)} tensors has a place in "
            f"any of our architectures. Formats: {', '.join(dict.fromkeys(form.name for form in FORMATS))}."
        )
    parts = [f"{file} does not fill a whole trunk. The nearest is the format {near.form.name} of {near.architecture}: "]
    parts.append(f"{len(near.tensors)} of {total} tensors are there.")
    if near.missing:
        parts.append(f" Missing: {_some(near.missing)}.")
    if near.other_shape:
        parts.append(f" Of another shape: {_some([f'{key} {what}' for key, what in near.other_shape.items()])}.")
    if near.surplus:
        parts.append(f" Not understood: {_some(near.surplus)}.")
    return "".join(parts)


def _some(names: list[str] | tuple[str, ...]) -> str:
    """The first five, and how many more there are."""
    more = len(names) - 5
    return ", ".join(names[:5]) + (f" and {more} more" if more > 0 else "")


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
