"""RAD-ChestCT: 3,630 chest CT scans with labels of 84 abnormalities at 52 places, taken out of the reports.

Layout: `trn00001.npz` ... (array `ct`) and `img{train,valid,test}_Abnormality_and_Location_Labels.csv`, in the folder
or one below it; `CT_Scan_Metadata_Complete_35747.csv` where it is there.

Known, and handled here: the arrays hold HU, cut off at -1000 and 1000, of 0.8 mm voxels, and do not say how they lie:
slices run from head to feet, rows from front to back, columns from right to left (by the authors' preprocessing code
and the bounds of the lungs that they give); the metadata table knows which scans belong to one patient, and which were
not taken lying straight on the back, and these are left out. A column is `abnormality*place`; an abnormality is
present where any of its places is, but one that is a finding of the lung here is not where its places are only other
organs (nodules of the thyroid, cysts of the kidney). Names are those of the authors' tool (`groundglass`), of which
those that are a finding here are kept and the others are counted. The official parts are kept.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from medvlp.data.indexing import assemble, files_by_name, find_table, register_source
from medvlp.data.manifest import Manifest
from medvlp.io.dicom_volume import MAX_VOXELS
from medvlp.io.errors import ReadError
from medvlp.io.geometry import AXES
from medvlp.io.image import Image
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
    "nodulegr1cm": "nodule",
    "scattered_nod": "nodule",
}
# Findings of the lung here, that the authors' names also give to other organs.
_OF_THE_LUNG = ("nodule", "nodulegr1cm", "scattered_nod", "mass", "cyst", "lesion")
_LUNG = (
    *("lung", "left_lung", "right_lung", "left_upper", "left_mid", "left_lower", "right_upper", "right_mid"),
    *("right_lower", "airways", "interstitial", "subpleural", "centrilobular"),
)
_OTHER_ORGANS = (
    *("thyroid", "breast", "axilla", "chest_wall", "rib", "spine", "bone", "mediastinum", "heart", "aorta", "abdomen"),
    *("esophagus", "stomach", "intestine", "liver", "gallbladder", "kidney", "adrenal_gland", "spleen", "pancreas"),
)
_SPACING = 0.8  # mm
_METADATA = "CT_Scan_Metadata_Complete_35747.csv"
_STRAIGHT = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]  # Image Orientation (Patient): columns to the left, rows to the back


def read_volume(path: Path) -> Image:
    """One scan, float32 `[D, H, W]` in HU, axes to the head, the front and the right.

    Raises:
        ReadError: no archive, no array `ct` of three axes in it, or a larger one than a scan can be.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = archive.getinfo("ct.npy").file_size
        if size > 2 * MAX_VOXELS + 1024:
            raise ReadError(path, f"the array `ct` inflates to {size:,} bytes: beyond the limit")
        with np.load(path, allow_pickle=False) as arrays:
            stored = arrays["ct"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ReadError(path, f"holds no readable array `ct` ({type(error).__name__})") from None
    if stored.ndim != 3 or stored.dtype.kind not in "iuf":
        raise ReadError(path, f"the array `ct` is {stored.dtype} {stored.shape}, not a volume")
    array = np.ascontiguousarray(stored[::-1, ::-1, ::-1], np.float32)
    affine = np.zeros((4, 4))
    affine[2, 0] = affine[1, 1] = affine[0, 2] = _SPACING
    affine[3, 3] = 1
    return Image(array, (_SPACING,) * 3, AXES, "CT", source="npz", steps=("turned to RAS",), affine=affine)


@register_source("rad_chest_ct", read_volume)
def manifest(root: Path) -> Manifest:
    """Index the scans and their labels."""
    root = Path(root).absolute()
    tables = []
    for part, split in _SPLITS.items():
        names = [f"{part}_*Labels.csv", f"*/{part}_*Labels.csv"]
        if any(list(root.glob(name)) for name in names):
            tables.append(find_table(root, names, ["NoteAcc_DEID"]).assign(split=split))
    if not tables:
        raise FileNotFoundError(f"{root} holds none of img{{train,valid,test}}_Abnormality_and_Location_Labels.csv")
    table = pd.concat(tables, ignore_index=True).fillna("0")
    table["name"] = table["NoteAcc_DEID"].str.removesuffix(".npz")
    patients, lies = _metadata(root, table["name"])
    table, patients = table[lies].reset_index(drop=True), patients[lies].reset_index(drop=True)
    files = files_by_name(root, [".npz"])
    columns = {
        "patient_id": "radchest-" + patients,
        "study_id": "radchest-" + table["name"],
        "image_id": "radchest-" + table["name"],
        "path": [str(files.get(f"{name}.npz", root / f"{name}.npz")) for name in table["name"]],
        "modality": "CT",
        "split": table["split"],
    }
    states, strange = _states(table)
    notes = [
        f"{len(strange)} abnormalities are no finding here and were left out: {', '.join(strange)}",
        f"{int((~lies).sum())} scans that were not taken straight on the back were left out",
    ]
    return assemble("rad_chest_ct", columns, states, notes)


def _metadata(root: Path, names: pd.Series) -> tuple[pd.Series, np.ndarray]:
    """The patient of each scan, and whether it was taken straight on the back; without the table each scan is a patient
    of its own."""
    found = sorted([*root.glob(_METADATA), *root.glob(f"*/{_METADATA}")])
    if not found:
        return names, np.ones(len(names), bool)
    table = find_table(found[0].parent, [_METADATA], ["NoteAcc_DEID", "MRN_DEID"])
    table = table.set_index(table["NoteAcc_DEID"].str.removesuffix(".npz"))
    table = table[~table.index.duplicated()].reindex(names)
    patients = table["MRN_DEID"].fillna("").reset_index(drop=True)
    turned = [_is_turned(cell) for cell in table.get("orig_orientation", pd.Series("", table.index)).fillna("")]
    return patients.where(patients != "", names), ~np.array(turned, bool)


def _is_turned(orientation: str) -> bool:
    """Whether six direction cosines, in whatever brackets, are others than those of a patient straight on the back."""
    cosines = [float(number) for number in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", orientation)]
    return len(cosines) == 6 and not np.allclose(cosines, _STRAIGHT, atol=0.1)


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
        places = [c.split("*")[1] for c in located if c.split("*")[0] == abnormality]
        cells = table[[f"{abnormality}*{place}" for place in places]].isin(["1", "1.0"]).to_numpy()
        present = cells.any(axis=1)
        if abnormality in _OF_THE_LUNG:
            inside, elsewhere = (cells[:, np.isin(places, names)].any(axis=1) for names in (_LUNG, _OTHER_ORGANS))
            present &= inside | ~elsewhere
        present |= states.get(finding, np.zeros(len(table), np.int8)) == FindingState.PRESENT
        states[finding] = np.where(present, FindingState.PRESENT, FindingState.ABSENT).astype(np.int8)
    return states, strange
