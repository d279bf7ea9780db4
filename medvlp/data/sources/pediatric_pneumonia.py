"""Pediatric chest radiographs with and without pneumonia (Kermany et al.), frontal, one to five years of age.

Layout: `chest_xray/{train,val,test}/{NORMAL,PNEUMONIA}/*.jpeg`, or `{NORMAL,PNEUMONIA}` directly or below `images/`.

Known, and handled here: the patient stands in the file's name (`person12_virus_34`, `IM-0115-0001`,
`NORMAL2-IM-1275-0001`); the numbers begin again in the official test folder, so its patients are others; the official
`val` folder has 16 images whose numbers go on from `train`, so the two are joined and validation is drawn by patient.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from medvlp.data.indexing import assemble, register_source
from medvlp.data.manifest import Manifest, splits_by_patient
from medvlp.io.walk import find_named
from medvlp.reports.states import FindingState

_PATIENT = re.compile(r"(person\d+|(?:NORMAL2-)?IM-\d+)")


@register_source("pediatric_pneumonia")
def manifest(root: Path) -> Manifest:
    """Index the radiographs by folder and file name."""
    root = Path(root).absolute()
    files = sorted(p for kind in ("NORMAL", "PNEUMONIA") for p in find_named(root, f"{kind}/*.jp*g"))
    if not files:
        raise FileNotFoundError(f"{root} holds no folder NORMAL or PNEUMONIA with JPEG files")
    official = np.array([p.parents[1].name == "test" for p in files])
    named = [_PATIENT.match(p.name) for p in files]
    own = np.array([m is not None for m in named])
    patients = pd.Series([m[1] if m else p.stem for m, p in zip(named, files, strict=True)])
    patients = "ped-" + pd.Series(np.where(official, "test-", "")) + patients
    split = splits_by_patient(patients, (0.875, 0.125, 0.0) if official.any() else (0.8, 0.1, 0.1))
    ill = np.array([p.parent.name == "PNEUMONIA" for p in files])
    columns = {
        "patient_id": patients,
        "study_id": patients,
        "image_id": ["ped-" + ("test-" if t else "") + p.stem for t, p in zip(official, files, strict=True)],
        "path": [str(p) for p in files],
        "view": "AP",
        "modality": "DX",
        "split": np.where(official, "test", split),
    }
    states = {"pneumonia": _state(ill), "no_finding": _state(~ill)}
    return assemble("pediatric_pneumonia", columns, states, [f"{int((~own).sum())} names without a patient"])


def _state(present: np.ndarray) -> np.ndarray:
    return np.where(present, FindingState.PRESENT, FindingState.ABSENT).astype(np.int8)
