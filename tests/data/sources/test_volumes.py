"""CT-RATE, RAD-ChestCT, Medical Segmentation Decathlon: official layouts and their known defects."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from medvlp.data import VolumePreprocess, prepare
from medvlp.data.prepare_image import read_ct
from medvlp.data.sources import ct_rate, msd, rad_chest_ct
from medvlp.io import ReadError

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


def test_rad_chest_ct_counts_findings_of_the_lung_where_the_lung_is(layout: Files) -> None:
    header = "NoteAcc_DEID,nodule*thyroid,nodule*right,nodule*left_upper,cyst*kidney,nodulegr1cm*other_location"
    rows = ["a,1,1,0,1,0", "b,1,0,1,0,0", "c,0,1,0,0,0", "d,0,0,0,0,1", "e,0,0,0,0,0"]
    text = "\n".join([header, *rows]) + "\n"
    root = layout({"tables/imgvalid_Abnormality_and_Location_Labels.csv": text}, [f"images/{n}.npz" for n in "abcde"])
    table = rad_chest_ct.manifest(root).table
    assert table["nodule"].tolist() == [0, 1, 1, 1, 0]
    assert table["lung_cyst"].tolist() == [0] * 5
    assert table["path"][0].endswith("images/a.npz")


def test_rad_chest_ct_metadata_tells_patients_and_positions(layout: Files) -> None:
    metadata = (
        "VolumeAcc_DEID,NoteAcc_DEID,MRN_DEID,orig_orientation\n"
        "x,trn00001,m7,\"['1.000000', '0.000000', '0.000000', '0.000000', '1.000000', '0.000000']\"\n"
        'x,trn00002,m7,"[1, 0, 0, 0, 1, 0]"\n'
        'x,trn00003,m8,"[-1, 0, 0, 0, -1, 0]"\n'
    )
    labels = "NoteAcc_DEID,mass*lung\ntrn00001,0\ntrn00002,1\ntrn00003,1\ntrn00004,1\n"
    root = layout(
        {
            "imgtrain_Abnormality_and_Location_Labels.csv": labels,
            "CT_Scan_Metadata_Complete_35747.csv": metadata,
        },
        [f"trn0000{i}.npz" for i in range(1, 5)],
    )
    manifest = rad_chest_ct.manifest(root)
    assert manifest.table["image_id"].tolist() == ["radchest-trn00001", "radchest-trn00002", "radchest-trn00004"]
    assert manifest.table["patient_id"].tolist() == ["radchest-m7", "radchest-m7", "radchest-trn00004"]
    assert manifest.table["mass"].tolist() == [0, 1, 1]
    assert manifest.notes == ("rad_chest_ct: 1 scans that were not taken straight on the back were left out",)


def test_rad_chest_ct_arrays_are_turned_to_ras(layout: Files, ct: SimpleNamespace) -> None:
    labels = "NoteAcc_DEID,mass*lung\ntrn1,0\ntrn2,0\ntrn3,1\n"
    root = layout({"imgtrain_Abnormality_and_Location_Labels.csv": labels}, ["trn2.npz"])
    volume = ct.phantom().clip(-1000, 1000)
    np.savez_compressed(root / "trn1.npz", ct=volume[::-1, ::-1, ::-1])  # head first, front first, right first
    np.savez_compressed(root / "trn3.npz", ct=volume[0])
    manifest = rad_chest_ct.manifest(root)
    store = prepare(manifest, root / "store", VolumePreprocess(ct.shape, 0.8), workers=0)
    np.testing.assert_array_equal(store.images([0])[0], volume)
    assert store.table[["thickness", "spacing"]].to_numpy().tolist() == [[0.8, 0.8]]
    assert store.quarantined == 2
    image = read_ct(str(root / "trn1.npz"), None, "rad_chest_ct")
    assert image.affine is not None
    assert (image.affine @ [1, 2, 3, 1]).tolist() == pytest.approx([2.4, 1.6, 0.8, 1])
    with pytest.raises(ReadError, match="not a volume"):
        rad_chest_ct.read_volume(root / "trn3.npz")


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
