"""What a suite is: a tree of settings, every stage with a hash of its own.

The hash of a stage covers all that can move its numbers: the videos it stands on, the clip, the precision, its
settings, an integer version of its code, and the hashes of the stages it builds upon. Two scores with the same stage
hash are comparable, whatever suite they come from. Library versions and the machine are environment, not protocol.

A setting that came after a suite was released is `added`: while it holds the value that was the only one before, it is
in no dump and in no hash.
"""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from bench.schema import STAGES, ArchitectureKind, ClipSpec, Frozen, Hash, StageName, content_hash

FORWARD_VERSION = 1
"""Raised when the way from uint8 clips to features changes its numbers."""

Value = TypeVar("Value")


def added(before: Value) -> Value:
    """The default of a setting that older suites do not have: left out of the dump while it holds it."""
    default: Value = Field(default=before, exclude_if=lambda value: value == before)
    return default


class DatasetProtocol(Frozen):
    """One data set of a suite."""

    name: str
    """Known to bench.video.datasets; `local` for somebody's own videos."""

    manifest_hash: Hash
    """Over ids, sources and labels of every split."""

    frames_digest: Hash | None = None
    """Over the decoded, resized frames of the splits; None where a suite cannot know them."""

    official: bool = False
    """Whether the manifest is that of the official lists. Their frames are not pinned: a result says which it saw."""

    num_classes: Annotated[int, Field(ge=2)]
    """Of the labels; chance is one in so many."""

    stages: tuple[StageName, ...] = STAGES
    """Which stages run on it."""


class Views(Frozen):
    """How a video is looked at in testing: clips evenly spaced from its first frame to its last, centre crop."""

    train: Annotated[int, Field(ge=1)] = 1
    """Clips of a training video whose features are averaged (probe, gallery)."""

    test: Annotated[int, Field(ge=1)] = 10
    """Clips of a test video whose features or logits are averaged."""


class LinearProbe(Frozen):
    """Multinomial logistic regression on standardised features of the fixed trunk."""

    version: int = 1
    strengths: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    """Weights of the L2 penalty, lambda in mean loss + lambda / 2 |W|^2; one is chosen on validation."""

    tolerance: float = 1e-5
    """Largest entry of the gradient at which the fit counts as converged."""


class TrainingCard(Frozen):
    """How a network is trained: read by finetuning and distillation."""

    optimiser: Literal["sgd", "adamw"] = "sgd"
    learning_rates: tuple[float, ...]
    """Short list. With more than one, short runs on validation choose."""

    head_rate: float = 1.0
    """Learning rate of the head, as a multiple of the trunk's."""

    weight_decay: float
    momentum: float = 0.9
    epochs: Annotated[int, Field(ge=1)]
    search_epochs: Annotated[int, Field(ge=0)] = 0
    """Length of the short runs that choose the rate."""

    batch_size: Annotated[int, Field(ge=2)]
    warm_up: float = 0.1
    """Share of the steps in which the rate rises from zero; then it falls as a cosine to zero."""

    head_norm: bool = True
    """BatchNorm without affine between the pooled feature and the linear layer."""

    dropout: float = 0.0
    brightness: float = 0.0
    """Largest relative change of brightness and of contrast, one draw a clip."""

    crop: Literal["centre", "random"] = "centre"
    flip: bool = False
    label_smoothing: float = 0.0
    clip_gradient: float | None = None
    """Norm to which gradients are clipped."""

    layer_decay: float = added(1.0)
    """Factor by which the rate falls from one layer of the trunk to the layer before it; the head has the full rate."""

    drop_path: float = added(0.0)
    """Share of residual branches left out in the last block while training, rising from none in the first; 0 leaves
    the trunk as it is."""


class Finetune(Frozen):
    """All weights trained, from the checkpoint and a fresh linear layer."""

    version: int = 1
    card: TrainingCard
    """Of convolutional networks; of all where there is no other card."""

    seeds: tuple[int, ...] = (0, 1, 2)
    transformer_card: TrainingCard | None = added(None)
    """Of transformers."""

    def card_of(self, kind: ArchitectureKind) -> TrainingCard:
        """The card that networks of this kind are trained by."""
        return self.card if kind == "convolutional" or self.transformer_card is None else self.transformer_card


class Retrieval(Frozen):
    """Nearest training videos by cosine."""

    version: int = 1
    ks: tuple[int, ...] = (1, 5, 10, 20, 50)


class Robustness(Frozen):
    """Probe and finetuned model, trained on clean clips, under noise."""

    version: int = 1
    corruptions: tuple[str, ...]
    """Full names of the corruptions."""

    severities: tuple[int, ...] = (1, 2, 3, 4, 5)
    videos: int | None = None
    """Test videos used, whole sources picked by hash; None for all."""

    views: Annotated[int, Field(ge=1)] = 1
    """Clips of a video that are noised and averaged; 1 is the middle one."""

    models: tuple[Literal["probe", "finetuned"], ...] = ("probe", "finetuned")


class Distillation(Frozen):
    """A small student taught by the finetuned submission."""

    version: int = 1
    student: str
    """Name of the student's backbone, given by the caller of the harness."""

    card: TrainingCard
    temperature: float = 4.0
    teacher_weight: float = 0.7
    """Share of the teachers' term; the rest is cross-entropy with the labels."""

    views: Annotated[int, Field(ge=1)] = 3
    """Fixed training clips a video for which teachers' logits exist."""

    seeds: tuple[int, ...] = (0, 1, 2)
    reference_digest: dict[str, Hash] = Field(default_factory=dict)
    """By data set: digest of the table of logits of the suite's reference teacher; none for own videos."""


class Cka(Frozen):
    """Similarity of layers, from minibatch Gram matrices."""

    version: int = 1
    videos: int = 1024
    """Test videos used at most, in the suite's order (hash of the id)."""

    batch: Annotated[int, Field(ge=4)] = 64
    permutations: int = 20
    """Shufflings behind the floor."""


class Explanation(Frozen):
    """A suite in words, for `reelproof suites`. No part of its hash."""

    question: str
    """What it is for."""

    paper: tuple[str, ...] = ()
    """Settings that the paper gives."""

    ours: tuple[str, ...] = ()
    """Settings that are our choice, each with its reason."""

    cost: str = ""
    """Of one model, measured or estimated."""


class Suite(Frozen):
    """One protocol."""

    name: str
    status: Literal["draft", "released"] = "draft"
    about: Explanation | None = None
    clip: ClipSpec
    """What everyone is shown; in an open suite, what an encoder is shown that names no clip of its own."""

    open: bool = False
    """Whether every encoder is shown clips of its own length, stride and size."""

    precision: Literal["fp32", "bf16"] = "fp32"
    pixel_contract: int
    """Version of decoding and resize (bench.video.decode.PIXEL_CONTRACT)."""

    views: Views
    datasets: tuple[DatasetProtocol, ...]
    linear_probe: LinearProbe
    finetune: Finetune
    retrieval: Retrieval
    robustness: Robustness
    distillation: Distillation
    cka: Cka

    def dataset(self, name: str) -> DatasetProtocol:
        """The data set of this name."""
        for dataset in self.datasets:
            if dataset.name == name:
                return dataset
        raise ValueError(f"{self.name} has no data set {name}. It has: {', '.join(d.name for d in self.datasets)}.")

    def with_clip(self, clip: ClipSpec | None) -> "Suite":
        """An open suite as this encoder is judged by it. Other suites give everyone their own clip."""
        return self.model_copy(update={"clip": clip}) if self.open and clip is not None else self

    def fit_key(self, stage: StageName, dataset: str) -> dict[str, Any]:
        """What a model fitted under this suite is named by in the cache, beside encoder and seed."""
        own_clip = {"clip": self.clip.model_dump(mode="json")} if self.open else {}
        return {"stage": self.stage_hash(stage), "dataset": dataset, **own_clip}

    def clip_set(self, dataset: str, split: str, views: int) -> dict[str, Any]:
        """Everything that determines the clips of one split: the part of a cache key that says what was looked at."""
        return {
            "manifest": self.dataset(dataset).manifest_hash,
            "split": split,
            "views": views,
            "clip": self.clip.model_dump(mode="json"),
            "pixels": self.pixel_contract,
            "precision": self.precision,
            "forward": FORWARD_VERSION,
        }

    def stage_protocol(self, stage: StageName) -> dict[str, Any]:
        """What the stage's hash is taken over."""
        return {
            "stage": stage,
            "settings": getattr(self, stage).model_dump(mode="json"),
            "clip": "the encoder's own" if self.open else self.clip.model_dump(mode="json"),
            "views": self.views.model_dump(mode="json"),
            "precision": self.precision,
            "pixels": self.pixel_contract,
            "forward": FORWARD_VERSION,
            "datasets": [
                {"name": d.name, "manifest": d.manifest_hash, "frames": d.frames_digest}
                for d in self.datasets
                if stage in d.stages
            ],
            "upon": {name: self.stage_hash(name) for name in BUILDS_UPON[stage]},
        }

    def stage_hash(self, stage: StageName) -> Hash:
        """Scores with the same stage hash are comparable."""
        return content_hash(self.stage_protocol(stage))

    @property
    def hash(self) -> Hash:
        """Hash of the stages' hashes. The name, the status and the words are not in it."""
        return content_hash({stage: self.stage_hash(stage) for stage in STAGES})


BUILDS_UPON: dict[StageName, tuple[StageName, ...]] = {
    "linear_probe": (),
    "finetune": (),
    "retrieval": (),
    "robustness": ("linear_probe", "finetune"),
    "distillation": ("finetune",),
    "cka": ("finetune",),
}
"""Which stages' fitted models a stage reads."""
