"""A table of the user's own, with whatever column names, -> the columns of a manifest, one row an image.

Which column is what is taken from options (`patient=pid`), else guessed from the names and cells, and always said. What
cannot be guessed with confidence is refused with the option that settles it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from medvlp.data.indexing.dicom_headers import VIEWS
from medvlp.data.indexing.named_files import AmbiguousFileError, ImagesOfCells
from medvlp.data.indexing.registry import SourceError
from medvlp.data.manifest import Manifest
from medvlp.data.manifest_columns import PREFIXES, REQUIRED
from medvlp.errors import did_you_mean
from medvlp.io.tables import read_table
from medvlp.knowledge import UnknownNameError, id_of
from medvlp.reports.states import FindingState

ONE_EACH = "file"  # the value of `patient` that makes each image a patient of its own
_NAMES = {  # of each column of a manifest the names that it goes by, in small letters and digits alone
    "path": "path file filename filepath imagepath imagefile imagename image img imgpath dicom dicompath dicomfile dcm",
    "patient": "patientid patient pid subjectid subject patientnumber patientno",
    "study": "studyid study exam examid examination visit visitid studynumber",
    "image": "imageid imageindex dicomid sopid",
    "report": "report reporttext text radiologyreport findingsandimpression caption reports fulltext",
    "view": "view viewposition projection",
    "modality": "modality",
    "laterality": "laterality",
    "split": "split subset partition fold set",
    "age": "age patientage ageyears",
    "sex": "sex gender patientsex patientgender",
}
ROLES = tuple(_NAMES)
_PREFERRED = {role: names.split() for role, names in _NAMES.items()}
_SPLITS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("validate", "validation", "valid", "val", "dev"), "validate"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_SEXES = {"male": "M", "female": "F", "m": "M", "f": "F", "w": "F"}
_UNCERTAIN_CODES = ("-1", "-1.0")  # of CheXpert, MIMIC-CXR and those who followed them
_ENOUGH = 0.5  # of the cells of a column without a telling name, to take them for the images' names


@dataclass(frozen=True, eq=False)
class UserTable:
    """A table, the column of each role, and the file of each row.

    Attributes:
        path: of the table.
        cells: all text.
        columns: role (`path`, `patient`, ...) -> column of the table.
        given: the roles that options named; the others are guessed.
        files: of each row; what is not there is where it was looked for.
    """

    path: Path
    cells: pd.DataFrame
    columns: Mapping[str, str]
    given: frozenset[str]
    files: Sequence[Path]

    @property
    def guessed(self) -> list[str]:
        """The roles whose column no option names."""
        return [role for role in self.columns if role not in self.given]

    def as_options(self) -> str:
        """The columns as the options that name them: `--option path=file --option patient=pid`."""
        return " ".join(f"--option {role}={shlex.quote(column)}" for role, column in self.columns.items())

    @property
    def found(self) -> int:
        """How many rows have an image."""
        return sum(file.exists() for file in self.files)


def is_manifest(table: pd.DataFrame) -> bool:
    """Whether a table has all columns that a manifest needs, under their own names."""
    return set(REQUIRED) <= set(table.columns)


def read_user_table(path: Path, root: Path, options: Mapping[str, str]) -> UserTable:
    """Read a table and find out which column is what.

    Args:
        path: of the table; `medvlp.io.tables` opens it.
        root: folder that its images are looked for in where they do not lie as the cells say, from the table's folder.
        options: role -> column, for the roles that shall not be guessed.

    Raises:
        SourceError: there is no column of that name; or none names the images; says which columns there are.
    """
    cells = read_table(path)
    if cells.empty:
        raise SourceError(f"{path}: the table has no rows")
    columns: dict[str, str] = {}
    unknown = [role for role in options if role not in ROLES]
    if unknown:
        raise SourceError(f"no option {unknown[0]!r}; {did_you_mean(unknown[0], ROLES)}")
    for role, column in options.items():
        if column and not (role == "patient" and column == ONE_EACH):
            if column not in cells:
                raise SourceError(f"{path}: no column {column!r} for {role}; {did_you_mean(column, cells.columns)}")
            columns[role] = column
    given = frozenset(role for role, column in options.items() if column)
    for role in ROLES:
        if role not in given and role != "path":
            guess = _by_name(role, [c for c in cells if c not in columns.values()])
            if guess:
                columns[role] = guess
    files = ImagesOfCells(path.parent, root)
    columns["path"] = columns.get("path") or _path_column(path, cells, columns, files)
    return UserTable(path, cells, columns, given, _files_of(path, columns["path"], cells, files))


def user_manifest(table: UserTable, header: pd.DataFrame | None = None) -> Manifest:
    """The manifest of a table.

    Args:
        table: what was read.
        header: what DICOM headers and files beside them say of each row: text columns `patient_id, study_id, view,
            ...`, "" where they do not say. It fills what the table has no column for.

    Raises:
        SourceError: nothing tells patients apart, or the guessed column makes all images one patient.
        FileNotFoundError: none of the images is there.
        ManifestError: cells that cannot be; each with its row and column.
    """
    here = np.array([file.exists() for file in table.files])
    if not here.any():
        first = table.files[0]
        raise FileNotFoundError(f"none of the {len(here)} images of {table.path} is there; the first is {first}")
    cells, notes = table.cells, list[str]()

    def column(role: str) -> pd.Series:
        if role in table.columns:
            return cells[table.columns[role]].str.strip()
        name = {"patient": "patient_id", "study": "study_id"}.get(role, role)
        values = header[name] if header is not None and name in header else pd.Series("", cells.index)
        return values.reset_index(drop=True)

    names = pd.Series([_image_id(table, file) for file in table.files])
    images = column("image") if "image" in table.columns else names
    studies, views = column("study"), column("view")
    frame: dict[str, object] = {
        "patient_id": _patients(table, column("patient"), names),
        "study_id": studies.where(studies != "", images),
        "image_id": images,
        "path": [str(file) for file in table.files],
        "report": column("report"),
        "view": views.str.upper().map(VIEWS).fillna(views),
        "modality": column("modality").replace("", "DX"),
        "source": table.path.name.split(".")[0],
    }
    used = set(table.columns.values())
    if "report" not in table.columns and (sections := _sections(cells, used)):
        frame["report"] = _headed(cells, sections)
        used |= set(sections.values())
        notes.append(f"the report is put together from the columns {', '.join(sections.values())}")
    if "split" in table.columns:
        splits = column("split").str.lower()
        if "split" in table.given or splits.isin(_SPLITS).all():
            frame["split"] = splits.map(_SPLITS).fillna(splits)
        else:
            notes.append(f"column {table.columns['split']!r} names no splits (train, validate, test) and was not used")
    sexes = column("sex")
    optional = {name: column(name) for name in ("laterality", "age_band")}
    optional["sex"] = sexes.str.lower().map(_SEXES).fillna(sexes)
    optional["age"] = column("age").str.replace(r"^0*(\d+)\s*[Yy]$", r"\1", regex=True)
    frame |= {name: values for name, values in optional.items() if (values != "").any()}
    states, unused, doubts = _labels(table, used)
    kept = [c for c in unused if c.startswith(PREFIXES) or c in ("boxes", "frame")]
    for name in kept:
        frame[name] = [_absolute(cell, table.path.parent) for cell in cells[name]] if "mask_" in name else cells[name]
    notes.insert(0, f"columns of {table.path.name}{' (guessed)' if table.guessed else ''}: {table.as_options()}")
    if left := [c for c in unused if c not in kept]:
        notes.append(f"columns not used: {', '.join(left)}")
    if (~here).any():
        row = int(np.flatnonzero(~here)[0])
        cell = cells[table.columns["path"]].iloc[row]
        notes.append(f"{int((~here).sum())} rows whose image is not there were left out, first row {row + 1}: {cell!r}")
    whole = Manifest(pd.DataFrame(frame | states), notes=(*notes, *doubts))
    return whole.select(here)


def _by_name(role: str, columns: Sequence[str]) -> str | None:
    """The column whose name is the role's; of several the one whose name is the commonest."""
    plain = {re.sub(r"[^a-z0-9]", "", str(c).lower()): c for c in reversed(columns)}
    return next((plain[name] for name in _PREFERRED[role] if name in plain), None)


def _path_column(path: Path, cells: pd.DataFrame, columns: Mapping[str, str], files: ImagesOfCells) -> str:
    """The column that names the images: one whose cells are files, the better named one first."""
    named = _by_name("path", [c for c in cells if c not in columns.values()])
    free = [c for c in cells if c not in columns.values() or c == columns.get("image")]
    sample = cells.iloc[np.unique(np.linspace(0, len(cells) - 1, 50).astype(int))]
    hits = {c: float(np.mean([files.weight(cell) for cell in sample[c]])) for c in free}
    best = max(hits, key=lambda c: (hits[c], c == named), default=None)
    if best is not None and hits[best] >= _ENOUGH:
        return best
    if named:
        return named
    if best is not None and hits[best] > 0:
        return best
    raise SourceError(
        f"{path}: no column names the images; --option path=COLUMN says which does. It has {', '.join(cells.columns)}"
    )


def _files_of(path: Path, column: str, cells: pd.DataFrame, files: ImagesOfCells) -> list[Path]:
    """The file of each row; where there is none, where it was looked for first.

    Raises:
        SourceError: two files have the name that a cell gives.
    """
    found = []
    for row, cell in enumerate(cells[column], start=1):
        try:
            found.append(files.find(cell) or path.parent / cell.strip())
        except AmbiguousFileError as error:
            where = f"{path}: row {row}, column {column!r}"
            raise SourceError(f"{where}: {error}, or write its path into the cell") from None
    return found


def _patients(table: UserTable, patients: pd.Series, images: pd.Series) -> pd.Series:
    """The patient of each row.

    Raises:
        SourceError: nothing tells patients apart, or a guess would make one of all.
    """
    there = f"it has {', '.join(table.cells.columns)}"
    if "patient" in table.given:
        return patients if "patient" in table.columns else images
    if (patients == "").all():
        raise SourceError(
            f"{table.path}: no column says which patient an image is of; --option patient=COLUMN names it ({there}), "
            f"or --option patient={ONE_EACH} makes each image a patient of its own"
        )
    if patients.nunique() == 1 and len(patients) > 1:
        raise SourceError(
            f"{table.path}: by {table.columns.get('patient', 'the headers')!r} all {len(patients)} images are of one "
            f"patient; --option patient=COLUMN names the right column, or this one if it is so ({there})"
        )
    return patients


def _image_id(table: UserTable, file: Path) -> str:
    folder = table.path.parent
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else file.name


def _sections(cells: pd.DataFrame, used: set[str]) -> dict[str, str]:
    """Heading -> column, of a table that has findings and impression each in a column; {} where it has neither."""
    plain = {str(c).lower().strip(): c for c in cells if c not in used}
    sections = {
        name.upper(): plain[name] for name in ("indication", "comparison", "findings", "impression") if name in plain
    }
    return sections if {"FINDINGS", "IMPRESSION"} & set(sections) else {}


def _headed(cells: pd.DataFrame, sections: Mapping[str, str]) -> list[str]:
    rows = zip(*(cells[column].str.strip() for column in sections.values()), strict=True)
    return ["\n".join(f"{h}: {text}" for h, text in zip(sections, row, strict=True) if text) for row in rows]


def _labels(table: UserTable, used: set[str]) -> tuple[dict[str, np.ndarray], list[str], list[str]]:
    """States of the columns named as findings; the names of the columns that nobody uses; notes."""
    states: dict[str, np.ndarray] = {}
    unused, notes = [], []
    for column in [c for c in table.cells if c not in used]:
        try:
            finding = id_of(column)
        except UnknownNameError:
            unused.append(column)
            continue
        cells = table.cells[column].str.strip().str.lower()
        doubtful = cells.isin(_UNCERTAIN_CODES)
        cells = cells.mask(doubtful, "u").replace({"yes": "1", "no": "0"})
        try:
            codes = {cell: FindingState.from_cell(cell) for cell in cells.unique()}
        except ValueError:
            notes.append(f"column {column!r} is a finding's name, but its cells are no states (1, 0, u); not used")
            continue
        if finding in states:
            raise SourceError(f"{table.path}: two columns are the finding {finding}; drop one of them")
        if doubtful.any():
            notes.append(f"{int(doubtful.sum())} cells -1 of column {column!r} are taken as uncertain")
        states[finding] = cells.map(codes).to_numpy(np.int8)
    return states, unused, notes


def _absolute(cell: str, folder: Path) -> str:
    return str(folder / cell) if cell and not cell.startswith("rle:") else cell
