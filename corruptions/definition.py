"""A condition's full name: family, constant table, position, fresh or held, version.

The same words ("shot noise, severity 3") mean different noise in different benchmarks, so the table of constants is
part of the name and stands wherever a number measured under it stands.

Sources of the constants (x is the pixel on the 0..1 scale; the last step is always clip, times 255, truncate to uint8):
- ucf101-p: rose-ar/rose-ar.github.io `code/pert_fns.py`, `code/save_noise_dataset.py`;
  Maddy12/ActionRecognitionRobustnessEval `core/video_perturb.py` (identical);
- imagenet-c: hendrycks/robustness `ImageNet-C/create_c/make_imagenet_c.py`;
- tiny-imagenet-c: same repository, `make_tinyimagenet_c.py` (and `make_imagenet_64_c.py`);
- cifar10-c: same repository, `make_cifar_c.py`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

FAMILIES = ("gaussian", "impulse", "shot", "speckle")

SEVERITIES = (1, 2, 3, 4, 5)

POSITIONS = ("source", "input")
"""source: on decoded frames at native resolution, before resize and crop, as if the file itself were noisy.
input: on the frames a model sees, after resize and crop, before normalisation."""

FORMULAS: Mapping[str, str] = MappingProxyType(
    {
        "gaussian": "x + N(0, c)",
        "impulse": "each element alone replaced with probability c, by 0 or 1 with equal probability",
        "shot": "Poisson(c x) / c",
        "speckle": "x + x N(0, c)",
    }
)
"""What each family does to a value x on the 0..1 scale, given the severity's constant c."""


@dataclass(frozen=True)
class ConstantTable:
    """The five constants of each family, severities 1 to 5, as one published benchmark has them."""

    constants: Mapping[str, tuple[float, float, float, float, float]]
    source: str
    """Where the constants were read."""


TABLES: Mapping[str, ConstantTable] = MappingProxyType(
    {
        "ucf101-p": ConstantTable(
            constants=MappingProxyType(
                {
                    "gaussian": (0.08, 0.12, 0.18, 0.26, 0.38),
                    "impulse": (0.03, 0.06, 0.09, 0.17, 0.27),
                    "shot": (250, 100, 50, 30, 15),
                    "speckle": (0.15, 0.2, 0.25, 0.3, 0.35),
                }
            ),
            source="rose-ar/rose-ar.github.io@f58bd1c code/pert_fns.py",
        ),
        "imagenet-c": ConstantTable(
            constants=MappingProxyType(
                {
                    "gaussian": (0.08, 0.12, 0.18, 0.26, 0.38),
                    "impulse": (0.03, 0.06, 0.09, 0.17, 0.27),
                    "shot": (60, 25, 12, 5, 3),
                    "speckle": (0.15, 0.2, 0.35, 0.45, 0.6),
                }
            ),
            source="hendrycks/robustness@8190fe3 make_imagenet_c.py",
        ),
        "tiny-imagenet-c": ConstantTable(
            constants=MappingProxyType(
                {
                    "gaussian": (0.04, 0.08, 0.12, 0.15, 0.18),
                    "impulse": (0.01, 0.02, 0.05, 0.08, 0.14),
                    "shot": (250, 100, 50, 30, 15),
                    "speckle": (0.15, 0.2, 0.25, 0.3, 0.35),
                }
            ),
            source="hendrycks/robustness@8190fe3 make_tinyimagenet_c.py",
        ),
        "cifar10-c": ConstantTable(
            constants=MappingProxyType(
                {
                    "gaussian": (0.04, 0.06, 0.08, 0.09, 0.10),
                    "impulse": (0.01, 0.02, 0.03, 0.05, 0.07),
                    "shot": (500, 250, 100, 75, 50),
                    "speckle": (0.06, 0.1, 0.12, 0.16, 0.2),
                }
            ),
            source="hendrycks/robustness@8190fe3 make_cifar_c.py",
        ),
    }
)

VERSION = 1
"""Goes up when the bits of any definition change; the old number is then refused rather than drawn differently."""

_NAME = re.compile(
    r"(?P<family>[a-z]+)/(?P<table>[a-z0-9-]+)@(?P<position>[a-z]+)(?P<held>/held)?/v(?P<version>[0-9]+)"
)


@dataclass(frozen=True)
class Definition:
    """One noise, named in full; with a severity and a video it fixes every bit that is drawn."""

    family: str
    table: str = "ucf101-p"
    position: str = "source"
    version: int = VERSION
    hold: bool = False
    """False: fresh noise for each frame. True: the noise of frame number 0 held over the video."""

    def __post_init__(self) -> None:
        _one_of("noise", self.family, FAMILIES)
        _one_of("table", self.table, tuple(TABLES))
        _one_of("position", self.position, POSITIONS)
        if self.version != VERSION:
            raise ValueError(
                f"version {self.version!r} of the noise definitions is not known here; this release draws {VERSION}"
            )
        if not isinstance(self.hold, bool):
            raise ValueError(f"hold is {self.hold!r}; expected True (held over the video) or False (fresh per frame)")

    @property
    def name(self) -> str:
        """The full name, such as "gaussian/ucf101-p@source/v1" or "gaussian/ucf101-p@source/held/v1"."""
        held = "/held" if self.hold else ""
        return f"{self.family}/{self.table}@{self.position}{held}/v{self.version}"

    @classmethod
    def parse(cls, name: str) -> Self:
        """The definition of that full name; the inverse of `name`."""
        match = _NAME.fullmatch(name)
        if match is None:
            raise ValueError(
                f"{name!r} is not the full name of a noise; expected family/table@position/v{VERSION}, "
                f"such as {cls('gaussian').name} or {cls('gaussian', hold=True).name}"
            )
        return cls(
            family=match["family"],
            table=match["table"],
            position=match["position"],
            version=int(match["version"]),
            hold=match["held"] is not None,
        )

    def constant(self, severity: int) -> float:
        """The constant c of the family's formula at a severity from 1 to 5."""
        return TABLES[self.table].constants[self.family][checked_severity(severity) - 1]


def checked_severity(severity: int) -> int:
    """The severity itself; anything but the integers 1 to 5 is refused."""
    # True == 1, and a numpy integer is as good as an int.
    if isinstance(severity, bool) or severity not in SEVERITIES or int(severity) != severity:
        raise ValueError(f"severity is {severity!r}; expected an integer from 1 to 5 (clean clips need no call)")
    return int(severity)


def _one_of(what: str, found: str, known: tuple[str, ...]) -> None:
    if found not in known:
        raise ValueError(f"unknown {what} {found!r}; expected one of {', '.join(known)}")
