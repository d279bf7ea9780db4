"""`render_view`: one patient, one study, one view -> an image with its masks and boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator

from medvlp.phantom.anatomy import Anatomy, sample_anatomy
from medvlp.phantom.chest import build_chest
from medvlp.phantom.external_objects import ExternalObjects, draw_external_objects, sample_external_objects
from medvlp.phantom.findings import FINDING_MODELS, FINDINGS, Lesion
from medvlp.phantom.geometry import Floats, Projection, View
from medvlp.phantom.materials import Mask
from medvlp.phantom.xray import Exposure, expose, sample_exposure

FIELD = 356.0  # mm along the image's side


@dataclass(frozen=True)
class VisibleLesion:
    """One lesion in one image: `box` is x0, y0, x1, y1 in pixels, ends excluded."""

    lesion: Lesion
    box: tuple[int, int, int, int]
    mask: Mask


@dataclass(frozen=True)
class RenderedView:
    """One view: `image` float32 `[H, W]` in [0, 1], bone white; masks of lungs and heart; the visible lesions."""

    image: Floats
    projection: Projection
    lungs: Mask
    heart: Mask
    visible: tuple[VisibleLesion, ...]

    def masks(self) -> dict[str, Mask]:
        """`lungs`, `heart`, and the union of each finding's lesions."""
        masks = {"lungs": self.lungs, "heart": self.heart}
        for seen in self.visible:
            name = seen.lesion.finding
            masks[name] = masks[name] | seen.mask if name in masks else seen.mask
        return masks


def sample_projection(rng: Generator, view: View, size: int, anatomy: Anatomy) -> Projection:
    """Sample the position of the patient before the detector."""
    field = FIELD * (0.5 + 0.5 * anatomy.stature) * rng.normal(1.0, 0.035)
    portable = view == "AP"
    spread = 1.6 if portable else 1.0
    return Projection(
        view=view,
        shape=(size, size),
        pitch=float(field / size),
        top=float(-40 + rng.normal(0, 10) * spread),
        center=float(rng.normal(-6 if view == "LATERAL" else 0, 7 * spread)),
        turn=float(np.clip(rng.normal(0, 0.04 if view == "LATERAL" else 0.025 * spread), -0.1, 0.1)),
        lean=float(np.clip(rng.normal(0, 0.02 * spread), -0.08, 0.08)),
        magnify=-1 / 1000 if portable else 1 / 1800,
    )


def sample_breathing(rng: Generator, anatomy: Anatomy, view: View) -> Anatomy:
    """The same person at the level of inspiration of one image."""
    breath = rng.normal(-16 if view == "AP" else 0, 9)
    return anatomy.with_changes(inflation=anatomy.inflation + float(breath))


def render(
    anatomy: Anatomy,
    lesions: Sequence[Lesion],
    projection: Projection,
    exposure: Exposure,
    noise: Generator | None = None,
    external: ExternalObjects | None = None,
) -> RenderedView:
    """Render a chest with its lesions. Without `noise` the image is a function of the other arguments."""
    for lesion in lesions:
        anatomy = FINDING_MODELS[lesion.finding].deform(anatomy, lesion)
    fractures = tuple(b for lesion in lesions for b in FINDING_MODELS[lesion.finding].fractures(lesion))
    maps = build_chest(anatomy, projection, fractures)
    seen = []
    for lesion in lesions:
        mask = FINDING_MODELS[lesion.finding].draw(maps, lesion)
        if mask.any():
            seen.append(VisibleLesion(lesion, bounding_box(mask), mask))
    draw_external_objects(maps, external or ExternalObjects())
    image = expose(maps.line_integral(), projection, exposure, noise)
    return RenderedView(image, projection, maps.lungs, maps.heart, tuple(seen))


def bounding_box(mask: Mask) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of a mask that is not empty, ends excluded."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def render_view(
    seed: Sequence[int], anatomy: Anatomy, lesions: Sequence[Lesion], view: View, size: int
) -> RenderedView:
    """Sample position, exposure and external objects from `seed`, and render one view.

    Examples:
        >>> view = render_view((1,), sample_anatomy(np.random.default_rng(1)), [], "PA", size=64)
        >>> view.image.shape, sorted(view.masks())
        ((64, 64), ['heart', 'lungs'])
    """
    rng = np.random.default_rng([*seed, 2])
    projection = sample_projection(rng, view, size, anatomy)
    person = sample_breathing(rng, anatomy, view)
    exposure = sample_exposure(rng, view)
    external = sample_external_objects(rng, view)
    return render(person, lesions, projection, exposure, np.random.default_rng([*seed, 3]), external)


_COLUMNS = 4


def example(finding: str | None, seed: int, size: int = 512, view: View | None = None) -> RenderedView:
    """A view of a single finding, or of none."""
    rng = np.random.default_rng([seed, FINDINGS.index(finding) if finding else 99, 9])
    anatomy = sample_anatomy(rng)
    lesions = FINDING_MODELS[finding].sample(rng, anatomy) if finding else []
    portable = bool(finding) and FINDING_MODELS[str(finding)].portable_only
    return render_view((seed, 7), anatomy, lesions, view or ("AP" if portable else "PA"), size)


def write_contact_sheet(
    path: str | Path, seed: int = 0, size: int = 384, boxes: bool = True, view: View | None = None
) -> None:
    """Write a PNG for people: a chest without findings, then one labeled example of each finding with its box."""
    from PIL import Image, ImageDraw

    names: list[str | None] = [None, *FINDINGS]
    rows = -(-len(names) // _COLUMNS)
    contact_sheet = Image.new("RGB", (_COLUMNS * size, rows * (size + 22)))
    draw = ImageDraw.Draw(contact_sheet)
    for index, name in enumerate(names):
        picture = example(name, seed, size, view)
        x, y = (index % _COLUMNS) * size, (index // _COLUMNS) * (size + 22)
        contact_sheet.paste(Image.fromarray((picture.image * 255).astype(np.uint8)).convert("RGB"), (x, y + 22))
        label = name.replace("_", " ") if name else "no finding"
        if picture.visible:
            described = (" ".join(filter(None, (s.lesion.severity, s.lesion.side))) for s in picture.visible)
            label = f"{label}: {', '.join(described)}".rstrip(": ")
        draw.text((x + 6, y + 5), label, fill=(255, 255, 255))
        for seen in picture.visible if boxes else ():
            x0, y0, x1, y1 = seen.box
            draw.rectangle((x + x0, y + 22 + y0, x + x1 - 1, y + 22 + y1 - 1), outline=(255, 190, 60))
    contact_sheet.save(path)
