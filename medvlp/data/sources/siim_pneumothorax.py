"""SIIM-ACR Pneumothorax Segmentation: 12,047 to 12,954 radiographs with masks of the pneumothorax as run lengths.

Layout: `train-rle.csv` or `stage_2_train.csv`, and `dicom-images-train/<study>/<series>/<image>.dcm`, or the images
in one folder as DICOM or PNG.

Known, and handled here: an image with several pneumothoraces has several rows, which are one mask here, and a split
is made by image, never by row; the column's name begins with a space; "-1" is no pneumothorax; starts count from the
end of the run before, down the columns; the image's id names the only patient there is to know.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medvlp.data.indexing import assemble, files_by_name, find_table, register_source
from medvlp.data.manifest import Manifest
from medvlp.reports.states import FindingState


@register_source("siim_pneumothorax")
def manifest(root: Path) -> Manifest:
    """Index the images of the training table."""
    root = Path(root).absolute()
    rows = find_table(root, ["stage_2_train.csv", "train-rle.csv", "*rle*.csv"], ["ImageId"])
    rows.columns = rows.columns.str.strip()
    runs = rows["EncodedPixels"].str.strip()
    drawn = rows[runs != "-1"].assign(runs=runs).groupby("ImageId")["runs"].agg(";".join)
    names = rows["ImageId"].drop_duplicates().reset_index(drop=True)
    files = files_by_name(root, [".dcm", ".png"], prefer=["dicom-images-train/*/*"], without_ending=True)
    present = names.isin(drawn.index).to_numpy()
    columns = {
        "patient_id": "siim-" + names,
        "study_id": "siim-" + names,
        "image_id": "siim-" + names,
        "path": [str(files.get(name, root / "dicom-images-train" / f"{name}.dcm")) for name in names],
        "modality": "DX",
        "mask_pneumothorax": ("rle:" + names.map(drawn)).fillna(""),
    }
    states = {"pneumothorax": np.where(present, FindingState.PRESENT, FindingState.ABSENT).astype(np.int8)}
    notes = [f"{len(rows) - len(names)} further rows of images with several pneumothoraces were joined into their mask"]
    return assemble("siim_pneumothorax", columns, states, notes)
