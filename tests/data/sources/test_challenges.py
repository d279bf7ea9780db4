"""CheXpert, RSNA, SIIM-ACR, VinDr-CXR, PadChest, MS-CXR: official layouts and their known defects."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from medvlp.data.mask_files import read_mask
from medvlp.data.sources import chexpert, ms_cxr, padchest, rsna_pneumonia, siim_pneumothorax, vindr_cxr
from medvlp.io import Image

Files = Callable[..., Path]

CHEXPERT = """Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Edema,Pleural Effusion
CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP,1.0,,
CheXpert-v1.0-small/train/patient00002/study2/view2_lateral.jpg,Female,87,Lateral,,,-1.0,1.0
"""
CHEXPERT_VALID = """Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Edema,Pleural Effusion
CheXpert-v1.0-small/valid/patient64541/study1/view1_frontal.jpg,Male,73,Frontal,PA,0.0,1.0,0.0
"""


def test_chexpert_prefix_states_and_splits(layout: Files) -> None:
    images = (
        "train/patient00001/study1/view1_frontal.jpg",
        "train/patient00002/study2/view2_lateral.jpg",
        "valid/patient64541/study1/view1_frontal.jpg",
    )
    root = layout({"train.csv": CHEXPERT, "valid.csv": CHEXPERT_VALID, "notes.csv": "a,b\n1,2\n"}, images)
    table = chexpert.manifest(root).table
    assert table["image_id"].tolist() == [
        "patient00001-study1-view1_frontal",
        "patient00002-study2-view2_lateral",
        "patient64541-study1-view1_frontal",
    ]
    assert table["path"].tolist() == [str(root / image) for image in images]
    assert table["split"].tolist() == ["train", "train", "validate"]
    assert table["view"].tolist() == ["AP", "LATERAL", "PA"]
    assert table["edema"].tolist() == [-1, 2, 1]
    assert table["pleural_effusion"].tolist() == [-1, 1, 0]


PLUS = """path_to_image,frontal_lateral,ap_pa,deid_patient_id,report,section_findings,section_impression,age,sex,split
train/patient00001/study1/view1_frontal.jpg,Frontal,AP,patient00001,"FINDINGS: Clear.
IMPRESSION: Normal.",Clear.,Normal.,68.0,Female,train
"""


def test_chexpert_plus(layout: Files) -> None:
    labels = {"path_to_image": "train/patient00001/study1/view1_frontal.jpg", "Edema": 0.0, "No Finding": None}
    root = layout(
        {"df_chexpert_plus_240401.csv": PLUS, "chexbert_labels/report_fixed.json": json.dumps(labels) + "\n"},
        ["PNG/train/patient00001/study1/view1_frontal.png"],
    )
    row = chexpert.manifest(root).table.iloc[0]
    assert row["path"].endswith("PNG/train/patient00001/study1/view1_frontal.png")
    assert (row["section_findings"], row["section_impression"]) == ("Clear.", "Normal.")
    assert (row["edema"], row["no_finding"], row["sex"], row["age"]) == (0, -1, "F", 68)


def test_chexpert_plus_as_its_archives_unpack(layout: Files) -> None:
    lines = PLUS.replace("path_to_image,", "path_to_image,path_to_dcm,").splitlines()
    rows = [
        f"train/patient0000{i}/study1/view1_frontal.jpg,{dicom},Frontal,AP,patient0000{i},R,F,I,68.0,Male,train"
        for i, dicom in ((1, "train/patient00001/study1/view1_frontal.dcm"), (2, "train/patient00002/study1/a.dcm"))
    ]
    root = layout(
        {"df_chexpert_plus_240401.csv": "\n".join([lines[0], *rows]) + "\n"},
        ["PNG/PNG/train/patient00001/study1/view1_frontal.png", "DICOM/train/patient00002/study1/a.dcm"],
    )
    paths = chexpert.manifest(root).table["path"].tolist()
    assert [p.removeprefix(f"{root}/").split("/train")[0] for p in paths] == ["PNG/PNG", "DICOM"]


RSNA = """patientId,x,y,width,height,Target
aa,,,,,0
bb,264.0,152.0,213.0,379.0,1
bb,562.0,152.0,256.0,453.0,1
cc,,,,,0
"""
RSNA_CLASSES = "patientId,class\naa,No Lung Opacity / Not Normal\nbb,Lung Opacity\nbb,Lung Opacity\ncc,Normal\n"


def test_rsna_rows_are_boxes(layout: Files) -> None:
    images = [f"stage_2_train_images/{n}.dcm" for n in ("aa", "bb", "cc")]
    root = layout({"stage_2_train_labels.csv": RSNA, "stage_2_detailed_class_info.csv": RSNA_CLASSES}, images)
    manifest = rsna_pneumonia.manifest(root)
    table = manifest.table
    assert table["image_id"].tolist() == ["rsna-aa", "rsna-bb", "rsna-cc"]
    assert table["lung_opacity"].tolist() == [0, 1, 0]
    assert table["no_finding"].tolist() == [0, 0, 1]
    assert [b["box"] for b in json.loads(table["boxes"][1])] == [[264, 152, 477, 531], [562, 152, 818, 605]]
    assert "1 further boxes" in manifest.notes[0]
    assert "each image counts as a patient" in manifest.notes[1]


def test_rsna_images_of_one_nih_patient_stay_together(layout: Files) -> None:
    mapping = [
        {"subset_img_id": "aa", "img_id": "00000013_005.png"},
        {"subset_img_id": "cc", "img_id": "00000013_026.png"},
    ]
    images = [f"stage_2_train_images/{n}.dcm" for n in ("aa", "bb", "cc")]
    root = layout({"stage_2_train_labels.csv": RSNA, "dataset-mappings_2018.json": json.dumps(mapping)}, images)
    table = rsna_pneumonia.manifest(root).table
    assert table["patient_id"].tolist() == ["nih-00000013", "rsna-bb", "nih-00000013"]
    assert table["split"][0] == table["split"][2]
    assert table["no_finding"].tolist() == [-1, -1, -1]


SIIM = "ImageId, EncodedPixels\n1.2.1,-1\n1.2.2,1 2 3 1\n1.2.2,10 2\n"


def test_siim_rows_of_an_image_are_one_mask(layout: Files) -> None:
    root = layout({"train-rle.csv": SIIM}, [f"dicom-images-train/a/b/{n}.dcm" for n in ("1.2.1", "1.2.2")])
    manifest = siim_pneumothorax.manifest(root)
    table = manifest.table
    assert table["image_id"].tolist() == ["siim-1.2.1", "siim-1.2.2"]
    assert table["pneumothorax"].tolist() == [0, 1]
    assert table["mask_pneumothorax"].tolist() == ["", "rle:1 2 3 1;10 2"]
    assert manifest.notes == (
        "siim_pneumothorax: 1 further rows of images with several pneumothoraces were joined into their mask",
    )
    mask = read_mask(table["mask_pneumothorax"][1], Image(np.zeros((4, 3), np.float32)))
    assert sorted(np.flatnonzero(mask.T)) == [1, 2, 6, 10, 11]  # down the columns; 3 after the end of the first run


VINDR_TRAIN = """image_id,rad_id,Aortic enlargement,Nodule/Mass,No finding
t1,R1,1,0,0
t1,R2,1,1,0
t1,R3,0,0,0
t2,R1,0,0,1
t2,R2,0,0,1
t2,R3,0,0,1
"""
VINDR_BOXES = """image_id,rad_id,class_name,x_min,y_min,x_max,y_max
t1,R1,Aortic enlargement,10,20,30,40
t1,R2,Nodule/Mass,50.5,60,70,80
t2,R1,No finding,,,,
"""


def test_vindr_votes_and_boxes(layout: Files) -> None:
    root = layout(
        {
            "annotations/image_labels_train.csv": VINDR_TRAIN,
            "annotations/annotations_train.csv": VINDR_BOXES,
            "annotations/image_labels_test.csv": "image_id,Aortic enlargement,Nodule/Mass,No finding\ne1,0,1,0\n",
            "annotations/annotations_test.csv": "image_id,class_name,x_min,y_min,x_max,y_max\ne1,Nodule/Mass,1,2,3,4\n",
        },
        ["train/t1.dicom", "train/t2.dicom", "test/e1.dicom"],
    )
    table = vindr_cxr.manifest(root).table.set_index("image_id")
    assert table["aortic_dilatation"].to_dict() == {"vindr-t1": 1, "vindr-t2": 0, "vindr-e1": 0}
    assert table["lung_lesion"].to_dict() == {"vindr-t1": 2, "vindr-t2": 0, "vindr-e1": 1}
    assert table["no_finding"].to_dict() == {"vindr-t1": 0, "vindr-t2": 1, "vindr-e1": 0}
    assert table.loc["vindr-e1", "split"] == "test"
    assert "test" not in set(table["split"][:2])
    assert len(json.loads(table.loc["vindr-t1", "boxes"])) == 2
    assert table.loc["vindr-t2", "boxes"] == ""


PADCHEST = """,ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,PatientBirth,PatientSex_DICOM,Projection,Report,Labels
0,a.png,0,20140915,s1,p1,1930.0,F,PA,sin alteracion .,['normal']
1,b.png,0,20140915,s2,p2,1950.0,M,AP_horizontal,derrame pleural .,"['pleural effusion', ' cardiomegaly', '', 'new thing']"
2,c.png,1,20140915,s3,p3,1960.0,M,PA,.,"['exclude']"
3,d.png,1,20140915,s4,p4,1960.0,M,COSTAL,.,"['normal']"
4,e.png,1,20140915,s5,p5,1960.0,M,PA,.,
5,f.png,1,20140915,s6,p6,1700.0,O,L,.,"['unchanged', 'COPD signs']"
"""  # noqa: E501


def test_padchest_labels_and_left_out_rows(layout: Files) -> None:
    name = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"
    manifest = padchest.manifest(layout({name: PADCHEST}, ["0/a.png", "0/b.png", "1/c.png", "1/d.png", "1/f.png"]))
    table = manifest.table
    assert table["image_id"].tolist() == ["a", "b", "f"]
    assert table["view"].tolist() == ["PA", "AP", "LATERAL"]
    assert table["no_finding"].tolist() == [1, 0, 0]
    assert table["pleural_effusion"].tolist() == table["cardiomegaly"].tolist() == [0, 1, 0]
    assert table["copd"].tolist() == [0, 0, 1]
    assert table["age"].tolist()[:2] == [84, 64]
    assert np.isnan(table["age"][2])
    assert table["sex"].tolist() == ["F", "M", ""]
    assert "3 rows are marked exclude" in manifest.notes[0]
    assert "1 labels are not known and were left out: new thing" in manifest.notes[1]


MS_CXR = """category_name,label_text,path,x,y,w,h,dicom_id,image_width,image_height
Pleural Effusion,small left effusion,files/p10/p10000032/s50414267/d1.jpg,10,20,30,40,d1,2544,3056
Pleural Effusion,small left effusion,files/p10/p10000032/s50414267/d1.jpg,60,20,30,40,d1,2544,3056
Edema,mild edema,files/p10/p10000032/s50414267/d1.jpg,1,2,3,4,d1,2544,3056
Pneumonia,right pneumonia,files/p11/p11000001/s51000000/d2.jpg,1,2,3,4,d2,2544,3056
"""


def test_ms_cxr_phrases(layout: Files) -> None:
    images = ["mimic/files/p10/p10000032/s50414267/d1.dcm", "mimic/files/p11/p11000001/s51000000/d2.jpg"]
    root = layout({"MS_CXR_Local_Alignment_v1.0.0.csv": MS_CXR}, images)
    table = ms_cxr.manifest(root, images=root / "mimic").table
    assert table["path"].tolist() == [str(root / image) for image in images]
    assert table[["patient_id", "study_id", "split"]].values.tolist() == [
        ["10000032", "50414267", "test"],
        ["11000001", "51000000", "test"],
    ]
    assert [b["phrase"] for b in json.loads(table["boxes"][0])] == ["small left effusion"] * 2 + ["mild edema"]
    assert table["edema"].tolist() == [1, -1]
