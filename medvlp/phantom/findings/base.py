"""`Lesion`, what one finding is in one person, and `Drawing`, how a kind of finding is placed and drawn.

To add a finding: one file here with a `Drawing` marked `@register("name")`, one file of phrases `wording/name.yaml`,
and its name in `FINDINGS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from medvlp.phantom.anatomy import Anatomy, Side
from medvlp.phantom.ribs import Break
from medvlp.phantom.scene import Mask, Scene

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
    """One finding in one place.

    Attributes:
        finding: its id.
        side: `left`, `right`, or None for what has no side.
        place: one of the 51 places.
        level: severity from 0 (subtle) to 1.
        seed: of its irregular shape.
        spot: place in a lung (across, down, deep) where it has one, see `organs.lung_point`.
        size_mm: its largest extent at level 1, where it has one.
        kind: a variant, such as `linear`.
        graded: whether it has degrees at all; a device has none.
    """

    finding: str
    side: Side | None
    place: str
    level: float
    seed: int
    spot: tuple[float, float, float] = (0.5, 0.5, 0.0)
    size_mm: float | None = None
    kind: str = ""
    graded: bool = True

    def at(self, level: float) -> Lesion:
        """The same lesion, more or less severe."""
        return replace(self, level=float(np.clip(level, 0.02, 1.0)))

    @property
    def severity(self) -> str | None:
        """`mild`, `moderate` or `severe`; None for what has no degrees."""
        if not self.graded:
            return None
        return "mild" if self.level < 0.36 else "moderate" if self.level < 0.7 else "severe"

    @property
    def own_side(self) -> Side:
        """The side, for findings that always have one.

        Raises:
            ValueError: it has none.
        """
        if self.side is None:
            raise ValueError(f"{self.finding} has no side")
        return self.side

    @property
    def rng(self) -> Generator:
        """Its own random numbers, the same in every view and study."""
        return np.random.default_rng([self.seed, 5])


class Drawing:
    """How one kind of finding arises and looks.

    Attributes:
        rate: share of ill people's first studies that have it.
        lasting: chance that it is still there at the next study.
        portable: whether it only comes with AP studies at the bedside.
    """

    rate: ClassVar[float] = 0.1
    lasting: ClassVar[float] = 0.7
    portable: ClassVar[bool] = False

    def arise(self, rng: Generator, anatomy: Anatomy) -> list[Lesion]:
        """New lesions of this kind."""
        raise TypeError(f"{type(self).__name__} does not say how it arises")

    def shape(self, anatomy: Anatomy, lesion: Lesion) -> Anatomy:
        """The anatomy as the lesion changes it."""
        return anatomy

    def breaks(self, lesion: Lesion) -> tuple[Break, ...]:
        """Fractures that come with the lesion."""
        return ()

    def draw(self, scene: Scene, lesion: Lesion) -> Mask:
        """Change the scene's materials; returns where the lesion is seen, bool `[H, W]`."""
        raise TypeError(f"{type(self).__name__} does not say how it is drawn")

    def length(self, lesion: Lesion) -> float | None:
        """The length in mm that a report states, if any."""
        return None

    def words(self, lesion: Lesion) -> dict[str, str]:
        """Words for slots of its own in its phrases."""
        return {}

    def many(self, lesion: Lesion) -> bool:
        """Whether a report speaks of it in the plural."""
        return False


DRAWINGS: dict[str, Drawing] = {}


def register(finding: str) -> Callable[[type[Drawing]], type[Drawing]]:
    """Make a drawing known under its finding's id."""

    def add(kind: type[Drawing]) -> type[Drawing]:
        DRAWINGS[finding] = kind()
        return kind

    return add


def any_side(rng: Generator) -> Side:
    """Left or right."""
    return "left" if rng.random() < 0.5 else "right"


def other_side(side: Side) -> Side:
    """The opposite side."""
    return "right" if side == "left" else "left"


def zone(side: Side, down: float) -> str:
    """The place of a height in a lung: upper, mid or lower third."""
    name = "upper" if down < 0.38 else "mid" if down < 0.68 else "lower"
    return f"{side}_{name}_lung"


def fresh_seed(rng: Generator) -> int:
    """A seed for a lesion's own shape."""
    return int(rng.integers(2**31))
