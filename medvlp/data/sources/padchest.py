"""PadChest: 160,868 radiographs of 67,625 patients with Spanish reports and labels of a tree of 174 findings.

Layout: `PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv` (or `.csv.gz`) and 16-bit PNG files, all in one folder
or in the folders `0` to `54`.

Known, and handled here: labels are a printed Python list with stray spaces; rows marked "exclude", of other
projections than chest, or without labels are left out; "normal", "unchanged" and "suboptimal study" are no
abnormality; some files of the release are missing or cut off (the first are left out and counted, the others go to
the quarantine of `prepare`); there is no official split; birth year and dates are dropped, the age is kept.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from medvlp.data.indexing import assemble, files_by_name, find_table, listed_states, register_source
from medvlp.data.manifest import Manifest
from medvlp.knowledge import LabelSpace

_VIEWS = {"PA": "PA", "AP": "AP", "AP_horizontal": "AP", "L": "LATERAL"}
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")


@register_source("padchest")
def manifest(root: Path) -> Manifest:
    """Index PadChest."""
    root = Path(root).absolute()
    table = find_table(
        root,
        ["PADCHEST_chest_x_ray_images_labels_160K*.csv", "PADCHEST_chest_x_ray_images_labels_160K*.csv.gz"],
        ["ImageID", "StudyID", "PatientID", "Projection", "Labels", "Report"],
    )
    lists = table["Labels"].map(_labels)
    keep = lists.map(lambda labels: bool(labels) and "exclude" not in labels) & table["Projection"].isin(list(_VIEWS))
    notes = [f"{int((~keep).sum())} rows are marked exclude, have no labels or are no chest view, and were left out"]
    table, lists = table[keep].reset_index(drop=True), lists[keep].reset_index(drop=True)
    space = LabelSpace.load("padchest")
    known = {label.lower() for label in space.all_labels}
    strange = sorted({label for labels in lists for label in labels} - known)
    notes.append(f"{len(strange)} labels are not known and were left out: {', '.join(strange[:20])}")
    states = listed_states([[x for x in labels if x in known] for labels in lists], space)
    files = files_by_name(root, [".png"])
    columns = {
        "patient_id": "padchest-" + table["PatientID"],
        "study_id": "padchest-" + table["PatientID"] + "-" + table["StudyID"],
        "image_id": table["ImageID"].str.removesuffix(".png"),
        "path": [str(files.get(name, root / name)) for name in table["ImageID"]],
        "view": table["Projection"].map(_VIEWS),
        "modality": "DX",
        "report": table["Report"],
        "age": _ages(table),
        "sex": table["PatientSex_DICOM"].where(table["PatientSex_DICOM"].isin(["M", "F"]), "")
        if "PatientSex_DICOM" in table
        else "",
    }
    return assemble("padchest", columns, states, notes)


def _labels(cell: str) -> list[str]:
    """`"['pleural effusion', ' normal']"` -> lower-case names without spaces around them, "" left out."""
    return [name for name in ((a or b).strip().lower() for a, b in _QUOTED.findall(cell)) if name]


def _ages(table: pd.DataFrame) -> np.ndarray:
    if not {"PatientBirth", "StudyDate_DICOM"} <= set(table):
        return np.full(len(table), np.nan)
    born = pd.to_numeric(table["PatientBirth"], errors="coerce")
    seen = pd.to_numeric(table["StudyDate_DICOM"].str[:4], errors="coerce")
    ages = (seen - born).to_numpy(np.float64)
    return np.where((ages >= 0) & (ages <= 120), ages, np.nan)
