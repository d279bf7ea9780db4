"""`write_sheet`: one page for people, with an example of each finding, its box and its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medvlp.phantom.anatomy import sample_anatomy
from medvlp.phantom.findings import DRAWINGS, FINDINGS
from medvlp.phantom.geometry import View
from medvlp.phantom.render import Picture, take

COLUMNS = 4


def example(finding: str | None, seed: int, size: int = 512, view: View | None = None) -> Picture:
    """A picture of one finding alone, or of none."""
    rng = np.random.default_rng([seed, FINDINGS.index(finding) if finding else 99, 9])
    anatomy = sample_anatomy(rng)
    lesions = DRAWINGS[finding].arise(rng, anatomy) if finding else []
    portable = bool(finding) and DRAWINGS[str(finding)].portable
    return take((seed, 7), anatomy, lesions, view or ("AP" if portable else "PA"), size)


def write_sheet(path: str | Path, seed: int = 0, size: int = 384, boxes: bool = True, view: View | None = None) -> None:
    """Draw the sheet as a PNG: a chest without findings first, then one picture of each finding."""
    from PIL import Image, ImageDraw

    names: list[str | None] = [None, *FINDINGS]
    rows = -(-len(names) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * size, rows * (size + 22)))
    draw = ImageDraw.Draw(sheet)
    for index, name in enumerate(names):
        picture = example(name, seed, size, view)
        x, y = (index % COLUMNS) * size, (index // COLUMNS) * (size + 22)
        sheet.paste(Image.fromarray((picture.image * 255).astype(np.uint8)).convert("RGB"), (x, y + 22))
        label = name.replace("_", " ") if name else "no finding"
        if picture.seen:
            told = (" ".join(filter(None, (s.lesion.severity, s.lesion.side))) for s in picture.seen)
            label = f"{label}: {', '.join(told)}".rstrip(": ")
        draw.text((x + 6, y + 5), label, fill=(255, 255, 255))
        for seen in picture.seen if boxes else ():
            x0, y0, x1, y1 = seen.box
            draw.rectangle((x + x0, y + 22 + y0, x + x1 - 1, y + 22 + y1 - 1), outline=(255, 190, 60))
    sheet.save(path)
