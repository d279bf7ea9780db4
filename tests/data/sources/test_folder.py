"""`folder`: patients from DICOM headers whose identifiers go nowhere, from sub-folders, or from a CSV."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from medvlp.data import ManifestError, SourceError, VolumePreprocess, prepare
from medvlp.data.sources import folder


def write_dicom(path: Path, patient: str, study: str, **elements: str) -> None:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.PatientID, data.PatientName, data.StudyInstanceUID = patient, f"Name^{patient}", study
    for keyword, value in elements.items():
        setattr(data, keyword, value)
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


def test_series_and_nifti_files_are_volumes(tmp_path: Path, ct: SimpleNamespace) -> None:
    scans = tmp_path / "scans"
    ct.series(scans / "a", ct.phantom(0), patient="1")
    ct.series(scans / "a" / "late", ct.phantom(1)[:12], patient="1")  # below `a`, so read with it
    ct.series(scans / "b", ct.phantom(2), patient="2", study="9.9")
    ct.series(scans / "c", ct.phantom(2)[:2], patient="3", study="9.8")  # two slices: a scout alone
    ct.nifti(scans / "p4" / "scan.nii.gz", ct.phantom(3))
    write_dicom(scans / "radiograph.dcm", "HOSPITAL-9", "1.9")
    (scans / "b.txt").write_text("IMPRESSION: Nodule.")
    (scans / "p4" / "scan.txt").write_text("IMPRESSION: Normal.")
    manifest = folder.manifest(scans)
    table = manifest.table.set_index("image_id")
    assert list(table.index) == ["p4/scan.nii.gz", "radiograph.dcm", "a#0", "a#1", "b", "c"]
    assert manifest.volumes.tolist() == [True, False, True, True, True, True]
    assert table["modality"].tolist() == ["OT", "DX", "CT", "CT", "CT", "CT"]
    assert table.loc["a#0", "patient_id"] == table.loc["a#1", "patient_id"]
    assert table["patient_id"].nunique() == 5
    assert table.loc[["b", "p4/scan.nii.gz", "c"], "report"].tolist() == [
        "IMPRESSION: Nodule.",
        "IMPRESSION: Normal.",
        "",
    ]
    assert not table.drop(columns="path").astype(str).apply(lambda c: c.str.contains("PLANTED|4711")).any().any()
    store = prepare(manifest.select(manifest.volumes), tmp_path / "store", VolumePreprocess(16, 6), workers=0)
    assert store.table.set_index("image_id")["depth"].to_dict() == {
        "p4/scan.nii.gz": 20,
        "a#0": 20,
        "a#1": 12,
        "b": 20,
        "c": 2,
    }
    assert len(np.unique(store.images(store.rows()).reshape(len(store), -1), axis=0)) == 5


def test_a_csv(tmp_path: Path) -> None:
    (tmp_path / "x.png").touch()
    (tmp_path / "t.csv").write_text("patient_id,study_id,image_id,path,mass\n1,1,1,x.png,u\n")
    table = folder.manifest(tmp_path / "t.csv").table
    assert (table["path"][0], table["mass"][0]) == (str(tmp_path / "x.png"), 2)
    (tmp_path / "t.csv").write_text("patient_id,study_id,image_id,path,mess\n1,1,1,x.png,u\n")
    with pytest.raises(ManifestError, match='did you mean "mass"'):
        folder.manifest(tmp_path / "t.csv")


def test_no_image(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no image"):
        folder.manifest(tmp_path)


def test_the_header_says_view_and_modality_but_not_who(tmp_path: Path) -> None:
    said = {"ViewPosition": "PA", "Modality": "CR", "PatientAge": "047Y", "PatientSex": "F", "ImageLaterality": "L"}
    write_dicom(tmp_path / "a.dcm", "H1", "1.1", **said)
    write_dicom(
        tmp_path / "b", "H2", "1.2", Modality="Name^H2", ViewPosition="HOSPITAL", PatientSex="Name", PatientAge="H"
    )
    table = folder.manifest(tmp_path).table
    columns = ["view", "modality", "laterality", "age_band", "sex"]
    assert table[columns].to_numpy().tolist() == [["PA", "CR", "L", "40-49", "F"], ["", "DX", "", "", ""]]
    assert not table.drop(columns="path").astype(str).apply(lambda c: c.str.contains("H1|H2|HOSPITAL|047")).any().any()


def test_names_without_an_ending_and_links_are_walked(tmp_path: Path) -> None:
    write_dicom(tmp_path / "in" / "1.2.840.113619.77", "H1", "1.1")
    write_dicom(tmp_path / "elsewhere" / "IMG.0001", "H2", "1.2")
    (tmp_path / "in" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "notes.doc").write_text("x")
    manifest = folder.manifest(tmp_path / "in")
    assert manifest.table["image_id"].tolist() == ["1.2.840.113619.77", "more/IMG.0001"]
    assert manifest.notes == ("folder: 1 of the files are not an image (.doc); left out",)


def test_the_header_fills_what_the_table_does_not_say(tmp_path: Path) -> None:
    for i, view in enumerate(("PA", "AP", "LL")):
        write_dicom(tmp_path / "files" / f"{i}.dcm", f"H{i // 2}", f"1.{i}", ViewPosition=view)
    (tmp_path / "t.csv").write_text("name,text\n0.dcm,Clear.\n1.dcm,Effusion.\n2.dcm,\n")
    table = folder.manifest(tmp_path, path="name").table
    assert table["view"].tolist() == ["PA", "AP", "LL"]
    assert table["patient_id"].tolist() == ["patient000001", "patient000001", "patient000002"]
    assert table["study_id"].nunique() == 3
    assert table["report"].tolist() == ["Clear.", "Effusion.", ""]


def test_twenty_people_are_not_called_one_patient(tmp_path: Path) -> None:
    for i in range(20):
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "images" / f"{i:02d}.png")
    with pytest.raises(SourceError, match=r"20 images would be of one patient, 'images'.*--option patient=file"):
        folder.manifest(tmp_path)
    alone = folder.manifest(tmp_path, patient="file")
    assert alone.table["patient_id"].nunique() == 20
    assert alone.notes == ("folder: 20 images that nothing tells the patient of count as a patient each",)
    assert folder.manifest(tmp_path, patient="folder").table["patient_id"].nunique() == 1
    with pytest.raises(SourceError, match="no table of these images to take column 'pid' for patient from"):
        folder.manifest(tmp_path, patient="pid")
    (tmp_path / "people.csv").write_text("who,age\na,1\n")
    with pytest.raises(SourceError, match=r"people\.csv was not used: no column names the images"):
        folder.manifest(tmp_path)


def test_anonymous_is_nobodys_id(tmp_path: Path) -> None:
    for i in range(3):
        write_dicom(tmp_path / f"{i}.dcm", "ANONYMOUS", f"1.{i}")
    assert folder.manifest(tmp_path).table["patient_id"].nunique() == 3
