"""The ieee8023 COVID-19 image collection: case images out of publications, with clinical notes and some lung masks.

Layout: `metadata.csv` beside `images/`; masks in `semantic_masks_v7labs_lungs/` (its archive unpacked), or named by a
column `lung_mask`.

Known, and handled here: CT slices and volumes stand in the same table and are left out; "todo" and "Unknown" are no
findings; the finding is a path (`Pneumonia/Viral/COVID-19`) of which each known step is a label; what it does not
name was not looked for, so it stays unmentioned; the masks of lateral views are empty files and left out; the note is
the case's story, not a radiology report, and often the same for several images; some images stand there twice, as
`000001.jpg` and `000001.png`, under two patients, who are kept in one split. Date, place and hospital are dropped.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from medvlp.data.indexing import assemble, find_table, register_source
from medvlp.data.manifest import Manifest, splits_by_patient
from medvlp.reports.states import FindingState

_VIEWS = {"PA": "PA", "AP": "AP", "AP Supine": "AP", "AP Erect": "AP", "L": "LATERAL"}
_FINDINGS = {
    "Pneumonia": "pneumonia",
    "COVID-19": "covid_pneumonia",
    "Aspiration": "aspiration",
    "Tuberculosis": "tuberculosis",
    "No Finding": "no_finding",
}


@register_source("covid_cxr")
def manifest(root: Path) -> Manifest:
    """Index the collection's radiographs."""
    root = Path(root).absolute()
    table = find_table(root, ["metadata.csv"], ["patientid", "filename", "finding", "view", "clinical_notes"])
    radiograph = table["view"].isin(list(_VIEWS))
    if "modality" in table:
        radiograph &= table["modality"] == "X-ray"
    notes = [f"{int((~radiograph).sum())} rows are no radiograph (CT) and were left out"]
    table = table[radiograph].reset_index(drop=True)
    patients = "covid-" + table["patientid"]
    families = _families(patients, table["filename"].map(lambda name: Path(name).stem))
    columns = {
        "patient_id": patients,
        "split": splits_by_patient(families),
        "study_id": patients + "-" + table["offset"].where(table["offset"] != "", table.index.astype(str)),
        "image_id": "covid-" + table["filename"],
        "path": [str(root / image) for image in table.get("image", "images/" + table["filename"])],
        "view": table["view"].map(_VIEWS),
        "modality": "DX",
        "age": table["age"],
        "sex": table["sex"],
        "report": table["clinical_notes"],
        "mask_lungs": _masks(root, table),
    }
    return assemble("covid_cxr", columns, _states(table["finding"]), notes)


def _families(patients: pd.Series, stems: pd.Series) -> np.ndarray:
    """One name for all patients that are linked by images of one name: the first of them."""
    patient, names = pd.factorize(patients)
    stem, _ = pd.factorize(stems)
    links = coo_matrix((np.ones(len(patient)), (patient, stem + len(names))), shape=(len(names) + stem.max() + 1,) * 2)
    family = connected_components(links, directed=False)[1][: len(names)]
    first = pd.Series(names).groupby(family).transform("first").to_numpy()
    return first[patient]


def _states(findings: pd.Series) -> dict[str, np.ndarray]:
    steps = findings.str.split("/")
    states = {f: np.full(len(findings), FindingState.UNMENTIONED, np.int8) for f in _FINDINGS.values()}
    normal = steps.map(lambda path: "No Finding" in path).to_numpy()
    for name, finding in _FINDINGS.items():
        named = steps.map(lambda path, name=name: name in path).to_numpy()
        states[finding][normal] = FindingState.ABSENT
        states[finding][named] = FindingState.PRESENT
    ill = np.any([states[f] == FindingState.PRESENT for f in states if f != "no_finding"], axis=0)
    states["no_finding"][ill] = FindingState.ABSENT
    return states


def _masks(root: Path, table: pd.DataFrame) -> list[str]:
    drawn = table.get("lung_mask", "semantic_masks_v7labs_lungs/" + table["filename"])
    frontal = table["view"] != "L"
    return [
        str(root / mask) if mask and seen and (root / mask).is_file() else ""
        for mask, seen in zip(drawn, frontal, strict=True)
    ]
