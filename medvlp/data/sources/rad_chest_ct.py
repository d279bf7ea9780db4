"""RAD-ChestCT: 3,630 chest CT scans with labels of 83 abnormalities at 51 places, taken out of the reports.

Layout: `trn00001.npz` ... (array `ct`, HU), `img{train,valid,test}_Abnormality_and_Location_Labels.csv`.

Known, and handled here: a column is `abnormality*place`; an abnormality is present where any of its places is; names
are those of the authors' tool (`groundglass`), of which those that are a finding here are kept and the others are
counted; one scan a patient, by the authors' account; the official parts are kept.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from medvlp.data.manifest import Manifest
from medvlp.data.sources.assembly import assemble
from medvlp.data.sources.csv_tables import read_table
from medvlp.knowledge import UnknownNameError, id_of
from medvlp.reports.states import FindingState

_SPLITS = {"imgtrain": "train", "imgvalid": "validate", "imgtest": "test"}
_NAMES = {
    "groundglass": "ground_glass_opacity",
    "bronchial_wall_thickening": "peribronchial_thickening",
    "septal_thickening": "interlobular_septal_thickening",
    "pulmonary_edema": "edema",
    "infiltrate": "infiltration",
    "opacity": "lung_opacity",
    "pacemaker_or_defib": "pacemaker",
    "tracheal_tube": "endotracheal_tube",
}


def manifest(root: Path) -> Manifest:
    """Index the scans and their labels."""
    root = Path(root).absolute()
    tables = []
    for part, split in _SPLITS.items():
        if list(root.glob(f"{part}_*Labels.csv")):
            table = read_table(root, [f"{part}_*Labels.csv"], ["NoteAcc_DEID"])
            tables.append(table.assign(split=split))
    if not tables:
        raise FileNotFoundError(f"{root} holds none of img{{train,valid,test}}_Abnormality_and_Location_Labels.csv")
    table = pd.concat(tables, ignore_index=True).fillna("0")
    names = table["NoteAcc_DEID"].str.removesuffix(".npz")
    columns = {
        "patient_id": "radchest-" + names,
        "study_id": "radchest-" + names,
        "image_id": "radchest-" + names,
        "path": [str(root / f"{name}.npz") for name in names],
        "modality": "CT",
        "split": table["split"],
    }
    states, strange = _states(table)
    notes = [f"{len(strange)} abnormalities are no finding here and were left out: {', '.join(strange)}"]
    return assemble("rad_chest_ct", columns, states, notes)


def _states(table: pd.DataFrame) -> tuple[dict[str, np.ndarray], list[str]]:
    states: dict[str, np.ndarray] = {}
    strange = []
    located = [c for c in table if "*" in c]
    for abnormality in dict.fromkeys(c.split("*")[0] for c in located):
        try:
            finding = _NAMES.get(abnormality) or id_of(abnormality)
        except UnknownNameError:
            strange.append(abnormality)
            continue
        cells = table[[c for c in located if c.split("*")[0] == abnormality]]
        earlier = states.get(finding, np.zeros(len(table), np.int8)) == FindingState.PRESENT
        present = cells.isin(["1", "1.0"]).any(axis=1).to_numpy() | earlier
        states[finding] = np.where(present, FindingState.PRESENT, FindingState.ABSENT).astype(np.int8)
    return states, strange
