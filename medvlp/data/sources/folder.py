"""Any folder of images, with a table beside them or without.

Layout: DICOM files (by their content, whatever their names), pictures and NIfTI files, at any depth. A table (CSV, TSV,
parquet) in the folder or one below is taken where it names the images; see the source `table`.

Known, and handled here: every volume of a folder of CT, MR, PET or SPECT slices is a row, all other files are a row
each. A report without a table is the text file of the same name beside an image (`a.dcm`, `a.txt`; `scan/`,
`scan.txt`), or one `report.txt` in the image's folder. View, laterality, modality, sex and a ten-year age band come
from the DICOM header; the patient id of the header tells patients apart and is replaced by a number. The patient of
pictures and NIfTI files is the first folder below the root; where that would make one patient of many images, it is
refused. Nothing else of a header is kept.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from medvlp.data.image_kind import VOLUMETRIC
from medvlp.data.indexing import SourceError, register_source
from medvlp.data.indexing.dicom_headers import DicomHeader, read_header, series_rows
from medvlp.data.indexing.user_table import ONE_EACH, UserTable, is_manifest, read_user_table, user_manifest
from medvlp.data.manifest import Manifest
from medvlp.data.sources import table as table_source
from medvlp.io.tables import TableError, read_table
from medvlp.io.walk import find_images, image_kind

_TABLES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet")
_NOT_DICOM = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".jp2", ".nii", ".nii.gz", ".nrrd", ".npz")
_BY_FOLDER = "folder"  # the value of `patient` that insists on the first folder
_MANY = 10  # images of one patient by its folder, from which on that is doubted


@register_source("folder")
def manifest(root: Path, table: str = "", patient: str = "", **columns: str) -> Manifest:
    """Index all images below a folder, with the reports and labels of a table where there is one.

    Args:
        root: the folder; or a table, which is then read as by the source `table`.
        table: path of the table, from the root; default the one below the root that names images; `none` for none.
        patient: the table's column of patients. Without a table: `file` makes each picture a patient of its own, and
            `folder` insists on the first folder below the root.
        columns: names of other columns of the table, see the source `table`.

    Raises:
        FileNotFoundError: no image there.
        SourceError: two tables name images, there is none of which to take columns, or all images would be one patient.
        ManifestError: cells that cannot be; each with its row and column.
    """
    root = Path(root).absolute()
    options = columns | ({"patient": patient} if patient else {})
    if root.is_file():
        return table_source.manifest(root, **options)
    found = find_images(root)
    if not found.files:
        raise FileNotFoundError(f"{root} holds no image: neither a DICOM file nor a picture nor a NIfTI file ({found})")
    rows = _image_rows(root, found.files, by_file=patient == ONE_EACH)
    notes = [f"{count} of the files are {reason}; left out" for reason, count in found.left_out.items()]
    notes += (
        [f"{rows.attrs['left_out']} slices belong to no volume and were left out"] if rows.attrs["left_out"] else []
    )
    beside, not_used = _table_of(root, table, options)
    notes += [f"{path} was not used: {why}" for path, why in not_used]
    if beside is not None:
        made = user_manifest(beside, _headers(beside, rows))
        unnamed = len(set(rows["path"]) - set(map(str, beside.files)))
        notes += [f"{unnamed} images are in no row of {beside.path.name} and were left out"] if unnamed else []
        return Manifest(made.table, notes=(*made.notes, *notes))
    if columns or patient not in ("", ONE_EACH, _BY_FOLDER):
        named = next(iter(columns.items()), ("patient", patient))
        raise SourceError(f"{root} holds no table of these images to take column {named[1]!r} for {named[0]} from")
    if patient != _BY_FOLDER:
        _doubt_folders(root, rows, [f"{path.name} was not used: {why}" for path, why in not_used])
    alone = int(rows["alone"].sum())
    notes += [f"{alone} images that nothing tells the patient of count as a patient each"] if alone else []
    for column, name in (("patient_id", "patient"), ("study_id", "study")):
        rows[column] = [f"{name}{number + 1:06d}" for number in pd.factorize(rows[column])[0]]
    return Manifest(rows.drop(columns=["by_folder", "alone"]), notes=tuple(f"folder: {note}" for note in notes))


def _image_rows(root: Path, files: list[Path], by_file: bool) -> pd.DataFrame:
    """A row an image or volume; patient and study are keys; `by_folder` and `alone` say how its patient is known."""
    headers = {path: read_header(path) for path in files if _is_dicom(path)}
    slices = {path for path, header in headers.items() if header is not None and header.modality in VOLUMETRIC}
    rows = [_row(root, path, headers.get(path), by_file) for path in files if path not in slices]
    left_out = 0
    for volume in series_rows(slices):
        row = _row(root, volume.folder, headers.get(volume.first), by_file)
        if volume.series is not None:
            row |= {"frame": volume.series, "image_id": f"{row['image_id']}#{volume.series}"}
        left_out += volume.left_out
        rows.append(row)
    table = pd.DataFrame(rows)
    table.attrs["left_out"] = left_out
    empty = [c for c in ("laterality", "age_band", "sex") if (table[c] == "").all()]
    return table.drop(columns=empty)


def _row(root: Path, path: Path, header: DicomHeader | None, by_file: bool) -> dict[str, object]:
    inside = path.relative_to(root) if path.is_relative_to(root) else Path(path.name)
    said = header or DicomHeader()
    owner = inside.as_posix() if by_file else inside.parts[0] if inside.parts else ""  # a folder, or the file itself
    own_study = inside.parent.as_posix() if len(inside.parts) > 2 and not by_file else inside.as_posix()
    patient = said.patient or owner
    return {
        "patient_id": patient,
        "study_id": f"{patient}\n{said.study or own_study}",
        "image_id": inside.as_posix(),
        "path": str(path),
        "view": said.view,
        "modality": said.modality or ("OT" if path.name.lower().endswith(_NOT_DICOM) else "DX"),
        "laterality": said.laterality,
        "age_band": said.age_band,
        "sex": said.sex,
        "report": _report(path),
        "source": "folder",
        "by_folder": not said.patient and not by_file and len(inside.parts) > 1,
        "alone": not said.patient and (by_file or len(inside.parts) < 2),
    }


def _is_dicom(path: Path) -> bool:
    try:
        return not path.name.lower().endswith(_NOT_DICOM) and image_kind(path) == "dicom"
    except OSError:
        return False


def _doubt_folders(root: Path, rows: pd.DataFrame, notes: list[str]) -> None:
    """Raise where folders make one patient of images that may be of many."""
    guessed = rows.loc[rows["by_folder"], "patient_id"]
    most, count = Counter(guessed).most_common(1)[0] if len(guessed) else ("", 0)
    if count >= _MANY or (count > 1 and rows["patient_id"].nunique() == 1):
        raise SourceError(
            f"by its folder, {count} images would be of one patient, {most!r} ({rows['patient_id'].nunique()} in all); "
            f"--option patient={ONE_EACH} makes each image a patient of its own, --option patient={_BY_FOLDER} says "
            f"that it is so; or put a table with a column of patients into {root}{'; '.join(['', *notes])}"
        )


def _report(path: Path) -> str:
    name = path.name.removesuffix(".gz")
    same = path.parent / f"{name if path.is_dir() else Path(name).stem}.txt"
    for text in (same, (path if path.is_dir() else path.parent) / "report.txt"):
        if text.is_file():
            return text.read_text(encoding="utf-8", errors="replace")
    return ""


def _table_of(root: Path, given: str, options: dict[str, str]) -> tuple[UserTable | None, list[tuple[Path, str]]]:
    """The table that names the images of a folder, and tables that do not, with the reason.

    Raises:
        SourceError: several tables name images, or the table that was given names none.
    """
    if given == "none":
        return None, []
    if given:
        path = root / given if (root / given).is_file() else Path(given).absolute()
        return read_user_table(path, root, options), []
    paths = sorted(p for pattern in ("*", "*/*") for p in root.glob(pattern) if p.name.lower().endswith(_TABLES))
    tables, not_used = [], []
    for path in (p for p in paths if p.is_file() and not p.name.startswith(".")):
        try:
            if "generated" in (content := read_table(path)) and is_manifest(content):
                not_used.append((path, "a manifest that this command wrote"))
                continue
            read = read_user_table(path, root, options)
            tables.append(read) if read.found else not_used.append((path, "no row names an image below the folder"))
        except (SourceError, TableError) as error:
            not_used.append((path, str(error).removeprefix(f"{path}: ")))
    if len(tables) > 1:
        names = ", ".join(str(read.path.relative_to(root)) for read in tables)
        raise SourceError(f"{root}: {len(tables)} tables name images, {names}; --option table=NAME says which to take")
    if options and not tables and not_used:
        raise SourceError(f"{not_used[0][0]}: {not_used[0][1]}")
    return (tables[0] if tables else None), not_used


def _headers(table: UserTable, rows: pd.DataFrame) -> pd.DataFrame:
    """What the headers say of the file of each row of a table; patients as numbers."""
    known = rows.drop_duplicates("path").set_index("path")
    patients = known["patient_id"].where(~known["by_folder"] & ~known["alone"], "")
    said = known.drop(columns=["by_folder", "alone", "image_id", "source"])
    said["patient_id"] = _numbered(patients, "patient")
    said["study_id"] = _numbered(known["study_id"].where(patients != "", ""), "study")
    said["modality"] = known["modality"].replace("OT", "")
    return said.reindex([str(file) for file in table.files]).fillna("").reset_index(drop=True)


def _numbered(keys: pd.Series, name: str) -> list[str]:
    codes = pd.factorize(keys.where(keys != "", None))[0]
    return [f"{name}{code + 1:06d}" if code >= 0 else "" for code in np.asarray(codes)]
