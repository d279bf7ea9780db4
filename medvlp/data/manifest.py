"""`Manifest`: a validated table, one row an image. Whatever is peculiar to a data set ended in `sources/`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medvlp.data import manifest_columns as columns
from medvlp.data.image_kind import are_volumes
from medvlp.errors import MedVLPError
from medvlp.io.atomic_write import atomic_file
from medvlp.io.tables import read_table
from medvlp.reports.states import FindingState


class ManifestError(MedVLPError, ValueError):
    """A table that is no manifest.

    Attributes:
        problems: one message each, naming row (the first is row 1), column and what to do.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("this table is not a valid manifest:\n  " + "\n  ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, eq=False)
class Manifest:
    """A validated table of images.

    Columns: `patient_id, study_id, image_id, path` (required, never empty), `view, modality, split, report, source`
    (filled where they are missing: split by patient, the others with ""), optionally `age, age_band, sex,
    laterality, frame, boxes, mask_<name>, section_<name>`, and label columns named by the finding's id.

    Attributes:
        table: pandas, index 0..N-1; label columns are int8 codes of `FindingState`, all else text, except `age` (float)
            and `frame` (float, NaN where the file has one). `report` is the text itself. `path` is absolute, or
            relative to the working folder; `mask_<name>` is a path with `#member` (of an npz) or `#value` (of a label
            map).
        generated: made by a generator, not by a hospital; every answer of a model trained on it says so.
        notes: known defects of the source that were met and handled, for people.

    Raises:
        ManifestError: with all problems found, each with row, column and remedy.

    Examples:
        >>> ids = dict(patient_id=["7", "8"], study_id=["a", "b"], image_id=["1", "2"], path=["1.png", "2.png"])
        >>> manifest = Manifest(pd.DataFrame({**ids, "edema": ["1", ""]}))
        >>> len(manifest), manifest.labels, manifest.table["edema"].tolist()
        (2, ['edema'], [1, -1])
    """

    table: pd.DataFrame
    generated: bool = False
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        problems = columns.missing_columns(self.table.columns) + columns.unknown_columns(list(self.table.columns))
        if problems:
            raise ManifestError(problems)
        table, problems = _typed(self.table)
        problems += columns.empty_cells(table) + columns.duplicate_images(table)
        problems += columns.bad_splits(table) + columns.studies_of_two_patients(table) + columns.bad_boxes(table)
        if problems:
            raise ManifestError(problems)
        object.__setattr__(self, "table", table)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def labels(self) -> list[str]:
        """Ids of the findings that have a column."""
        return columns.label_columns(self.table.columns)

    @property
    def masks(self) -> list[str]:
        """Names of the masks: `lungs` for a column `mask_lungs`."""
        return [c.removeprefix("mask_") for c in self.table.columns if c.startswith("mask_")]

    @property
    def volumes(self) -> NDArray[np.bool_]:
        """For each row whether its file is a volume, `[N]`; a store holds these or the others."""
        return are_volumes(self.table["path"].tolist(), self.table["modality"].tolist())

    def missing_files(self) -> list[str]:
        """One message for each row whose image is not there. `prepare` would put these in its quarantine table."""
        absent = [not Path(p).exists() for p in self.table["path"]]
        return [
            f"row {r + 1}, column 'path': {self.table['path'].iloc[r]} does not exist; correct it or drop the row"
            for r in np.flatnonzero(absent)
        ]

    def select(self, rows: Sequence[int] | np.ndarray) -> Manifest:
        """The manifest of some rows: positions, or a bool mask."""
        return Manifest(self.table.loc[np.arange(len(self))[np.asarray(rows)]], self.generated, self.notes)

    def save(self, path: str | Path) -> Path:
        """Write `.parquet` or `.csv` (labels as 1, 0, u and empty; paths absolute) in one piece, or not at all."""
        path = Path(path)
        table = self.table.assign(**{c: _CELLS[self.table[c].to_numpy()] for c in self.labels})
        for column in ["path", *(f"mask_{name}" for name in self.masks)]:
            table[column] = [_placed(cell, Path.cwd()) for cell in table[column]]
        table["generated"] = "1" if self.generated else ""
        for number, note in enumerate(self.notes):
            table.attrs[f"note{number}"] = note
        with atomic_file(path) as partial:
            if path.suffix == ".csv":
                table.to_csv(partial, index=False)
            else:
                table.to_parquet(partial, index=False)
        return path

    @classmethod
    def load(cls, path: str | Path) -> Manifest:
        """Read `.parquet` or `.csv`; relative paths are taken from the manifest's own folder."""
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"no manifest at {path}; `medvlp data index SOURCE ROOT -o {path}` makes one")
        table = read_table(path, path_columns=["path"])
        notes = tuple(str(note) for note in table.attrs.values())
        generated = bool((table.pop("generated") == "1").any()) if "generated" in table else False
        for column in [c for c in table.columns if c == "path" or c.startswith("mask_")]:
            table[column] = [_placed(cell, path.parent) for cell in table[column].fillna("")]
        return cls(table, generated, notes)

    @classmethod
    def concat(cls, manifests: Sequence[Manifest]) -> Manifest:
        """Several manifests as one; findings that one of them does not label are unmentioned in its rows."""
        table = pd.concat([m.table for m in manifests], ignore_index=True)
        for finding in columns.label_columns(table.columns):
            table[finding] = table[finding].fillna(FindingState.UNMENTIONED).astype(np.int8)
        shared = table[["patient_id", "source"]].drop_duplicates()
        shared = shared[shared["patient_id"].duplicated(keep=False)]
        if len(shared):
            patient = shared["patient_id"].iloc[0]
            sources = sorted(shared.loc[shared["patient_id"] == patient, "source"])
            raise ManifestError(
                [
                    f"column 'patient_id': {patient!r} stands in {' and '.join(map(repr, sources))}; "
                    "prefix the ids of one source, so that two patients are never taken for one"
                ]
            )
        notes = tuple(dict.fromkeys(note for m in manifests for note in m.notes))
        return cls(table, any(m.generated for m in manifests), notes)


_CELLS = np.array(["0", "1", "u", ""], dtype=object)  # index -1 is the last: unmentioned


def _placed(cell: str, folder: Path) -> str:
    """A path's cell with its path made absolute from `folder`; empty cells and run lengths stay as they are."""
    return cell if not cell or cell.startswith("rle:") else str(folder.absolute() / cell)


def _typed(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The table with its columns in order and in their types, and the problems of its cells."""
    problems: list[str] = []
    typed: dict[str, object] = {}
    table = table.reset_index(drop=True)
    for column in columns.TEXTS:
        if column in table:
            typed[column] = table[column].fillna("").astype(str)
        elif column in ("view", "modality", "report", "source"):
            typed[column] = ""
        elif column == "split":
            typed[column] = splits_by_patient(typed["patient_id"])  # type: ignore[arg-type]
    for column in columns.NUMBERS:
        if column in table:
            numbers = pd.to_numeric(table[column].replace("", np.nan), errors="coerce").astype(np.float64)
            wrong = np.flatnonzero((numbers.isna() & table[column].notna() & (table[column] != "")).to_numpy())
            problems += columns.listed([f"row {r + 1}, column {column!r}: not a number" for r in wrong])
            typed[column] = numbers
    for column in [c for c in table.columns if c.startswith(columns.PREFIXES)]:
        typed[column] = table[column].fillna("").astype(str)
    for column in columns.label_columns(table.columns):
        typed[column], wrong_cells = columns.read_states(table[column])
        problems += wrong_cells
    return pd.DataFrame(typed, index=table.index), problems


def splits_by_patient(
    patient_ids: Iterable[str], fractions: Sequence[float] = (0.8, 0.1, 0.1), seed: int = 0
) -> np.ndarray:
    """`train | validate | test` for each row; all rows of a patient agree, whatever else the table holds.

    Args:
        patient_ids: one a row.
        fractions: of patients for train, validate and test; they sum to 1.
        seed: another seed, another split.

    Examples:
        >>> splits_by_patient(["7", "7", "11", "30"]).tolist()
        ['train', 'train', 'validate', 'test']
    """
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(f"fractions are three numbers that sum to 1 (train, validate, test); got {tuple(fractions)}")
    patients = [str(p) for p in patient_ids]
    bounds = np.cumsum(fractions[:2])
    names = ("train", "validate", "test")
    split = {p: names[int(np.searchsorted(bounds, _unit(f"{seed}:{p}"), side="right"))] for p in set(patients)}
    return np.array([split[p] for p in patients], dtype=object)


def _unit(text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
