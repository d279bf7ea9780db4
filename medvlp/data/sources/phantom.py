"""Generated studies (`medvlp data phantom`), with the masks and boxes that only a generator knows.

Layout: that of MIMIC-CXR, with `phantom.json` and `truth/`.

Known, and handled here: the labels of a phantom come from its parsed reports, as they would for a hospital without
annotations; the truth of the images stays in `truth/images.csv`, for evaluation alone.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from medvlp.data.indexing import register_source
from medvlp.data.manifest import Manifest
from medvlp.data.sources import mimic_cxr

MASKS = ("lungs", "heart")


@register_source("phantom")
def manifest(root: Path) -> Manifest:
    """Index a folder that `medvlp data phantom` wrote.

    Args:
        root: the folder that holds `phantom.json`.

    Raises:
        FileNotFoundError: `root` holds no phantom.
    """
    root = Path(root).absolute()
    if not (root / "phantom.json").is_file():
        raise FileNotFoundError(f"{root} has no phantom.json; `medvlp data phantom {root}` writes a phantom there")
    studies = mimic_cxr.manifest(root, labels="none")
    table = studies.table.copy()
    masks = {image: root / "truth" / "masks" / f"{image}.npz" for image in table["image_id"]}
    for name in MASKS:
        table[f"mask_{name}"] = [f"{masks[image]}#{name}" if masks[image].is_file() else "" for image in masks]
    boxes = _boxes(root / "truth" / "objects.jsonl")
    table["boxes"] = [json.dumps(boxes[image]) if image in boxes else "" for image in table["image_id"]]
    table["source"] = "phantom"
    return replace(studies, table=table)


def _boxes(path: Path) -> dict[str, list[dict[str, object]]]:
    """image id -> the boxes of its findings."""
    boxes = defaultdict(list)
    for line in path.read_text().splitlines():
        item = json.loads(line)
        boxes[item["image_id"]].append({"finding": item["finding"], "box": item["box"]})
    return dict(boxes)
