"""Radiographs or volumes: which of them a manifest's rows are, and the preprocessing of each kind.

A file's name and its modality decide, so that no file has to be opened. A store holds one kind, and volumes have to be
CT, since they are stored in Hounsfield units.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medvlp.data.base_preprocess import PreprocessError
from medvlp.data.preprocess import Preprocess
from medvlp.data.volume_preprocess import VolumePreprocess

AnyPreprocess = Preprocess | VolumePreprocess
_KINDS: dict[str, type[AnyPreprocess]] = {kind.kind: kind for kind in (Preprocess, VolumePreprocess)}

VOLUMETRIC = ("CT", "MR", "PT", "NM")  # DICOM modalities whose files are slices of a volume
_VOLUME_ENDINGS = (".nii", ".nii.gz", ".npz")
_PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".jp2")
_DICOM_ENDINGS = (".dcm", ".dicom", ".ima")


def are_volumes(paths: Sequence[str], modalities: Sequence[str]) -> NDArray[np.bool_]:
    """For each row whether it is a volume, `[N]`.

    Volumes are NIfTI files, arrays (`.npz`), folders, and DICOM files of a modality that is one; a picture never is,
    even of a CT.
    """
    return np.array([_is_volume(path, kind) for path, kind in zip(paths, modalities, strict=True)], bool)


def _is_volume(path: str, modality: str) -> bool:
    name = path.lower()
    if name.endswith(_VOLUME_ENDINGS):
        return True
    if name.endswith(_PICTURE_ENDINGS):
        return False
    if modality in VOLUMETRIC:
        return True
    return not name.endswith(_DICOM_ENDINGS) and Path(path).is_dir()


def preprocess_class(table: pd.DataFrame) -> type[AnyPreprocess]:
    """The preprocessing that a manifest's images need.

    Raises:
        PreprocessError: radiographs and volumes are mixed, or a volume is no CT; says how to separate them.
    """
    volumes = are_volumes(table["path"].tolist(), table["modality"].tolist())
    if not volumes.any():
        return Preprocess
    if not volumes.all():
        raise PreprocessError(
            f"the manifest mixes {int((~volumes).sum())} radiographs and {int(volumes.sum())} volumes, and a store "
            "holds one kind: make two, with `medvlp data prepare ... --only radiographs` and `--only volumes`, or "
            "with manifest.select(manifest.volumes) and manifest.select(~manifest.volumes)"
        )
    others = sorted(set(table["modality"]) & (set(VOLUMETRIC) - {"CT"}))
    if others:
        count = int(table["modality"].isin(others).sum())
        raise PreprocessError(
            f"{count} volumes are {' and '.join(others)}, and volumes are stored in Hounsfield units, which are CT's: "
            'drop these rows, with manifest.select((manifest.table["modality"] == "CT").to_numpy())'
        )
    return VolumePreprocess


def preprocess_from_json(text: str) -> AnyPreprocess:
    """The preprocessing that wrote this JSON.

    Raises:
        PreprocessError: another version of medvlp did, or none.
    """
    return _KINDS.get(json.loads(text).get("kind"), Preprocess).from_json(text)
