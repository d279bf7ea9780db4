"""`folder`: any folder of images, or a CSV of them.

A report is taken from the text file of the same name beside an image (`a.dcm`, `a.txt`), or from one `report.txt` in
the image's folder. Patients: of DICOM files by the patient id in the header, which is replaced by a number; of
pictures by the first folder below the root, and where there is none each picture is a patient of its own. Nothing of
a DICOM header is kept.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from medvlp.data.manifest import Manifest
from medvlp.data.sources.dicom_keys import patient_and_study

_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
_DICOM = (".dcm", ".dicom", ".ima", "")  # files without an ending are tried as DICOM


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
        raise FileNotFoundError(f"{root} holds no image: none of {', '.join(_PICTURES)}, and no DICOM file")
    patients: dict[str, str] = {}
    studies: dict[str, str] = {}
    rows = []
    for path in files:
        inside = path.relative_to(root.absolute())
        patient, study = _owner(path, inside)
        rows.append(
            {
                "patient_id": patients.setdefault(patient, f"patient{len(patients) + 1:06d}"),
                "study_id": studies.setdefault(f"{patient}\n{study}", f"study{len(studies) + 1:06d}"),
                "image_id": inside.as_posix(),
                "path": str(path),
                "modality": "OT" if path.suffix.lower() in _PICTURES else "DX",
                "report": _report(path),
                "source": "folder",
            }
        )
    return Manifest(pd.DataFrame(rows))


def _is_image(path: Path) -> bool:
    ending = path.suffix.lower()
    if path.name.startswith(".") or path.name == "DICOMDIR":
        return False
    if ending == "":
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    return ending in _PICTURES or ending in _DICOM


def _owner(path: Path, inside: Path) -> tuple[str, str]:
    """Keys of patient and study."""
    keys = patient_and_study(path) if path.suffix.lower() in _DICOM else None
    if keys is not None:
        return keys
    patient = inside.parts[0]  # a folder, or the file itself
    return patient, inside.parent.as_posix() if len(inside.parts) > 2 else inside.as_posix()


def _report(path: Path) -> str:
    for text in (path.with_suffix(".txt"), path.parent / "report.txt"):
        if text.is_file():
            return text.read_text(encoding="utf-8", errors="replace")
    return ""
