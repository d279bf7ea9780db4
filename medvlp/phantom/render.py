"""`render`: one person, one visit, one view -> a picture with its masks and boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from medvlp.phantom.accessories import Accessories, draw_accessories, sample_accessories
from medvlp.phantom.anatomy import Anatomy
from medvlp.phantom.chest import build_scene
from medvlp.phantom.findings import DRAWINGS, Lesion
from medvlp.phantom.geometry import Floats, Projection, View
from medvlp.phantom.scene import Mask
from medvlp.phantom.xray import Exposure, expose, sample_exposure

FIELD = 356.0  # mm along the picture's side


@dataclass(frozen=True)
class Seen:
    """One lesion as one picture shows it: `box` is x0, y0, x1, y1 in pixels, ends excluded."""

    lesion: Lesion
    box: tuple[int, int, int, int]
    mask: Mask


@dataclass(frozen=True)
class Picture:
    """A rendered view: `image` float32 `[H, W]` in [0, 1], bone white; outlines; what of each lesion is seen."""

    image: Floats
    projection: Projection
    lungs: Mask
    heart: Mask
    seen: tuple[Seen, ...]

    def masks(self) -> dict[str, Mask]:
        """`lungs`, `heart`, and the union of each finding's lesions."""
        masks = {"lungs": self.lungs, "heart": self.heart}
        for seen in self.seen:
            name = seen.lesion.finding
            masks[name] = masks[name] | seen.mask if name in masks else seen.mask
        return masks


def sample_projection(rng: Generator, view: View, size: int, anatomy: Anatomy) -> Projection:
    """Draw how the person stands before the detector."""
    field = FIELD * (0.5 + 0.5 * anatomy.stature) * rng.normal(1.0, 0.035)
    portable = view == "AP"
    spread = 1.6 if portable else 1.0
    return Projection(
        view=view,
        shape=(size, size),
        pitch=float(field / size),
        top=float(-40 + rng.normal(0, 10) * spread),
        centre=float(rng.normal(-6 if view == "LATERAL" else 0, 7 * spread)),
        turn=float(np.clip(rng.normal(0, 0.04 if view == "LATERAL" else 0.025 * spread), -0.1, 0.1)),
        lean=float(np.clip(rng.normal(0, 0.02 * spread), -0.08, 0.08)),
        magnify=-1 / 1000 if portable else 1 / 1800,
    )


def posed(rng: Generator, anatomy: Anatomy, view: View) -> Anatomy:
    """The same person as they happen to breathe and lie for one picture."""
    breath = rng.normal(-16 if view == "AP" else 0, 9)
    return anatomy.changed(inflation=anatomy.inflation + float(breath))


def render(
    anatomy: Anatomy,
    lesions: Sequence[Lesion],
    projection: Projection,
    exposure: Exposure,
    noise: Generator | None = None,
    accessories: Accessories | None = None,
) -> Picture:
    """Draw a chest with its lesions. Without `noise` the picture depends on the other arguments alone."""
    for lesion in lesions:
        anatomy = DRAWINGS[lesion.finding].shape(anatomy, lesion)
    breaks = tuple(b for lesion in lesions for b in DRAWINGS[lesion.finding].breaks(lesion))
    scene = build_scene(anatomy, projection, breaks)
    seen = []
    for lesion in lesions:
        mask = DRAWINGS[lesion.finding].draw(scene, lesion)
        if mask.any():
            seen.append(Seen(lesion, box_of(mask), mask))
    draw_accessories(scene, accessories or Accessories())
    image = expose(scene.line_integral(), projection, exposure, noise)
    return Picture(image, projection, scene.lungs, scene.heart, tuple(seen))


def box_of(mask: Mask) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of a mask that is not empty, ends excluded."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def take(seed: Sequence[int], anatomy: Anatomy, lesions: Sequence[Lesion], view: View, size: int) -> Picture:
    """Pose, expose and render one view; everything at random comes from `seed`."""
    rng = np.random.default_rng([*seed, 2])
    projection = sample_projection(rng, view, size, anatomy)
    person = posed(rng, anatomy, view)
    exposure = sample_exposure(rng, view)
    accessories = sample_accessories(rng, view)
    return render(person, lesions, projection, exposure, np.random.default_rng([*seed, 3]), accessories)
