"""The last step that all sources share: leave out what is not on this disk, count it, and make the `Manifest`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from medvlp.data.indexing.registry import SourceError
from medvlp.data.manifest import Manifest
from medvlp.io.tables import read_table
from medvlp.knowledge import LabelSpace
from medvlp.reports.states import FindingState


def assemble(
    source: str,
    columns: Mapping[str, object],
    states: Mapping[str, np.ndarray] | None = None,
    notes: Iterable[str] = (),
    generated: bool = False,
) -> Manifest:
    """Columns and label columns of a source -> its manifest.

    Args:
        source: name of the data set; goes to the column `source` and in front of the notes.
        columns: of a manifest, all of one length.
        states: finding id -> int8 codes.
        notes: what was met and handled; one that begins with "0 " did not happen and is dropped.
        generated: see `Manifest`.

    Raises:
        FileNotFoundError: none of the images is on this disk; names the first.
    """
    table = pd.DataFrame({**columns, **(states or {}), "source": source})
    here = np.array([Path(p).is_file() for p in table["path"]], bool)
    if not here.any():
        raise FileNotFoundError(
            f"none of the {len(here)} images of {source} is on this disk"
            + (f"; the first would be {table['path'].iloc[0]}" if len(here) else "")
        )
    missing = f"{int((~here).sum())} images of the tables are not on this disk and were left out"
    kept = tuple(f"{source}: {note}" for note in [*notes, missing] if not note.startswith("0 "))
    return Manifest(table.loc[here], generated, kept)


def listed_states(lists: Iterable[Sequence[str]], space: LabelSpace) -> dict[str, np.ndarray]:
    """Label lists of images, in tables that name every label that is there -> finding id -> present or absent.

    Raises:
        UnknownNameError: a label that the label space does not know; labels that it knows to be no finding are skipped.
    """
    lists = list(lists)
    states = np.full((len(lists), len(space)), FindingState.ABSENT, np.int8)
    for row, labels in enumerate(lists):
        for label in labels:
            if label not in space.others:
                states[row, space.index(label)] = FindingState.PRESENT
    return {finding: states[:, i] for i, finding in enumerate(space.findings)}


def box_cells(images: Sequence[str], boxes: pd.DataFrame) -> list[str]:
    """The cells of the column `boxes`.

    Args:
        images: one id a row of the manifest.
        boxes: columns `image_id, finding, x0, y0, x1, y1` in pixels of the file, and `phrase` where the box has one.
    """
    cells: dict[str, list[dict[str, object]]] = {}
    for row in boxes.to_dict("records"):
        item: dict[str, object] = {"finding": row["finding"]}
        item["box"] = [round(float(row[k]), 2) for k in ("x0", "y0", "x1", "y1")]
        if row.get("phrase"):
            item["phrase"] = row["phrase"]
        cells.setdefault(row["image_id"], []).append(item)
    return [json.dumps(cells[image]) if image in cells else "" for image in images]


def find_table(root: Path, names: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    """The first of some tables that is there, every cell as text ("" where empty).

    Args:
        root: folder to look in.
        names: file names in the order of preference; glob patterns may be used.
        columns: what the table must have; others are kept too.

    Raises:
        FileNotFoundError: none of the files is there.
        TableError: a column is missing; names it and the columns that are there.
    """
    return read_table(find_file(root, names), columns)


def find_file(root: Path, names: Sequence[str]) -> Path:
    """The first of some files or folders below `root`; names may be glob patterns.

    Raises:
        FileNotFoundError: none is there; names all.
    """
    for name in names:
        found = sorted(root.glob(name))
        if found:
            return found[0]
    raise FileNotFoundError(
        f"{root} holds none of {', '.join(names)}; is it the folder that the data set was unpacked in?"
    )


def coded_states(cells: pd.DataFrame, space: LabelSpace, codes: Mapping[str, FindingState]) -> dict[str, np.ndarray]:
    """Label columns in a data set's own spelling and codes -> finding id -> int8 states.

    Args:
        cells: text cells; has the label space's columns (a label that this release lacks is left out).
        space: the data set's label space.
        codes: every value that a cell may have, such as `{"-1.0": UNCERTAIN, "": UNMENTIONED}`.

    Raises:
        SourceError: a cell has another value; names row, column and value.
    """
    states = {}
    for label, finding in zip(space.labels, space.findings, strict=True):
        if label not in cells:
            continue
        values = cells[label].map(codes)
        wrong = np.flatnonzero(values.isna().to_numpy())
        if len(wrong):
            value = cells[label].iloc[wrong[0]]
            raise SourceError(
                f"row {wrong[0] + 1}, column {label!r}: {value!r} is none of {', '.join(map(repr, codes))}"
            )
        states[finding] = values.to_numpy(np.int8)
    return states
