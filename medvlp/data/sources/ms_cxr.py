"""MS-CXR: 1,162 phrases of MIMIC-CXR reports with boxes drawn by radiologists, eight findings; for grounding.

Layout: `MS_CXR_Local_Alignment_v1.*.csv`; the images are those of MIMIC-CXR.

Known, and handled here: a row is a box, and the boxes of one phrase belong together (`phrase` in the column `boxes`);
an image may have several phrases; all of it is there to evaluate with, so everything without an official split is
test; a model that was trained on these patients' reports has seen the phrases.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from medvlp.data.indexing import assemble, box_cells, find_table, register_source
from medvlp.data.manifest import Manifest
from medvlp.knowledge import LabelSpace
from medvlp.reports.states import FindingState

_SPLITS = {"train": "train", "val": "validate", "validate": "validate", "test": "test", "": "test"}


@register_source("ms_cxr")
def manifest(root: Path, images: str | Path | None = None) -> Manifest:
    """Index the annotated images.

    Args:
        root: folder of the table.
        images: root of MIMIC-CXR (DICOM or JPG), which holds `files/`; default `root`.
    """
    root, images = Path(root).absolute(), Path(images or root).absolute()
    rows = find_table(
        root, ["MS_CXR_Local_Alignment_v*.csv"], ["category_name", "label_text", "path", "dicom_id", "x", "y", "w", "h"]
    )
    space = LabelSpace.load("chexpert14")
    rows["finding"] = [space.findings[space.index(name)] for name in rows["category_name"]]
    table = rows.drop_duplicates("dicom_id").reset_index(drop=True)
    parts = table["path"].str.extract(r"(files/p\d+/p(\d+)/s(\d+)/[^/.]+)")
    x, y, w, h = (rows[c].astype(float) for c in "xywh")
    boxes = pd.DataFrame({"image_id": rows["dicom_id"], "finding": rows["finding"], "phrase": rows["label_text"]})
    boxes = boxes.assign(x0=x, y0=y, x1=x + w, y1=y + h)
    columns = {
        "patient_id": parts[1],
        "study_id": parts[2],
        "image_id": table["dicom_id"],
        "path": [_file(images, stem) for stem in parts[0]],
        "modality": "DX",
        "split": table.get("split", pd.Series("", index=table.index)).map(_SPLITS),
        "boxes": box_cells(list(table["dicom_id"]), boxes),
    }
    states = {}
    for finding in sorted(rows["finding"].unique()):
        drawn = table["dicom_id"].isin(rows.loc[rows["finding"] == finding, "dicom_id"])
        states[finding] = np.where(drawn, FindingState.PRESENT, FindingState.UNMENTIONED).astype(np.int8)
    return assemble("ms_cxr", columns, states)


def _file(images: Path, stem: str) -> str:
    return str(
        next((p for p in (images / f"{stem}{e}" for e in (".jpg", ".dcm")) if p.is_file()), images / f"{stem}.dcm")
    )
