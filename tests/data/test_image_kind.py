"""Which rows are volumes, and what is said of manifests that no store can hold."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from medvlp.data import Manifest, Preprocess, VolumePreprocess
from medvlp.data.image_kind import preprocess_class


def manifest(paths: list[str], modality: str | list[str] = "") -> Manifest:
    names = [str(i) for i in range(len(paths))]
    rows = {"patient_id": names, "study_id": names, "image_id": names, "path": paths, "modality": modality}
    return Manifest(pd.DataFrame(rows))


def test_kinds_by_name_folder_and_modality(tmp_path: Path) -> None:
    (tmp_path / "1.2.840.113").mkdir()
    paths = ["a.nii", "a.NII.GZ", "a.npz", "a.png", "a.dcm", "a", str(tmp_path / "1.2.840.113"), str(tmp_path / "x")]
    assert manifest(paths).volumes.tolist() == [True, True, True, False, False, False, True, False]
    assert manifest(paths, "CT").volumes.tolist() == [True, True, True, False, True, True, True, True]
    assert not manifest(["a.dcm", "b.dicom"], "DX").volumes.any()


def test_the_preprocessing_that_fits() -> None:
    assert preprocess_class(manifest(["a.dcm", "b.png"], "DX").table) is Preprocess
    assert preprocess_class(manifest(["a.nii"], "CT").table) is VolumePreprocess
    assert preprocess_class(manifest(["a.nii"], "OT").table) is VolumePreprocess


def test_mixed_and_foreign_manifests_say_how_to_part_them() -> None:
    with pytest.raises(ValueError, match=r"mixes 1 radiographs and 2 volumes.*--only volumes"):
        preprocess_class(manifest(["a.dcm", "b.nii", "c.nii"], ["DX", "CT", "CT"]).table)
    with pytest.raises(ValueError, match=r"1 volumes are MR.*drop these rows"):
        preprocess_class(manifest(["a.nii", "b.nii"], ["CT", "MR"]).table)
