"""What a generated archive (`medvlp data phantom`) knows of its images beyond a hospital's: masks of lungs and heart, boxes.

Its labels are left where they are, in `truth/images.csv`: training learns from reports and tables, as on real data.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from medvlp.data.sources.assembly import box_cells

_MASKS = ("lungs", "heart")


def is_generated(root: Path) -> bool:
    """Whether a folder was written by the generator."""
    return (root / "phantom.json").is_file()


def truth_columns(root: Path, images: Sequence[str]) -> dict[str, list[str]]:
    """The columns `mask_lungs`, `mask_heart` and `boxes` for some images; none where the archive has no truth."""
    if not (root / "truth").is_dir():
        return {}
    files = [root / "truth" / "masks" / f"{image}.npz" for image in images]
    columns = {f"mask_{name}": [f"{file}#{name}" if file.is_file() else "" for file in files] for name in _MASKS}
    objects = root / "truth" / "objects.jsonl"
    if objects.is_file():
        drawn = pd.DataFrame([json.loads(line) for line in objects.read_text().splitlines()])
        corners = pd.DataFrame(drawn["box"].tolist(), columns=["x0", "y0", "x1", "y1"], index=drawn.index)
        columns["boxes"] = box_cells(images, drawn[["image_id", "finding"]].join(corners))
    return columns
