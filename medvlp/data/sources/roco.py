"""ROCO: figures of open-access articles (CT, MR, radiographs, ultrasound) with their captions.

Layouts: the original's `{train,validation,test}/radiology/{captions.txt,licences.txt,images/}`, version 2's
`{train,valid,test}_captions.csv` beside `{train,valid,test}/`, and a reduced folder with `captions.csv`.

Known, and handled here: figures of one article must not stand in two splits, which the official split does not see
to, so splits are made by article; captions without an image and images without a caption are left out; the modality
is not stated.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from medvlp.data.indexing import assemble, files_by_name, find_table, register_source
from medvlp.data.manifest import Manifest
from medvlp.io.tables import read_table
from medvlp.io.walk import find_named

_CHEST_RADIOGRAPH = re.compile(
    r"\b(?:chest|thoracic|lungs?|pulmonary)\b.{0,60}\b(?:x[- ]?rays?|radiographs?|radiography|roentgenogram|film)\b"
    r"|\b(?:x[- ]?rays?|radiographs?|radiography|roentgenogram)\b.{0,30}\b(?:chest|thorax|lungs?)\b|\bCXR\b",
    re.IGNORECASE,
)


@register_source("roco")
def manifest(root: Path, chest_radiographs: bool = False) -> Manifest:
    """Index figures and captions.

    Args:
        root: folder of one of the layouts.
        chest_radiographs: keep only figures whose caption speaks of a chest radiograph.
    """
    root = Path(root).absolute()
    table = _figures(root)
    without = int((table["caption"] == "").sum())
    table = table[table["caption"] != ""]
    if chest_radiographs:
        table = table[table["caption"].str.contains(_CHEST_RADIOGRAPH)]
    columns = {
        "patient_id": "roco-" + table["article"],
        "study_id": "roco-" + table["article"],
        "image_id": "roco-" + table["name"],
        "path": table["path"],
        "report": table["caption"],
    }
    return assemble("roco", columns, notes=[f"{without} figures have no caption"])


def _figures(root: Path) -> pd.DataFrame:
    """`name, article, caption, path` of each figure, whatever the layout."""
    if (root / "captions.csv").is_file():
        table = find_table(root, ["captions.csv"], ["image", "article", "caption"])
        table["name"] = table["image"].map(lambda image: Path(image).stem)
        table["path"] = [str(root / image) for image in table["image"]]
        return table
    texts, licences = find_named(root, "radiology/captions.txt"), find_named(root, "radiology/licences.txt")
    tables = sorted(root.glob("*_captions.csv"))
    if texts:
        table = pd.concat([_tab_separated(p, ["name", "caption"]) for p in texts], ignore_index=True)
        sources = pd.concat([_tab_separated(p, ["name", "file"]) for p in licences], ignore_index=True)
        article = sources.set_index("name")["file"].str.extract(r"(PMC\d+)")[0]
        table["article"] = table["name"].map(article).fillna(table["name"])
    elif tables:
        table = pd.concat([read_table(p, ["ID", "Caption"]) for p in tables], ignore_index=True)
        table = table.rename(columns={"ID": "name", "Caption": "caption"})
        table["article"] = table["name"]  # version 2 does not say which article a figure is of
    else:
        raise FileNotFoundError(f"{root} holds neither captions.csv, nor radiology/captions.txt, nor *_captions.csv")
    files = files_by_name(root, [".jpg", ".png"], without_ending=True)
    table["path"] = [str(files.get(name, root / f"{name}.jpg")) for name in table["name"]]
    return table


def _tab_separated(path: Path, names: list[str]) -> pd.DataFrame:
    """Lines `name<tab>text`; captions hold quotes, so nothing is taken for a quoted field."""
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if "\t" in line]
    return pd.DataFrame([[cell.strip() for cell in line[:2]] for line in lines], columns=names)
