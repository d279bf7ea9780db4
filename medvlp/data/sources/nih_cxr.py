"""NIH ChestX-ray14: 112,120 frontal radiographs of 30,805 patients, 14 labels mined from reports, 984 boxes.

Layout: `Data_Entry_2017.csv` (or `_v2020`), `BBox_List_2017.csv`, `train_val_list.txt`, `test_list.txt` and the
images in `images_001/images` to `images_012/images`, or all in `images`, whose files go before copies elsewhere. A
reduced folder with `labels.csv` and a column `image` is read too.

Known, and handled here: a label that is not listed is absent by the table's own rule; the boxes say "Infiltrate"
where the labels say "Infiltration"; ages above 120 are entry errors and left empty; the official test list is kept,
and validation is drawn from the patients of the official training list; boxes are in pixels of the release, 1024 x
1024, and are scaled to files of another size.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from medvlp.data.indexing import assemble, box_cells, files_by_name, find_table, listed_states, register_source
from medvlp.data.manifest import Manifest, splits_by_patient
from medvlp.io.tables import read_table
from medvlp.knowledge import LabelSpace
from medvlp.reports.states import FindingState

_OLDEST = 120
_SIDE = 1024  # pixels of the release's images, which the boxes are in


@register_source("nih_cxr")
def manifest(root: Path) -> Manifest:
    """Index a download of ChestX-ray14, whole or in part."""
    root = Path(root).absolute()
    table = find_table(
        root,
        ["Data_Entry_2017*.csv*", "labels.csv"],
        ["Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age", "View Position"],
    )
    names = table["Image Index"]
    patients = "nih-" + table["Patient ID"].str.zfill(8)
    lists = table["Finding Labels"].str.split("|")
    states = listed_states(lists.map(lambda labels: [x for x in labels if x != "No Finding"]), LabelSpace.load("nih14"))
    normal = lists.map(lambda labels: "No Finding" in labels).to_numpy()
    states["no_finding"] = np.where(normal, FindingState.PRESENT, FindingState.ABSENT).astype(np.int8)
    ages = pd.to_numeric(table["Patient Age"].str.rstrip("YMD"), errors="coerce")
    columns: dict[str, Any] = {
        "patient_id": patients,
        "study_id": patients + "-" + table["Follow-up #"],
        "image_id": names.str.removesuffix(".png"),
        "path": _paths(root, table),
        "view": table["View Position"],
        "modality": "DX",
        "split": _splits(root, names, patients),
        "age": ages.where(ages <= _OLDEST),
        "sex": table["Patient Gender"] if "Patient Gender" in table else table["Patient Sex"],
    }
    boxes, scaled = _scaled(_boxes(root), dict(zip(names, columns["path"], strict=True)))
    columns["boxes"] = box_cells(list(names), boxes)
    notes = [
        f"{int((ages > _OLDEST).sum())} ages above {_OLDEST} were left empty",
        f"{scaled} images with boxes are of another size than 1024 x 1024: their boxes were scaled",
    ]
    return assemble("nih_cxr", columns, states, notes)


def _paths(root: Path, table: pd.DataFrame) -> list[str]:
    if "image" in table:
        return [str(root / image) for image in table["image"]]
    files = files_by_name(root, [".png"], prefer=["images", "images_0*/images"])
    return [str(files.get(name, root / "images" / name)) for name in table["Image Index"]]


def _splits(root: Path, names: pd.Series, patients: pd.Series) -> np.ndarray:
    official = root / "test_list.txt"
    if not official.is_file():
        return splits_by_patient(patients)
    test = names.isin(official.read_text().split()).to_numpy()
    return np.where(test, "test", splits_by_patient(patients, (0.875, 0.125, 0.0)))


def _boxes(root: Path) -> pd.DataFrame:
    empty = pd.DataFrame(columns=["image_id", "finding", "x0", "y0", "x1", "y1"])
    if not (root / "BBox_List_2017.csv").is_file():
        return empty
    # The header is `Image Index,Finding Label,Bbox [x,y,w,h],,,`: its bracket is cut at the commas.
    raw = read_table(root / "BBox_List_2017.csv").iloc[:, :6]
    raw.columns = pd.Index(["image_id", "label", "x0", "y0", "w", "h"])
    raw = raw.astype(dict.fromkeys(("x0", "y0", "w", "h"), float))
    space = LabelSpace.load("nih14")
    raw["finding"] = [space.findings[space.index(x)] for x in raw["label"].replace("Infiltrate", "Infiltration")]
    return raw.assign(x1=raw["x0"] + raw["w"], y1=raw["y0"] + raw["h"])


def _scaled(boxes: pd.DataFrame, paths: dict[str, str]) -> tuple[pd.DataFrame, int]:
    """The boxes in pixels of the files that are there, and how many images that concerns."""
    factors = {image: _factor(Path(paths[image])) for image in boxes["image_id"].unique() if image in paths}
    factor = boxes["image_id"].map(factors).fillna(1.0)
    for corner in ("x0", "y0", "x1", "y1"):
        boxes[corner] = boxes[corner] * factor
    return boxes, sum(value != 1.0 for value in factors.values())


def _factor(path: Path) -> float:
    """Pixels of a file for each pixel of the release; 1 where the file cannot be read, which `prepare` will say."""
    try:
        with PillowImage.open(path) as picture:
            return max(picture.size) / _SIDE
    except (OSError, UnidentifiedImageError):
        return 1.0
