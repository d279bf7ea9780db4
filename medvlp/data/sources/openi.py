"""Open-i: the Indiana University chest radiographs, 3,955 reports and 7,470 images.

Layout: `NLMCXR_reports.tgz`, or unpacked `ecgen-radiology/*.xml`; images as PNG (`CXR7_IM-2263-1001.png`) or DICOM
(`7/7_IM-2263-1001.dcm`), or the Kaggle names (`7_IM-2263-1001.dcm.png`) with `indiana_projections.csv` for the views;
optionally `labels.csv`, the 14 labels by hand (NCBI).

Known, and handled here: words that were taken out for privacy stand as XXXX and are left so; a study is a patient,
since nothing says more; some reports name no image; image names differ between the releases and are matched by study
and number.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd

from medvlp.data.indexing import assemble, coded_states, files_by_name, find_table, register_source
from medvlp.data.manifest import Manifest
from medvlp.io.walk import find_named
from medvlp.knowledge import LabelSpace
from medvlp.reports.states import FindingState

_IMAGE = re.compile(r"^(?:CXR)?(\d+)_.*?(IM-[\d-]*\d)")
_BINARY = {"1": FindingState.PRESENT, "0": FindingState.ABSENT, "": FindingState.UNMENTIONED}


@register_source("openi")
def manifest(root: Path) -> Manifest:
    """Index the images that are on this disk, with their reports and, where the table is there, their labels."""
    root = Path(root).absolute()
    texts = reports(root)
    files = files_by_name(root, [".png", ".dcm", ".jpg"])
    views = _views(root)
    rows = []
    for name, path in files.items():
        match = _IMAGE.match(name)
        if match and f"CXR{match[1]}" in texts.index:
            study, number = f"CXR{match[1]}", match[2]
            rows.append((study, f"{study}_{number}", str(path), views.get((match[1], number), "")))
    table = pd.DataFrame(rows, columns=["study", "image", "path", "view"])
    columns = {
        "patient_id": "openi-" + table["study"],
        "study_id": "openi-" + table["study"],
        "image_id": "openi-" + table["image"],
        "path": table["path"],
        "view": table["view"],
        "modality": "DX",
        "report": table["study"].map(texts["text"]),
    }
    notes = [f"{int((~texts.index.isin(table['study'])).sum())} reports have no image on this disk"]
    return assemble("openi", columns, _labels(root, table["study"]), notes)


def reports(root: Path) -> pd.DataFrame:
    """All reports, also those without image: index `CXR<n>`, column `text` with its headed sections."""
    root = Path(root)
    texts = {}
    for data in _xml_files(root):
        tree = ElementTree.fromstring(data)
        number = tree.find("uId")
        parts = [(a.get("Label", ""), (a.text or "").strip()) for a in tree.iter("AbstractText")]
        if number is not None:
            texts[number.get("id")] = "\n".join(f"{label}: {text}" for label, text in parts if text)
    if not texts:
        raise FileNotFoundError(f"{root} holds neither NLMCXR_reports.tgz nor ecgen-radiology/*.xml")
    return pd.DataFrame({"text": texts})


def _xml_files(root: Path) -> Iterator[bytes]:
    for archive in sorted(root.glob("NLMCXR_reports.t*gz")):
        with tarfile.open(archive) as tar:
            for member in tar:
                file = tar.extractfile(member) if member.name.endswith(".xml") else None
                if file is not None:
                    yield file.read()
        return
    for path in find_named(root, "ecgen-radiology/*.xml"):
        yield path.read_bytes()


def _views(root: Path) -> dict[tuple[str, str], str]:
    if not (root / "indiana_projections.csv").is_file():
        return {}
    table = find_table(root, ["indiana_projections.csv"], ["filename", "projection"])
    matches = [_IMAGE.match(name) for name in table["filename"]]
    views = table["projection"].map({"Frontal": "PA", "Lateral": "LATERAL"}).fillna("")
    return {(m[1], m[2]): view for m, view in zip(matches, views, strict=True) if m}


def _labels(root: Path, studies: pd.Series) -> dict[str, np.ndarray]:
    if not (root / "labels.csv").is_file():
        return {}
    cells = find_table(root, ["labels.csv"], ["filename", "normal"]).set_index("filename")
    cells = cells.reindex(studies).fillna("").reset_index(drop=True)
    states = coded_states(cells, LabelSpace.load("nih14"), _BINARY)
    states["no_finding"] = cells["normal"].map(_BINARY).to_numpy(np.int8)
    return states
