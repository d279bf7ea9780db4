"""`medvlp data index` and `prepare`: what they print, write and return, and that no identifier of a header survives."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from typer.testing import CliRunner

from medvlp.cli.main import app
from medvlp.data import Store

PLANTED = {
    "PatientName": "PLANTEDNAME^ANNA",
    "PatientID": "PLANTEDID-4711",
    "PatientBirthDate": "19430217",
    "AccessionNumber": "PLANTEDACC99",
    "StudyDate": "20190304",
    "StudyTime": "101112",
    "InstitutionName": "PLANTEDHOSPITAL",
    "ReferringPhysicianName": "PLANTEDDOCTOR",
    "PatientAddress": "PLANTEDSTREET 5",
    "StudyDescription": "PLANTEDSTUDY of Mrs A",
    "ImageComments": "PLANTEDCOMMENT",
    "DeviceSerialNumber": "PLANTEDSERIAL",
}
TRACES = ("PLANTED", "19430217", "20190304", "101112", "4711")


def write_radiograph(path: Path, number: int, broken: bool = False) -> None:
    """A DICOM radiograph full of identifiers, in standard and private tags and in a nested sequence."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    for keyword, value in PLANTED.items():
        setattr(data, keyword, value)
    data.StudyInstanceUID, data.SeriesInstanceUID = "1.2.3.4711", generate_uid()
    data.Modality, data.ViewPosition, data.PhotometricInterpretation = "DX", "PA", "MONOCHROME2"
    data.Rows, data.Columns, data.SamplesPerPixel = 48, 40, 1
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    request = Dataset()
    request.AccessionNumber, request.RequestedProcedureDescription = "PLANTEDNESTED", "PLANTEDPROCEDURE"
    data.RequestAttributesSequence = [request]
    data.private_block(0x0011, "PLANTEDCREATOR", create=True).add_new(1, "LO", "PLANTEDPRIVATE")
    pixels = np.random.default_rng(number).integers(0, 4096, (48, 40), np.uint16)
    data.PixelData = pixels.tobytes()[: 100 if broken else None]
    if broken:
        data.Rows = 60000
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)


def run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["data", *map(str, arguments)])
    return result.exit_code, result.output


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    for number in range(3):
        write_radiograph(tmp_path / "in" / f"image{number}.dcm", number)
    write_radiograph(tmp_path / "in" / "image3.dcm", 3, broken=True)
    (tmp_path / "in" / "image0.txt").write_text("FINDINGS: Small pleural effusion.")
    return tmp_path


@pytest.mark.parametrize("workers", ["0", "1"])
def test_no_identifier_of_a_header_survives(archive: Path, workers: str, capfd: pytest.CaptureFixture[str]) -> None:
    out = archive / "out"
    printed = []
    for arguments, status in (
        (["index", "folder", archive / "in", "-o", out / "manifest.parquet"], 0),
        (["index", "folder", archive / "in", "-o", out / "manifest.csv"], 0),
        (["prepare", out / "manifest.csv", "-o", out / "store", "--size", "32", "--workers", workers], 1),
        (["check", out / "store", "-o", out / "check.html", "--table", out / "concerns.csv"], 1),
    ):
        code, text = run(*arguments)
        assert code == status, text
        printed.append(text)
    written = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    assert len(written) >= 9
    everything = list(written.values()) + [text.encode() for text in (*printed, *capfd.readouterr())]
    for trace in TRACES:
        for form in (trace.encode(), trace.lower().encode(), trace.encode("utf-16-le")):
            assert not any(form in data for data in everything), trace
    store = Store.open(out / "store")
    assert (len(store), store.table["patient_id"].nunique(), store.quarantined) == (3, 1, 1)


def test_parquet_hides_nothing_behind_compression(archive: Path) -> None:
    import pandas as pd

    run("index", "folder", archive / "in", "-o", archive / "m.parquet")
    run("prepare", archive / "m.parquet", "-o", archive / "store", "--size", "32", "--workers", "0")
    for path in archive.rglob("*.parquet"):
        cells = pd.read_parquet(path).astype(str).to_csv()
        assert not any(trace in cells for trace in TRACES), path


def test_index_as_json(archive: Path) -> None:
    code, text = run("index", "folder", archive / "in", "-o", archive / "m.csv", "--json")
    counts = json.loads(text)
    assert code == 0
    assert (counts["images"], counts["patients"], counts["with_report"]) == (4, 1, 1)


def test_index_of_a_table_names_missing_files(tmp_path: Path) -> None:
    lines = [f"p{i},s{i},i{i},absent{i}.png" for i in range(7)]
    (tmp_path / "t.csv").write_text("patient_id,study_id,image_id,path\n" + "\n".join(lines) + "\n")
    code, text = run("index", "folder", tmp_path / "t.csv", "-o", tmp_path / "m.csv")
    text = " ".join(text.split())
    assert code == 1
    assert f"row 1, column 'path': {tmp_path}/absent0.png does not exist" in text
    assert "... and 2 more files that do not exist" in text
    code, text = run("prepare", tmp_path / "m.csv", "-o", tmp_path / "store", "--workers", "0", "--json")
    assert (code, json.loads(text)["quarantined"]) == (1, 7)


def test_prepare_as_json_in_parts_and_several_manifests(archive: Path) -> None:
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(archive / "x.png")
    (archive / "more.csv").write_text("patient_id,study_id,image_id,path,source\nq,q,q,x.png,more\n")
    run("index", "folder", archive / "in", "-o", archive / "m.csv")
    both = [
        archive / "m.csv",
        archive / "more.csv",
        "-o",
        archive / "store",
        "--size",
        "32",
        "--workers",
        "0",
        "--json",
    ]
    code, text = run("prepare", *both, "--part", "2/2")
    assert (code, json.loads(text)) == (0, {"missing_shards": 2})
    code, text = run("prepare", *both, "--part", "1/2")
    assert code == 1
    assert {k: json.loads(text)[k] for k in ("images", "reports", "quarantined")} == {
        "images": 4,
        "reports": 1,
        "quarantined": 1,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["index", "nih_cx", "IN", "-o", "m.csv"], 'did you mean "nih_cxr"'),
        (["index", "folder", "nowhere", "-o", "m.csv"], "does not exist"),
        (["index", "mimic_cxr", "IN", "-o", "m.csv", "--option", "label=x"], 'did you mean "labels"'),
        (["prepare", "nowhere.csv", "-o", "s"], "no manifest at nowhere.csv"),
        (["prepare", "m.csv", "-o", "s", "--part", "two"], "'two' is not i/n"),
        (["check", "nowhere"], "no store at nowhere"),
    ],
)
def test_mistakes_end_with_status_2_and_say_what_to_do(arguments: list[str], message: str, tmp_path: Path) -> None:
    code, text = run(*[str(tmp_path) if a == "IN" else a for a in arguments])
    assert code == 2
    assert message in " ".join(text.replace("│", " ").split())
