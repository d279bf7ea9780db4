"""MIMIC-CXR: both releases in their official layout, with the defects of the tables."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from medvlp.data.sources import mimic_cxr, phantom

METADATA = """dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate,StudyTime,ProcedureCodeSequence_CodeMeaning,ViewCodeSequence_CodeMeaning,PatientOrientationCodeSequence_CodeMeaning
02aa804e-bde0afdd,10000032,50414267,CHEST (PA AND LAT),PA,3056,2544,21800506,213014.531,CHEST (PA AND LAT),postero-anterior,Erect
174413ec-4ec4c1f7,10000032,50414267,CHEST (PA AND LAT),,3056,2544,21800506,213014.531,CHEST (PA AND LAT),lateral,Erect
2a2277a9-b0ded155,10000764,57375967,CHEST (PORTABLE AP),AP,3056,2544,21800626,165500.312,CHEST (PORTABLE AP),antero-posterior,
68b5c4b1-227d0485,10000898,50771383,,,3056,2544,21880310,165500.312,,,
"""  # noqa: E501
SPLIT = """dicom_id,study_id,subject_id,split
02aa804e-bde0afdd,50414267,10000032,train
174413ec-4ec4c1f7,50414267,10000032,train
2a2277a9-b0ded155,57375967,10000764,validate
68b5c4b1-227d0485,50771383,10000898,test
"""
CHEXPERT = """subject_id,study_id,Atelectasis,Cardiomegaly,Consolidation,Edema,Enlarged Cardiomediastinum,Fracture,Lung Lesion,Lung Opacity,No Finding,Pleural Effusion,Pleural Other,Pneumonia,Pneumothorax,Support Devices
10000032,50414267,1.0,,0.0,-1.0,,,,,,,,,,
10000764,57375967,,,,,,,,,1.0,,,,,
"""  # noqa: E501
REPORT = "                                 FINAL REPORT\n FINDINGS: Mild edema.\n\n IMPRESSION:  No pneumothorax.\n"
IMAGES = (
    "files/p10/p10000032/s50414267/02aa804e-bde0afdd",
    "files/p10/p10000032/s50414267/174413ec-4ec4c1f7",
    "files/p10/p10000764/s57375967/2a2277a9-b0ded155",
)


def official(root: Path, ending: str, reports: str = "") -> Path:
    for name, text in (("metadata", METADATA), ("split", SPLIT), ("chexpert", CHEXPERT)):
        with gzip.open(root / f"mimic-cxr-2.0.0-{name}.csv.gz", "wt") as file:
            file.write(text)
    for image in IMAGES:
        (root / f"{image}{ending}").parent.mkdir(parents=True, exist_ok=True)
        (root / f"{image}{ending}").touch()
    text = root / reports / "files/p10/p10000032/s50414267.txt"
    text.parent.mkdir(parents=True, exist_ok=True)
    text.write_text(REPORT)
    return root


@pytest.mark.parametrize(("ending", "reports"), [(".dcm", ""), (".jpg", "mimic-cxr-reports")])
def test_official_layout(ending: str, reports: str, tmp_path: Path) -> None:
    manifest = mimic_cxr.manifest(official(tmp_path, ending, reports))
    table = manifest.table
    assert table["image_id"].tolist() == ["02aa804e-bde0afdd", "174413ec-4ec4c1f7", "2a2277a9-b0ded155"]
    assert table["patient_id"].tolist() == ["10000032", "10000032", "10000764"]
    assert table["study_id"].tolist() == ["50414267", "50414267", "57375967"]
    assert table["view"].tolist() == ["PA", "LATERAL", "AP"]
    assert table["split"].tolist() == ["train", "train", "validate"]
    assert table["report"].tolist() == [REPORT, REPORT, ""]
    assert table["section_findings"].tolist() == ["Mild edema.", "Mild edema.", ""]
    assert table["section_impression"].tolist() == ["No pneumothorax.", "No pneumothorax.", ""]
    assert table["path"][0] == str(tmp_path / f"{IMAGES[0]}{ending}")
    assert table["atelectasis"].tolist() == [1, 1, -1]
    assert table["edema"].tolist() == [2, 2, -1]  # -1 in their table is uncertain
    assert table["consolidation"].tolist() == [0, 0, -1]
    assert table["no_finding"].tolist() == [-1, -1, 1]
    assert manifest.notes == (
        "mimic_cxr: 2 images have no report text",
        "mimic_cxr: 1 images belong to studies without a row in the chexpert table",
        "mimic_cxr: 1 images of the tables are not on this disk and were left out",
    )
    assert not manifest.generated


def test_each_image_is_taken_as_it_is_there(tmp_path: Path) -> None:
    official(tmp_path, ".jpg")
    (tmp_path / f"{IMAGES[1]}.jpg").rename(tmp_path / f"{IMAGES[1]}.dcm")
    manifest = mimic_cxr.manifest(tmp_path)
    assert [Path(path).suffix for path in manifest.table["path"]] == [".jpg", ".dcm", ".jpg"]
    (tmp_path / f"{IMAGES[1]}.jpg").touch()
    manifest = mimic_cxr.manifest(tmp_path)
    assert [Path(path).suffix for path in manifest.table["path"]] == [".jpg"] * 3
    assert "mimic_cxr: 1 images are there as .jpg and as .dcm: .jpg was taken" in manifest.notes


def test_nothing_of_dates_is_kept(tmp_path: Path) -> None:
    table = mimic_cxr.manifest(official(tmp_path, ".jpg")).table
    assert not table.drop(columns="path").astype(str).apply(lambda c: c.str.contains("2180|2188|1655")).any().any()


def test_tables_and_reports_elsewhere_and_no_labels(tmp_path: Path) -> None:
    root = official(tmp_path, ".dcm")
    (tmp_path / "tables").mkdir()
    for path in root.glob("*.csv.gz"):
        path.rename(tmp_path / "tables" / path.name)
    manifest = mimic_cxr.manifest(root, tables=tmp_path / "tables", reports=root, labels="none")
    assert len(manifest) == 3
    assert manifest.labels == []
    with pytest.raises(FileNotFoundError, match="mimic-cxr-\\*-negbio"):
        mimic_cxr.manifest(root, tables=tmp_path / "tables", labels="negbio")


def test_generated_archive_says_so(tmp_path: Path) -> None:
    (official(tmp_path, ".dcm") / "phantom.json").write_text("{}")
    manifest = mimic_cxr.manifest(tmp_path)
    assert manifest.generated
    assert manifest.masks == []


def test_generated_archive_brings_masks_and_boxes(tmp_path: Path) -> None:
    official(tmp_path, ".dcm")
    with pytest.raises(FileNotFoundError, match=r"has no phantom\.json"):
        phantom.manifest(tmp_path)
    (tmp_path / "phantom.json").write_text("{}")
    (tmp_path / "truth" / "masks").mkdir(parents=True)
    (tmp_path / "truth" / "masks" / "02aa804e-bde0afdd.npz").touch()
    drawn = {"image_id": "02aa804e-bde0afdd", "finding": "mass", "side": "left", "box": [1, 2, 3, 4]}
    (tmp_path / "truth" / "objects.jsonl").write_text(json.dumps(drawn) + "\n")
    manifest = phantom.manifest(tmp_path)
    assert manifest.generated
    assert manifest.labels == []  # they come from the reports, as in a hospital
    assert manifest.table["mask_heart"].tolist() == [f"{tmp_path}/truth/masks/02aa804e-bde0afdd.npz#heart", "", ""]
    assert manifest.table["boxes"].tolist() == ['[{"finding": "mass", "box": [1, 2, 3, 4]}]', "", ""]


def test_tables_without_any_image(tmp_path: Path) -> None:
    official(tmp_path, ".bmp")
    with pytest.raises(FileNotFoundError, match=r"neither \.dcm nor \.jpg"):
        mimic_cxr.manifest(tmp_path)
