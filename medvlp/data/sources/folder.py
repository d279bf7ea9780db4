"""`folder`: any folder of images, or a CSV of them.

DICOM files and pictures are a row each; so are NIfTI files, and every volume of a folder of CT, MR, PET or SPECT
slices. A report is taken from the text file of the same name beside an image (`a.dcm`, `a.txt`; `scan/`, `scan.txt`),
or from one `report.txt` in the image's folder. Patients: of DICOM files by the patient id in the header, which is
replaced by a number; of pictures and NIfTI files by the first folder below the root, and where there is none each file
is a patient of its own. Nothing of a DICOM header is kept.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from medvlp.data.indexing import register_source
from medvlp.data.indexing.dicom_headers import DicomKeys, dicom_keys
from medvlp.data.indexing.dicom_series import series_rows
from medvlp.data.manifest import Manifest

_NIFTI = (".nii", ".nii.gz")
_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
_DICOM = (".dcm", ".dicom", ".ima", "")  # files without an ending are tried as DICOM


@register_source("folder")
def manifest(root: Path) -> Manifest:
    """Index all images below a folder, or the rows of a CSV (columns of `Manifest`; relative paths from its folder).

    Raises:
        FileNotFoundError: no image there.
        ManifestError: the CSV is no manifest; says which row and column.
    """
    root = Path(root)
    if root.is_file():
        return Manifest.load(root)
    files = sorted(p for p in root.absolute().rglob("*") if p.is_file() and _is_image(p))
    if not files:
        endings = ", ".join(_PICTURES + _NIFTI)
        raise FileNotFoundError(f"{root} holds no image: none of {endings}, and no DICOM file")
    keys = {path: dicom_keys(path) for path in files if path.suffix.lower() in _DICOM}
    slices = {path for path, key in keys.items() if key is not None and key.modality}
    rows = [_row(root, path, keys.get(path)) for path in files if path not in slices]
    for found in series_rows(slices):
        row = _row(root, found.folder, keys.get(found.first))
        if found.series is not None:
            row |= {"frame": found.series, "image_id": f"{row['image_id']}#{found.series}"}
        rows.append(row)
    table = pd.DataFrame(rows)
    for column, name in (("patient_id", "patient"), ("study_id", "study")):
        table[column] = [f"{name}{number + 1:06d}" for number in pd.factorize(table[column])[0]]
    return Manifest(table)


def _row(root: Path, path: Path, keys: DicomKeys | None) -> dict[str, Any]:
    """A file or a folder; patient and study still as keys."""
    inside = path.relative_to(root.absolute())
    kind = "OT" if path.name.lower().endswith(_PICTURES + _NIFTI) else "DX"
    patient, study = (keys.patient, keys.study) if keys is not None and keys.patient else _owner(inside)
    return {
        "patient_id": patient,
        "study_id": f"{patient}\n{study}",
        "image_id": inside.as_posix(),
        "path": str(path),
        "modality": keys.modality if keys is not None and keys.modality else kind,
        "report": _report(path),
        "source": "folder",
    }


def _is_image(path: Path) -> bool:
    ending = path.suffix.lower()
    if path.name.startswith(".") or path.name == "DICOMDIR":
        return False
    if ending == "":
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    return ending in _DICOM or path.name.lower().endswith(_PICTURES + _NIFTI)


def _owner(inside: Path) -> tuple[str, str]:
    """Keys of patient and study by the folders that a file lies in."""
    patient = inside.parts[0] if inside.parts else ""  # a folder, or the file itself
    return patient, inside.parent.as_posix() if len(inside.parts) > 2 else inside.as_posix()


def _report(path: Path) -> str:
    name = path.name.removesuffix(".gz")
    same = path.parent / f"{name if path.is_dir() else Path(name).stem}.txt"
    for text in (same, (path if path.is_dir() else path.parent) / "report.txt"):
        if text.is_file():
            return text.read_text(encoding="utf-8", errors="replace")
    return ""
