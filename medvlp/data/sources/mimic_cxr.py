"""MIMIC-CXR, both releases: DICOM (`files/**/*.dcm`) and JPG (`files/**/*.jpg`), with the official tables.

Layout: https://physionet.org/content/mimic-cxr/2.1.0/ and https://physionet.org/content/mimic-cxr-jpg/2.1.0/. The
tables (`mimic-cxr-2.0.0-{metadata,split,chexpert,negbio}.csv.gz`) come with the JPG release; the reports
(`files/p10/p10000032/s50414267.txt`) with the DICOM release or `mimic-cxr-reports.zip`.

Known, and handled here: -1 in the label tables means uncertain; a few studies have no row in them and stay
unmentioned; `ViewPosition` is empty for many images, where the code sequence's meaning is used; dates and times of
the metadata are dropped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from medvlp.data.indexing import assemble, coded_states, find_file, find_table, register_source
from medvlp.data.manifest import Manifest
from medvlp.knowledge import LabelSpace
from medvlp.reports.report import Report
from medvlp.reports.sections import find_sections
from medvlp.reports.states import FindingState

_LABELS = {
    "": FindingState.UNMENTIONED,
    "1.0": FindingState.PRESENT,
    "0.0": FindingState.ABSENT,
    "-1.0": FindingState.UNCERTAIN,
}
_ENDINGS = (".dcm", ".jpg")
_VIEWS = {"antero-posterior": "AP", "postero-anterior": "PA", "lateral": "LATERAL", "left lateral": "LL"}


@register_source("mimic_cxr")
def manifest(
    root: Path,
    tables: str | Path | None = None,
    reports: str | Path | None = None,
    labels: Literal["chexpert", "negbio", "none"] = "chexpert",
) -> Manifest:
    """Index a download of MIMIC-CXR; images of the tables that are not on this disk are left out and counted.

    Args:
        root: folder that holds `files/` with the images.
        tables: folder of the `csv.gz` tables; default `root`.
        reports: folder that holds `files/` with the reports; default `root`, or `root/mimic-cxr-reports` where it is.
        labels: which label table to take, or `none` for the states of the parsed reports alone.
    """
    root = Path(root).absolute()
    tables = Path(tables or root)
    reports = Path(reports) if reports else next((p for p in (root / "mimic-cxr-reports", root) if p.is_dir()), root)
    metadata = find_table(
        tables, ["mimic-cxr-*-metadata.csv.gz", "mimic-cxr-*-metadata.csv"], ["dicom_id", "subject_id", "study_id"]
    )
    splits = find_table(tables, ["mimic-cxr-*-split.csv.gz", "mimic-cxr-*-split.csv"], ["dicom_id", "split"])
    table = metadata.merge(splits[["dicom_id", "split"]], on="dicom_id", how="left", validate="one_to_one")
    folders = "p" + table["subject_id"].str[:2] + "/p" + table["subject_id"] + "/s" + table["study_id"]
    paths, both = _files(root, folders, table["dicom_id"])
    texts = _report_texts(reports / "files", folders)
    findings, impressions = _sections(texts, table["study_id"])
    columns = {
        "patient_id": table["subject_id"],
        "study_id": table["study_id"],
        "image_id": table["dicom_id"],
        "path": paths,
        "view": _views(table),
        "modality": "DX",
        "split": table["split"],
        "report": texts,
        "section_findings": findings,
        "section_impression": impressions,
    }
    notes = [f"{int((texts == '').sum())} images have no report text", both]
    states: dict[str, np.ndarray] = {}
    if labels != "none":
        states, without = _labels(tables, labels, table["study_id"])
        notes.append(f"{without} images belong to studies without a row in the {labels} table")
    return assemble("mimic_cxr", columns, states, notes, generated=(root / "phantom.json").is_file())


def _files(root: Path, folders: pd.Series, images: pd.Series) -> tuple[pd.Series, str]:
    """The file of each image, and a note on those that are there twice: the release that has more images is taken."""
    stems = f"{root}/files/" + folders + "/" + images
    there = {ending: np.array([Path(f"{stem}{ending}").is_file() for stem in stems], bool) for ending in _ENDINGS}
    own = max(_ENDINGS, key=lambda ending: int(there[ending].sum()))  # the first of equals
    other = next(ending for ending in _ENDINGS if ending != own)
    if not there[own].any():
        raise FileNotFoundError(f"{root}/files holds no image of the tables, neither .dcm nor .jpg")
    paths = stems + np.where(there[other] & ~there[own], other, own)
    return paths, f"{int((there[own] & there[other]).sum())} images are there as {own} and as {other}: {own} was taken"


def _report_texts(files: Path, folders: pd.Series) -> pd.Series:
    texts = {}
    for folder in folders.unique():
        path = files / f"{folder}.txt"
        texts[folder] = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return folders.map(texts)


def _sections(texts: pd.Series, studies: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Findings and impression of each image's report; empty where it has no such section."""
    distinct = dict(zip(studies, texts, strict=True))
    reports = {s: Report(text, find_sections(text, s)) for s, text in distinct.items() if text}
    parts = (studies.map({s: r.section(name) for s, r in reports.items()}) for name in ("findings", "impression"))
    findings, impressions = (part.fillna("") for part in parts)
    return findings, impressions


def _views(table: pd.DataFrame) -> pd.Series:
    position = table["ViewPosition"] if "ViewPosition" in table else pd.Series("", index=table.index)
    meaning = table.get("ViewCodeSequence_CodeMeaning", pd.Series("", index=table.index))
    return position.where(position != "", meaning.map(_VIEWS).fillna(""))


def _labels(tables: Path, kind: str, studies: pd.Series) -> tuple[dict[str, np.ndarray], int]:
    """States of each image, and how many images have no row in the table."""
    name = find_file(tables, [f"mimic-cxr-*-{kind}.csv.gz", f"mimic-cxr-*-{kind}.csv"]).name
    cells = find_table(tables, [name], ["study_id"]).set_index("study_id")
    without = int((~studies.isin(cells.index)).sum())
    cells = cells.reindex(studies).fillna("").reset_index(drop=True)
    return coded_states(cells, LabelSpace.load("chexpert14"), _LABELS), without
