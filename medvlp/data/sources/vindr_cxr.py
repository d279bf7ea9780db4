"""VinDr-CXR: 18,000 radiographs with boxes of 22 local labels and 6 global ones, by 3 readers each (test: 5, agreed).

Layout: `train/*.dicom`, `test/*.dicom`, `annotations/image_labels_{train,test}.csv`,
`annotations/annotations_{train,test}.csv`.

Known, and handled here: in training each radiologist has a row; what at least two say is present, what one says is
uncertain, else absent; the boxes of training are those of all three readers, unmerged, and an image without finding
has an empty one; nothing tells which images share a patient, so each counts as one; "Other lesion" and "Other
disease(s)" are no finding.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from medvlp.data.indexing import assemble, box_cells, find_table, register_source
from medvlp.data.manifest import Manifest, splits_by_patient
from medvlp.knowledge import LabelSpace
from medvlp.reports.states import FindingState

_AGREED = 2  # radiologists out of three


@register_source("vindr_cxr")
def manifest(root: Path) -> Manifest:
    """Index training and test images; validation is drawn from the training images."""
    root = Path(root).absolute()
    space = LabelSpace.load("vindr28")
    votes = {part: _votes(root, part, space) for part in ("train", "test")}
    names = [name for part in votes for name in votes[part].index]
    official = np.concatenate([np.full(len(votes[part]), part, object) for part in votes])
    drawn = splits_by_patient(names, (0.9, 0.1, 0.0))
    boxes = pd.concat([_boxes(root, part, space) for part in votes], ignore_index=True)
    columns = {
        "patient_id": [f"vindr-{name}" for name in names],
        "study_id": [f"vindr-{name}" for name in names],
        "image_id": [f"vindr-{name}" for name in names],
        "path": [str(_file(root / part, name)) for part, name in zip(official, names, strict=True)],
        "modality": "DX",
        "split": np.where(official == "test", "test", drawn),
        "boxes": box_cells(names, boxes),
    }
    stacked = pd.concat([votes["train"], votes["test"]]).to_numpy()
    needed = np.where(official == "test", 1, _AGREED)[:, None]
    codes = np.select(
        [stacked >= needed, stacked > 0], [FindingState.PRESENT, FindingState.UNCERTAIN], FindingState.ABSENT
    ).astype(np.int8)
    doubtful = int((codes == FindingState.UNCERTAIN).any(1).sum())
    notes = [f"{doubtful} images have a label that one of three readers gave; it is uncertain"]
    return assemble("vindr_cxr", columns, {f: codes[:, i] for i, f in enumerate(space.findings)}, notes)


def _votes(root: Path, part: str, space: LabelSpace) -> pd.DataFrame:
    """How many readers gave each label, one row an image."""
    table = find_table(root, [f"annotations/image_labels_{part}.csv", f"image_labels_{part}.csv"], ["image_id"])
    columns = {c: space.labels[space.index(c)] for c in table if c.lower() in {x.lower() for x in space.labels}}
    counts = table.rename(columns=columns)[list(columns.values())].astype(int)
    return counts.groupby(table["image_id"]).sum().reindex(columns=list(space.labels), fill_value=0)


def _boxes(root: Path, part: str, space: LabelSpace) -> pd.DataFrame:
    table = find_table(
        root, [f"annotations/annotations_{part}.csv", f"annotations_{part}.csv"], ["image_id", "class_name", "x_min"]
    )
    table = table[(table["x_min"] != "") & table["class_name"].isin(space.labels)]
    corners = {new: table[old].astype(float) for new, old in _CORNERS.items()}
    findings = [space.findings[space.index(name)] for name in table["class_name"]]
    return pd.DataFrame({"image_id": table["image_id"], "finding": findings, **corners})


_CORNERS = {"x0": "x_min", "y0": "y_min", "x1": "x_max", "y1": "y_max"}


def _file(folder: Path, name: str) -> Path:
    return next(
        (p for p in (folder / f"{name}.dicom", folder / f"{name}.dcm") if p.is_file()), folder / f"{name}.dicom"
    )
