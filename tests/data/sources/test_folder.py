"""`folder`: patients from DICOM headers whose identifiers go nowhere, from sub-folders, or from a CSV."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from medvlp.data import ManifestError
from medvlp.data.sources import folder


def write_dicom(path: Path, patient: str, study: str) -> None:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.PatientID, data.PatientName, data.StudyInstanceUID = patient, f"Name^{patient}", study
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)


def test_dicom_patients_are_numbered(tmp_path: Path) -> None:
    for name, patient, study in (
        ("a/1.dcm", "HOSPITAL-77", "1.2.3"),
        ("b/2", "HOSPITAL-77", "1.2.3"),
        ("b/3.dcm", "HOSPITAL-77", "1.2.4"),
        ("c/4.dcm", "HOSPITAL-78", "1.2.5"),
    ):
        write_dicom(tmp_path / name, patient, study)
    (tmp_path / "b" / "2.txt").write_text("IMPRESSION: Normal.")
    (tmp_path / "c" / "report.txt").write_text("IMPRESSION: Effusion.")
    (tmp_path / "c" / "readme").write_text("no image")
    table = folder.manifest(tmp_path).table
    assert table["image_id"].tolist() == ["a/1.dcm", "b/2", "b/3.dcm", "c/4.dcm"]
    assert table["patient_id"].tolist() == ["patient000001"] * 3 + ["patient000002"]
    assert table["study_id"].tolist() == ["study000001", "study000001", "study000002", "study000003"]
    assert table["report"].tolist() == ["", "IMPRESSION: Normal.", "", "IMPRESSION: Effusion."]
    assert not table.drop(columns="path").astype(str).apply(lambda c: c.str.contains("HOSPITAL|Name")).any().any()


def test_pictures_by_folder_and_alone(tmp_path: Path) -> None:
    for name in ("p1/x.png", "p1/s2/y.png", "z.jpg", "w.jpg", ".hidden.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / name)
    table = folder.manifest(tmp_path).table.set_index("image_id")
    assert sorted(table.index) == ["p1/s2/y.png", "p1/x.png", "w.jpg", "z.jpg"]
    assert table.loc["p1/x.png", "patient_id"] == table.loc["p1/s2/y.png", "patient_id"]
    assert table["patient_id"].nunique() == 3


def test_a_csv(tmp_path: Path) -> None:
    (tmp_path / "x.png").touch()
    (tmp_path / "t.csv").write_text("patient_id,study_id,image_id,path,mass\n1,1,1,x.png,u\n")
    table = folder.manifest(tmp_path / "t.csv").table
    assert (table["path"][0], table["mass"][0]) == (str(tmp_path / "x.png"), 2)
    (tmp_path / "t.csv").write_text("patient_id,study_id,image_id,path,mess\n1,1,1,x.png,u\n")
    with pytest.raises(ManifestError, match="did you mean mass"):
        folder.manifest(tmp_path / "t.csv")


def test_no_image(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no image"):
        folder.manifest(tmp_path)
