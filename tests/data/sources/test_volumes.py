"""CT-RATE, RAD-ChestCT, Medical Segmentation Decathlon: official layouts and their known defects."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from medvlp.data.sources import ct_rate, msd, rad_chest_ct

Files = Callable[..., Path]

REPORTS = """VolumeName,ClinicalInformation_EN,Technique_EN,Findings_EN,Impressions_EN
{0}_1_a_1.nii.gz,Cough.,Non-contrast.,Clear lungs.,Normal.
{0}_1_a_2.nii.gz,Cough.,Non-contrast.,Clear lungs.,Normal.
{0}_2_a_1.nii.gz,,,Brain.,Normal.
"""
LABELS = "VolumeName,Emphysema,Lung nodule\n{0}_1_a_1.nii.gz,0,1\n{0}_1_a_2.nii.gz,0,1\n{0}_2_a_1.nii.gz,0,0\n"


def tables(part: str, reports: str) -> dict[str, str]:
    return {
        f"dataset/radiology_text_reports/{reports}.csv": REPORTS.format(part),
        f"dataset/multi_abnormality_labels/{part}_predicted_labels.csv": LABELS.format(part),
    }


def test_ct_rate_version_2(layout: Files) -> None:
    content = tables("train", "train_reports") | tables("valid", "validation_reports")
    content["dataset/metadata/no_chest_train.txt"] = "dataset/train/train_2/train_2_a/train_2_a_1.nii.gz\n"
    root = layout(
        content,
        [
            f"dataset/{part}_fixed/{part}_{n}/{part}_{n}_a/{part}_{n}_a_{k}.nii.gz"
            for part in ("train", "valid")
            for n, k in ((1, 1), (1, 2), (2, 1))
        ],
    )
    manifest = ct_rate.manifest(root)
    table = manifest.table.set_index("image_id")
    assert len(table) == 5
    assert table.loc["ctrate-train_1_a_1", "study_id"] == table.loc["ctrate-train_1_a_2", "study_id"]
    assert table.loc["ctrate-train_1_a_1", "patient_id"] == "ctrate-train_1"
    assert set(table.loc[[i for i in table.index if "valid" in i], "split"]) == {"test"}
    assert table.loc["ctrate-train_1_a_1", "report"] == (
        "INDICATION: Cough.\nTECHNIQUE: Non-contrast.\nFINDINGS: Clear lungs.\nIMPRESSION: Normal."
    )
    assert table.loc["ctrate-valid_2_a_1", "report"] == "FINDINGS: Brain.\nIMPRESSION: Normal."
    assert table.loc["ctrate-train_1_a_1", ["nodule", "emphysema"]].tolist() == [1, 0]
    assert manifest.notes == ("ct_rate: 1 volumes of other regions were left out",)


def test_ct_rate_version_1_is_refused(layout: Files) -> None:
    root = layout(tables("train", "train_reports"), ["dataset/train/train_1/train_1_a/train_1_a_1.nii.gz"])
    with pytest.raises(FileNotFoundError, match="scaled twice"):
        ct_rate.manifest(root)


def test_rad_chest_ct(layout: Files) -> None:
    header = "NoteAcc_DEID,groundglass*left_upper,groundglass*right_lung,nodule*left_lung,bandlike_or_linear*lung"
    root = layout(
        {
            "imgtrain_Abnormality_and_Location_Labels.csv": f"{header}\ntrn00001.npz,0,1,0,1\n",
            "imgtest_Abnormality_and_Location_Labels.csv": f"{header}\ntst00001,0,0,1,0\n",
        },
        ["trn00001.npz", "tst00001.npz"],
    )
    manifest = rad_chest_ct.manifest(root)
    assert manifest.table["ground_glass_opacity"].tolist() == [1, 0]
    assert manifest.table["nodule"].tolist() == [0, 1]
    assert manifest.table["split"].tolist() == ["train", "test"]
    assert manifest.notes == (
        "rad_chest_ct: 1 abnormalities are no finding here and were left out: bandlike_or_linear",
    )


def test_msd(layout: Files) -> None:
    content = {
        "name": "Lung",
        "modality": {"0": "CT"},
        "labels": {"0": "background", "1": "Lung cancer"},
        "training": [{"image": f"./imagesTr/lung_{i}.nii.gz", "label": f"./labelsTr/lung_{i}.nii.gz"} for i in (1, 2)],
        "test": ["./imagesTs/lung_9.nii.gz", "./imagesTs/._lung_9.nii.gz"],
    }
    images = ["imagesTr/lung_1.nii.gz", "imagesTr/lung_2.nii.gz", "imagesTs/lung_9.nii.gz"]
    root = layout({"dataset.json": json.dumps(content)}, images)
    manifest = msd.manifest(root)
    assert manifest.table["image_id"].tolist() == ["lung-lung_1", "lung-lung_2", "lung-lung_9"]
    assert manifest.masks == ["lung_cancer"]
    assert manifest.table["mask_lung_cancer"].tolist()[0] == f"{root}/labelsTr/lung_1.nii.gz#1"
    assert manifest.table["mask_lung_cancer"].tolist()[2] == ""
    assert manifest.table["split"].tolist()[2] == "test"
    assert set(manifest.table["modality"]) == {"CT"}


def test_msd_with_names_first(layout: Files) -> None:
    content = {"labels": {"background": 0, "spleen": 1}, "training": [], "validation": [], "test": []}
    content["training"] = [{"image": "a.nii.gz", "label": "l.nii.gz"}]
    content["validation"] = [{"image": "b.nii.gz", "label": "m.nii.gz"}]
    manifest = msd.manifest(layout({"dataset.json": json.dumps(content)}, ["a.nii.gz", "b.nii.gz"]))
    assert manifest.table["split"].tolist() == ["train", "validate"]
    assert manifest.table["mask_spleen"].str.endswith("#1").all()
