"""`medvlp inspect` and what stands behind it: facts, steps, thumbnails, and not one byte of who it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture
from pydicom.data import get_testdata_file
from typer.testing import CliRunner

from medvlp.cli.main import app
from medvlp.io import Image, ReadError
from medvlp.io.inspection import inspect_path
from medvlp.io.thumbnails import contact_sheet, thumbnail

WriteDicom = Callable[..., Path]
RUN = CliRunner()
PLANTED = {
    "PatientName": "PLANTED^NAME",
    "PatientID": "PLANTED-ID",
    "PatientBirthDate": "19440404",
    "StudyDate": "20200229",
    "AccessionNumber": "PLANTEDACC",
    "ReferringPhysicianName": "PLANTED^DOCTOR",
    "InstitutionName": "PLANTED HOSPITAL",
    "StudyDescription": "PLANTED TEXT",
    "StudyInstanceUID": "1.2.826.404.404",
    "SeriesInstanceUID": "1.2.826.404.405",
    "OperatorsName": "PLANTED^OPERATOR",
}
SECRETS = ("PLANTED", "19440404", "20200229", "1.2.826.404")


@pytest.fixture
def series(write_dicom: WriteDicom) -> Path:
    for index in range(4):
        path = write_dicom(
            np.full((8, 10), 100 * index, np.uint16),
            f"PLANTED_DIR/{index}.dcm",
            Modality="CT",
            ImagePositionPatient=[0, 0, 2 * index],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            PixelSpacing=[1, 1],
            RescaleSlope=1,
            RescaleIntercept=-1024,
            **PLANTED,
        )
    return path.parent


def test_a_dicom_file_is_described_with_its_steps(write_dicom: WriteDicom) -> None:
    path = write_dicom(
        np.arange(80, dtype=np.uint16).reshape(8, 10),
        SOPClassUID="1.2.840.10008.5.1.4.1.1.1",
        Modality="CR",
        ViewPosition="PA",
        PhotometricInterpretation="MONOCHROME1",
        WindowCenter=40,
        WindowWidth=80,
        **PLANTED,
    )
    facts = inspect_path(path).facts
    assert facts["object"] == "Computed Radiography Image Storage"
    assert facts["transfer syntax"] == "explicit VR little endian (1.2.840.10008.1.2.1)"
    assert (facts["stored"], facts["bits"], facts["view"]) == ("8 x 10, MONOCHROME1", "16 of 16", "PA")
    assert facts["steps"] == ["window 40/80 LINEAR", "inverted (MONOCHROME1)"]


def test_a_folder_of_slices_is_a_series(series: Path) -> None:
    found = inspect_path(series)
    assert found.facts["kind"] == "DICOM series"
    assert (found.facts["shape"], found.facts["smallest"]) == ([4, 8, 10], -1024.0)


def test_a_folder_of_radiographs_is_described_file_by_file(write_dicom: WriteDicom, tmp_path: Path) -> None:
    for index in range(3):
        write_dicom(np.zeros((4, 4), np.uint8), f"{index}.dcm")
    (tmp_path / "broken.dcm").write_bytes((tmp_path / "0.dcm").read_bytes()[:-9])
    (tmp_path / "notes.txt").write_text("hello")
    found = inspect_path(tmp_path)
    assert found.facts == {"kind": "folder", "files": 4, "refused": 1, "left out": ["1 not an image (.txt)"]}
    result = RUN.invoke(app, ["inspect", str(tmp_path), "--table", str(tmp_path / "out" / "t.csv")])
    assert result.exit_code == 1
    assert "3  DICOM, Secondary Capture Image Storage" in result.output
    assert "refused: Pixel Data" in result.output
    assert "broken.dcm" not in result.output
    assert "broken.dcm" in (tmp_path / "out" / "t.csv").read_text()


def test_no_byte_of_an_identifier_is_printed_or_drawn(series: Path, tmp_path: Path) -> None:
    picture = tmp_path / "look.png"
    for target in (series, series / "0.dcm"):
        for options in ([], ["--json"], ["--thumbnail", str(picture)]):
            result = RUN.invoke(app, ["inspect", str(target), *options])
            assert result.exit_code == 0, result.output
            said = result.output + result.stderr
            for secret in SECRETS:
                assert secret not in said
                assert secret.encode() not in (picture.read_bytes() if picture.exists() else b"")


def test_json_is_json_and_a_refusal_is_its_reason(tmp_path: Path) -> None:
    result = RUN.invoke(app, ["inspect", str(get_testdata_file("MR_small.dcm")), "--json"])
    assert json.loads(result.stdout)["modality"] == "MR"
    (tmp_path / "x.dcm").write_bytes(b"nothing")
    result = RUN.invoke(app, ["inspect", str(tmp_path / "x.dcm"), "--json"])
    assert (result.exit_code, json.loads(result.stdout)["refused"]) == (
        1,
        "neither DICOM nor a picture: nothing here can read it",
    )
    assert RUN.invoke(app, ["inspect", str(tmp_path / "missing")]).exit_code == 2
    with pytest.raises(ReadError, match="no such file"):
        inspect_path(tmp_path / "missing")


def test_a_thumbnail_keeps_proportions_and_sides() -> None:
    wide = thumbnail(Image(np.linspace(0, 1, 200 * 400, dtype=np.float32).reshape(200, 400)), side=100)
    assert wide.shape == (50, 100)
    array = np.full((10, 40, 40), -1000, np.float32)
    array[:, :, 30:] = 300  # the patient's right
    array[8:, :, :] = 100  # the head
    three = thumbnail(Image(array, (4.0, 1.0, 1.0), "SAR", "CT"), side=300)
    assert three.shape == (100, 300)
    assert three[50, 10] == 255  # axial: right is left in the picture
    assert three[50, 90] == 0
    assert three[5, 150] > three[95, 150]  # coronal: head up


def test_a_sheet_holds_every_picture(tmp_path: Path) -> None:
    pictures = [np.full((4, 6), 10 * index, np.uint8) for index in range(1, 6)]
    Picture.fromarray(contact_sheet(pictures)).save(tmp_path / "x.png")
    assert contact_sheet(pictures).shape == (8, 24)
    assert set(np.unique(contact_sheet(pictures))) == {0, 10, 20, 30, 40, 50}
