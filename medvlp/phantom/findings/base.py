"""`Lesion`: one finding in one patient. `FindingModel`: how a kind of finding is sampled and drawn.

To add a finding: one file here with a `FindingModel` marked `@register_finding("name")`, its sentences in
`wording/name.yaml`, and its name in `FINDINGS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from medvlp.phantom.anatomy import Anatomy, Side
from medvlp.phantom.materials import Mask, MaterialMaps
from medvlp.phantom.skeleton import Fracture

FINDINGS = (
    "pleural_effusion",
    "pneumothorax",
    "cardiomegaly",
    "consolidation",
    "edema",
    "emphysema",
    "atelectasis",
    "nodule",
    "mass",
    "pleural_thickening",
    "rib_fracture",
    "hiatal_hernia",
    "endotracheal_tube",
    "central_venous_catheter",
    "pacemaker",
)


@dataclass(frozen=True)
class Lesion:
    """One finding in one patient.

    Attributes:
        finding: id of the finding.
        side: `left`, `right`, or None for what has no side.
        place: one of the 51 anatomical places of the knowledge base.
        level: severity from 0 (subtle) to 1.
        seed: of its irregular shape.
        position: in a lung (across, down, deep) where it has one, see `organs.lung_point`.
        size_mm: its largest extent at level 1, where it has one.
        kind: a variant, such as `linear`.
        graded: whether it has degrees of severity; a device has none.

    Examples:
        >>> nodule = Lesion("nodule", "left", "left_upper_lung", level=0.2, seed=1)
        >>> nodule.severity, nodule.with_level(0.9).severity
        ('mild', 'severe')
    """

    finding: str
    side: Side | None
    place: str
    level: float
    seed: int
    position: tuple[float, float, float] = (0.5, 0.5, 0.0)
    size_mm: float | None = None
    kind: str = ""
    graded: bool = True

    def with_level(self, level: float) -> Lesion:
        """The same lesion, more or less severe."""
        return replace(self, level=float(np.clip(level, 0.02, 1.0)))

    @property
    def severity(self) -> str | None:
        """`mild`, `moderate` or `severe`; None for what has no degrees."""
        if not self.graded:
            return None
        return "mild" if self.level < 0.36 else "moderate" if self.level < 0.7 else "severe"

    @property
    def required_side(self) -> Side:
        """The side, for findings that always have one.

        Raises:
            ValueError: it has none.
        """
        if self.side is None:
            raise ValueError(f"{self.finding} has no side")
        return self.side

    @property
    def rng(self) -> Generator:
        """Random numbers of this lesion, the same in every view and study."""
        return np.random.default_rng([self.seed, 5])


class FindingModel(ABC):
    """How one kind of finding is sampled, drawn and reported.

    Attributes:
        rate: fraction of first studies of ill patients that have it.
        persistence: probability that it is still present at the next study.
        portable_only: whether it occurs in AP studies at the bedside only.
    """

    rate: ClassVar[float] = 0.1
    persistence: ClassVar[float] = 0.7
    portable_only: ClassVar[bool] = False

    @abstractmethod
    def sample(self, rng: Generator, anatomy: Anatomy) -> list[Lesion]:
        """Sample new lesions of this kind."""

    def deform(self, anatomy: Anatomy, lesion: Lesion) -> Anatomy:
        """The anatomy as changed by the lesion."""
        return anatomy

    def fractures(self, lesion: Lesion) -> tuple[Fracture, ...]:
        """Fractures that come with the lesion."""
        return ()

    @abstractmethod
    def draw(self, maps: MaterialMaps, lesion: Lesion) -> Mask:
        """Change the material maps in place; returns where the lesion is visible, bool `[H, W]`."""

    def reported_length(self, lesion: Lesion) -> float | None:
        """The length in mm that a report states, if any."""
        return None

    def template_words(self, lesion: Lesion) -> dict[str, str]:
        """Words for the template slots that only this finding has."""
        return {}

    def is_plural(self, lesion: Lesion) -> bool:
        """Whether a report uses the plural."""
        return False


FINDING_MODELS: dict[str, FindingModel] = {}


def register_finding(finding: str) -> Callable[[type[FindingModel]], type[FindingModel]]:
    """Decorator: register a `FindingModel` under the id of its finding."""

    def add(kind: type[FindingModel]) -> type[FindingModel]:
        FINDING_MODELS[finding] = kind()
        return kind

    return add


def sample_side(rng: Generator) -> Side:
    """Left or right."""
    return "left" if rng.random() < 0.5 else "right"


def other_side(side: Side) -> Side:
    """The opposite side."""
    return "right" if side == "left" else "left"


def lung_zone(side: Side, down: float) -> str:
    """The place of a height in a lung: upper, mid or lower third."""
    name = "upper" if down < 0.38 else "mid" if down < 0.68 else "lower"
    return f"{side}_{name}_lung"


def sample_seed(rng: Generator) -> int:
    """A seed for a lesion's own shape."""
    return int(rng.integers(2**31))
