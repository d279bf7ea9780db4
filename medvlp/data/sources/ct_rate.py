"""CT-RATE: 25,692 chest CT scans of 21,304 patients (50,188 reconstructions) with reports and 18 labels.

Layout: `dataset/{train,valid}/train_1/train_1_a/train_1_a_1.nii.gz` (version 2: `train_fixed`, `valid_fixed`), with
`dataset/radiology_text_reports/*.csv`, `dataset/multi_abnormality_labels/*.csv`.

Known, and handled here: the reconstructions of a scan share its report, so `train_1_a` is the study and `train_1` the
patient, and no two of them are independent; version 1 stores values that the metadata table must still scale, version
2 is in HU: only version 2 is taken, so nothing can be scaled twice; scans of other regions (`no_chest_*.txt`) are
left out; the "valid" part is what everybody reports on, so it is the test, and validation is drawn from the training
patients.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from medvlp.data.indexing import assemble, coded_states, find_table, register_source
from medvlp.data.manifest import Manifest, splits_by_patient
from medvlp.io.walk import find_named
from medvlp.knowledge import LabelSpace
from medvlp.reports.states import FindingState

_BINARY = {"1": FindingState.PRESENT, "0": FindingState.ABSENT, "": FindingState.UNMENTIONED}
_REPORTS = "radiology_text_reports/*{}*reports*.csv"
_PARTS = {"ClinicalInformation_EN": "INDICATION", "Technique_EN": "TECHNIQUE"}
_READ = {"Findings_EN": "FINDINGS", "Impressions_EN": "IMPRESSION"}


@register_source("ct_rate")
def manifest(root: Path) -> Manifest:
    """Index the volumes of version 2 that are on this disk."""
    root = Path(root).absolute()
    dataset = root / "dataset" if (root / "dataset").is_dir() else root
    parts = [part for part in ("train", "valid") if list(dataset.glob(_REPORTS.format(part)))]
    if not parts:
        raise FileNotFoundError(f"{dataset} holds no {_REPORTS.format('train')}")
    table = pd.concat([_part(dataset, part) for part in parts], ignore_index=True)
    outside = _other_regions(dataset)
    chest = ~table["VolumeName"].isin(outside)
    notes = [f"{int((~chest).sum())} volumes of other regions were left out"]
    table = table[chest].reset_index(drop=True)
    names = table["VolumeName"].str.removesuffix(".nii.gz")
    pieces = names.str.split("_", expand=True)
    patients = pieces[0] + "_" + pieces[1]
    columns = {
        "patient_id": "ctrate-" + patients,
        "study_id": "ctrate-" + patients + "_" + pieces[2],
        "image_id": "ctrate-" + names,
        "path": table["path"],
        "modality": "CT",
        "split": np.where(pieces[0] == "valid", "test", splits_by_patient(patients, (0.95, 0.05, 0.0))),
        "report": table["report"],
    }
    return assemble("ct_rate", columns, coded_states(table, LabelSpace.load("ctrate18"), _BINARY), notes)


def _part(dataset: Path, part: str) -> pd.DataFrame:
    """Reports, labels and paths of `train` or `valid`."""
    reports = find_table(dataset, [_REPORTS.format(part)], ["VolumeName", *_READ])
    labels = find_table(dataset, [f"multi_abnormality_labels/*{part}*labels*.csv"], ["VolumeName"])
    table = reports.merge(labels, on="VolumeName", how="left", validate="one_to_one").fillna("")
    table["report"] = _texts(table)
    folder = dataset / f"{part}_fixed"
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder} is missing: this reads version 2 of CT-RATE, whose volumes are in HU; those of version 1 "
            f"({part}/) need the slope and intercept of a table and are refused, so that nothing is scaled twice"
        )
    pieces = table["VolumeName"].str.split("_", expand=True)
    patient = pieces[0] + "_" + pieces[1]
    table["path"] = str(folder) + "/" + patient + "/" + patient + "_" + pieces[2] + "/" + table["VolumeName"]
    return table


def _texts(table: pd.DataFrame) -> list[str]:
    headings = {**{c: h for c, h in _PARTS.items() if c in table}, **_READ}
    rows = zip(*(table[column] for column in headings), strict=True)
    return ["\n".join(f"{h}: {t}" for h, t in zip(headings.values(), row, strict=True) if t) for row in rows]


def _other_regions(dataset: Path) -> set[str]:
    names: set[str] = set()
    for path in find_named(dataset, "no_chest_*.txt"):
        names |= {Path(line.strip()).name for line in path.read_text().splitlines() if line.strip()}
    return names
