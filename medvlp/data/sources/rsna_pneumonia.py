"""RSNA Pneumonia Detection Challenge: 26,684 frontal radiographs of NIH ChestX-ray14 with boxes of lung opacities.

Layout: `stage_2_train_labels.csv`, `stage_2_detailed_class_info.csv`, `stage_2_train_images/*.dcm`; optionally the
mapping to the NIH images, `*mapping*.csv` or `.json` with `subset_img_id` and `img_id`.

Known, and handled here: a row of the label table is a box, so an image has several; `patientId` names an image, not a
patient: with the mapping images are put together by their NIH patient, and patients of the official NIH test list can
be told, without it each image counts as a patient; 26,684 images carry labels, so test sets of 9,006 and of 8,006
images that are reported for it are two different draws, and neither is the official test set, whose labels are not
public; the class "No Lung Opacity / Not Normal" says that there is something else, so it is not "no finding".
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from medvlp.data.indexing import assemble, box_cells, find_table, register_source
from medvlp.data.manifest import Manifest
from medvlp.io.tables import read_table
from medvlp.reports.states import FindingState

FINDING = "lung_opacity"


@register_source("rsna_pneumonia")
def manifest(root: Path) -> Manifest:
    """Index the labeled images of the challenge."""
    root = Path(root).absolute()
    rows = find_table(root, ["stage_2_train_labels.csv"], ["patientId", "x", "y", "width", "height", "Target"])
    images = rows.drop_duplicates("patientId").reset_index(drop=True)
    names = images["patientId"]
    classes = _classes(root, names)
    patients, mapped = _patients(root, names)
    present = (images["Target"] == "1").to_numpy()
    columns = {
        "patient_id": patients,
        "study_id": "rsna-" + names,
        "image_id": "rsna-" + names,
        "path": [str(root / "stage_2_train_images" / f"{name}.dcm") for name in names],
        "modality": "DX",
        "boxes": box_cells(list(names), _boxes(rows)),
    }
    states = {
        FINDING: np.where(present, FindingState.PRESENT, FindingState.ABSENT).astype(np.int8),
        "no_finding": np.select(
            [classes == "Normal", classes != ""], [FindingState.PRESENT, FindingState.ABSENT], FindingState.UNMENTIONED
        ).astype(np.int8),
    }
    notes = [f"{len(rows) - len(images)} further boxes of images that have one already were joined with it"]
    if not mapped:
        notes.append("no mapping to NIH ChestX-ray14 was found: each image counts as a patient, though some share one")
    return assemble("rsna_pneumonia", columns, states, notes)


def _classes(root: Path, names: pd.Series) -> np.ndarray:
    if not (root / "stage_2_detailed_class_info.csv").is_file():
        return np.full(len(names), "", object)
    table = find_table(root, ["stage_2_detailed_class_info.csv"], ["patientId", "class"])
    return names.map(table.drop_duplicates("patientId").set_index("patientId")["class"]).fillna("").to_numpy(object)


def _patients(root: Path, names: pd.Series) -> tuple[pd.Series, bool]:
    """The NIH patient of each image (`nih-00000013`), and whether a mapping told."""
    files = [p for p in sorted(root.glob("*mapping*")) if p.suffix in (".csv", ".json")]
    if not files:
        return "rsna-" + names, False
    path = files[0]
    table = (
        pd.DataFrame(json.loads(path.read_text()))
        if path.suffix == ".json"
        else read_table(path, ["subset_img_id", "img_id"])
    )
    patient = table.set_index("subset_img_id")["img_id"].str.split("_").str[0].str.zfill(8)
    return ("nih-" + names.map(patient)).fillna("rsna-" + names), True


def _boxes(rows: pd.DataFrame) -> pd.DataFrame:
    boxed = rows[rows["x"] != ""]
    x, y, w, h = (boxed[c].astype(float) for c in ("x", "y", "width", "height"))
    corners = {"x0": x, "y0": y, "x1": x + w, "y1": y + h}
    return pd.DataFrame({"image_id": boxed["patientId"], "finding": FINDING, **corners})
