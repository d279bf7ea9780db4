"""CheXpert (223,414 radiographs of 64,540 patients, 14 labels) and CheXpert Plus (the same with reports).

Layouts: `train.csv`, `valid.csv`, `test.csv` or `test_labels.csv` beside `train/`, `valid/`, `test/` (CheXpert-v1.0
and -small); `df_chexpert_plus_240401.csv` with `PNG/` or `DICOM/` (also `PNG/PNG/`, as its archive unpacks) and
`chexbert_labels/report_fixed.json`, one object a line (Plus).

Known, and handled here: paths begin with the name of the release's folder (`CheXpert-v1.0-small/`), whatever the
folder is called on this disk; -1 means uncertain, and an empty cell unmentioned; the official validation patients are
other patients than those of training; Plus names JPEG files where the release holds PNG, and gives the DICOM file a
column of its own (`path_to_dcm`).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from medvlp.data.indexing import assemble, coded_states, find_table, register_source
from medvlp.data.manifest import Manifest
from medvlp.io.walk import find_named
from medvlp.knowledge import LabelSpace
from medvlp.reports.states import FindingState

_CODES = {
    **dict.fromkeys(("", "None", "nan"), FindingState.UNMENTIONED),
    **dict.fromkeys(("1.0", "1"), FindingState.PRESENT),
    **dict.fromkeys(("0.0", "0"), FindingState.ABSENT),
    **dict.fromkeys(("-1.0", "-1"), FindingState.UNCERTAIN),
}
_SPLITS = {"train": "train", "valid": "validate", "test": "test"}


@register_source("chexpert")
def manifest(root: Path) -> Manifest:
    """Index CheXpert, or CheXpert Plus where its table is there."""
    root = Path(root).absolute()
    plus = sorted(root.glob("df_chexpert_plus_*.csv"))
    return _plus(root, plus[0].name) if plus else _original(root)


def _original(root: Path) -> Manifest:
    tables = [find_table(root, [p.name], ["Path"]) for p in sorted(root.glob("*.csv")) if _has_paths(p)]
    if not tables:
        raise FileNotFoundError(f"{root} holds neither train.csv nor valid.csv nor df_chexpert_plus_*.csv")
    table = pd.concat(tables, ignore_index=True).fillna("")
    inside = _inside(table["Path"])
    columns = {
        **_ids(inside),
        "path": [str(root / path) for path in inside],
        "view": _views(table, "Frontal/Lateral", "AP/PA"),
        "modality": "DX",
        "age": _column(table, "Age"),
        "sex": _column(table, "Sex").map({"Male": "M", "Female": "F"}).fillna(""),
    }
    return assemble("chexpert", columns, coded_states(table, LabelSpace.load("chexpert14"), _CODES))


def _plus(root: Path, name: str) -> Manifest:
    needed = ["path_to_image", "deid_patient_id", "report", "section_findings", "section_impression"]
    table = find_table(root, [name], needed)
    inside = _inside(table["path_to_image"])
    columns = {
        **_ids(inside),
        "path": [_plus_file(root, *paths) for paths in zip(inside, _column(table, "path_to_dcm"), strict=True)],
        "view": _views(table, "frontal_lateral", "ap_pa"),
        "modality": "DX",
        "report": table["report"],
        "section_findings": table["section_findings"],
        "section_impression": table["section_impression"],
        "age": _column(table, "age"),
        "sex": _column(table, "sex").map({"Male": "M", "Female": "F"}).fillna(""),
    }
    notes = [f"{int((table['report'] == '').sum())} images have no report text"]
    return assemble("chexpert", columns, _plus_labels(root, table["path_to_image"]), notes)


def _has_paths(path: Path) -> bool:
    with path.open() as file:
        return file.readline().split(",")[0].strip('"') == "Path"


def _inside(paths: pd.Series) -> pd.Series:
    """`CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg` -> from `train` on."""
    return paths.str.extract(r"((?:train|valid|test)/patient.*)$")[0]


def _ids(inside: pd.Series) -> dict[str, object]:
    parts = inside.str.split("/", expand=True)
    patient, study = parts[1], parts[1] + "-" + parts[2]
    image = study + "-" + parts[3].map(lambda name: Path(name).stem)
    return {"patient_id": patient, "study_id": study, "image_id": image, "split": parts[0].map(_SPLITS)}


def _column(table: pd.DataFrame, name: str) -> pd.Series:
    return table[name] if name in table else pd.Series("", index=table.index)


def _views(table: pd.DataFrame, projection: str, direction: str) -> pd.Series:
    lateral = _column(table, projection).str.lower() == "lateral"
    return _column(table, direction).mask(lateral, "LATERAL")


def _plus_file(root: Path, inside: str, dicom: str) -> str:
    """Where the image is: as PNG, else as DICOM; the PNG's place where neither is there."""
    stem = Path(inside).with_suffix("")
    pictures = [root / folder / f"{stem}.png" for folder in ("PNG", "PNG/PNG", ".")]
    names = [f"{stem}.dcm", *([dicom.lstrip("/")] if dicom else [])]
    objects = [root / folder / name for folder in ("DICOM", "DICOM/DICOM", ".") for name in names]
    return str(next((path for path in pictures + objects if path.is_file()), pictures[0]))


def _plus_labels(root: Path, images: pd.Series) -> dict[str, np.ndarray]:
    """States of the CheXbert labels of the whole report, one JSON object a line, where they are there."""
    files = find_named(root, "report_fixed.json")
    if not files:
        return {}
    lines = [json.loads(line) for line in files[0].read_text().splitlines() if line.strip()]
    cells = pd.DataFrame(lines).set_index("path_to_image").astype(object)
    cells = cells.reindex(images).reset_index(drop=True)
    cells = cells.where(cells.notna(), "").astype(str)
    return coded_states(cells, LabelSpace.load("chexpert14"), _CODES)
