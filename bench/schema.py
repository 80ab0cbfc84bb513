"""The shared nouns: what is stored, sent and shown. Read this file first.

Everything here is a frozen value that refuses unknown fields. Accuracies are fractions in [0, 1]; the page multiplies
by 100. Times are UTC. Needs pydantic only, so that the page, the queue and other people's tools can read a result without torch or NumPy.
"""

import hashlib
import json
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

StageName = Literal["linear_probe", "finetune", "retrieval", "robustness", "distillation", "cka"]
STAGES: tuple[StageName, ...] = ("linear_probe", "finetune", "retrieval", "robustness", "distillation", "cka")

ArchitectureKind = Literal["convolutional", "transformer"]
"""Which of a suite's training cards a network is finetuned by."""

Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256, in hexadecimal."""

ModelName = Annotated[str, StringConstraints(pattern=r"^[\w][\w .+()·/@-]{0,79}$", strip_whitespace=True)]
"""What a stranger may call his model: letters, digits and a little punctuation."""

RESULT_VERSION: Literal[1] = 1
"""Layout of a result folder. A reader refuses a version it does not know."""


class Frozen(BaseModel):
    """A value: compared by content, never changed, strict about its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def content_hash(value: BaseModel | dict[str, Any]) -> str:
    """SHA-256 of a value's canonical JSON (sorted keys, no spaces)."""
    content = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class ClipSpec(Frozen):
    """The clip that a suite shows to every encoder."""

    num_frames: Annotated[int, Field(ge=1, le=128)] = 16
    """Frames in a clip."""

    stride: Annotated[int, Field(ge=1, le=16)] = 1
    """Source frames from one clip frame to the next."""

    resize: tuple[int, int] = (128, 171)
    """Height and width, in pixels, to which every frame is resized first."""

    size: Annotated[int, Field(ge=16, le=512)] = 112
    """Height and width of the square that is then cropped, in pixels."""

    @property
    def span(self) -> int:
        """Source frames from the first clip frame to the last, both included."""
        return (self.num_frames - 1) * self.stride + 1


class Normalisation(Frozen):
    """How an encoder wants its pixels: (x - mean) / std per RGB channel, x on the 0..1 scale."""

    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)


class Condition(Frozen):
    """What was done to the test clips before the model saw them."""

    corruption: str = "clean"
    """`clean`, or the full name of a corruption: family, table, position, version (`shot/ucf101-p@source/v1`)."""

    severity: Annotated[int, Field(ge=0, le=5)] = 0

    @model_validator(mode="after")
    def _only_clean_is_zero(self) -> Self:
        if (self.corruption == "clean") != (self.severity == 0):
            raise ValueError(f"{self.corruption} at severity {self.severity} is no condition")
        return self

    @property
    def family(self) -> str:
        """`clean`, `gaussian`, `impulse`, `shot` or `speckle`."""
        return self.corruption.split("/")[0]

    def __str__(self) -> str:
        return self.corruption if self.corruption == "clean" else f"{self.corruption}#{self.severity}"


CLEAN = Condition()


class Score(Frozen):
    """One number, and all that is needed to say what it is."""

    stage: StageName
    dataset: str
    metric: str
    """`top1`, `recall@5`, `noise_mean`, `relative_decrease@1-5`, `area`, `break_point`, `gain_over_alone`, `kept_after_finetuning` ..."""

    model: str = ""
    """Which of the stage's models: `probe`, `finetuned`, or an arm of distillation; empty where there is one."""

    condition: Condition = CLEAN
    value: float | None
    """None where the quantity does not exist (a break point that is never reached); `note` then says so."""

    low: float | None
    """Lower end of the 95 % interval."""

    high: float | None
    """Upper end of the 95 % interval."""

    n: Annotated[int, Field(gt=0)]
    """Test videos behind the number."""

    clusters: Annotated[int, Field(gt=0)]
    """Sources behind these videos: what the bootstrap resamples."""

    chance: float | None = None
    """What guessing would score; None where there is no such thing."""

    seeds: tuple[int, ...] = ()
    """Training seeds averaged; empty where nothing is trained at random."""

    note: str = ""


class Card(Frozen):
    """What is known about an encoder, apart from its scores."""

    name: ModelName
    architecture: str
    """Name in reference_models.backbones, or the author's own word for his module."""

    weight_hash: Hash
    encoder_hash: Hash
    """Weight hash and normalisation. Rows and duplicates go by it."""

    normalisation: Normalisation
    feature_dim: Annotated[int, Field(gt=0)]
    parameters: Annotated[int, Field(gt=0)]
    """Of the trunk."""

    gflops: float | None = None
    """Of one clip of the suite through the trunk, two a multiply-accumulate; None where it could not be counted."""

    track: Literal["full", "features-only"] = "full"
    anchor: Literal["", "random", "supervised"] = ""
    """Whether the row shows the scale instead of competing."""

    pretext: str = ""
    family: Literal["", "contrastive", "non-contrastive"] = ""
    pretrained_on: tuple[str, ...] = ()
    """Datasets whose videos were seen in pretraining, labels or not."""

    owner: str = ""
    licence: str = ""
    recipe: str = ""


class Environment(Frozen):
    """Where a result was computed. Library versions live here: they are no part of a suite's hash."""

    python: str
    platform: str
    cpu: str
    accelerator: str = ""
    threads: int
    libraries: dict[str, str]
    code_version: str
    """Version of Reelproof."""

    code_commit: str = ""
    """Commit of the checkout, where there is one."""

    code_dirty: bool | None = None
    """Whether the checkout had uncommitted changes; None where it is no checkout."""


class StageReport(Frozen):
    """One stage of one result: what it followed, how long it took, what it found besides scores."""

    stage: StageName
    stage_hash: Hash
    seconds: float
    """Wall-clock seconds of this run; what came from the cache took none."""

    cached: bool = False
    """Whether everything in it had been computed before."""

    facts: dict[str, float | int | str] = {}
    """Chosen strengths and rates, selection gaps, validation accuracies: for the row's page, never ranked."""


class DatasetReport(Frozen):
    """The videos that a result stands on."""

    name: str
    manifest_hash: Hash
    frames_digest: Hash
    """Digest of the decoded, resized frames."""

    frames_expected: Hash | None = None
    """What the suite expects; None where it pins none."""

    official: bool = False
    """Whether the videos are those of official lists whose frames the suite does not pin."""

    clip: ClipSpec | None = None
    """The clip that was shown, in an open suite, where every encoder has its own."""

    class_names: tuple[str, ...]
    num_train: int
    num_validation: int
    num_test: int
    num_clusters: int
    """Sources in the test set."""

    left_out: tuple[str, ...] = ()
    """Videos that could not be read, by policy left out."""


class LoadReport(Frozen):
    """Proof that the weights arrived."""

    loaded: int
    """Trunk tensors filled from the checkpoint."""

    expected: int
    dropped: dict[str, str] = {}
    """Tensors of the checkpoint that are no part of the trunk, and why they were left."""

    recognised: str = ""
    """Format and architecture, and how they were recognised."""


class Result(Frozen):
    """All scores of one encoder under one suite. Never edited after it is written."""

    version: Literal[1] = RESULT_VERSION
    result_id: str
    """`<encoder hash, 12 digits>--<suite hash, 12 digits>--<time>`; also the folder's name."""

    card: Card
    suite: str
    suite_hash: Hash
    suite_status: Literal["draft", "released"]
    created: AwareDatetime
    submission_id: int | None = None
    """None for a result that its author computed himself."""

    datasets: tuple[DatasetReport, ...]
    stages: tuple[StageReport, ...]
    scores: tuple[Score, ...]
    environment: Environment
    load_report: LoadReport | None = None
    postable: bool
    """Whether it may stand on the public board: the suite's own data with the digests it expects."""

    remarks: tuple[str, ...] = ()
    """Sentences a reader must see: other digests, stages that do not apply, flags."""

    def find(
        self, stage: str, dataset: str, metric: str, *, model: str = "", condition: Condition = CLEAN
    ) -> Score | None:
        """The one score that these words name."""
        for score in self.scores:
            words = (score.stage, score.dataset, score.metric, score.model, score.condition)
            if words == (stage, dataset, metric, model, condition):
                return score
        return None
